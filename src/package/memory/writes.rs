//! What this process remembers of its writes to one object: the last successful write, conflicts and refusals.

use tokio::time::Instant;

use super::{Fingerprint, Memory};
use crate::package::memory::own_write::{Conflict, Echo, Part, RefusedWrite};

/// The own writes to one object.
#[derive(Default)]
pub(super) struct Writes {
    /// Resource version in the cache at the last successful own write, and the time of that write.
    taken: Option<(String, Instant)>,
    /// Resource version of the write that last met a conflict, with that conflict.
    contested: Option<(String, Conflict)>,
    /// Number of consecutive conflicts.
    conflicts: u32,
    finalizers: Option<Refused>,
    status: Option<Refused>,
    complaint: Option<Refused>,
}

/// A refused write, with the circumstances of the refusal.
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

    /// Records a successful write to `part`.
    fn went_through(&mut self, part: Part) {
        self.conflicts = 0;
        match part {
            Part::Finalizers => self.finalizers = None,
            // A full status was written, so the refusal of an earlier complaint no longer matters.
            Part::Status => (self.status, self.complaint) = (None, None),
            // Conditions alone were written; the full status may still be refused.
            Part::Complaint => self.complaint = None,
            Part::Beside => {}
        }
    }
}

impl Memory {
    /// Whether the watch has delivered the last own write of `uid`; `shown` is the version in the cache.
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

    /// Ends the wait for the echo of the last own write of `uid`.
    pub fn back(&self, uid: &str) {
        let mut state = self.state.lock();
        let Some(entry) = state.entries.get_mut(uid) else {
            return;
        };
        entry.writes.forget_versions();
        // An object at rest needs no entry, and most objects are at rest most of the time.
        if entry.is_empty() {
            state.entries.remove(uid);
        }
    }

    /// Stores a successful own write to `part` of `uid`. The cache still showed the version `shown` at the time `at`.
    pub fn wrote(&self, uid: &str, part: Part, shown: &str, at: Instant) {
        let mut state = self.state.lock();
        let writes = &mut state.entry(uid).writes;
        writes.went_through(part);
        writes.contested = None;
        writes.taken = Some((shown.to_owned(), at));
    }

    /// Stores a successful write to `part` of `uid`. `echo` is the version that the cache still shows, and the time of
    /// the write; `None` if the write changed nothing and has no echo.
    pub fn taken(&self, uid: &str, part: Part, echo: Option<(&str, Instant)>) {
        match echo {
            Some((shown, at)) => self.wrote(uid, part, shown, at),
            None => self.wrote_nothing(uid, part),
        }
    }

    /// Stores a successful write to `part` of `uid` that changed nothing.
    fn wrote_nothing(&self, uid: &str, part: Part) {
        let mut state = self.state.lock();
        if let Some(entry) = state.entries.get_mut(uid) {
            entry.writes.went_through(part);
        }
    }

    /// Stores a conflict of a write to `uid`, of which the cache still shows the version `shown`.
    pub fn met_conflict(&self, uid: &str, shown: &str, conflict: Conflict) {
        let mut state = self.state.lock();
        let writes = &mut state.entry(uid).writes;
        writes.contested = Some((shown.to_owned(), conflict));
        writes.conflicts = writes.conflicts.saturating_add(1);
    }

    /// Number of consecutive writes to `uid` that met a conflict.
    pub fn conflicts(&self, uid: &str) -> u32 {
        let state = self.state.lock();
        let entry = state.entries.get(uid);
        entry.map_or(0, |entry| entry.writes.conflicts)
    }

    /// Stores the refusal of a write to `part` of `uid` under these circumstances. The refusal replaces a conflict.
    pub fn refused(&self, uid: &str, part: Part, refusal: RefusedWrite, under: Fingerprint) {
        let mut state = self.state.lock();
        let writes = &mut state.entry(uid).writes;
        writes.contested = None;
        *writes.refused(part) = Some(Refused { refusal, under });
    }

    /// Last refusal of a write to `part` of `uid`, if it happened under the same circumstances.
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
