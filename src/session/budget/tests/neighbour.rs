//! A neighbour calls for the same application: how the budget uses what the neighbour leaves.

use std::thread;

use super::*;

const LIMIT: usize = 100;
const HOUR: Duration = Duration::from_secs(3600);
/// How long the neighbour calls before our first call.
const BEFORE: Duration = Duration::from_secs(120);
const SERVERS: [&str; 4] = ["sliding", "refused count", "fixed", "bucket"];
const REFUSED_COUNT: usize = 1;

/// The calls that a neighbour asks for; it doesn't repeat refused calls.
#[derive(Clone, Copy)]
struct Neighbour {
    /// The number of calls in a window while the neighbour is active.
    calls: u32,
    /// The length of its alternating idle and active periods.
    swing: Option<Duration>,
    /// The time from which it never calls again.
    stops: Duration,
    /// The number of calls in a burst; the calls of a burst come within half a call's time of its turn.
    burst: u32,
}

impl Neighbour {
    fn there(self, at: Duration) -> bool {
        let turn = self.swing.map(|swing| at.as_nanos() / swing.as_nanos());
        at < self.stops && turn.is_none_or(|turn| turn % 2 == 1)
    }

    /// Returns the times at which the neighbour stops, up to three windows before `end`.
    fn stops_before(self, end: Duration) -> Vec<Duration> {
        match self.swing {
            None => vec![self.stops],
            Some(swing) => (1..100)
                .map(|turn| swing * 2 * turn)
                .take_while(|at| *at + WINDOW * 3 <= end)
                .collect(),
        }
    }
}

/// Returns a neighbour that takes half of the quota, until five windows before the end.
fn half(burst: u32) -> Neighbour {
    Neighbour {
        calls: 50,
        swing: None,
        stops: WINDOW * 55,
        burst,
    }
}

/// Returns a neighbour that takes nothing and 90 % in turns of three minutes.
fn swinging(burst: u32) -> Neighbour {
    Neighbour {
        calls: 90,
        swing: Some(WINDOW * 3),
        stops: HOUR,
        burst,
    }
}

/// Our client, which always has more calls to make.
enum Client {
    Ours(Box<Budget>),
    /// Each object tries for itself, again after a pause that doubles up to the longest pause.
    Backoff {
        pause: Duration,
        longest: Duration,
        due: BinaryHeap<Reverse<(Duration, u32)>>,
        out: usize,
    },
}

impl Client {
    fn ours(start: Instant) -> Self {
        let long_ago = start.checked_sub(HOUR).unwrap();
        Self::Ours(Box::new(Budget::new(LIMIT, WINDOW, long_ago)))
    }

    fn backoff(pause: u64, longest: u64) -> Self {
        Self::Backoff {
            pause: Duration::from_secs(pause),
            longest: Duration::from_secs(longest),
            due: (0..300).map(|_| Reverse((BEFORE, 0))).collect(),
            out: 0,
        }
    }

    /// Takes the next call that may be made now. Returns how many times that call was refused.
    fn take(&mut self, start: Instant, now: Duration) -> Option<u32> {
        match self {
            Self::Ours(budget) => budget.take(start + now).then_some(0),
            Self::Backoff { due, out, .. } => {
                let ready = due.peek().is_some_and(|first| first.0.0 <= now);
                let first = if ready && *out < MOST_IN_FLIGHT {
                    due.pop()
                } else {
                    None
                };
                *out += usize::from(first.is_some());
                first.map(|first| first.0.1)
            }
        }
    }

    fn next(&self, start: Instant, now: Duration) -> Option<Duration> {
        match self {
            Self::Ours(budget) => match budget.room(start + now) {
                Room::At(at) => Some(at - start),
                Room::AfterAnswer | Room::Now => None,
            },
            Self::Backoff { due, out, .. } => {
                let first = due.peek().map(|first| first.0.0);
                first.filter(|_| *out < MOST_IN_FLIGHT)
            }
        }
    }

    fn answered(&mut self, start: Instant, call: &Call, refused: bool, now: Duration) {
        match self {
            Self::Ours(budget) if refused => budget.refused(start + call.sent, start + now),
            Self::Ours(budget) => {
                budget.ended(start + now, start + now);
                budget.understood(start + call.sent, start + now);
            }
            Self::Backoff {
                pause,
                longest,
                due,
                out,
            } => {
                *out -= 1;
                let again = (*pause * (1 << call.tries.min(16))).min(*longest);
                due.push(Reverse(if refused {
                    (now + again, call.tries + 1)
                } else {
                    (now, 0)
                }));
            }
        }
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Call {
    sent: Duration,
    tries: u32,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Happens {
    Answer { call: Call, refused: bool },
    Arrives { call: Call, back: Duration },
    Neighbour,
    Look,
}

/// One hour of the client and the neighbour on one server.
#[derive(Clone, Copy)]
struct Scene {
    server: usize,
    /// The limit that the server really applies.
    allows: usize,
    neighbour: Neighbour,
    /// The longest way of a call or an answer, in ms.
    slowest: u64,
}

#[derive(Default)]
struct Seen {
    refused: f64,
    admitted: f64,
    /// The calls that the neighbour didn't take.
    left: f64,
    /// The time from the neighbour's stop until our calls filled a window again.
    recovery: Duration,
}

impl Seen {
    fn refused_share(&self) -> f64 {
        self.refused / (self.refused + self.admitted) * 100.0
    }

    fn used_share(&self) -> f64 {
        self.admitted / self.left * 100.0
    }
}

impl Scene {
    fn play(self, client: &mut Client, start: Instant, seed: u64) -> Seen {
        let mut rng = Rng::with_seed(seed);
        let mut server = Server::of(self.server, &mut rng, self.allows);
        let (mut events, mut look) = (BinaryHeap::new(), None);
        let (mut refusals, mut neighbours, mut admissions) = (0, 0, Vec::new());
        events.push(Reverse((BEFORE, Happens::Look)));
        events.push(Reverse((ms(rng.u64(0..1000)), Happens::Neighbour)));
        while let Some(Reverse((now, event))) = events.pop() {
            if now >= HOUR {
                break;
            }
            match event {
                Happens::Look => look = look.filter(|look| *look != now),
                Happens::Neighbour => {
                    let there = self.neighbour.there(now);
                    for _ in 0..self.neighbour.burst * u32::from(there) {
                        let fitted = server.admits(now, self.allows, WINDOW);
                        let takes = fitted || self.server == REFUSED_COUNT;
                        neighbours += usize::from(takes && now >= BEFORE);
                    }
                    let spacing = WINDOW / self.neighbour.calls;
                    let next =
                        spacing * (self.neighbour.burst - 1) + spacing.mul_f64(0.5 + rng.f64());
                    events.push(Reverse((now + next, Happens::Neighbour)));
                    continue;
                }
                Happens::Arrives { call, back } => {
                    let refused = !server.admits(now, self.allows, WINDOW);
                    refusals += usize::from(refused);
                    admissions.extend((!refused).then_some(now));
                    events.push(Reverse((now + back, Happens::Answer { call, refused })));
                    continue;
                }
                Happens::Answer { call, refused } => client.answered(start, &call, refused, now),
            }
            while let Some(tries) = client.take(start, now) {
                let there = ms(rng.u64(3..=self.slowest));
                let back = ms(rng.u64(2..=self.slowest));
                let call = Call { sent: now, tries };
                events.push(Reverse((now + there, Happens::Arrives { call, back })));
            }
            if let Some(next) = client.next(start, now)
                && look.is_none_or(|look| next < look)
            {
                assert!(next > now, "it wants to be asked again at once");
                look = Some(next);
                events.push(Reverse((next, Happens::Look)));
            }
        }
        let stops = self.neighbour.stops_before(HOUR);
        let recovered = stops.into_iter().map(|stop| {
            let full = full_window(&admissions, self.allows * 95 / 100, stop);
            full.unwrap_or(HOUR * 2).saturating_sub(stop)
        });
        let windows = HOUR.saturating_sub(BEFORE).as_secs_f64() / WINDOW.as_secs_f64();
        Seen {
            refused: float(refusals),
            admitted: float(admissions.len()),
            left: windows * float(self.allows) - float(neighbours),
            recovery: recovered.max().unwrap_or_default(),
        }
    }

    /// Returns the means over some seeds, and the longest recovery.
    fn mean(self, start: Instant, seeds: u64) -> Seen {
        let mut all = Seen::default();
        for seed in 0..seeds {
            let seen = self.play(&mut Client::ours(start), start, seed);
            all.refused += seen.refused;
            all.admitted += seen.admitted;
            all.left += seen.left;
            all.recovery = all.recovery.max(seen.recovery);
        }
        all
    }
}

/// Returns when a window first held `calls` admitted calls after `stop`.
fn full_window(admitted: &[Duration], calls: usize, stop: Duration) -> Option<Duration> {
    let after = admitted.partition_point(|at| *at < stop);
    let full = (after..admitted.len()).find(|last| {
        let first = (last + 1).checked_sub(calls);
        first.is_some_and(|first| admitted[first] + WINDOW > admitted[*last])
    });
    full.map(|last| admitted[last])
}

/// Runs all scenes with the neighbour, one thread for each kind of server.
fn on_all_servers(neighbour: Neighbour, judge: impl Fn(&str, Scene, Instant) + Sync) {
    let start = Instant::now() + HOUR;
    thread::scope(|scope| {
        for (server, kind) in SERVERS.iter().enumerate() {
            let judge = &judge;
            scope.spawn(move || {
                for slowest in [50, 1000] {
                    let scene = Scene {
                        server,
                        allows: LIMIT,
                        neighbour,
                        slowest,
                    };
                    let name = format!("{kind}, {slowest} ms");
                    judge(&name, scene, start);
                }
            });
        }
    });
}

/// Asserts that at most the part `refused` of our calls was refused, and at least the part `used` of the remaining
/// quota was used.
fn promise(neighbour: Neighbour, seeds: u64, refused: f64, used: f64) {
    on_all_servers(neighbour, |name, scene, start| {
        let seen = scene.mean(start, seeds);
        let told = format!(
            "{name}, {} a window, bursts of {}: {:.1} % refused, {:.1} % used, full again after {:.0} s",
            neighbour.calls,
            neighbour.burst,
            seen.refused_share(),
            seen.used_share(),
            seen.recovery.as_secs_f64()
        );
        println!("{told}");
        assert!(seen.refused_share() <= refused, "{told}");
        assert!(seen.used_share() >= used, "{told}");
        assert!(seen.recovery <= WINDOW * 3, "{told}");
    });
}

#[test]
fn beside_a_steady_half_a_twentieth_is_refused_at_most_and_nine_tenths_used() {
    promise(half(1), 50, 5.0, 90.0);
}

#[test]
fn beside_one_that_swings_a_twentieth_is_refused_at_most_and_nine_tenths_used() {
    promise(swinging(1), 50, 5.0, 90.0);
}

#[test]
fn bursts_of_a_neighbour_cost_little_more() {
    for neighbour in [half(10), half(50), swinging(10), swinging(90)] {
        promise(neighbour, 10, 5.5, 86.0);
    }
}

#[test]
fn a_limit_that_the_platform_lowered_is_found_and_kept() {
    let start = Instant::now() + HOUR;
    for (server, kind) in SERVERS.iter().enumerate() {
        let neighbour = Neighbour {
            calls: 1,
            swing: None,
            stops: Duration::ZERO,
            burst: 1,
        };
        let scene = Scene {
            server,
            allows: 60,
            neighbour,
            slowest: 100,
        };
        let seen = scene.mean(start, 2);
        let (refused, used) = (seen.refused_share(), seen.used_share());
        println!("{kind}: {refused:.1} % refused, {used:.1} % used");
        assert!(refused <= 5.0 && used >= 90.0, "{kind}");
    }
}

#[test]
fn a_client_that_backs_off_is_refused_ten_times_as_often_at_least() {
    for neighbour in [half(1), swinging(1)] {
        on_all_servers(neighbour, |name, scene, start| {
            let ours = scene.play(&mut Client::ours(start), start, 1);
            for (pause, longest) in [(10, 10), (1, 1000)] {
                let mut client = Client::backoff(pause, longest);
                let theirs = scene.play(&mut client, start, 1);
                println!(
                    "{name}, again after {pause} to {longest} s: {} refused, {} admitted; ours {}, {}",
                    theirs.refused, theirs.admitted, ours.refused, ours.admitted
                );
                assert!(ours.refused * 10.0 <= theirs.refused, "{name}, {pause} s");
            }
        });
    }
}
