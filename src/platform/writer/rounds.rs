//! Which guards' records are being written, so that one slow write of a status holds up no other guard. Pure.

use std::collections::HashMap;

use crate::guard::Record;

/// The records that are being written, by guard: from their first write until one has taken or all have failed.
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

/// How the writes of a record ended.
pub(super) struct Ended {
    pub(super) record: Record,
    /// Whether it stands in a status.
    pub(super) taken: bool,
}

impl Rounds {
    /// Whether a record of this guard is being written: no other one is proposed meanwhile.
    pub(super) fn is_open(&self, group: u64) -> bool {
        self.open.contains_key(&group)
    }

    /// So many writes of `record` begin; returns the number that they carry.
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

    /// One of its writes has ended. Tells what that settles: the first that is taken settles all, and a later one, of a
    /// record that may be out of date by then, nothing.
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
