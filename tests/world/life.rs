//! Whether a process lives. One that has crashed may leave tasks behind: nothing of theirs arrives anywhere any more, and
//! nothing answers them.

use std::future::pending;

use tokio_util::sync::CancellationToken;

/// The life of one process, as its ports know it.
#[derive(Debug, Clone, Default)]
pub struct Life(CancellationToken);

impl Life {
    /// The process is no more.
    pub fn end(&self) {
        self.0.cancel();
    }

    pub fn is_over(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until the process is no more.
    pub async fn over(&self) {
        self.0.cancelled().await;
    }

    /// Goes on at once where the process lives, and never where it doesn't.
    pub async fn goes_on(&self) {
        if self.is_over() {
            pending::<()>().await;
        }
    }
}
