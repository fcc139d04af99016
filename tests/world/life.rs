//! Whether a process lives. A crashed process may leave tasks behind: none of their requests arrive, and none are
//! answered.

use std::future::pending;

use tokio_util::sync::CancellationToken;

/// The life of one process, shared with its ports.
#[derive(Debug, Clone, Default)]
pub struct Life(CancellationToken);

impl Life {
    /// Ends the life of the process.
    pub fn end(&self) {
        self.0.cancel();
    }

    pub fn is_over(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until the process has ended.
    pub async fn over(&self) {
        self.0.cancelled().await;
    }

    /// Returns at once while the process lives, and never afterwards.
    pub async fn goes_on(&self) {
        if self.is_over() {
            pending::<()>().await;
        }
    }
}
