//! How a call begins: with the permit of an object, or as a spare one that nobody waits for.

use std::task::Poll;

use tokio::time::Instant;

use super::{Core, LaneId, Move, Underway};
use crate::remote::client::Authorization;
use crate::session::Purpose;

impl Core {
    /// Turns the permit of `uid`, where it is for this, into a call with the token that comes back: one that the
    /// credential of the permit has obtained, and no other.
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
        // Without a token there is no permit: whatever drops the one voids the other.
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

    /// One more wants a spare call.
    pub(in crate::session) fn want_spare(&mut self, id: LaneId) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.spare += 1;
        }
    }

    /// One less wants a spare call.
    pub(in crate::session) fn forgo_spare(&mut self, id: LaneId) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.spare = lane.spare.saturating_sub(1);
        }
    }

    /// Begins a call that nobody in the queue waits for, with the token that comes back; `None` where
    /// nothing is begun any more. Only for who [wants](Self::want_spare) one.
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
