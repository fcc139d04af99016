use std::cmp::Reverse;
use std::collections::BinaryHeap;

use fastrand::Rng;

use super::*;

mod neighbour;
mod refusals;

const WINDOW: Duration = Duration::from_secs(60);
const TIME_OUT: Duration = Duration::from_secs(15);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn float(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap())
}

/// Returns a budget whose assumed past has left the window, and the instant at which it begins.
fn fresh(limit: usize, window: Duration) -> (Budget, Instant) {
    let long_ago = Instant::now();
    let now = long_ago + Duration::from_secs(7200);
    (Budget::new(limit, window, long_ago), now)
}

/// The ways in which a platform may count calls.
enum Server {
    Sliding {
        counts_refused: bool,
        arrivals: VecDeque<Duration>,
    },
    Fixed {
        phase: Duration,
        window: u128,
        count: usize,
    },
    Bucket {
        tokens: f64,
        at: Duration,
    },
}

impl Server {
    fn of(kind: usize, rng: &mut Rng, limit: usize) -> Self {
        match kind {
            0 | 1 => Self::Sliding {
                counts_refused: kind == 1,
                arrivals: VecDeque::new(),
            },
            2 => Self::Fixed {
                phase: ms(rng.u64(0..60_000)),
                window: 0,
                count: 0,
            },
            _ => Self::Bucket {
                tokens: float(limit),
                at: Duration::ZERO,
            },
        }
    }

    fn admits(&mut self, now: Duration, limit: usize, window: Duration) -> bool {
        match self {
            Self::Sliding {
                counts_refused,
                arrivals,
            } => {
                while arrivals.front().is_some_and(|first| *first + window <= now) {
                    arrivals.pop_front();
                }
                let admitted = arrivals.len() < limit;
                if admitted || *counts_refused {
                    arrivals.push_back(now);
                }
                admitted
            }
            Self::Fixed {
                phase,
                window: current,
                count,
            } => {
                let here = (now + *phase).as_nanos() / window.as_nanos();
                if here != *current {
                    (*current, *count) = (here, 0);
                }
                *count += 1;
                *count <= limit
            }
            Self::Bucket { tokens, at } => {
                let refill =
                    now.saturating_sub(*at).as_secs_f64() / window.as_secs_f64() * float(limit);
                (*tokens, *at) = ((*tokens + refill).min(float(limit)), now);
                let admitted = *tokens > 1.0 - 1e-6;
                *tokens -= f64::from(u8::from(admitted));
                admitted
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrives { back: Option<Duration>, call: usize },
    Ends { stamp: Duration, call: usize },
}

struct Drained {
    refused: usize,
    sent: Vec<Duration>,
    answered: Vec<Duration>,
}

impl Drained {
    fn took(&self) -> Duration {
        self.answered.iter().copied().max().unwrap_or_default()
    }
}

/// Returns the earliest time of the last answer: each call goes one window after the answer to the call `limit` places
/// before it, with at most twenty calls in flight.
fn paced_floor(latency: &[Duration], limit: usize, window: Duration) -> Duration {
    // The ends are in order.
    let mut ends: Vec<Duration> = Vec::new();
    let mut out: BinaryHeap<Reverse<Duration>> = BinaryHeap::new();
    for (call, latency) in latency.iter().enumerate() {
        let mut at = Duration::ZERO;
        if call >= limit {
            at = ends[call - limit] + window;
        }
        if out.len() == MOST_IN_FLIGHT {
            at = at.max(out.pop().unwrap().0);
        }
        let end = at + *latency;
        out.push(Reverse(end));
        ends.insert(ends.partition_point(|earlier| *earlier < end), end);
    }
    *ends.last().unwrap()
}

/// Sends `calls` calls as fast as the budget allows, with the given latency of each way.
fn drain(
    budget: &mut Budget,
    start: Instant,
    server: &mut Server,
    calls: usize,
    mut line: impl FnMut(usize) -> (Duration, Option<Duration>),
) -> Drained {
    let mut events = BinaryHeap::new();
    let (mut now, mut refused) = (Duration::ZERO, 0);
    let (mut sent, mut answered) = (Vec::new(), Vec::new());
    let (limit, window) = (budget.limit, budget.window);
    loop {
        while sent.len() < calls && budget.take(start + now) {
            let (there, back) = line(sent.len());
            let call = sent.len();
            sent.push(now);
            events.push(Reverse((now + there, Event::Arrives { back, call })));
        }
        let due = match budget.room(start + now) {
            Room::At(at) if sent.len() < calls => Some(at - start),
            Room::At(_) | Room::Now | Room::AfterAnswer => None,
        };
        match events.pop() {
            Some(Reverse((at, event))) if due.is_none_or(|due| at <= due) => {
                now = at;
                match event {
                    Event::Arrives { back, call } => {
                        refused += usize::from(!server.admits(now, limit, window));
                        let lost = sent[call] + TIME_OUT;
                        // A lost call is given up at some time before its time-out.
                        let (at, stamp) =
                            back.map_or(((now + lost) / 2, lost), |back| (now + back, now + back));
                        events.push(Reverse((at, Event::Ends { stamp, call })));
                    }
                    Event::Ends { stamp, .. } => {
                        answered.push(stamp);
                        budget.ended(start + stamp, start + now);
                    }
                }
            }
            Some(earlier) => {
                events.push(earlier);
                now = due.unwrap_or(now);
            }
            None => match due {
                Some(due) => now = due,
                None => break,
            },
        }
    }
    Drained {
        refused,
        sent,
        answered,
    }
}

/// Runs `prove` for each kind of server, in a thread of its own.
fn for_each_server(prove: impl Fn(usize) + Sync) {
    std::thread::scope(|scope| {
        for kind in 0..4 {
            let prove = &prove;
            scope.spawn(move || prove(kind));
        }
    });
}

#[test]
fn no_kind_of_server_window_ever_refuses_a_call() {
    for_each_server(|kind| {
        for seed in 0..1000 {
            let mut rng = Rng::with_seed(seed);
            let limit = rng.usize(1..=120);
            let (mut budget, start) = fresh(limit, WINDOW);
            let mut server = Server::of(kind, &mut rng, limit);
            let slowest = rng.u64(6..=2000);
            let drained = drain(&mut budget, start, &mut server, limit * 3 + 7, |_| {
                let there = ms(rng.u64(5..=slowest));
                let lost = rng.u8(0..50) == 0;
                (there, (!lost).then(|| ms(rng.u64(1..=slowest))))
            });
            assert_eq!(drained.refused, 0, "server {kind}, seed {seed}");
            assert_eq!(drained.answered.len(), limit * 3 + 7);
        }
    });
}

#[test]
fn a_thousand_calls_drain_within_a_hundredth_of_the_floor() {
    for_each_server(|kind| {
        for seed in 0..1000 {
            let mut rng = Rng::with_seed(seed);
            let (mut budget, start) = fresh(100, WINDOW);
            let mut server = Server::of(kind, &mut rng, 100);
            // The two ways take up to 0.2 s.
            let slowest = rng.u64(3..=100);
            let drained = drain(&mut budget, start, &mut server, 1000, |_| {
                (ms(rng.u64(1..=slowest)), Some(ms(rng.u64(1..=slowest))))
            });
            let ratio = drained.took().as_secs_f64() / 540.0;
            assert!(ratio <= 1.01, "{ratio} with up to {slowest} ms each way");
            assert_eq!(drained.refused, 0);
        }
    });
}

#[test]
fn slow_answers_drain_within_a_hundredth_of_the_paced_floor() {
    for_each_server(|kind| {
        for seed in 0..1000 {
            let mut rng = Rng::with_seed(seed);
            let (mut budget, start) = fresh(100, WINDOW);
            let mut server = Server::of(kind, &mut rng, 100);
            let latencies: Vec<_> = (0..1000).map(|_| ms(rng.u64(200..=2000))).collect();
            let drained = drain(&mut budget, start, &mut server, 1000, |call| {
                let there = ms(rng.u64(1..200));
                (there, Some(latencies[call].saturating_sub(there)))
            });
            let floor = paced_floor(&latencies, 100, WINDOW);
            let ratio = drained.took().as_secs_f64() / floor.as_secs_f64();
            assert!(
                ratio <= 1.01,
                "{ratio} of {floor:?}, server {kind}, seed {seed}"
            );
            assert_eq!(drained.refused, 0, "server {kind}, seed {seed}");
            assert!(drained.sent.is_sorted());
        }
    });
}

#[test]
fn bounds_that_change_never_let_more_through_than_the_new_ones() {
    let mut all = 0;
    for seed in 0..300 {
        let mut rng = Rng::with_seed(seed);
        let (mut budget, start) = fresh(50, ms(10_000));
        let (mut now, mut ends, mut out) = (start, Vec::new(), VecDeque::new());
        for _ in 0..400 {
            match rng.u8(0..10) {
                0 if rng.u8(0..5) == 0 => {
                    budget.resize(rng.usize(1..100), ms(rng.u64(1_000..30_000)));
                }
                0..4 => now += ms(rng.u64(1..500)),
                4..6 => {
                    if out.pop_front().is_some() {
                        ends.push(now);
                        budget.ended(now, now);
                    }
                }
                _ => {
                    if budget.take(now) {
                        out.push_back(());
                        let young = ends.iter().filter(|end| **end + budget.window > now);
                        assert!(young.count() + out.len() <= budget.limit, "seed {seed}");
                    }
                }
            }
        }
        all += ends.len();
    }
    assert!(all > 10_000, "only {all} calls went at all");
}

#[test]
fn the_window_before_the_start_counts_as_used_whatever_the_limit() {
    let start = Instant::now();
    let mut budget = Budget::new(10, WINDOW, start);
    budget.resize(100, WINDOW);
    assert_eq!(budget.room(start), Room::At(start + WINDOW));
    assert_eq!(budget.used(start), 100);
    assert!(budget.take(start + WINDOW));
    assert_eq!(budget.used(start + WINDOW), 1);
}

#[test]
fn at_most_twenty_are_out_at_a_time() {
    let (mut budget, now) = fresh(100, WINDOW);
    assert_eq!((0..100).filter(|_| budget.take(now)).count(), 20);
    assert_eq!(budget.room(now), Room::AfterAnswer);
    budget.give_back();
    assert!(budget.take(now));
}

#[test]
fn a_slot_given_back_costs_nothing() {
    let (mut budget, now) = fresh(1, WINDOW);
    for _ in 0..10 {
        assert!(budget.take(now));
        budget.give_back();
    }
    assert_eq!(budget.used(now), 0);
}

#[test]
fn a_lost_answer_counts_from_the_end_of_its_time_out() {
    let (mut budget, now) = fresh(1, WINDOW);
    assert!(budget.take(now));
    budget.ended(now + TIME_OUT, now + ms(10));
    assert_eq!(budget.room(now + WINDOW), Room::At(now + TIME_OUT + WINDOW));
}

#[test]
fn the_rules_read_no_clock_so_a_step_of_the_wall_clock_changes_nothing() {
    let rules = [
        include_str!("../budget.rs"),
        include_str!("share.rs"),
        include_str!("../core.rs"),
        include_str!("../core/learn.rs"),
    ];
    for text in rules {
        for clock in ["now()", "SystemTime", "Timestamp"] {
            assert!(!text.contains(clock), "{clock}");
        }
    }
}

#[test]
fn the_estimate_is_when_the_call_really_goes() {
    let mut rng = Rng::with_seed(7);
    let (mut budget, start) = fresh(100, WINDOW);
    let mut server = Server::of(0, &mut rng, 100);
    let first = drain(&mut budget, start, &mut server, 60, |_| {
        (ms(10), Some(ms(10)))
    });
    let now = start + first.took();
    let estimates: Vec<_> = (1..=500).map(|nth| budget.estimate(nth, now)).collect();
    let then = drain(&mut budget, now, &mut server, 500, |_| {
        (Duration::ZERO, Some(ms(1)))
    });
    for (nth, (told, went)) in estimates.iter().zip(&then.sent).enumerate() {
        let off = told.abs_diff(*went);
        assert!(off < ms(500), "call {nth}: told {told:?}, went {went:?}");
    }
}
