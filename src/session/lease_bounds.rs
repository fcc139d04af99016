//! What the lease of this process lets a session do: send until when, and how many calls before the
//! next record of them is safe.
//!
//! Whoever leads next counts what the last record says. So a call may only begin if a record that is
//! safe allows for it; while a record is being written either may be the one that is read, and both
//! bounds hold.

use tokio::time::Instant;

use crate::reservation::Reservation;

/// The bounds of one session. Without a lease nothing is allowed.
#[derive(Debug, Clone, Default)]
pub(super) struct LeaseBounds {
    /// The end of the lease.
    ends: Option<Instant>,
    /// Calls that the record still allows for.
    reservation: Reservation,
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
        self.reservation.left()
    }

    /// How many calls the record that was made last allowed for.
    pub(super) fn given(&self) -> usize {
        self.given
    }

    /// A call, or a permit for one, takes its share.
    pub(super) fn take(&mut self) {
        self.begun = self.begun.saturating_add(1);
        self.reservation.spend();
    }

    /// A permit came back unused.
    pub(super) fn give_back(&mut self) {
        self.begun = self.begun.saturating_sub(1);
        self.reservation.give_back();
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
        self.reservation.propose(calls);
        self.short = false;
        self.given = calls;
        self.begun = 0;
    }

    /// The record is safe, and the lease lasts until `ends`.
    pub(super) fn confirm(&mut self, ends: Instant) {
        self.ends = Some(ends);
        if self.reservation.confirm() {
            // Asked while the record was on its way; whether it still holds shows at the next look.
            self.short = false;
        }
    }

    /// What a session that joins now begins with.
    pub(super) fn of_a_newcomer(&self) -> Self {
        Self {
            ends: self.ends,
            reservation: self.reservation.settled(),
            ..Self::default()
        }
    }

    /// One that allows everything.
    #[cfg(test)]
    pub(super) fn unbounded(now: Instant) -> Self {
        Self {
            ends: Some(now + std::time::Duration::from_secs(1 << 30)),
            reservation: Reservation::of(usize::MAX / 2),
            ..Self::default()
        }
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
}
