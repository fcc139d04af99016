//! What all connections of a simulator share.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use tokio::sync::Notify;

use super::world::{Moment, World};

/// What all connections share.
pub struct Shared {
    world: Mutex<World>,
    start: Instant,
    /// Told of each change of packages.
    pub changed: Notify,
}

impl Shared {
    /// That of a simulator that starts now.
    pub fn new(world: World) -> Self {
        Self {
            world: Mutex::new(world),
            start: Instant::now(),
            changed: Notify::new(),
        }
    }

    /// The state. It is never held across an await.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time now; taken with the world in hand, times are in the order of the ledger.
    pub fn now(&self) -> Moment {
        Moment {
            since_start: self.start.elapsed(),
            utc: Timestamp::now(),
        }
    }
}
