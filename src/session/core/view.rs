//! What a session shows of itself, without changing.

use std::time::Duration;

use tokio::time::Instant;

use super::{Core, LaneId};
use crate::session::{SessionState, Turn};

impl Core {
    /// What all who call by this credential wait for.
    pub(in crate::session) fn state(&self, id: LaneId, now: Instant) -> SessionState {
        let Some(lane) = self.lanes.get(&id) else {
            return SessionState::Open;
        };
        if self.is_superseded(id) {
            SessionState::Superseded
        } else if let Some(state) = lane.health.ailment() {
            state.clone()
        } else if let Some(life) = self.only_logins(id, now) {
            SessionState::QuotaTooSmall { life }
        } else if let Some(until) = self.budget.throttled_until(now)
            && self.is_wanted()
        {
            SessionState::Throttled { until }
        } else if let Some(detail) = lane.tokens.last_refusal() {
            SessionState::TokenRefused(detail.clone())
        } else {
            SessionState::Open
        }
    }

    /// Whether anybody waits for a call, or for the answer to one.
    fn is_wanted(&self) -> bool {
        let mut lanes = self.lanes.values();
        let waits = lanes.any(|lane| !lane.queue.is_empty() || lane.spare > 0);
        waits || !(self.permits.is_empty() && self.under_way.is_empty())
    }

    /// About how long until the turn of the one at `position`.
    pub(in crate::session) fn estimate(
        &self,
        id: LaneId,
        position: usize,
        now: Instant,
    ) -> Duration {
        let left = |at: Instant| at.saturating_duration_since(now);
        let lane = self.lanes.get(&id);
        let probe = lane.and_then(|lane| lane.health.next_probe()).map(left);
        let logged_in = lane.is_some_and(|lane| lane.tokens.current().is_some());
        let turn = self.login_waits(id).filter(|_| !logged_in).map(left);
        let login = self.next_login(id, now).map(left);
        let own = self.budget.estimate(position, now);
        own.max(probe.max(turn).max(login).unwrap_or(Duration::ZERO))
    }

    /// The first `most` of those who wait, with about how long until their turns.
    pub(in crate::session) fn turns(&self, id: LaneId, most: usize, now: Instant) -> Vec<Turn> {
        let Some(lane) = self.lanes.get(&id) else {
            return Vec::new();
        };
        let turns = lane.queue.turns().take(most).zip(1..);
        let turn = |(ticket, position)| Turn {
            ticket,
            estimated: self.estimate(id, position, now),
        };
        turns.map(turn).collect()
    }

    /// When the next probe goes, where there is something to probe for.
    pub(in crate::session) fn next_probe(&self, id: LaneId) -> Option<Instant> {
        self.lanes.get(&id)?.health.next_probe()
    }

    /// Whether another login is accepted beside that of this lane, so that they take turns.
    pub(in crate::session) fn takes_turns(&self, id: LaneId) -> bool {
        let mut all = self.lanes.iter();
        self.speaks_for_application(id)
            && all.any(|(other, lane)| *other != id && lane.speaks_for_application())
    }

    /// Whether its credential proves to those with others whose application it is.
    pub(in crate::session) fn speaks_for_application(&self, id: LaneId) -> bool {
        let lane = self.lanes.get(&id);
        lane.is_some_and(super::Lane::speaks_for_application)
    }

    /// How long a call counts after its answer.
    pub(in crate::session) fn window(&self) -> Duration {
        self.budget.window()
    }

    /// How many wait.
    pub(in crate::session) fn waiting(&self, id: LaneId) -> usize {
        self.lanes.get(&id).map_or(0, |lane| lane.queue.len())
    }

    /// How many wait in all lanes.
    pub(super) fn all_waiting(&self) -> usize {
        self.lanes.values().map(|lane| lane.queue.len()).sum()
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
    pub(in crate::session) fn token_ends(&self, id: LaneId) -> Option<Instant> {
        self.lanes.get(&id)?.tokens.ends()
    }

    /// How many logins were begun.
    pub(in crate::session) fn logins(&self, id: LaneId) -> u64 {
        self.lanes.get(&id).map_or(0, |lane| lane.tokens.logins())
    }

    /// Whether no call is out and all of the log has left the window.
    pub(in crate::session) fn spent(&self, now: Instant) -> bool {
        self.budget.in_flight() == 0 && self.budget.spent_until() <= now
    }
}
