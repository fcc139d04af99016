//! The clocks: a wall clock for times that people read, and a steady clock for waiting.

use std::fmt;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

/// One moment on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The time on the wall clock.
    pub wall: Timestamp,
    /// The time on the steady clock.
    pub tick: Instant,
}

/// The wall clock, a parameter of the operator. The steady clock is tokio's.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// A wall clock that returns what `wall` returns.
    pub fn new(wall: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(wall))
    }

    /// The time on the wall clock.
    pub fn wall(&self) -> Timestamp {
        (self.0)()
    }

    /// The time on both clocks.
    pub fn now(&self) -> Now {
        Now {
            wall: self.wall(),
            tick: Instant::now(),
        }
    }
}

/// The wall clock of the machine.
impl Default for Clock {
    fn default() -> Self {
        Self::new(Timestamp::now)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
