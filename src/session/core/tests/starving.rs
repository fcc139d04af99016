//! Objects that always fail, and the objects that wait behind them.

use std::collections::BTreeMap;

use super::*;

/// Objects that ask again after a pause when their call failed, as passes do; the first `failing` of them always fail.
struct Fleet {
    bench: Bench,
    failing: usize,
    answer: Answer,
    /// The objects that still want a call; the `failing` ones always do.
    left: BTreeMap<usize, Ticket>,
    /// The number of failures of each object, and the end of its pause.
    pauses: BTreeMap<usize, (u32, Instant)>,
    calls: usize,
}

impl Fleet {
    fn new(seed: u64, failing: usize, answer: &Answer, tickets: Vec<Ticket>) -> Self {
        let mut bench = Bench::live(100);
        bench.core.chance = Rng::with_seed(seed);
        Self {
            bench,
            failing,
            answer: answer.clone(),
            left: (1..).zip(tickets).collect(),
            pauses: BTreeMap::new(),
            calls: 0,
        }
    }

    /// Lets each object without a pause ask, also again, because its permit may have been voided.
    fn ask(&mut self) {
        let now = self.bench.now;
        let paused = |n: &usize| self.pauses.get(n).is_some_and(|(_, until)| *until > now);
        for (_, ticket) in self.left.iter().filter(|(n, _)| !paused(n)) {
            self.bench.core.request(LANE, ticket, now);
        }
        self.bench.settle();
        if !self.bench.logins.is_empty() {
            self.bench.log_in(3600);
        }
    }

    /// Makes the calls of all objects with permits. Returns whether there was one.
    fn call(&mut self) -> bool {
        let all = self.left.keys().copied();
        let holders: Vec<_> = all.filter(|n| self.bench.permitted(*n)).collect();
        for n in &holders {
            // The answer to one call may void the permits of the others.
            if self.bench.permitted(*n) {
                self.call_for(*n);
            }
        }
        !holders.is_empty()
    }

    fn call_for(&mut self, n: usize) {
        self.calls += 1;
        if n > self.failing {
            self.bench.call(n, &Answer::Done(200));
            self.left.remove(&n);
            return;
        }
        self.bench.call(n, &self.answer);
        let failures = self.pauses.get(&n).map_or(0, |(failures, _)| *failures) + 1;
        // After a failure of the whole session, the object asks for its next turn at once.
        let pause = if matches!(self.answer, Answer::TokenRefused(_)) {
            Duration::ZERO
        } else {
            (secs(5) * 2_u32.pow(failures.min(8) - 1)).min(secs(600))
        };
        self.pauses.insert(n, (failures, self.bench.now + pause));
    }

    /// Runs until only the failing objects are left. Returns how long that took.
    fn drain(&mut self) -> Duration {
        let began = self.bench.now;
        while self.left.len() > self.failing {
            self.ask();
            if !self.call() {
                self.rest();
            }
            let left = self.left.len() - self.failing;
            assert!(self.bench.now - began < secs(3600), "{left} are left");
        }
        self.bench.now - began
    }

    /// Advances to the next instant at which something may happen.
    fn rest(&mut self) {
        let pauses = self.pauses.values().map(|(_, until)| *until);
        let over = pauses.filter(|until| *until > self.bench.now).min();
        let next = self.bench.next.into_iter().chain(over).min();
        self.bench.now = next.expect("nothing goes on");
    }
}

/// Returns an answer with a code of the platform that concerns one object alone.
fn coded() -> Answer {
    Answer::Unexpected(Detail {
        code: Some("777777".to_owned()),
        ..Detail::default()
    })
}

/// Returns each failure that may concern one object alone, with the longest time for which it makes all objects wait.
fn failures() -> [(Answer, Duration); 6] {
    let detail = Detail::default;
    [
        (unavailable(), secs(1)),
        (coded(), secs(0)),
        (Answer::InvalidFileId(detail()), secs(0)),
        (Answer::ApplicationRefused(detail()), secs(5)),
        (Answer::CredentialsRefused(detail()), secs(5)),
        (Answer::TokenRefused(detail()), secs(5)),
    ]
}

#[test]
fn two_hundred_end_in_about_their_time_beside_twenty_older_ones_that_fail_for_ever() {
    for (answer, pause) in failures() {
        for seed in 0..5 {
            let tickets = (1..=220).map(ticket).collect();
            let mut fleet = Fleet::new(seed, 20, &answer, tickets);
            let took = fleet.drain();
            // Two windows for the calls, with the first calls of the failing objects; some answers may require a login.
            let most = WINDOW * 2 + secs(30) + pause * 20;
            assert!(took <= most, "{answer:?}, seed {seed}: {took:?}");
        }
    }
}

#[test]
fn more_failing_ones_than_the_quota_cost_the_others_one_call_each() {
    let answer = coded();
    let tickets = (1..=350).map(ticket).collect();
    let mut fleet = Fleet::new(1, 150, &answer, tickets);
    let took = fleet.drain();
    assert_eq!(took, WINDOW * 3, "the floor for 350 calls");
    // A few second tries go beside the last calls of the others.
    assert!(fleet.calls <= 360, "{}", fleet.calls);
}

#[test]
fn retirements_go_on_beside_deletions_that_fail_for_ever() {
    let retirement = |n| Ticket {
        priority: Priority::Retirement,
        ..ticket(n)
    };
    for seed in 0..20 {
        let deletions = (1..=20).map(ticket);
        let tickets = deletions.chain((21..=120).map(retirement)).collect();
        let mut fleet = Fleet::new(seed, 20, &unavailable(), tickets);
        let took = fleet.drain();
        assert!(took <= WINDOW * 5, "seed {seed}: {took:?}");
    }
}

#[test]
fn one_that_comes_while_only_failing_ones_wait_is_the_next_to_be_tried() {
    let mut fleet = Fleet::new(1, 10, &unavailable(), (1..=10).map(ticket).collect());
    let began = fleet.bench.now;
    while fleet.bench.now - began < secs(2000) {
        fleet.ask();
        if !fleet.call() {
            fleet.rest();
        }
    }
    let state = fleet.bench.core.state(LANE, fleet.bench.now);
    assert!(matches!(state, SessionState::Unavailable(..)), "{state:?}");
    fleet.left.insert(11, ticket(11));
    let before = fleet.calls;
    fleet.drain();
    assert_eq!(fleet.calls, before + 1);
}
