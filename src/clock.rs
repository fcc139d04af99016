//! The clocks: one for times that people read, one for waiting.

use std::fmt;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

/// One moment by both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// By the wall clock.
    pub wall: Timestamp,
    /// By the steady clock.
    pub tick: Instant,
}

/// Tells the time of day, as the operator is started with. Steady time is tokio's.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// Asks `wall` for the time of day.
    pub fn new(wall: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(wall))
    }

    /// The time of day.
    pub fn wall(&self) -> Timestamp {
        (self.0)()
    }

    /// This moment.
    pub fn now(&self) -> Now {
        Now {
            wall: self.wall(),
            tick: Instant::now(),
        }
    }
}

/// That of the machine.
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
