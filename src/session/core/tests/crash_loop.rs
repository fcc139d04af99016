//! The part of the quota that is used while the process crashes again and again, with a clock that the test moves.

use std::collections::VecDeque;

use super::*;
use crate::session::call_log::{CallLog, Inheritance};

const QUOTA: usize = 100;
const WAITING: usize = 500;
/// The time from the start of a process to its crash, and from the crash to the next start.
const LIFE: Duration = secs(20);
const RESTART: Duration = secs(2);
/// How long the API server takes for the writes of one deletion, or for a record; it handles them one after the other.
const WRITES: Duration = Duration::from_millis(33);
const ANSWER: Duration = Duration::from_millis(5);
/// The time between two regular records.
const PERIOD: Duration = secs(5);
/// The time between two steps.
const TICK: Duration = Duration::from_millis(5);

/// The write that the API server handles.
enum Write {
    Intent(usize),
    Record(String),
}

/// The state that outlives a process.
struct World {
    now: Instant,
    lease: Option<String>,
    waiting: Vec<usize>,
    sent: Vec<Instant>,
}

/// One process.
struct Process {
    bench: Bench,
    /// The objects that hold a permit and wait for the API server.
    intents: VecDeque<usize>,
    write: Option<(Instant, Write)>,
    calls: VecDeque<(Instant, usize, Underway)>,
    login_ends: Option<Instant>,
    /// When the next record is due.
    due: Instant,
}

impl Process {
    fn start(world: &World) -> Self {
        let now = world.now;
        let past = match &world.lease {
            Some(text) => Inheritance::read(text, now, now, TIME_OUT),
            None => Inheritance::nothing(),
        }
        .take(&session_key(), now);
        let mut bench = Bench::new(QUOTA);
        bench.now = now;
        bench.core.begin_lease(past, LeaseBounds::default());
        for n in &world.waiting {
            bench.core.request(LANE, &ticket(*n), now);
        }
        Self {
            bench,
            intents: VecDeque::new(),
            write: None,
            calls: VecDeque::new(),
            login_ends: None,
            due: now,
        }
    }

    fn live_until(mut self, end: Instant, world: &mut World) {
        while world.now < end {
            self.bench.now = world.now;
            self.bench.settle();
            self.log_in(world);
            self.hear(world);
            self.written(world);
            self.bench.settle();
            for name in mem::take(&mut self.bench.woken) {
                self.intents.extend(name[1..].parse::<usize>());
            }
            self.write(world.now);
            world.now += TICK;
        }
    }

    fn log_in(&mut self, world: &mut World) {
        if self.bench.logins.is_empty() {
            return;
        }
        match self.login_ends {
            None => {
                world.sent.push(world.now);
                self.login_ends = Some(world.now + ANSWER);
            }
            Some(ends) if ends <= world.now => {
                self.login_ends = None;
                self.bench.log_in(3600);
            }
            Some(_) => {}
        }
    }

    /// Handles the answers that have arrived.
    fn hear(&mut self, world: &mut World) {
        while let Some((_, n, call)) = self.calls.pop_front_if(|(at, ..)| *at <= world.now) {
            self.bench.end(&call, &Answer::Done(200));
            world.waiting.retain(|other| *other != n);
        }
    }

    /// Handles the write that has succeeded.
    fn written(&mut self, world: &mut World) {
        match self.write.take_if(|(at, _)| *at <= world.now) {
            Some((_, Write::Intent(n))) => {
                if let Some(call) = self.bench.try_begin(n) {
                    world.sent.push(world.now);
                    self.calls.push_back((world.now + ANSWER, n, call));
                }
            }
            Some((_, Write::Record(text))) => {
                world.lease = Some(text);
                self.bench.core.recorded(world.now + secs(30));
                self.due = world.now + PERIOD;
            }
            None => {}
        }
    }

    /// Begins the next write.
    fn write(&mut self, now: Instant) {
        if let Some(sooner) = self.bench.core.bring_forward(self.due, now) {
            self.due = sooner;
        }
        if self.write.is_some() {
            return;
        }
        let what = if self.due <= now {
            let until = now + PERIOD * 5 / 4;
            let record = self.bench.core.record(&session_key(), until, now);
            Some(Write::Record(CallLog::new(vec![record], false).into_text()))
        } else {
            self.intents.pop_front().map(Write::Intent)
        };
        self.write = what.map(|what| (now + WRITES, what));
    }
}

#[test]
fn four_fifths_of_the_quota_are_used_and_none_over_it_wherever_the_crashes_fall() {
    for first in 1..=40 {
        let start = Instant::now();
        let mut world = World {
            now: start,
            lease: None,
            waiting: (0..WAITING).collect(),
            sent: Vec::new(),
        };
        let end = start + WINDOW * 3;
        let mut crash = start + Duration::from_millis(750) * first;
        while world.now < end {
            Process::start(&world).live_until(crash.min(end), &mut world);
            world.now += RESTART;
            crash += LIFE;
        }
        let done = WAITING - world.waiting.len();
        let least = QUOTA * 3 * 4 / 5;
        assert!(
            done >= least,
            "{done}, the first one at {:?}",
            crash - start
        );
        let dense = world
            .sent
            .windows(QUOTA + 1)
            .any(|sent| sent[QUOTA] < sent[0] + WINDOW);
        assert!(!dense, "more than the quota in one window");
    }
}
