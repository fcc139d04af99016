//! What this process remembers of its writes to one object: the last one taken, and those that were not.

use tokio::time::Instant;

use super::{Fingerprint, Memory};
use crate::package::memory::own_write::{Conflict, Echo, Part, RefusedWrite};

/// The writes to one object.
#[derive(Default)]
pub(super) struct Writes {
    /// The version that the cache showed when the last own write was made, and when.
    taken: Option<(String, Instant)>,
    /// The version that the last write was for which met a conflict.
    contested: Option<(String, Conflict)>,
    /// How many in a row met a conflict.
    conflicts: u32,
    finalizers: Option<Refused>,
    status: Option<Refused>,
    complaint: Option<Refused>,
}

/// A write that is refused, and under which circumstances.
struct Refused {
    refusal: RefusedWrite,
    under: Fingerprint,
}

impl Writes {
    pub(super) fn is_empty(&self) -> bool {
        let Self {
            taken,
            contested,
            conflicts,
            finalizers,
            status,
            complaint,
        } = self;
        taken.is_none()
            && contested.is_none()
            && *conflicts == 0
            && finalizers.is_none()
            && status.is_none()
            && complaint.is_none()
    }

    pub(super) fn forget_versions(&mut self) {
        (self.taken, self.contested) = (None, None);
    }

    fn refused(&mut self, part: Part) -> &mut Option<Refused> {
        match part {
            Part::Finalizers => &mut self.finalizers,
            Part::Status | Part::Beside => &mut self.status,
            Part::Complaint => &mut self.complaint,
        }
    }

    /// A write to `part` was taken.
    fn went_through(&mut self, part: Part) {
        self.conflicts = 0;
        match part {
            Part::Finalizers => self.finalizers = None,
            // Nothing is left to complain of.
            Part::Status => (self.status, self.complaint) = (None, None),
            // What can't be said is no more sayable by that.
            Part::Complaint => self.complaint = None,
            Part::Beside => {}
        }
    }
}

impl Memory {
    /// Whether the last own write of `uid` is back, given the version that the cache shows.
    pub fn echo(&self, uid: &str, shown: &str) -> Echo {
        let state = self.state.lock();
        let Some(entry) = state.entries.get(uid) else {
            return Echo::Seen;
        };
        if let Some((before, at)) = &entry.writes.taken
            && before == shown
        {
            return Echo::Pending(*at);
        }
        if let Some((version, conflict)) = &entry.writes.contested
            && version == shown
        {
            return Echo::Contested(conflict.clone());
        }
        Echo::Seen
    }

    /// The last own write of `uid` is back, or there was none: nothing is awaited any more.
    pub fn back(&self, uid: &str) {
        let mut state = self.state.lock();
        let Some(entry) = state.entries.get_mut(uid) else {
            return;
        };
        entry.writes.forget_versions();
        // An object that rests needs no memory: most of them do, most of the time.
        if entry.is_empty() {
            state.entries.remove(uid);
        }
    }

    /// Remembers that an own write to `part` of `uid`, which the cache still shows as `shown`, was taken.
    pub fn wrote(&self, uid: &str, part: Part, shown: &str, at: Instant) {
        let mut state = self.state.lock();
        let writes = &mut state.entry(uid).writes;
        writes.went_through(part);
        writes.contested = None;
        writes.taken = Some((shown.to_owned(), at));
    }

    /// Remembers that a write to `part` of `uid` was taken; `echo` is the version that the cache still shows, and since when
    /// another one is waited for, unless the write has changed nothing.
    pub fn taken(&self, uid: &str, part: Part, echo: Option<(&str, Instant)>) {
        match echo {
            Some((shown, at)) => self.wrote(uid, part, shown, at),
            None => self.wrote_nothing(uid, part),
        }
    }

    /// Remembers that a write to `part` of `uid` was taken and changed nothing.
    fn wrote_nothing(&self, uid: &str, part: Part) {
        let mut state = self.state.lock();
        if let Some(entry) = state.entries.get_mut(uid) {
            entry.writes.went_through(part);
        }
    }

    /// Remembers that a write to `uid`, which the cache still shows as `shown`, met a conflict.
    pub fn met_conflict(&self, uid: &str, shown: &str, conflict: Conflict) {
        let mut state = self.state.lock();
        let writes = &mut state.entry(uid).writes;
        writes.contested = Some((shown.to_owned(), conflict));
        writes.conflicts = writes.conflicts.saturating_add(1);
    }

    /// How many writes to `uid` met a conflict in a row.
    pub fn conflicts(&self, uid: &str) -> u32 {
        let state = self.state.lock();
        let entry = state.entries.get(uid);
        entry.map_or(0, |entry| entry.writes.conflicts)
    }

    /// Remembers that a write to `part` of `uid` is refused under these circumstances; a conflict is over by that.
    pub fn refused(&self, uid: &str, part: Part, refusal: RefusedWrite, under: Fingerprint) {
        let mut state = self.state.lock();
        let writes = &mut state.entry(uid).writes;
        writes.contested = None;
        *writes.refused(part) = Some(Refused { refusal, under });
    }

    /// The last refusal of a write to `part` of `uid` under the same circumstances.
    pub fn refusal(&self, uid: &str, part: Part, under: &Fingerprint) -> Option<RefusedWrite> {
        let mut state = self.state.lock();
        let slot = state.entries.get_mut(uid)?.writes.refused(part);
        let refused = slot.as_ref().filter(|refused| refused.under == *under)?;
        Some(refused.refusal.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn under(generation: i64) -> Fingerprint {
        Fingerprint {
            generation,
            requested_at: None,
            revision: 0,
        }
    }

    #[test]
    fn a_conflict_is_over_once_another_version_is_shown() {
        let memory = Memory::default();
        let now = Instant::now();
        let contested = Conflict {
            part: Part::Status,
            words: "changed".into(),
            at: now,
            phase: None,
        };
        for count in [1, 2] {
            memory.met_conflict("u", "7", contested.clone());
            assert_eq!(memory.conflicts("u"), count);
        }
        assert_eq!(memory.echo("u", "7"), Echo::Contested(contested.clone()));
        assert_eq!(memory.echo("u", "8"), Echo::Seen);
        memory.back("u");
        assert_eq!(memory.echo("u", "7"), Echo::Seen);
        memory.wrote("u", Part::Status, "8", now);
        assert_eq!(memory.echo("u", "8"), Echo::Pending(now));
        assert_eq!(memory.conflicts("u"), 0);
    }

    #[test]
    fn a_refusal_stands_until_the_object_changes_or_a_write_of_that_part_is_taken() {
        let memory = Memory::default();
        let now = Instant::now();
        let second = RefusedWrite {
            words: "no".into(),
            count: 2,
            until: now + Duration::from_secs(2),
            denied: true,
            phase: None,
        };
        let first = RefusedWrite {
            count: 1,
            ..second.clone()
        };
        for refusal in [&first, &second] {
            memory.refused("u", Part::Finalizers, refusal.clone(), under(1));
        }
        let refusal = |generation| memory.refusal("u", Part::Finalizers, &under(generation));
        assert_eq!(refusal(1), Some(second));
        assert_eq!(refusal(2), None);
        assert_eq!(memory.refusal("u", Part::Status, &under(1)), None);
        memory.wrote("u", Part::Status, "7", now);
        assert!(refusal(1).is_some());
        memory.wrote("u", Part::Finalizers, "8", now);
        assert_eq!(refusal(1), None);
    }
}
