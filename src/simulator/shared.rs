//! The state that all connections of a simulator share.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use tokio::sync::Notify;

use super::world::{Moment, World};

/// The state that all connections share.
pub struct Shared {
    world: Mutex<World>,
    start: Instant,
    /// Notified of each change of the packages.
    pub changed: Notify,
}

impl Shared {
    /// The shared state of a simulator that starts now.
    pub fn new(world: World) -> Self {
        Self {
            world: Mutex::new(world),
            start: Instant::now(),
            changed: Notify::new(),
        }
    }

    /// The state of the platform. The guard is never held across an await.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The current time. If the caller holds the lock of the state, the times follow the order of the ledger.
    pub fn now(&self) -> Moment {
        Moment {
            since_start: self.start.elapsed(),
            utc: Timestamp::now(),
        }
    }
}
