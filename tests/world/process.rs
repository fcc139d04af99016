//! One process of the operator.

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::life::Life;

/// A process that was started.
pub struct Process {
    pub life: Life,
    pub stop: CancellationToken,
    pub running: JoinHandle<anyhow::Result<()>>,
}

impl Process {
    /// Tells it to stop and waits for its end, which it may have come to before.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.running.await?
    }

    /// Waits until it has ended: by itself, or by a crash.
    pub async fn ended(mut self) {
        tokio::select! {
            biased;
            () = self.life.over() => self.running.abort(),
            _ = &mut self.running => self.life.end(),
        }
    }

    /// Ends it between two moments. What tasks it leaves behind reach nothing any more.
    pub async fn crash(self) {
        self.life.end();
        self.running.abort();
        // It may have ended by itself just then.
        drop(self.running.await);
    }
}
