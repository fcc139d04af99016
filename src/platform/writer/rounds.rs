//! The guard records that are being written, one round of writes for each guard, so that a slow status write delays
//! no other guard. Pure.

use std::collections::HashMap;

use crate::guard::Record;

/// The open rounds, by guard: from the first write until one write has succeeded or all have failed.
#[derive(Default)]
pub(super) struct Rounds {
    open: HashMap<u64, Round>,
    last: u64,
}

struct Round {
    number: u64,
    record: Record,
    writes: usize,
}

/// The end of a round of writes.
pub(super) struct Ended {
    pub(super) record: Record,
    /// Whether a status holds the record now.
    pub(super) taken: bool,
}

impl Rounds {
    /// Whether a round of this guard is open; until it ends, no other record of the guard is written.
    pub(super) fn is_open(&self, group: u64) -> bool {
        self.open.contains_key(&group)
    }

    /// Opens a round of `writes` writes of `record`; returns the round's number.
    pub(super) fn begins(&mut self, record: Record, writes: usize) -> u64 {
        self.last += 1;
        let round = Round {
            number: self.last,
            record,
            writes,
        };
        self.open.insert(round.record.group(), round);
        self.last
    }

    /// Records the end of one write of a round; returns the end of the round, if this write ends it. The first
    /// success ends a round. A later write belongs to a record that may be stale by then, and ends nothing.
    pub(super) fn ended(&mut self, group: u64, number: u64, taken: bool) -> Option<Ended> {
        let round = self.open.get_mut(&group)?;
        if round.number != number {
            return None;
        }
        round.writes = round.writes.saturating_sub(1);
        if !taken && round.writes > 0 {
            return None;
        }
        let round = self.open.remove(&group)?;
        Some(Ended {
            record: round.record,
            taken,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::tests::a_record;

    #[test]
    fn the_first_write_that_is_taken_settles_a_record_and_a_late_one_settles_nothing() {
        let mut rounds = Rounds::default();
        let record = a_record();
        let group = record.group();
        let first = rounds.begins(record.clone(), 2);
        assert!(rounds.is_open(group));
        assert!(
            rounds
                .ended(group, first, true)
                .is_some_and(|ended| ended.taken)
        );
        assert!(!rounds.is_open(group));
        let second = rounds.begins(record, 2);
        assert!(rounds.ended(group, first, true).is_none(), "of the first");
        assert!(rounds.ended(group, second, false).is_none());
        assert!(
            rounds
                .ended(group, second, false)
                .is_some_and(|ended| !ended.taken)
        );
        assert!(!rounds.is_open(group));
    }
}
