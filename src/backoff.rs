//! Pauses that double between tries that fail.

use std::time::Duration;

use tokio::time::Instant;

/// Pauses from the first to the longest, each twice as long as the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The first pause, before any doubling.
    pub first: Duration,
    /// No pause is longer.
    pub longest: Duration,
}

impl Backoff {
    /// The first pause, doubled `times` times, but at most `longest`.
    pub fn after(self, times: u32) -> Duration {
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(times));
        doubled.min(self.longest)
    }
}

/// Pauses that double from 0.5 s to 4 s, each shortened by a random part of up to a quarter. If a list or a watch fails
/// because a right is missing, and the right is then granted, the next try begins within 5 s. kube's own pauses start
/// again from the shortest one at every event. A watcher emits an event (`Init`) before each list, so kube's pauses
/// would never grow. The pauses of this type start again only after a minute without a failure.
#[derive(Default)]
pub struct WatchBackoff {
    failures: u32,
    last: Option<Instant>,
}

impl WatchBackoff {
    const PAUSES: Backoff = Backoff {
        first: Duration::from_millis(500),
        longest: Duration::from_secs(4),
    };
    const QUIET: Duration = Duration::from_secs(60);

    /// The pause after one more failure.
    pub fn pause(&mut self) -> Duration {
        let now = Instant::now();
        if self.last.is_some_and(|last| now > last + Self::QUIET) {
            self.failures = 0;
        }
        self.last = Some(now);
        let pause = Self::PAUSES.after(self.failures);
        self.failures = self.failures.saturating_add(1);
        pause.mul_f64(1.0 - fastrand::f64() / 4.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_the_longest_however_often_something_fails() {
        let pauses = Backoff {
            first: Duration::from_secs(5),
            longest: Duration::from_secs(60),
        };
        let seconds = [0, 1, 2, 3, 4, 31, 32, u32::MAX].map(|times| pauses.after(times).as_secs());
        assert_eq!(seconds, [5, 10, 20, 40, 60, 60, 60, 60]);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_to_four_seconds_and_begin_anew_after_a_quiet_minute() {
        let mut backoff = WatchBackoff::default();
        let first = WatchBackoff::PAUSES.first;
        let pauses: Vec<Duration> = (0..6).map(|_| backoff.pause()).collect();
        assert!(pauses[0] <= first && pauses[0] >= first / 2);
        assert!(pauses[5] >= Duration::from_secs(3) && pauses[5] <= Duration::from_secs(4));
        tokio::time::advance(WatchBackoff::QUIET + Duration::from_secs(1)).await;
        assert!(backoff.pause() <= first);
    }
}
