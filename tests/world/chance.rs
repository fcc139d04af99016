//! The random numbers of a world, separate from those of its operators.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use tokio::time::sleep;

/// The random number generator of one world. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Chance(Arc<Mutex<Rng>>);

impl Chance {
    pub fn of(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Rng::with_seed(seed))))
    }

    pub fn draw<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for the random travel time of a request or an answer, mostly some milliseconds.
    pub async fn travel(&self) {
        let long = self.draw(|chance| match chance.u32(..40) {
            0 => chance.u64(50..800),
            _ => chance.u64(1..12),
        });
        sleep(Duration::from_millis(long)).await;
    }
}
