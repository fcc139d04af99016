use std::collections::{HashMap, HashSet};
use std::time::Duration;

use k8s_openapi::jiff::SignedDuration;

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

/// A model of the queue: the same rules on a sorted list.
#[derive(Clone)]
struct Model {
    /// Each ticket with the time that orders it.
    waiting: Vec<(Timestamp, Ticket)>,
    passed: usize,
    /// The time that orders each object whose last call failed.
    places: HashMap<String, Timestamp>,
    latest: Timestamp,
}

impl Model {
    fn new() -> Self {
        Self {
            waiting: Vec::new(),
            passed: 0,
            places: HashMap::new(),
            latest: Timestamp::MIN,
        }
    }

    fn insert(&mut self, ticket: Ticket) {
        self.remove(&ticket.uid);
        let place = self.places.get(&ticket.uid).copied();
        let at = ticket.requested_at.max(place.unwrap_or(Timestamp::MIN));
        self.latest = self.latest.max(at);
        self.waiting.push((at, ticket));
        self.waiting
            .sort_by_key(|(at, ticket)| (ticket.priority, *at, ticket.uid.clone()));
    }

    fn remove(&mut self, uid: &str) -> Option<Ticket> {
        let there = self.waiting.iter().position(|(_, one)| one.uid == uid)?;
        Some(self.waiting.remove(there).1)
    }

    fn set_back(&mut self, uid: &str) {
        let waiting = self.remove(uid);
        self.latest += SignedDuration::from_nanos(1);
        self.places.insert(uid.to_owned(), self.latest);
        if let Some(ticket) = waiting {
            self.insert(ticket);
        }
    }

    fn forgive(&mut self, uid: &str) {
        self.places.remove(uid);
        let waiting = self.remove(uid);
        if let Some(ticket) = waiting {
            self.insert(ticket);
        }
    }

    fn pop(&mut self) -> Option<Ticket> {
        let retirement = self
            .waiting
            .iter()
            .position(|(_, ticket)| ticket.priority == Priority::Retirement);
        let index = match retirement {
            Some(index) if self.passed >= 9 => index,
            _ => 0,
        };
        if self.waiting.is_empty() {
            return None;
        }
        let (_, ticket) = self.waiting.remove(index);
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
        let (mut queue, mut model) = (Queue::new(), Model::new());
        let now = Instant::now();
        for _ in 0..300 {
            let uid = format!("u{}", rng.u8(0..80));
            match rng.u8(0..12) {
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
                    assert_eq!(queue.remove(&uid), model.remove(&uid).is_some());
                }
                7 | 8 => {
                    queue.set_back(&uid, now);
                    model.set_back(&uid);
                }
                9 => {
                    queue.forgive(&uid);
                    model.forgive(&uid);
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
        let sorted = model.waiting.into_iter();
        let sorted: Vec<_> = sorted.map(|(_, ticket)| ticket.key).collect();
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

#[test]
fn whose_call_failed_goes_behind_those_who_were_there_and_before_those_who_come() {
    let (mut queue, now) = (Queue::new(), Instant::now());
    for (uid, second) in [("a", 1), ("b", 2), ("c", 3)] {
        queue.insert(&ticket(uid, Priority::Deletion, second));
    }
    queue.insert(&ticket("r", Priority::Retirement, 1));
    let failed = queue.pop().unwrap();
    assert_eq!(failed.uid, "a");
    queue.set_back("a", now);
    queue.insert(&failed);
    queue.insert(&ticket("d", Priority::Deletion, 4));
    let turns: Vec<_> = queue.turns().collect();
    let order: Vec<_> = turns.iter().map(|turn| turn.uid.as_str()).collect();
    assert_eq!(order, ["b", "c", "a", "d", "r"]);
    assert_eq!(turns[2], failed, "it is shown as it was asked for");
    assert_eq!(queue.position("a"), Some((3, Purpose::Delete)));
    // Another request doesn't move the ticket; a success orders it by age again.
    queue.insert(&failed);
    assert_eq!(queue.position("a"), Some((3, Purpose::Delete)));
    queue.forgive("a");
    assert_eq!(queue.position("a"), Some((1, Purpose::Delete)));
}

#[test]
fn a_try_goes_by_lot_to_who_has_not_failed_and_else_to_who_failed_first() {
    let (mut queue, now) = (Queue::new(), Instant::now());
    let mut chance = Rng::with_seed(1);
    let mut drawn = HashSet::new();
    for n in 0..20 {
        queue.insert(&ticket(format!("d{n}"), Priority::Deletion, n));
    }
    for _ in 0..100 {
        let ticket = queue.draw(0, &mut chance).unwrap();
        queue.insert(&ticket);
        drawn.insert(ticket.uid);
    }
    assert!(drawn.len() > 15, "{drawn:?}");
    for n in 0..20 {
        if n > 0 {
            let ticket = queue.draw(0, &mut chance).unwrap();
            let number: i64 = ticket.uid[1..].parse().unwrap();
            assert!(number >= n, "{} has failed", ticket.uid);
            queue.insert(&ticket);
        }
        queue.set_back(&format!("d{n}"), now);
    }
    for n in 0..40 {
        let ticket = queue.draw(0, &mut chance).unwrap();
        assert_eq!(ticket.uid, format!("d{}", n % 20));
        queue.set_back(&ticket.uid, now);
        queue.insert(&ticket);
    }
}

#[test]
fn tries_take_turns_between_deletions_and_retirements_and_leave_out_who_failed_last() {
    let (mut queue, now) = (Queue::new(), Instant::now());
    let mut chance = Rng::with_seed(1);
    queue.insert(&ticket("d", Priority::Deletion, 1));
    queue.insert(&ticket("r", Priority::Retirement, 1));
    let mut draw = |queue: &mut Queue, tries| {
        let ticket = queue.draw(tries, &mut chance).unwrap();
        queue.insert(&ticket);
        ticket.uid
    };
    assert_eq!(draw(&mut queue, 0), "d");
    assert_eq!(draw(&mut queue, 1), "r");
    queue.set_back("d", now);
    assert_eq!(draw(&mut queue, 0), "r", "d failed last");
    queue.set_back("r", now);
    assert_eq!(draw(&mut queue, 1), "d", "r failed last");
    queue.remove("d");
    assert_eq!(draw(&mut queue, 0), "r", "nobody else waits");
}

#[test]
fn deletions_that_are_drawn_count_as_turns_before_the_next_retirement() {
    let (mut queue, mut chance) = (Queue::new(), Rng::with_seed(1));
    for n in 0..10 {
        queue.insert(&ticket(format!("d{n}"), Priority::Deletion, n));
    }
    queue.insert(&ticket("r", Priority::Retirement, 1));
    for _ in 0..9 {
        let ticket = queue.draw(0, &mut chance).unwrap();
        assert_eq!(ticket.priority, Priority::Deletion);
    }
    assert_eq!(queue.pop().unwrap().uid, "r");
}

#[test]
fn who_failed_and_does_not_come_back_is_forgotten_but_not_who_waits() {
    let (mut queue, start) = (Queue::new(), Instant::now());
    let waiting = ticket("waiting", Priority::Deletion, 1);
    queue.insert(&waiting);
    queue.insert(&ticket("other", Priority::Deletion, 2));
    queue.set_back("waiting", start);
    for second in 0..40_000 {
        queue.set_back(&format!("u{second}"), start + Duration::from_secs(second));
    }
    let remembered = queue.setbacks.len();
    assert!(remembered < 20_000, "{remembered} after eleven hours");
    queue.insert(&waiting);
    assert_eq!(queue.position("waiting"), Some((2, Purpose::Delete)));
}

/// Returns the resident anonymous memory of this process in bytes, where the system reports it.
fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("RssAnon:"))?;
    let kib: usize = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

const ALONE: &str = "VPO_TEST_QUEUE_MEMORY_ALONE";

/// Runs in a process of its own, because other tests allocate at the same time.
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
