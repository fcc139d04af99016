//! One process of the operator.

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::life::Life;

/// A started process.
pub struct Process {
    pub life: Life,
    pub stop: CancellationToken,
    pub running: JoinHandle<anyhow::Result<()>>,
}

impl Process {
    /// Tells the process to stop and waits for its end, which may have come already.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.running.await?
    }

    /// Waits until the process has ended, by itself or by a crash.
    pub async fn ended(mut self) {
        tokio::select! {
            biased;
            () = self.life.over() => self.running.abort(),
            _ = &mut self.running => self.life.end(),
        }
    }

    /// Crashes the process. Requests of tasks that it leaves behind arrive nowhere.
    pub async fn crash(self) {
        self.life.end();
        self.running.abort();
        // The process may have ended by itself just now.
        drop(self.running.await);
    }
}
