//! Rate limit for the renewals of the Lease that a session brings forward.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The most renewals that one session brings forward in one window.
const MOST: usize = 10;

/// The times at which a session brought renewals forward.
#[derive(Debug, Default)]
pub(super) struct RenewalLimit(VecDeque<Instant>);

impl RenewalLimit {
    /// Returns the earliest time of the next renewal, for a session with this `window`.
    pub(super) fn next(&self, window: Duration, now: Instant) -> Instant {
        let recent = self.0.len().checked_sub(MOST);
        let oldest = recent.and_then(|index| self.0.get(index));
        oldest.map_or(now, |at| now.max(*at + window))
    }

    /// Records a renewal at `at`.
    pub(super) fn take(&mut self, at: Instant) {
        self.0.push_back(at);
        if self.0.len() > MOST {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_window_sees_more_than_ten_renewals_brought_forward() {
        let window = Duration::from_secs(60);
        let start = Instant::now();
        let mut pace = RenewalLimit::default();
        for _ in 0..MOST {
            assert_eq!(pace.next(window, start), start);
            pace.take(start);
        }
        assert_eq!(pace.next(window, start), start + window);
        let later = start + window * 2;
        assert_eq!(pace.next(window, later), later);
    }
}
