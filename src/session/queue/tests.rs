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
