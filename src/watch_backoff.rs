//! The pauses between the tries of a watch that fails.

use std::time::Duration;

use kube::runtime::utils::Backoff;
use tokio::time::Instant;

/// Pauses of 0.5 s doubling to 4 s, with up to a quarter less, so that a right that was granted is
/// found within 5 s. kube's own pauses begin anew with every event, and a watcher makes one
/// (`Init`) before each list, so they would never grow; these begin anew after a quiet minute.
#[derive(Default)]
pub struct WatchBackoff {
    failures: u32,
    last: Option<Instant>,
}

impl WatchBackoff {
    const FIRST: Duration = Duration::from_millis(500);
    const DOUBLINGS: u32 = 3;
    const QUIET: Duration = Duration::from_secs(60);
}

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let now = Instant::now();
        if self.last.is_some_and(|last| now > last + Self::QUIET) {
            self.failures = 0;
        }
        self.last = Some(now);
        let pause = Self::FIRST * 2u32.pow(self.failures.min(Self::DOUBLINGS));
        self.failures = self.failures.saturating_add(1);
        Some(pause.mul_f64(1.0 - fastrand::f64() / 4.0))
    }
}

impl Backoff for WatchBackoff {
    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_to_four_seconds_and_begin_anew_after_a_quiet_minute() {
        let mut backoff = WatchBackoff::default();
        let pauses: Vec<Duration> = (0..6).filter_map(|_| backoff.next()).collect();
        assert!(pauses[0] <= WatchBackoff::FIRST && pauses[0] >= WatchBackoff::FIRST / 2);
        assert!(pauses[5] >= Duration::from_secs(3) && pauses[5] <= Duration::from_secs(4));
        backoff.reset();
        assert!(
            backoff
                .next()
                .is_some_and(|pause| pause >= Duration::from_secs(3))
        );
        tokio::time::advance(WatchBackoff::QUIET + Duration::from_secs(1)).await;
        assert!(
            backoff
                .next()
                .is_some_and(|pause| pause <= WatchBackoff::FIRST)
        );
    }
}
