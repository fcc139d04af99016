//! A write-ahead reservation: how much may be used before the next record of it is safe, so that a restart knows of all that
//! was used without a write for each.

/// What a record that is safe still allows for. While another one is on its way both bind, since either may be the one
/// that the next process reads.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    left: usize,
    proposed: Option<usize>,
}

impl Reservation {
    /// One of which a record is safe that allows for `count`.
    pub fn of(count: usize) -> Self {
        Self {
            left: count,
            proposed: None,
        }
    }

    /// How many may still be used.
    pub fn left(&self) -> usize {
        self.proposed
            .map_or(self.left, |proposed| proposed.min(self.left))
    }

    /// Takes one, if there is one.
    pub fn take(&mut self) -> bool {
        let taken = self.left() > 0;
        if taken {
            self.spend();
        }
        taken
    }

    /// One is used, whether there was one or not.
    pub fn spend(&mut self) {
        self.change(|left| left.saturating_sub(1));
    }

    /// One that was taken comes back unused.
    pub fn give_back(&mut self) {
        self.change(|left| left.saturating_add(1));
    }

    /// Whether a record with room is on its way.
    pub fn is_proposed(&self) -> bool {
        self.proposed.is_some_and(|proposed| proposed > 0)
    }

    /// A record is being written that allows for `count` more.
    pub fn propose(&mut self, count: usize) {
        // One that was written before may still turn out to be the one that is there.
        let earlier = self.proposed.unwrap_or(count);
        self.proposed = Some(count.min(earlier));
    }

    /// The record is safe; tells whether there was one on its way.
    pub fn confirm(&mut self) -> bool {
        let proposed = self.proposed.take();
        self.left = proposed.unwrap_or(self.left);
        proposed.is_some()
    }

    /// The same without the record that is on its way.
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
    fn nothing_is_allowed_before_a_record_is_safe_and_what_goes_meanwhile_counts_in_both() {
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
    fn a_record_whose_fate_is_unknown_binds_until_the_next_one_is_safe() {
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
    fn what_comes_back_unused_may_be_used_again() {
        let mut reservation = Reservation::of(1);
        reservation.propose(9);
        assert!(reservation.take() && !reservation.take());
        reservation.give_back();
        assert!(reservation.take());
        assert!(reservation.confirm() && !reservation.confirm());
        assert_eq!(reservation.left(), 8);
    }
}
