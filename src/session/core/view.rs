//! Read-only views of a session's state.

use std::time::Duration;

use tokio::time::Instant;

use super::{Core, LaneId};
use crate::session::{SessionState, Turn};

impl Core {
    /// Returns the state that all objects of the lane wait for.
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

    /// Whether any object or caller waits for a call or for an answer.
    fn is_wanted(&self) -> bool {
        let mut lanes = self.lanes.values();
        let waits = lanes.any(|lane| !lane.queue.is_empty() || lane.spare > 0);
        waits || !(self.permits.is_empty() && self.under_way.is_empty())
    }

    /// Returns the estimated time until the turn of the ticket at `position`.
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

    /// Returns the first `most` tickets, with the estimated time until their turns.
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

    /// Returns the time at which the next probe is made; `None` if the lane isn't probed.
    pub(in crate::session) fn next_probe(&self, id: LaneId) -> Option<Instant> {
        self.lanes.get(&id)?.health.next_probe()
    }

    /// Whether the lane's login and the login of another lane are both accepted, so that the two take turns.
    pub(in crate::session) fn takes_turns(&self, id: LaneId) -> bool {
        let mut all = self.lanes.iter();
        self.speaks_for_application(id)
            && all.any(|(other, lane)| *other != id && lane.speaks_for_application())
    }

    /// Whether the lane's credential proves to Platforms of other credentials that it belongs to the application.
    pub(in crate::session) fn speaks_for_application(&self, id: LaneId) -> bool {
        let lane = self.lanes.get(&id);
        lane.is_some_and(super::Lane::speaks_for_application)
    }

    /// Returns how long a call counts after its answer.
    pub(in crate::session) fn window(&self) -> Duration {
        self.budget.window()
    }

    /// Returns the number of tickets in the lane's queue.
    pub(in crate::session) fn waiting(&self, id: LaneId) -> usize {
        self.lanes.get(&id).map_or(0, |lane| lane.queue.len())
    }

    /// Returns the number of tickets in the queues of all lanes.
    pub(super) fn all_waiting(&self) -> usize {
        self.lanes.values().map(|lane| lane.queue.len()).sum()
    }

    /// Returns the number of calls that count now, with calls in flight.
    pub(in crate::session) fn calls_in_window(&self, now: Instant) -> usize {
        self.budget.used(now)
    }

    /// Returns the number of calls that one window may hold now.
    pub(in crate::session) fn limit(&self, now: Instant) -> usize {
        self.budget.fits(now)
    }

    /// Returns the time at which the lane's token expires, if that is known.
    pub(in crate::session) fn token_ends(&self, id: LaneId) -> Option<Instant> {
        self.lanes.get(&id)?.tokens.ends()
    }

    /// Returns the number of logins that the lane has begun.
    pub(in crate::session) fn logins(&self, id: LaneId) -> u64 {
        self.lanes.get(&id).map_or(0, |lane| lane.tokens.logins())
    }

    /// Whether no call is in flight and all logged calls have left the window.
    pub(in crate::session) fn spent(&self, now: Instant) -> bool {
        self.budget.in_flight() == 0 && self.budget.spent_until() <= now
    }
}
