//! A fair queue: the objects of one Platform take turns with those of other Platforms. The first object of an idle
//! Platform comes next, however many objects of a busy Platform wait.

use std::collections::{HashMap, VecDeque};

use crate::api::names::ObjectKey;

/// The party whose turn an object takes: its Platform, if known.
pub(in crate::package) type Party = Option<ObjectKey>;

/// A queue of object keys: first in, first out within a party, and round robin among parties.
#[derive(Default)]
pub(in crate::package) struct FairLine {
    /// Queued keys of each party.
    waiting: HashMap<Party, VecDeque<ObjectKey>>,
    /// Parties that have newly joined the queue; each gets one turn before the round.
    fresh: VecDeque<Party>,
    /// All other parties, in turn. A party stays for one round after its last object. Otherwise a party that adds one
    /// object at a time would always count as new, and come first.
    round: VecDeque<Party>,
}

impl FairLine {
    /// Appends `key` to the queue of `party`.
    pub(in crate::package) fn push(&mut self, party: Party, key: ObjectKey) {
        if let Some(waiting) = self.waiting.get_mut(&party) {
            waiting.push_back(key);
        } else {
            self.fresh.push_back(party.clone());
            self.waiting.insert(party, VecDeque::from([key]));
        }
    }

    /// Removes the next key: the first key of the party whose turn it is.
    pub(in crate::package) fn pop(&mut self) -> Option<ObjectKey> {
        while let Some(party) = self.fresh.pop_front().or_else(|| self.round.pop_front()) {
            match self.waiting.get_mut(&party).and_then(VecDeque::pop_front) {
                Some(key) => {
                    self.round.push_back(party);
                    return Some(key);
                }
                None => {
                    self.waiting.remove(&party);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("n", name)
    }

    fn platform(name: &str) -> ObjectKey {
        ObjectKey::new("p", name)
    }

    fn names(line: &mut FairLine, count: usize) -> Vec<String> {
        let popped = (0..count).map_while(|_| line.pop());
        popped.map(|key| key.name.to_string()).collect()
    }

    #[test]
    fn parties_take_turns_and_each_keeps_its_order() {
        let mut line = FairLine::default();
        for name in ["a1", "a2", "a3"] {
            line.push(Some(platform("a")), key(name));
        }
        for name in ["b1", "b2"] {
            line.push(Some(platform("b")), key(name));
        }
        line.push(None, key("c1"));
        assert_eq!(
            names(&mut line, 9),
            ["a1", "b1", "c1", "a2", "b2", "a3"],
            "in turn"
        );
        assert!(line.waiting.is_empty() && line.round.is_empty());
    }

    #[test]
    fn a_new_party_comes_next_but_not_again_by_coming_one_at_a_time() {
        let mut line = FairLine::default();
        for number in 0..100 {
            line.push(Some(platform("busy")), key(&format!("busy-{number}")));
        }
        assert_eq!(names(&mut line, 2), ["busy-0", "busy-1"]);
        line.push(Some(platform("new")), key("new-0"));
        assert_eq!(names(&mut line, 1), ["new-0"]);
        for number in 1..10 {
            line.push(Some(platform("new")), key(&format!("new-{number}")));
            let (busy, new) = (format!("busy-{}", number + 1), format!("new-{number}"));
            assert_eq!(names(&mut line, 2), [busy, new]);
        }
    }
}
