//! How many deletions may be sent before the next record of them: reserved ahead in the status, so
//! that a restart knows of all that were sent without a write for each.

/// What a record that is safe still allows for. While another one is on its way both bind, since
/// either may be the one that the next process reads.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reservation {
    left: usize,
    proposed: Option<usize>,
}

impl Reservation {
    /// Takes one, if there is one.
    pub(super) fn take(&mut self) -> bool {
        let taken = self.left() > 0;
        if taken {
            self.left -= 1;
            self.proposed = self.proposed.map(|proposed| proposed - 1);
        }
        taken
    }

    /// How many may still be sent.
    pub(super) fn left(&self) -> usize {
        self.proposed.map_or(self.left, |p| p.min(self.left))
    }

    /// Whether a record with room is on its way.
    pub(super) fn is_proposed(&self) -> bool {
        self.proposed.is_some_and(|proposed| proposed > 0)
    }

    /// A record that allows for `count` is being written.
    pub(super) fn propose(&mut self, count: usize) {
        let earlier = self.proposed.unwrap_or(count);
        self.proposed = Some(count.min(earlier));
    }

    /// The record is safe.
    pub(super) fn confirm(&mut self) {
        if let Some(proposed) = self.proposed.take() {
            self.left = proposed;
        }
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
    }
}
