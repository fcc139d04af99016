//! Decides when the list is read next. Pure: time and random numbers are arguments.

#![deny(clippy::wildcard_enum_match_arm)]

use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;

/// The longest interval that counts for the delay of the first read.
const FIRST_AS_OF: Duration = Duration::from_secs(3600);
/// The first pause after a failed read, unless the interval is shorter; the pause doubles up to the interval.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The pause grows at least to this length, however short the interval is.
const LONG_PAUSE: Duration = Duration::from_secs(60);

/// The event from which the next read is scheduled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum ReadAfter {
    /// No read has ended yet.
    Start {
        /// When reads became possible.
        at: Instant,
        /// A random number from 0 to 1, which spreads the first reads of the applications after a start.
        chance: f64,
    },
    /// The last read succeeded.
    Reading {
        /// The end of the read.
        at: Instant,
    },
    /// The last read failed.
    Failure {
        /// The end of the read.
        at: Instant,
        /// The number of failed reads in a row.
        count: u32,
    },
}

impl ReadAfter {
    /// The state after a read that ended at `at`.
    pub(super) fn then(self, succeeded: bool, at: Instant) -> Self {
        match self {
            _ if succeeded => Self::Reading { at },
            Self::Start { .. } | Self::Reading { .. } => Self::Failure { at, count: 1 },
            Self::Failure { count, .. } => Self::Failure {
                at,
                count: count.saturating_add(1),
            },
        }
    }

    /// When the next read begins, at this `interval`.
    pub(super) fn due(self, interval: Duration) -> Instant {
        match self {
            // The first read is delayed: right after a start, deletions need the rest of the call budget.
            Self::Start { at, chance } => {
                let twentieth = interval.min(FIRST_AS_OF) / 20;
                at + twentieth + twentieth.mul_f64(chance.clamp(0.0, 1.0))
            }
            Self::Reading { at } => at + interval,
            Self::Failure { at, count } => {
                let pauses = Backoff {
                    first: FIRST_PAUSE.min(interval),
                    longest: interval.max(LONG_PAUSE),
                };
                at + pauses.after(count.saturating_sub(1))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn after(since: ReadAfter, start: Instant, interval: Duration) -> u64 {
        (since.due(interval) - start).as_secs()
    }

    #[test]
    fn the_first_reading_comes_in_minutes_and_not_for_all_at_once() {
        let at = Instant::now();
        let first = |chance, interval| after(ReadAfter::Start { at, chance }, at, interval);
        assert_eq!((first(0.0, HOUR), first(1.0, HOUR)), (180, 360));
        assert_eq!(first(1.0, 24 * HOUR), 360);
        assert_eq!(first(1.0, Duration::from_secs(1)), 0);
    }

    #[test]
    fn failures_pause_twice_as_long_each_up_to_the_interval_and_a_reading_ends_that() {
        let at = Instant::now();
        let mut since = ReadAfter::Start { at, chance: 0.5 };
        let mut pauses = Vec::new();
        for _ in 0..12 {
            since = since.then(false, at);
            pauses.push(after(since, at, HOUR));
        }
        let doubled = [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600];
        assert_eq!(pauses, doubled);
        assert_eq!(after(since, at, Duration::from_secs(1)), 60);
        assert_eq!(after(since.then(true, at), at, HOUR), 3600);
    }

    #[test]
    fn a_shorter_interval_counts_at_once() {
        let at = Instant::now();
        let since = ReadAfter::Reading { at };
        assert_eq!(after(since, at, HOUR), 3600);
        assert_eq!(after(since, at, Duration::from_secs(60)), 60);
    }
}
