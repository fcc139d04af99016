//! The quota of one application. The platform doesn't document how it counts, so the simulator can count in three ways.
//!
//! Pure: the time is an argument, measured from the start of the simulator, and never runs backwards.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::out_of_range::OutOfRange;

/// The longest window.
pub const LONGEST_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// How calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum QuotaKind {
    /// A sliding window: no period of the window's length holds more calls than the limit.
    Sliding,
    /// Fixed windows from the start of the simulator; each allows the limit.
    Fixed,
    /// A token bucket with the limit as its capacity, refilled evenly within one window.
    Bucket,
}

/// The limit of calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limit {
    /// The number of calls in one window; 0 refuses every call.
    pub calls: u32,
    /// The length of the window: 1 ms to 24 h.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub window: Duration,
    /// How calls are counted.
    pub kind: QuotaKind,
    /// Whether a refused call counts like an allowed one.
    pub count_refused: bool,
}

impl Default for Limit {
    /// The platform's documented default: 100 calls in 60 s.
    fn default() -> Self {
        Self {
            calls: 100,
            window: Duration::from_secs(60),
            kind: QuotaKind::Sliding,
            count_refused: false,
        }
    }
}

impl Limit {
    /// Checks the length of the window.
    ///
    /// # Errors
    /// The window is too short or too long.
    pub fn check(&self) -> Result<(), OutOfRange> {
        let fits = (Duration::from_millis(1)..=LONGEST_WINDOW).contains(&self.window);
        OutOfRange::unless(fits, "window", "from 1ms to 24h")
    }
}

/// The counter of one application.
#[derive(Debug, Clone)]
pub struct Quota {
    limit: Limit,
    /// The arrival times of the counted calls of the last window, oldest first.
    counted: VecDeque<Duration>,
    bucket: Bucket,
    peak: usize,
}

impl Quota {
    /// An unused quota.
    pub fn new(limit: Limit) -> Self {
        Self {
            limit,
            counted: VecDeque::new(),
            bucket: Bucket::default(),
            peak: 0,
        }
    }

    /// The current limit.
    pub fn limit(&self) -> &Limit {
        &self.limit
    }

    /// Sets another limit. The calls of the last window stay counted.
    pub fn change(&mut self, limit: Limit, now: Duration) {
        self.forget(now);
        self.limit = limit;
        self.bucket = Bucket::default();
        for at in &self.counted {
            self.bucket.take(&self.limit, *at, true);
        }
    }

    /// Whether a call that arrives at `now` is allowed. Counts the call, unless it is refused and refused calls don't
    /// count.
    pub fn admit(&mut self, now: Duration) -> bool {
        self.forget(now);
        let allowed = match self.limit.kind {
            QuotaKind::Sliding | QuotaKind::Fixed => self.used(now) < self.limit.calls as usize,
            QuotaKind::Bucket => self.bucket.whole(&self.limit, now),
        };
        if allowed || self.limit.count_refused {
            self.counted.push_back(now);
            self.bucket.take(&self.limit, now, self.limit.count_refused);
            let held = match self.limit.kind {
                QuotaKind::Sliding | QuotaKind::Fixed => self.used(now),
                QuotaKind::Bucket => self.counted.len(),
            };
            self.peak = self.peak.max(held);
        }
        allowed
    }

    /// How many calls of the limit are used at `now`.
    pub fn used(&self, now: Duration) -> usize {
        match self.limit.kind {
            QuotaKind::Sliding => {
                self.counted.len() - self.counted.partition_point(|at| self.is_over(*at, now))
            }
            QuotaKind::Fixed => {
                let window = window_number(now, self.limit.window);
                self.counted.len()
                    - self
                        .counted
                        .partition_point(|at| window_number(*at, self.limit.window) < window)
            }
            QuotaKind::Bucket => {
                (self.limit.calls as usize).saturating_sub(self.bucket.tokens(&self.limit, now))
            }
        }
    }

    /// The most calls counted in one window so far. For a bucket, which has no windows, a window is any period of the
    /// window's length.
    pub fn peak(&self) -> usize {
        self.peak
    }

    /// Resets the peak.
    pub fn clear_peak(&mut self) {
        self.peak = 0;
    }

    fn forget(&mut self, now: Duration) {
        let over = self.counted.partition_point(|at| self.is_over(*at, now));
        self.counted.drain(..over);
    }

    fn is_over(&self, at: Duration, now: Duration) -> bool {
        at.saturating_add(self.limit.window) <= now
    }
}

/// The number of the fixed window that contains `at`.
pub fn window_number(at: Duration, window: Duration) -> u128 {
    at.as_nanos() / window.as_nanos().max(1)
}

/// A token bucket in whole numbers: one token has as many units as the window has nanoseconds, and each nanosecond adds
/// as many units as the limit has calls.
#[derive(Debug, Clone, Default)]
struct Bucket {
    /// The units missing from a full bucket.
    missing: u128,
    since: Duration,
}

impl Bucket {
    fn missing_at(&self, limit: &Limit, now: Duration) -> u128 {
        let filled = now.saturating_sub(self.since).as_nanos() * u128::from(limit.calls);
        self.missing.saturating_sub(filled)
    }

    fn capacity(limit: &Limit) -> u128 {
        limit.window.as_nanos() * u128::from(limit.calls)
    }

    fn tokens(&self, limit: &Limit, now: Duration) -> usize {
        let left = Self::capacity(limit).saturating_sub(self.missing_at(limit, now));
        usize::try_from(left / limit.window.as_nanos().max(1)).unwrap_or(usize::MAX)
    }

    fn whole(&self, limit: &Limit, now: Duration) -> bool {
        self.tokens(limit, now) > 0
    }

    /// Takes one token. If less than one token is left, `to_the_last` tells whether the rest is taken.
    fn take(&mut self, limit: &Limit, now: Duration, to_the_last: bool) {
        let missing = self.missing_at(limit, now) + limit.window.as_nanos();
        let capacity = Self::capacity(limit);
        if missing <= capacity || to_the_last {
            self.missing = missing.min(capacity);
            self.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limit(calls: u32, window_ms: u64, kind: QuotaKind, count_refused: bool) -> Limit {
        Limit {
            calls,
            window: Duration::from_millis(window_ms),
            kind,
            count_refused,
        }
    }

    /// The times of the allowed calls, and of all counted calls.
    fn run(quota: &mut Quota, gaps: &[u64]) -> (Vec<Duration>, Vec<Duration>) {
        let mut now = Duration::ZERO;
        let (mut allowed, mut asked) = (Vec::new(), Vec::new());
        for gap in gaps {
            now += Duration::from_micros(*gap);
            asked.push(now);
            if quota.admit(now) {
                allowed.push(now);
            }
        }
        (allowed, asked)
    }

    fn most_in_any_window(times: &[Duration], window: Duration) -> usize {
        times
            .iter()
            .enumerate()
            .map(|(i, start)| {
                times[i..]
                    .iter()
                    .take_while(|at| **at < *start + window)
                    .count()
            })
            .max()
            .unwrap_or(0)
    }

    proptest! {
        #[test]
        fn no_window_of_a_sliding_log_holds_more_than_the_limit(
            calls in 0u32..12, window in 1u64..200, count in any::<bool>(),
            gaps in prop::collection::vec(0u64..60_000, 0..200),
        ) {
            let limit = limit(calls, window, QuotaKind::Sliding, count);
            let mut quota = Quota::new(limit.clone());
            let (allowed, _) = run(&mut quota, &gaps);
            prop_assert!(most_in_any_window(&allowed, limit.window) <= calls as usize);
        }

        #[test]
        fn a_sliding_log_refuses_only_when_its_window_is_full(
            calls in 0u32..12, window in 1u64..200,
            gaps in prop::collection::vec(0u64..60_000, 0..200),
        ) {
            let limit = limit(calls, window, QuotaKind::Sliding, false);
            let mut quota = Quota::new(limit.clone());
            let (allowed, asked) = run(&mut quota, &gaps);
            for at in asked.iter().filter(|at| !allowed.contains(at)) {
                let inside = allowed.iter().filter(|a| *a <= at && **a + limit.window > *at).count();
                prop_assert_eq!(inside, calls as usize);
            }
        }

        #[test]
        fn each_fixed_window_allows_the_limit_and_no_more(
            calls in 0u32..12, window in 1u64..200,
            gaps in prop::collection::vec(0u64..60_000, 0..200),
        ) {
            let limit = limit(calls, window, QuotaKind::Fixed, false);
            let mut quota = Quota::new(limit.clone());
            let (allowed, asked) = run(&mut quota, &gaps);
            let number = |at: &Duration| window_number(*at, limit.window);
            for at in &asked {
                let here = |times: &[Duration]| times.iter().filter(|t| number(t) == number(at)).count();
                prop_assert_eq!(here(&allowed), here(&asked).min(calls as usize));
            }
        }

        #[test]
        fn a_bucket_allows_a_burst_of_the_limit_and_then_its_even_pace(
            calls in 1u32..12, window in 1u64..200, count in any::<bool>(),
            gaps in prop::collection::vec(0u64..60_000, 0..200),
        ) {
            let limit = limit(calls, window, QuotaKind::Bucket, count);
            let mut quota = Quota::new(limit.clone());
            let (allowed, _) = run(&mut quota, &gaps);
            for (i, start) in allowed.iter().enumerate() {
                for (j, end) in allowed.iter().enumerate().skip(i) {
                    let filled = (end.saturating_sub(*start)).as_nanos() * u128::from(calls) / limit.window.as_nanos();
                    prop_assert!((j - i + 1) as u128 <= u128::from(calls) + filled + 1);
                }
            }
        }

        #[test]
        fn evenly_spaced_calls_are_never_refused_by_a_bucket(calls in 1u32..50, window in 1u64..200) {
            let limit = limit(calls, window, QuotaKind::Bucket, true);
            let mut quota = Quota::new(limit.clone());
            let step = window * 1_000 / u64::from(calls) + 1;
            let gaps = vec![step; 300];
            let (allowed, _) = run(&mut quota, &gaps);
            prop_assert_eq!(allowed.len(), 300);
        }
    }

    #[test]
    fn a_client_that_keeps_calling_is_admitted_only_where_refused_calls_do_not_count() {
        for kind in [QuotaKind::Sliding, QuotaKind::Bucket] {
            for (count, more) in [(false, true), (true, false)] {
                let mut quota = Quota::new(limit(5, 100, kind, count));
                let (allowed, _) = run(&mut quota, &vec![1_000; 400]);
                assert_eq!(allowed.len() > 5, more, "{kind:?}, refused count: {count}");
            }
        }
    }

    #[test]
    fn the_calls_of_the_last_window_stay_counted_under_another_limit() {
        for kind in [QuotaKind::Sliding, QuotaKind::Fixed, QuotaKind::Bucket] {
            let mut quota = Quota::new(limit(10, 1_000, QuotaKind::Sliding, false));
            for ms in 0..10 {
                assert!(quota.admit(Duration::from_millis(ms)));
            }
            let now = Duration::from_millis(10);
            quota.change(limit(12, 1_000, kind, false), now);
            assert_eq!(quota.used(now), 10, "{kind:?}");
            assert!(quota.admit(now) && quota.admit(now) && !quota.admit(now));
            assert_eq!(quota.peak(), 12);
        }
    }

    #[test]
    fn a_call_leaves_a_sliding_window_exactly_one_window_after_it_came() {
        let mut quota = Quota::new(limit(1, 100, QuotaKind::Sliding, false));
        assert!(quota.admit(Duration::from_millis(7)));
        assert!(!quota.admit(Duration::from_nanos(106_999_999)));
        assert!(quota.admit(Duration::from_millis(107)));
    }

    #[test]
    fn a_limit_of_zero_refuses_every_call() {
        for kind in [QuotaKind::Sliding, QuotaKind::Fixed, QuotaKind::Bucket] {
            let mut quota = Quota::new(limit(0, 100, kind, true));
            let (allowed, _) = run(&mut quota, &[1_000; 50]);
            assert!(allowed.is_empty());
        }
    }
}
