//! What this process remembers of its writes to one object: the last one taken, and those that were not.

use tokio::time::Instant;

use super::{Fingerprint, Memory};
use crate::package::decide::{Echo, Refusal};

/// Which part of an object a write is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Its finalizers.
    Finalizers,
    /// Its status.
    Status,
}

impl Part {
    /// The word of it, for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Finalizers => "finalizers",
            Self::Status => "status",
        }
    }
}

/// The writes to one object.
#[derive(Default)]
pub(super) struct Writes {
    /// The version that the cache showed when the last own write was made, and when.
    taken: Option<(String, Instant)>,
    contested: Option<Contested>,
    /// How many in a row met a conflict.
    conflicts: u32,
    /// How many in a row had no answer, or none that decides.
    failures: u32,
    finalizers: Option<Refused>,
    status: Option<Refused>,
}

/// A write that the API server answered with a conflict.
struct Contested {
    part: Part,
    /// The version that it was for.
    version: String,
    at: Instant,
    words: String,
}

/// A write that is refused, and since when in vain.
struct Refused {
    count: u32,
    refusal: Refusal,
    under: Fingerprint,
}

impl Writes {
    pub(super) fn is_empty(&self) -> bool {
        let Self {
            taken,
            contested,
            conflicts,
            failures,
            finalizers,
            status,
        } = self;
        taken.is_none()
            && contested.is_none()
            && *conflicts == 0
            && *failures == 0
            && finalizers.is_none()
            && status.is_none()
    }

    pub(super) fn forget_versions(&mut self) {
        (self.taken, self.contested) = (None, None);
    }

    fn refused(&mut self, part: Part) -> &mut Option<Refused> {
        match part {
            Part::Finalizers => &mut self.finalizers,
            Part::Status => &mut self.status,
        }
    }
}

impl Memory {
    /// Whether the last own write of `uid` is back, given the version that the cache shows.
    pub fn echo(&self, uid: &str, shown: &str) -> Echo {
        let mut state = self.state.lock();
        let Some(entry) = state.entries.get_mut(uid) else {
            return Echo::Seen;
        };
        let writes = &mut entry.writes;
        if let Some((before, at)) = &writes.taken
            && before == shown
        {
            return Echo::Pending(*at);
        }
        if let Some(contested) = &writes.contested
            && contested.version == shown
        {
            return Echo::Contested(contested.at);
        }
        (writes.taken, writes.contested) = (None, None);
        // An object that rests needs no memory: most of them do, most of the time.
        if entry.is_empty() {
            state.entries.remove(uid);
        }
        Echo::Seen
    }

    /// Remembers that an own write to `part` of `uid`, which the cache still shows as `shown`, was taken.
    pub fn wrote(&self, uid: &str, part: Part, shown: &str, at: Instant) {
        let mut state = self.state.lock();
        let writes = &mut state.entry(uid).writes;
        *writes.refused(part) = None;
        (writes.conflicts, writes.failures) = (0, 0);
        writes.contested = None;
        writes.taken = Some((shown.to_owned(), at));
    }

    /// Remembers that a write to `part` of `uid` was taken and changed nothing.
    pub fn wrote_nothing(&self, uid: &str, part: Part) {
        let mut state = self.state.lock();
        if let Some(entry) = state.entries.get_mut(uid) {
            *entry.writes.refused(part) = None;
            (entry.writes.conflicts, entry.writes.failures) = (0, 0);
        }
    }

    /// Remembers that a write to `part` of `uid` met a conflict; returns how many did in a row.
    pub fn met_conflict(
        &self,
        uid: &str,
        part: Part,
        shown: &str,
        words: String,
        at: Instant,
    ) -> u32 {
        let mut state = self.state.lock();
        let writes = &mut state.entry(uid).writes;
        writes.contested = Some(Contested {
            part,
            version: shown.to_owned(),
            at,
            words,
        });
        writes.conflicts = writes.conflicts.saturating_add(1);
        writes.conflicts
    }

    /// A conflict of `uid` that the watch doesn't bear out: what is refused, and in which words.
    pub fn end_conflict(&self, uid: &str) -> Option<(Part, String)> {
        let mut state = self.state.lock();
        let contested = state.entries.get_mut(uid)?.writes.contested.take()?;
        Some((contested.part, contested.words))
    }

    /// Remembers that a write to `part` of `uid` is refused; returns how often it was in a row. `until` tells from that
    /// when to try again.
    pub fn refused(
        &self,
        uid: &str,
        part: Part,
        words: String,
        under: &Fingerprint,
        until: impl FnOnce(u32) -> Instant,
    ) -> (u32, Refusal) {
        let mut state = self.state.lock();
        let slot = state.entry(uid).writes.refused(part);
        let before = slot.take().filter(|before| before.under == *under);
        let count = before.map_or(0, |before| before.count);
        let refusal = Refusal {
            words,
            until: until(count),
        };
        let count = count.saturating_add(1);
        *slot = Some(Refused {
            count,
            refusal: refusal.clone(),
            under: under.clone(),
        });
        (count, refusal)
    }

    /// The last refusal of a write to `part` of `uid` under the same circumstances.
    pub fn refusal(&self, uid: &str, part: Part, under: &Fingerprint) -> Option<Refusal> {
        let mut state = self.state.lock();
        let slot = state.entries.get_mut(uid)?.writes.refused(part);
        let refused = slot.as_ref().filter(|refused| refused.under == *under)?;
        Some(refused.refusal.clone())
    }

    /// Counts a write that failed; returns how many failed in a row.
    pub fn write_failed(&self, uid: &str) -> u32 {
        let mut state = self.state.lock();
        let writes = &mut state.entry(uid).writes;
        writes.failures = writes.failures.saturating_add(1);
        writes.failures
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
        let conflict = || memory.met_conflict("u", Part::Status, "7", "changed".into(), now);
        assert_eq!((conflict(), conflict()), (1, 2));
        assert_eq!(memory.echo("u", "7"), Echo::Contested(now));
        assert_eq!(memory.echo("u", "8"), Echo::Seen);
        assert_eq!(memory.end_conflict("u"), None);
        memory.wrote("u", Part::Status, "8", now);
        assert_eq!(memory.echo("u", "8"), Echo::Pending(now));
        assert_eq!(
            memory.met_conflict("u", Part::Status, "9", String::new(), now),
            1
        );
    }

    #[test]
    fn a_refusal_stands_until_the_object_changes_or_a_write_of_that_part_is_taken() {
        let memory = Memory::default();
        let now = Instant::now();
        let later = |count: u32| now + Duration::from_secs(1) * (count + 1);
        let refuse = || {
            memory
                .refused("u", Part::Finalizers, "no".into(), &under(1), later)
                .0
        };
        assert_eq!((refuse(), refuse()), (1, 2));
        let refusal = |generation| memory.refusal("u", Part::Finalizers, &under(generation));
        assert_eq!(refusal(1).unwrap().until, later(1));
        assert_eq!(refusal(2), None);
        assert_eq!(memory.refusal("u", Part::Status, &under(1)), None);
        memory.wrote("u", Part::Status, "7", now);
        assert!(refusal(1).is_some());
        memory.wrote("u", Part::Finalizers, "8", now);
        assert_eq!(refusal(1), None);
    }
}
