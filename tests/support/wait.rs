//! Waits for a condition, never for a fixed time.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The pause between two checks.
const PAUSE: Duration = Duration::from_millis(50);

/// Checks until there is a value, and fails the test with the text `what` at the deadline.
pub async fn wait_for<T>(
    what: &str,
    deadline: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "waited {deadline:?} for {what}");
        sleep(PAUSE).await;
    }
}
