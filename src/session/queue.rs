//! Who gets the next call: deletions before retirement, then by age.

#![deny(clippy::wildcard_enum_match_arm)]

use std::iter;

use k8s_openapi::jiff::Timestamp;

use super::order::Order;
use super::{Priority, Purpose, Ticket};
use crate::api::names::ObjectKey;

/// Of so many turns in a row, the last goes to retirement where it waits: it gets a tenth at least.
const ROUND: usize = 10;

/// The tickets of one session.
pub(super) struct Queue {
    order: Order,
    /// Deletions that went before waiting retirements since one of those had its turn.
    passed: usize,
}

/// How many are left to have their turns, and whose the next one is.
struct Rounds {
    deletions: usize,
    retirements: usize,
    passed: usize,
}

impl Rounds {
    /// Takes one turn.
    fn turn(&mut self) -> Option<Priority> {
        let due = self.retirements > 0 && self.passed >= ROUND - 1;
        if self.deletions > 0 && !due {
            self.deletions -= 1;
            self.passed += usize::from(self.retirements > 0);
            Some(Priority::Deletion)
        } else {
            self.retirements = self.retirements.checked_sub(1)?;
            self.passed = 0;
            Some(Priority::Retirement)
        }
    }
}

/// A place in the order, for walking over all who wait.
pub(super) type Place = (Priority, Timestamp, String);

impl Queue {
    /// Nobody waits.
    pub(super) fn new() -> Self {
        Self {
            order: Order::new(),
            passed: 0,
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.deletions() + self.retirements()
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts a ticket in its place; a second one of the same uid only moves it there.
    pub(super) fn insert(&mut self, ticket: &Ticket) {
        if self.order.get(&ticket.uid).as_ref() != Some(ticket) {
            self.order.remove(&ticket.uid);
            self.order.insert(ticket);
        }
    }

    /// Takes a ticket out; whether there was one.
    pub(super) fn remove(&mut self, uid: &str) -> bool {
        self.order.remove(uid).is_some()
    }

    /// Takes the ticket out whose turn it is.
    pub(super) fn pop(&mut self) -> Option<Ticket> {
        let mut rounds = self.rounds();
        let ticket = self.order.next(rounds.turn()?, None)?;
        self.passed = rounds.passed;
        self.order.remove(&ticket.uid)
    }

    /// Who is next.
    pub(super) fn head(&self) -> Option<Ticket> {
        self.turns().next()
    }

    /// All tickets in the order of their turns, if nobody comes or goes: the first is at position 1.
    pub(super) fn turns(&self) -> impl Iterator<Item = Ticket> {
        let mut rounds = self.rounds();
        let (mut deletion, mut retirement) = (None::<Ticket>, None::<Ticket>);
        iter::from_fn(move || {
            let priority = rounds.turn()?;
            let last = match priority {
                Priority::Deletion => &mut deletion,
                Priority::Retirement => &mut retirement,
            };
            let after = last.as_ref().map(|last| (last.requested_at, &*last.uid));
            *last = self.order.next(priority, after);
            last.clone()
        })
    }

    /// How many turns until that of `uid`, and what it wants its call for; 1 is the next.
    pub(super) fn position(&self, uid: &str) -> Option<(usize, Purpose)> {
        let (priority, older, purpose) = self.order.rank(uid)?;
        // So many deletions go before the first retirement; then a round of them before each other.
        let first = self.left_in_round();
        let others = match priority {
            Priority::Deletion if older < first => 0,
            Priority::Deletion => (1 + (older - first) / (ROUND - 1)).min(self.retirements()),
            Priority::Retirement => (first + older * (ROUND - 1)).min(self.deletions()),
        };
        Some((older + others + 1, purpose))
    }

    /// Where the ticket of `uid` stands.
    pub(super) fn place(&self, uid: &str) -> Option<Place> {
        let ticket = self.order.get(uid)?;
        Some((ticket.priority, ticket.requested_at, ticket.uid))
    }

    /// The first ticket, or the first after `place`; by priority and age, without the turns of ageing.
    pub(super) fn after(&self, place: Option<&Place>) -> Option<(Place, ObjectKey)> {
        let ticket = match place {
            Some((Priority::Retirement, at, uid)) => {
                self.order.next(Priority::Retirement, Some((*at, uid)))
            }
            Some((Priority::Deletion, at, uid)) => self
                .order
                .next(Priority::Deletion, Some((*at, uid)))
                .or_else(|| self.order.next(Priority::Retirement, None)),
            None => self
                .order
                .next(Priority::Deletion, None)
                .or_else(|| self.order.next(Priority::Retirement, None)),
        }?;
        Some((
            (ticket.priority, ticket.requested_at, ticket.uid),
            ticket.key,
        ))
    }

    fn rounds(&self) -> Rounds {
        Rounds {
            deletions: self.deletions(),
            retirements: self.retirements(),
            passed: self.passed,
        }
    }

    fn left_in_round(&self) -> usize {
        (ROUND - 1).saturating_sub(self.passed)
    }

    fn deletions(&self) -> usize {
        self.order.count(Priority::Deletion)
    }

    fn retirements(&self) -> usize {
        self.order.count(Priority::Retirement)
    }
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::*;

    fn ticket(uid: impl Into<String>, priority: Priority, second: i64) -> Ticket {
        let uid = uid.into();
        Ticket {
            key: ObjectKey::new("fleet", format!("object-{uid}")),
            uid,
            purpose: Purpose::Delete,
            priority,
            requested_at: Timestamp::from_second(second).unwrap(),
        }
    }

    /// The same promises, kept by a sorted list.
    #[derive(Clone, Default)]
    struct Model {
        waiting: Vec<Ticket>,
        passed: usize,
    }

    impl Model {
        fn insert(&mut self, ticket: Ticket) {
            self.waiting.retain(|other| other.uid != ticket.uid);
            self.waiting.push(ticket);
            self.waiting
                .sort_by_key(|ticket| (ticket.priority, ticket.requested_at, ticket.uid.clone()));
        }

        fn pop(&mut self) -> Option<Ticket> {
            let retirement = self
                .waiting
                .iter()
                .position(|ticket| ticket.priority == Priority::Retirement);
            let index = match retirement {
                Some(index) if self.passed >= 9 => index,
                _ => 0,
            };
            if self.waiting.is_empty() {
                return None;
            }
            let ticket = self.waiting.remove(index);
            match ticket.priority {
                Priority::Retirement => self.passed = 0,
                Priority::Deletion => self.passed += usize::from(retirement.is_some()),
            }
            Some(ticket)
        }
    }

    #[test]
    fn the_queue_does_what_a_sorted_list_does_positions_included() {
        for seed in 0..60 {
            let mut rng = Rng::with_seed(seed);
            let (mut queue, mut model) = (Queue::new(), Model::default());
            for _ in 0..300 {
                let uid = format!("u{}", rng.u8(0..80));
                match rng.u8(0..10) {
                    0..6 => {
                        let priority = if rng.bool() {
                            Priority::Deletion
                        } else {
                            Priority::Retirement
                        };
                        let mut ticket = ticket(uid, priority, rng.i64(0..20));
                        if rng.bool() {
                            ticket.purpose = Purpose::LookUp;
                        }
                        queue.insert(&ticket);
                        model.insert(ticket);
                    }
                    6 => {
                        let there = model.waiting.iter().any(|ticket| ticket.uid == uid);
                        assert_eq!(queue.remove(&uid), there);
                        model.waiting.retain(|ticket| ticket.uid != uid);
                    }
                    _ => assert_eq!(queue.pop(), model.pop(), "seed {seed}"),
                }
                assert_eq!(queue.len(), model.waiting.len());
                assert_eq!(queue.head(), model.clone().pop());
            }
            let mut left = model.clone();
            let turns: Vec<_> = iter::from_fn(|| left.pop()).collect();
            assert_eq!(queue.turns().collect::<Vec<_>>(), turns, "seed {seed}");
            for (ticket, turn) in turns.iter().zip(1..) {
                let position = queue.position(&ticket.uid);
                assert_eq!(position, Some((turn, ticket.purpose)), "seed {seed}");
            }
            let (mut place, mut walked) = (None, Vec::new());
            while let Some((next, key)) = queue.after(place.as_ref()) {
                place = Some(next);
                walked.push(key);
            }
            let sorted: Vec<_> = model.waiting.into_iter().map(|ticket| ticket.key).collect();
            assert_eq!(walked, sorted);
        }
    }

    #[test]
    fn retirement_gets_a_tenth_however_many_deletions_wait() {
        let mut queue = Queue::new();
        for n in 0..1000 {
            queue.insert(&ticket(format!("r{n}"), Priority::Retirement, n));
            queue.insert(&ticket(format!("d{n}"), Priority::Deletion, 5000 + n));
        }
        let turns: Vec<_> = (0..500).map(|_| queue.pop().unwrap().priority).collect();
        for ten in turns.chunks(10) {
            let retired = ten.iter().filter(|turn| **turn == Priority::Retirement);
            assert_eq!(retired.count(), 1);
        }
    }

    #[test]
    fn deletions_go_before_retirement_and_the_oldest_first() {
        let mut queue = Queue::new();
        queue.insert(&ticket("old-retirement", Priority::Retirement, 1));
        queue.insert(&ticket("b", Priority::Deletion, 9));
        queue.insert(&ticket("a", Priority::Deletion, 9));
        queue.insert(&ticket("c", Priority::Deletion, 8));
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|t| t.uid).collect();
        assert_eq!(order, ["c", "a", "b", "old-retirement"]);
    }

    #[test]
    fn a_retired_object_that_is_deleted_while_it_waits_moves_up() {
        let mut queue = Queue::new();
        queue.insert(&ticket("a", Priority::Deletion, 5));
        queue.insert(&ticket("b", Priority::Retirement, 1));
        queue.insert(&ticket("b", Priority::Deletion, 1));
        assert_eq!(queue.len(), 2);
        assert_eq!(queue.position("b"), Some((1, Purpose::Delete)));
    }

    /// Resident bytes that this process has allocated, its code apart, where the system tells.
    fn resident() -> Option<usize> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find(|line| line.starts_with("RssAnon:"))?;
        let kib: usize = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kib * 1024)
    }

    const ALONE: &str = "VPO_TEST_QUEUE_MEMORY_ALONE";

    /// Runs in a process of its own, since other tests allocate at the same time.
    #[test]
    fn a_hundred_thousand_tickets_cost_at_most_twenty_megabytes() {
        if std::env::var_os(ALONE).is_none() {
            let test =
                "session::queue::tests::a_hundred_thousand_tickets_cost_at_most_twenty_megabytes";
            let child = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", test, "--nocapture"])
                .env(ALONE, "1")
                .output()
                .unwrap();
            assert!(
                child.status.success(),
                "{}",
                String::from_utf8_lossy(&child.stderr)
            );
            return;
        }
        let Some(before) = resident() else { return };
        let mut queue = Queue::new();
        for n in 0..100_000_u32 {
            let uid = format!("{n:08x}-3f5e-4c1b-9d2a-{:012x}", u64::from(n) * 7919);
            let mut ticket = ticket(uid, Priority::Deletion, i64::from(n % 977));
            ticket.key = ObjectKey::new("fleet-production", format!("meter-firmware-v1.1.{n:010}"));
            queue.insert(&ticket);
        }
        let grown = resident().unwrap() - before;
        assert!(grown <= 20_000_000, "{grown} bytes");
        eprintln!("{grown} bytes for {} tickets", queue.len());
        while queue.pop().is_some() {}
        assert_eq!(queue.order.capacity(), 0);
    }
}
