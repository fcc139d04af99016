//! What goes wrong, and where: each effect of an operator on the world outside has a number, from 0 on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long an answer takes that is slow.
pub const SLOW: Duration = Duration::from_secs(4);

/// What becomes of one effect: a request to the API server or to the platform, or an audit line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The process ends before it.
    CrashBefore,
    /// It happens, and the process ends before it hears of that.
    CrashAfter,
    /// It never arrives, and the connection breaks.
    Lost,
    /// It happens, and the connection breaks before the answer.
    Unanswered,
    /// It happens, and no answer ever comes.
    Hung,
    /// It happens, and the answer takes [`SLOW`].
    Slow,
    /// It is refused with this code, and doesn't happen.
    Refused(u16),
}

/// Where an effect goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum To {
    /// A change of an object.
    Write,
    /// A read of one object or of a list.
    Read,
    /// The beginning of a watch.
    Watch,
    /// The platform.
    Platform,
    /// The audit log.
    Audit,
}

impl Fault {
    /// All that can become of an effect there.
    pub fn all(to: To) -> &'static [Self] {
        use Fault::{CrashAfter, CrashBefore, Hung, Lost, Refused, Slow, Unanswered};
        match to {
            To::Write => &[
                CrashBefore,
                CrashAfter,
                Lost,
                Unanswered,
                Hung,
                Slow,
                Refused(403),
                Refused(404),
                Refused(409),
                Refused(422),
                Refused(429),
                Refused(500),
                Refused(503),
            ],
            To::Read => &[
                CrashBefore,
                Lost,
                Hung,
                Slow,
                Refused(401),
                Refused(403),
                Refused(429),
                Refused(500),
            ],
            // One that begins and then shows nothing is one whose first line is late.
            To::Watch => &[
                Lost,
                Hung,
                Refused(403),
                Refused(410),
                Refused(429),
                Refused(500),
            ],
            To::Platform => &[
                CrashBefore,
                CrashAfter,
                Lost,
                Unanswered,
                Hung,
                Slow,
                Refused(200),
                Refused(401),
                Refused(403),
                Refused(404),
                Refused(429),
                Refused(500),
            ],
            To::Audit => &[CrashBefore, CrashAfter, Unanswered, Hung, Slow, Refused(0)],
        }
    }
}

/// What is planned, and what there was. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    planned: BTreeMap<usize, Fault>,
    next: BTreeMap<To, VecDeque<Fault>>,
    effects: Vec<To>,
    /// Lines of watches that come late.
    late: BTreeSet<usize>,
    lines: usize,
}

impl Faults {
    /// Plans what becomes of the effect with this number.
    pub fn plan(&self, number: usize, fault: Fault) {
        self.lock().planned.insert(number, fault);
    }

    /// Plans what becomes of the next effect there of which nothing is planned yet.
    pub fn add(&self, to: To, fault: Fault) {
        self.lock().next.entry(to).or_default().push_back(fault);
    }

    /// Nothing is planned any more.
    pub fn clear(&self) {
        let mut state = self.lock();
        (state.planned, state.next, state.late) = Default::default();
    }

    /// Has the line of a watch with this number, from 0 on, come late, and with it all of that watch after it.
    pub fn delay_line(&self, number: usize) {
        self.lock().late.insert(number);
    }

    /// An effect is about to happen: what becomes of it.
    pub fn meet(&self, to: To) -> Option<Fault> {
        let mut state = self.lock();
        let number = state.effects.len();
        state.effects.push(to);
        let planned = state.planned.remove(&number);
        planned.or_else(|| state.next.get_mut(&to)?.pop_front())
    }

    /// A watch is about to show a line: whether it comes late.
    pub fn is_late(&self) -> bool {
        let mut state = self.lock();
        let number = state.lines;
        state.lines += 1;
        state.late.remove(&number)
    }

    /// All effects so far.
    pub fn effects(&self) -> Vec<To> {
        self.lock().effects.clone()
    }

    /// How many lines watches have shown.
    pub fn lines(&self) -> usize {
        self.lock().lines
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
