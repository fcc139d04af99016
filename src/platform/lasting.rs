//! What only fails for so long that a person has to hear of it.

use std::time::Duration;

use tokio::time::Instant;

/// After so long it lasts: a start of the API server is over by then.
const LASTS: Duration = Duration::from_secs(30);

/// Failures with no success between them.
pub(super) struct LastingFailure {
    since: Instant,
    /// How the last one is told.
    words: String,
}

impl LastingFailure {
    /// Puts one more failure behind those before it.
    pub(super) fn after(before: Option<Self>, words: String, now: Instant) -> Self {
        let since = before.map_or(now, |before| before.since);
        Self { since, words }
    }

    /// How the last one is told, if they last.
    pub(super) fn lasting(&self, now: Instant) -> Option<&str> {
        (now.saturating_duration_since(self.since) >= LASTS).then_some(&self.words)
    }
}
