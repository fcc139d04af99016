//! What the lease of this process lets a session do: send until when, and how many calls before the
//! next record of them is safe.
//!
//! Whoever leads next counts what the last record says. So a call may only begin if a record that is
//! safe allows for it; while a record is being written either may be the one that is read, and both
//! bounds hold.

use tokio::time::Instant;

/// The bounds of one session. Without a lease nothing is allowed.
#[derive(Debug, Clone, Default)]
pub(super) struct LeaseBounds {
    /// The end of the lease.
    ends: Option<Instant>,
    /// Calls that the record which is safe still allows for.
    left: usize,
    /// The same of the record that is being written.
    proposed: Option<usize>,
    /// Whether more calls could begin than the record allows for.
    short: bool,
    /// How many the record that was made last allows for.
    given: usize,
    /// How many have begun since it was made.
    begun: usize,
}

impl LeaseBounds {
    /// Whether the lease lasts until `at`.
    pub(super) fn outlives(&self, at: Instant) -> bool {
        self.ends.is_some_and(|ends| at <= ends)
    }

    /// How many calls may still begin.
    pub(super) fn left(&self) -> usize {
        self.proposed
            .map_or(self.left, |proposed| proposed.min(self.left))
    }

    /// How many calls the record that was made last allowed for.
    pub(super) fn given(&self) -> usize {
        self.given
    }

    /// A call, or a permit for one, takes its share.
    pub(super) fn take(&mut self) {
        self.begun = self.begun.saturating_add(1);
        self.change(|left| left.saturating_sub(1));
    }

    /// A permit came back unused.
    pub(super) fn give_back(&mut self) {
        self.begun = self.begun.saturating_sub(1);
        self.change(|left| left.saturating_add(1));
    }

    /// More calls could begin than the record allows for.
    pub(super) fn ask(&mut self) {
        self.short = true;
    }

    /// Whether more calls could begin than the record allows for.
    pub(super) fn is_short(&self) -> bool {
        self.short
    }

    /// How many calls have begun since the record that was made last.
    pub(super) fn begun(&self) -> usize {
        self.begun
    }

    /// A record is being written that allows for `calls` more.
    pub(super) fn propose(&mut self, calls: usize) {
        // One that was written before may still turn out to be the one that is there.
        let earlier = self.proposed.unwrap_or(calls);
        self.proposed = Some(calls.min(earlier));
        self.short = false;
        self.given = calls;
        self.begun = 0;
    }

    /// The record is safe, and the lease lasts until `ends`.
    pub(super) fn confirm(&mut self, ends: Instant) {
        self.ends = Some(ends);
        if let Some(proposed) = self.proposed.take() {
            self.left = proposed;
            // Asked while the record was on its way; whether it still holds shows at the next look.
            self.short = false;
        }
    }

    /// What a session that joins now begins with.
    pub(super) fn of_a_newcomer(&self) -> Self {
        Self {
            proposed: None,
            short: false,
            given: 0,
            begun: 0,
            ..self.clone()
        }
    }

    /// One that allows everything.
    #[cfg(test)]
    pub(super) fn unbounded(now: Instant) -> Self {
        Self {
            ends: Some(now + std::time::Duration::from_secs(1 << 30)),
            left: usize::MAX / 2,
            ..Self::default()
        }
    }

    fn change(&mut self, change: impl Fn(usize) -> usize) {
        self.left = change(self.left);
        self.proposed = self.proposed.map(change);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn nothing_is_allowed_without_a_lease_or_past_its_end() {
        let now = Instant::now();
        let mut lease_bounds = LeaseBounds::default();
        assert!(!lease_bounds.outlives(now) && lease_bounds.left() == 0);
        lease_bounds.propose(5);
        lease_bounds.confirm(now);
        assert!(lease_bounds.outlives(now) && lease_bounds.left() == 5);
        assert!(!lease_bounds.outlives(now + Duration::from_nanos(1)));
    }

    #[test]
    fn while_a_record_is_on_its_way_the_bounds_of_both_hold() {
        let now = Instant::now();
        let mut lease_bounds = LeaseBounds::default();
        lease_bounds.propose(2);
        assert_eq!(lease_bounds.left(), 0, "what isn't safe yet allows nothing");
        lease_bounds.confirm(now);
        lease_bounds.propose(9);
        assert_eq!(lease_bounds.left(), 2);
        lease_bounds.take();
        lease_bounds.take();
        assert_eq!(lease_bounds.left(), 0);
        lease_bounds.give_back();
        lease_bounds.take();
        lease_bounds.confirm(now);
        assert_eq!(
            lease_bounds.left(),
            7,
            "what began meanwhile counts in the new one"
        );
    }

    #[test]
    fn a_record_whose_fate_is_unknown_binds_until_the_next_one_is_safe() {
        let now = Instant::now();
        let mut lease_bounds = LeaseBounds::default();
        lease_bounds.propose(9);
        lease_bounds.confirm(now);
        lease_bounds.propose(3);
        lease_bounds.propose(8);
        assert_eq!(lease_bounds.left(), 3);
        lease_bounds.confirm(now);
        assert_eq!(
            lease_bounds.left(),
            3,
            "the later one was counted on from the earlier"
        );
    }
}
