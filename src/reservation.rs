//! A write-ahead reservation: how many uses the persisted record allows before the next write. After a restart all
//! reserved uses count as used, so no write is needed for each use.

/// The remaining uses of a persisted record. While a new record is being written, both records apply, because the next
/// process may read either of them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    left: usize,
    proposed: Option<usize>,
}

impl Reservation {
    /// A reservation whose record is persisted and allows `count` uses.
    pub fn of(count: usize) -> Self {
        Self {
            left: count,
            proposed: None,
        }
    }

    /// The number of remaining uses.
    pub fn left(&self) -> usize {
        self.proposed
            .map_or(self.left, |proposed| proposed.min(self.left))
    }

    /// Takes one use. Returns `false` where none remains.
    pub fn take(&mut self) -> bool {
        let taken = self.left() > 0;
        if taken {
            self.spend();
        }
        taken
    }

    /// Counts one use, even where none remains.
    pub fn spend(&mut self) {
        self.change(|left| left.saturating_sub(1));
    }

    /// Returns a use that was taken and not needed.
    pub fn give_back(&mut self) {
        self.change(|left| left.saturating_add(1));
    }

    /// Whether a record that allows further uses is being written.
    pub fn is_proposed(&self) -> bool {
        self.proposed.is_some_and(|proposed| proposed > 0)
    }

    /// Notes that a record allowing `count` uses is being written.
    pub fn propose(&mut self, count: usize) {
        // An earlier record, whose write has no result yet, may be the one that is stored.
        let earlier = self.proposed.unwrap_or(count);
        self.proposed = Some(count.min(earlier));
    }

    /// Notes that the record being written is persisted. Returns whether a record was being written.
    pub fn confirm(&mut self) -> bool {
        let proposed = self.proposed.take();
        self.left = proposed.unwrap_or(self.left);
        proposed.is_some()
    }

    /// The reservation without the record that is being written.
    #[must_use]
    pub fn settled(&self) -> Self {
        Self::of(self.left)
    }

    fn change(&mut self, change: impl Fn(usize) -> usize) {
        self.left = change(self.left);
        self.proposed = self.proposed.map(change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_allowed_before_a_record_is_persisted_and_uses_meanwhile_count_in_both() {
        let mut reservation = Reservation::default();
        reservation.propose(3);
        assert!(!reservation.take());
        reservation.confirm();
        assert!(reservation.take());
        reservation.propose(3);
        assert!(reservation.take());
        reservation.confirm();
        assert_eq!(reservation.left(), 2);
        assert!(reservation.take() && reservation.take() && !reservation.take());
    }

    #[test]
    fn a_record_of_unknown_fate_binds_until_the_next_one_is_persisted() {
        let mut reservation = Reservation::default();
        reservation.propose(9);
        reservation.confirm();
        reservation.propose(2);
        reservation.propose(8);
        assert_eq!(reservation.left(), 2);
        reservation.confirm();
        assert_eq!(
            reservation.left(),
            2,
            "the later one was counted on from the earlier"
        );
    }

    #[test]
    fn a_returned_use_is_available_again() {
        let mut reservation = Reservation::of(1);
        reservation.propose(9);
        assert!(reservation.take() && !reservation.take());
        reservation.give_back();
        assert!(reservation.take());
        assert!(reservation.confirm() && !reservation.confirm());
        assert_eq!(reservation.left(), 8);
    }
}
