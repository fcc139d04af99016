//! Failures that are reported only once they have lasted for 30 s.

use std::time::Duration;

use tokio::time::Instant;

/// The time after which a failure is reported; a start of the API server is over by then.
const LASTS: Duration = Duration::from_secs(30);

/// A series of failures with no success between them.
pub(super) struct LastingFailure {
    since: Instant,
    /// The message of the last failure.
    words: String,
}

impl LastingFailure {
    /// Adds one more failure to the series `before`.
    pub(super) fn after(before: Option<Self>, words: String, now: Instant) -> Self {
        let since = before.map_or(now, |before| before.since);
        Self { since, words }
    }

    /// The message of the last failure, if the series has lasted for 30 s.
    pub(super) fn lasting(&self, now: Instant) -> Option<&str> {
        (now.saturating_duration_since(self.since) >= LASTS).then_some(&self.words)
    }
}
