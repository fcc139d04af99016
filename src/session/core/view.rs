//! What a session shows of itself, without changing.

use std::time::Duration;

use tokio::time::Instant;

use super::Core;
use crate::session::{State, Turn};

impl Core {
    /// What all wait for.
    pub(in crate::session) fn state(&self, now: Instant) -> State {
        if let Some(state) = self.health.ailment() {
            state.clone()
        } else if let Some(until) = self.budget.throttled_until(now)
            && self.is_wanted()
        {
            State::Throttled { until }
        } else if let Some(detail) = self.tokens.last_refusal() {
            State::TokenRefused(detail.clone())
        } else {
            State::Open
        }
    }

    /// Whether anybody waits for a call, or for the answer to one.
    fn is_wanted(&self) -> bool {
        let idle = self.queue.is_empty() && self.permits.is_empty() && self.under_way.is_empty();
        !idle || self.spare > 0
    }

    /// About how long until the turn of the one at `position`.
    pub(in crate::session) fn estimate(&self, position: usize, now: Instant) -> Duration {
        let probe = self.health.next_probe();
        let probe = probe.map_or(Duration::ZERO, |next| next.saturating_duration_since(now));
        self.budget.estimate(position, now).max(probe)
    }

    /// The first `most` of those who wait, with about how long until their turns.
    pub(in crate::session) fn turns(&self, most: usize, now: Instant) -> Vec<Turn> {
        let turns = self.queue.turns().take(most).zip(1..);
        let turn = |(ticket, position)| Turn {
            ticket,
            estimated: self.estimate(position, now),
        };
        turns.map(turn).collect()
    }

    /// When the next probe goes, where there is something to probe for.
    pub(in crate::session) fn next_probe(&self) -> Option<Instant> {
        self.health.next_probe()
    }

    /// How long a call counts after its answer.
    pub(in crate::session) fn window(&self) -> Duration {
        self.budget.window()
    }

    /// How many wait.
    pub(in crate::session) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Calls that count now, those under way included.
    pub(in crate::session) fn calls_in_window(&self, now: Instant) -> usize {
        self.budget.used(now)
    }

    /// How many calls one window may hold now.
    pub(in crate::session) fn limit(&self, now: Instant) -> usize {
        self.budget.fits(now)
    }

    /// When the token ends, if there is one whose end is known.
    pub(in crate::session) fn token_ends(&self) -> Option<Instant> {
        self.tokens.ends()
    }

    /// How many logins were begun.
    pub(in crate::session) fn logins(&self) -> u64 {
        self.tokens.logins()
    }

    /// Whether no call is out and all of the log has left the window.
    pub(in crate::session) fn spent(&self, now: Instant) -> bool {
        self.budget.in_flight() == 0 && self.budget.spent_until() <= now
    }
}
