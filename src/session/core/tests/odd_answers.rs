//! A gateway whose answers prove nothing: how little of the quota they use, and which objects get a turn.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::*;

const TRIED: usize = 1000;
const HOURS: Duration = secs(2 * 3600);

/// Returns the answer of a gateway that refuses the method DELETE.
fn page() -> Answer {
    Answer::Unexpected(Detail {
        http_status: Some(405),
        code: None,
        message: "an HTML page".to_owned(),
    })
}

/// Returns an answer with an unknown code of the platform.
fn coded() -> Answer {
    Answer::Unexpected(Detail {
        http_status: Some(400),
        code: Some("777777".to_owned()),
        message: "no".to_owned(),
    })
}

/// Objects that ask, are answered, and ask again after their own pauses, as passes do.
struct Fleet {
    bench: Bench,
    asks: BinaryHeap<Reverse<(Instant, usize)>>,
    failures: Vec<u32>,
    chance: Rng,
    /// The time of each call, with its object.
    calls: Vec<(Instant, usize)>,
    /// Whether a successful look-up precedes each DELETE.
    expects: bool,
    looked_up: Vec<bool>,
}

impl Fleet {
    fn new(expects: bool) -> Self {
        let mut bench = Bench::live(100);
        let now = bench.now;
        // All of them have failed before.
        for n in 1..=TRIED {
            bench
                .core
                .lanes
                .get_mut(&LANE)
                .unwrap()
                .queue
                .set_back(&format!("u{n}"), now);
        }
        Self {
            asks: (1..=TRIED).map(|n| Reverse((now, n))).collect(),
            failures: vec![0; TRIED + 10],
            chance: Rng::with_seed(7),
            calls: Vec::new(),
            expects,
            looked_up: vec![false; TRIED + 10],
            bench,
        }
    }

    fn ask(&mut self, n: usize) {
        let purpose = if self.expects && !self.looked_up[n] {
            Purpose::LookUp
        } else {
            Purpose::Delete
        };
        let ticket = Ticket {
            purpose,
            priority: if n.is_multiple_of(2) {
                Priority::Deletion
            } else {
                Priority::Retirement
            },
            ..ticket(n)
        };
        let now = self.bench.now;
        self.bench.core.request(LANE, &ticket, now);
        self.bench.settle();
        if self.bench.permitted(n) {
            self.bench.woken.push(format!("o{n}"));
        }
    }

    /// Runs until `end`, or until the object `good` has succeeded.
    fn run(&mut self, end: Instant, good: Option<usize>) -> Option<Instant> {
        while self.bench.now < end {
            while let Some(Reverse((at, n))) = self.asks.peek().copied()
                && at <= self.bench.now
            {
                self.asks.pop();
                self.ask(n);
            }
            // An object whose permit was voided, or whose turn has come, runs another pass.
            let mut woken: Vec<usize> = std::mem::take(&mut self.bench.woken)
                .iter()
                .map(|name| name[1..].parse().unwrap())
                .collect();
            woken.sort_unstable();
            woken.dedup();
            let mut called = false;
            for n in woken {
                match self.bench.standing(n) {
                    Standing::Permitted { purpose, .. } => {
                        called = true;
                        if self.call(n, purpose) && good == Some(n) {
                            return Some(self.bench.now);
                        }
                    }
                    Standing::Absent
                        if !self.asks.iter().any(|Reverse((_, other))| *other == n) =>
                    {
                        self.ask(n);
                    }
                    Standing::Absent | Standing::Behind { .. } | Standing::Waiting { .. } => {}
                }
            }
            if called || !self.bench.woken.is_empty() {
                continue;
            }
            let asks = self.asks.peek().map(|Reverse((at, _))| *at);
            let soon = self.bench.now + secs(60);
            let next = [asks, self.bench.next, Some(soon)];
            let next = next.into_iter().flatten().min().unwrap();
            self.bench.now = next.max(self.bench.now + Duration::from_millis(10));
            self.bench.settle();
            if !self.bench.logins.is_empty() {
                self.bench.log_in(100_000);
            }
        }
        None
    }

    /// Makes the call of `n`. Returns whether it succeeded.
    fn call(&mut self, n: usize, purpose: Purpose) -> bool {
        let now = self.bench.now;
        self.calls.push((now, n));
        let uid = format!("u{n}");
        let (call, _) = self.bench.core.begin(LANE, &uid, purpose, now).unwrap();
        let good = n > TRIED;
        let answer = match purpose {
            Purpose::LookUp => Answer::Done(200),
            Purpose::Delete | Purpose::Confirm if good => Answer::Done(200),
            Purpose::Delete | Purpose::Confirm => page(),
        };
        self.bench.now += Duration::from_millis(50);
        self.bench.end(&call, &answer);
        if purpose == Purpose::LookUp {
            self.looked_up[n] = true;
            self.ask(n);
            return false;
        }
        self.looked_up[n] = false;
        if !good {
            let pause = secs(5).mul_f64(2_f64.powi(i32::try_from(self.failures[n]).unwrap()));
            let pause = pause.min(secs(600)).mul_f64(1.0 - self.chance.f64() / 2.0);
            self.failures[n] = (self.failures[n] + 1).min(8);
            self.asks.push(Reverse((self.bench.now + pause, n)));
        }
        good
    }
}

#[test]
fn a_thousand_objects_that_a_gateway_answers_use_less_than_a_twentieth_of_the_quota() {
    for expects in [false, true] {
        let mut fleet = Fleet::new(expects);
        let began = fleet.bench.now;
        fleet.run(began + HOURS, None);
        let quota = 100 * 120;
        let calls = fleet.calls.len();
        assert!(calls * 20 < quota, "{calls} calls of {quota}");
        let state = fleet.bench.core.state(LANE, fleet.bench.now);
        assert!(matches!(state, SessionState::Unexpected(_)), "{state:?}");
        // The calls are never less frequent than two a window.
        let mut at: Vec<Instant> = fleet.calls.iter().map(|(at, _)| *at).collect();
        at.push(began + HOURS);
        let longest = at.windows(2).map(|two| two[1] - two[0]).max().unwrap();
        assert!(longest <= WINDOW / 2 + secs(1), "{longest:?}");
    }
}

#[test]
fn a_good_object_that_comes_later_has_its_turn_within_two_windows() {
    for (expects, number) in [(false, 1), (false, 2), (true, 1), (true, 2)] {
        let mut fleet = Fleet::new(expects);
        let end = fleet.bench.now + HOURS / 4;
        fleet.run(end, None);
        let (came, good) = (fleet.bench.now, TRIED + number);
        fleet.asks.push(Reverse((came, good)));
        let served = fleet.run(came + HOURS, Some(good)).unwrap();
        let waited = served - came;
        assert!(waited <= 2 * WINDOW, "{waited:?}");
    }
}

#[test]
fn twenty_different_objects_in_a_row_are_needed_and_one_proof_begins_anew() {
    let mut bench = Bench::live(100);
    let odd = |bench: &mut Bench, n: usize| {
        bench.ask(n);
        bench.call(n, &page());
        bench.pass(secs(1));
        bench.core.state(LANE, bench.now)
    };
    for n in 1..=19 {
        assert_eq!(odd(&mut bench, n), SessionState::Open);
    }
    for _ in 0..30 {
        assert_eq!(
            odd(&mut bench, 19),
            SessionState::Open,
            "the same object again"
        );
    }
    bench.ask(50);
    bench.call(50, &Answer::AlreadyGone(Detail::default()));
    for n in 1..=19 {
        assert_eq!(odd(&mut bench, n), SessionState::Open);
    }
    // An answer with a code of the platform concerns only its object.
    for n in 100..150 {
        bench.ask(n);
        bench.call(n, &coded());
        bench.pass(secs(1));
        assert_eq!(bench.core.state(LANE, bench.now), SessionState::Open);
    }
    assert!(matches!(odd(&mut bench, 20), SessionState::Unexpected(_)));
    assert_eq!(bench.permits(), 0);
}

#[test]
fn neither_a_list_nor_a_look_up_nor_a_login_proves_that_deletes_are_answered() {
    let mut bench = Bench::live(100);
    for n in 1..=20 {
        bench.ask(n);
        bench.call(n, &page());
        bench.pass(secs(1));
    }
    let ails = |bench: &Bench| {
        matches!(
            bench.core.state(LANE, bench.now),
            SessionState::Unexpected(_)
        )
    };
    assert!(ails(&bench));
    while !bench.permitted(30) {
        bench.core.request(LANE, &look_up(30), bench.now);
        bench.wait();
        if bench.permits() > 0 {
            break;
        }
    }
    let (call, _) = bench
        .core
        .begin(LANE, "u30", Purpose::LookUp, bench.now)
        .unwrap();
    bench.end(&call, &Answer::Done(200));
    assert!(ails(&bench));
    // The DELETE of object 30 belongs to the same probe.
    bench.ask(31);
    bench.ask(30);
    assert!(bench.permitted(30) && !bench.permitted(31));
    bench.call(30, &Answer::Done(200));
    assert_eq!(bench.core.state(LANE, bench.now), SessionState::Open);
}

#[test]
fn what_a_look_up_has_to_tell_is_asked_before_others_and_counts_by_what_it_tells() {
    let confirm = |n: usize| Ticket {
        purpose: Purpose::Confirm,
        ..ticket(n)
    };
    let deleted = |bench: &mut Bench, n: usize, shown: &Answer| {
        bench.ask(n);
        let unproven = Answer::Unproven(Detail::default());
        bench.call(n, &unproven);
        bench.core.request(LANE, &confirm(n), bench.now);
        bench.settle();
        let uid = format!("u{n}");
        let (call, _) = bench
            .core
            .begin(LANE, &uid, Purpose::Confirm, bench.now)
            .unwrap();
        bench.end(&call, shown);
        bench.pass(secs(2));
        bench.core.state(LANE, bench.now)
    };
    let mut bench = Bench::live(100);
    for n in 1..=40 {
        let gone = Answer::AlreadyGone(Detail::default());
        assert_eq!(deleted(&mut bench, n, &gone), SessionState::Open);
    }
    for n in 1..=19 {
        assert_eq!(
            deleted(&mut bench, n, &Answer::Done(200)),
            SessionState::Open
        );
    }
    let state = deleted(&mut bench, 20, &Answer::Done(200));
    assert!(matches!(state, SessionState::Unexpected(_)), "{state:?}");
}
