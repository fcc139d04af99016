//! The bounds that the lease of this process sets for a session: until when it may send, and how many calls it may
//! begin before the next record is stored.
//!
//! The next leader counts what the last record contains. So a call may begin only if a stored record allows for that
//! call. While a record is being written, the next leader may read either the old or the new one, so both bounds apply.

use tokio::time::Instant;

use crate::reservation::Reservation;

/// The bounds of one session. Without a lease no call is allowed.
#[derive(Debug, Clone, Default)]
pub(super) struct LeaseBounds {
    /// The end of the lease.
    ends: Option<Instant>,
    /// The calls that the record still allows for.
    reservation: Reservation,
    /// Whether more calls could begin than the record allows for.
    short: bool,
    /// The number of calls that the last record allows for.
    given: usize,
    /// The number of calls that have begun since the last record was made.
    begun: usize,
}

impl LeaseBounds {
    /// Whether the lease lasts until `at`.
    pub(super) fn outlives(&self, at: Instant) -> bool {
        self.ends.is_some_and(|ends| at <= ends)
    }

    /// Returns how many calls may still begin.
    pub(super) fn left(&self) -> usize {
        self.reservation.left()
    }

    /// Returns how many calls the last record allows for.
    pub(super) fn given(&self) -> usize {
        self.given
    }

    /// Takes one call, or the permit for one, from the reservation.
    pub(super) fn take(&mut self) {
        self.begun = self.begun.saturating_add(1);
        self.reservation.spend();
    }

    /// Gives back a permit that was not used.
    pub(super) fn give_back(&mut self) {
        self.begun = self.begun.saturating_sub(1);
        self.reservation.give_back();
    }

    /// Asks for a record, because more calls could begin than the present one allows for.
    pub(super) fn ask(&mut self) {
        self.short = true;
    }

    /// Whether more calls could begin than the record allows for.
    pub(super) fn is_short(&self) -> bool {
        self.short
    }

    /// Returns how many calls have begun since the last record was made.
    pub(super) fn begun(&self) -> usize {
        self.begun
    }

    /// Begins a record that allows for `calls` more calls.
    pub(super) fn propose(&mut self, calls: usize) {
        self.reservation.propose(calls);
        self.short = false;
        self.given = calls;
        self.begun = 0;
    }

    /// Confirms that the record is stored and the lease lasts until `ends`.
    pub(super) fn confirm(&mut self, ends: Instant) {
        self.ends = Some(ends);
        if self.reservation.confirm() {
            // `short` was set while this record was being written. The next check finds out whether more calls could
            // begin than the new record allows for.
            self.short = false;
        }
    }

    /// Returns the bounds for a session created now.
    pub(super) fn of_a_newcomer(&self) -> Self {
        Self {
            ends: self.ends,
            reservation: self.reservation.settled(),
            ..Self::default()
        }
    }

    /// Creates bounds that allow everything.
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
