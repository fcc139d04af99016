//! Whether a process lives. One that has crashed may leave tasks behind: nothing of theirs arrives anywhere any more, and
//! nothing answers them.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The life of one process, as its ports know it.
#[derive(Debug, Clone, Default)]
pub struct Life(Arc<AtomicBool>);

impl Life {
    /// The process is no more.
    pub fn end(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn is_over(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Goes on at once where the process lives, and never where it doesn't.
    pub async fn goes_on(&self) {
        if self.is_over() {
            pending::<()>().await;
        }
    }
}
