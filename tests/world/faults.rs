//! The faults, and where they occur: each effect of an operator on the outside world has a number, from 0 on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The delay of a slow answer.
pub const SLOW: Duration = Duration::from_secs(4);

/// The fault of one effect: of a request to the API server or the platform, or of an audit line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The process ends before the effect.
    CrashBefore,
    /// The effect happens, and the process ends before it learns of it.
    CrashAfter,
    /// The request never arrives, and the connection breaks.
    Lost,
    /// The effect happens, and the connection breaks before the answer.
    Unanswered,
    /// The effect happens, and no answer ever comes.
    Hung,
    /// The effect happens, and the answer is delayed by [`SLOW`].
    Slow,
    /// The request is refused with this code and has no effect.
    Refused(u16),
}

/// The destination of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum To {
    /// A write to the API server.
    Write,
    /// A read of one object or of a list.
    Read,
    /// The start of a watch.
    Watch,
    /// The platform.
    Platform,
    /// The audit log.
    Audit,
}

impl Fault {
    /// All faults of an effect with this destination.
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
            // A watch that starts and then stays silent is covered by a late first line.
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

/// The planned faults, and the effects so far. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    planned: BTreeMap<usize, Fault>,
    next: BTreeMap<To, VecDeque<Fault>>,
    effects: Vec<To>,
    /// The lines of watches that come late.
    late: BTreeSet<usize>,
    lines: usize,
}

impl Faults {
    /// Plans the fault of the effect with this number.
    pub fn plan(&self, number: usize, fault: Fault) {
        self.lock().planned.insert(number, fault);
    }

    /// Plans the fault of the next effect with this destination that has none yet.
    pub fn add(&self, to: To, fault: Fault) {
        self.lock().next.entry(to).or_default().push_back(fault);
    }

    /// Removes all planned faults.
    pub fn clear(&self) {
        let mut state = self.lock();
        (state.planned, state.next, state.late) = Default::default();
    }

    /// Delays the watch line with this number, from 0 on, and all later lines of its watch.
    pub fn delay_line(&self, number: usize) {
        self.lock().late.insert(number);
    }

    /// Counts an effect that is about to happen, and returns its fault.
    pub fn meet(&self, to: To) -> Option<Fault> {
        let mut state = self.lock();
        let number = state.effects.len();
        state.effects.push(to);
        let planned = state.planned.remove(&number);
        planned.or_else(|| state.next.get_mut(&to)?.pop_front())
    }

    /// Counts a watch line, and returns whether it comes late.
    pub fn is_late(&self) -> bool {
        let mut state = self.lock();
        let number = state.lines;
        state.lines += 1;
        state.late.remove(&number)
    }

    /// The destinations of all effects so far.
    pub fn effects(&self) -> Vec<To> {
        self.lock().effects.clone()
    }

    /// The number of watch lines so far.
    pub fn lines(&self) -> usize {
        self.lock().lines
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
