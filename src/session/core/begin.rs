//! The start of a call: with the permit of an object, or as a spare call that no queued object waits for.

use std::task::Poll;

use tokio::time::Instant;

use super::{Core, LaneId, Move, Underway};
use crate::remote::client::Authorization;
use crate::session::Purpose;

impl Core {
    /// Turns the permit of `uid` for `purpose` into a call. Returns the call with a token that the credential of the
    /// permit has obtained; `None` without such a permit, or while the session may not send.
    pub(in crate::session) fn begin(
        &mut self,
        id: LaneId,
        uid: &str,
        purpose: Purpose,
        now: Instant,
    ) -> Option<(Underway, Authorization)> {
        self.tidy(now);
        if self.closed || !self.may_send(now) {
            return None;
        }
        // A permit exists only with a token: dropping the token voids the permit.
        let (authorization, serial) = self.lanes.get(&id)?.tokens.authorization()?;
        self.permits
            .get(uid)
            .filter(|permit| permit.purpose == purpose && permit.lane == id)?;
        let permit = self.permits.remove(uid)?;
        let call = Underway {
            lane: id,
            started: now,
            probe: permit.probe,
            waits: Some((uid.to_owned(), purpose)),
            serial,
        };
        self.under_way.push((now, id));
        Some((call, authorization))
    }

    /// Counts one more caller that wants a spare call.
    pub(in crate::session) fn want_spare(&mut self, id: LaneId) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.spare += 1;
        }
    }

    /// Counts one caller fewer that wants a spare call.
    pub(in crate::session) fn forgo_spare(&mut self, id: LaneId) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.spare = lane.spare.saturating_sub(1);
        }
    }

    /// Begins a spare call, which no queued object waits for, and returns it with its token; `None` if no call begins
    /// any more. The caller must have registered with [`want_spare`](Self::want_spare).
    pub(in crate::session) fn begin_spare(
        &mut self,
        id: LaneId,
        now: Instant,
    ) -> Poll<Option<(Underway, Authorization)>> {
        self.tidy(now);
        let lane = self.lanes.get(&id);
        let serves = lane.is_some_and(|lane| lane.abandoned.is_none());
        if self.closed || !serves {
            return Poll::Ready(None);
        }
        let probe = match self.next_move(now) {
            Move::Spare { lane, probe } if lane == id => probe,
            Move::Spare { .. }
            | Move::Grant { .. }
            | Move::Login { .. }
            | Move::Trial { .. }
            | Move::Wait(_) => return Poll::Pending,
        };
        let lane = self.lanes.get(&id);
        let Some((authorization, serial)) = lane.and_then(|lane| lane.tokens.authorization())
        else {
            return Poll::Pending;
        };
        self.take(id, probe, now);
        self.under_way.push((now, id));
        let call = Underway {
            lane: id,
            started: now,
            probe,
            waits: None,
            serial,
        };
        Poll::Ready(Some((call, authorization)))
    }
}
