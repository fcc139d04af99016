//! Choice of the next call: which lane has the turn, and whether a login comes before the call.
//!
//! Lanes take turns. A login that would end the token of another lane waits for all calls in flight; `login_pace` says
//! when the login may be made. With one credential, none of these rules matters.

use tokio::time::Instant;

use super::login_pace::NextTry;
use super::{Core, LaneId};
use crate::session::budget::Room;
use crate::session::circuit_breaker::Gate;
use crate::session::token::Need;

/// The next action of the session.
#[derive(Debug, Clone, Copy)]
pub(super) enum Move {
    Grant {
        lane: LaneId,
        probe: bool,
    },
    /// A call that no queued object waits for.
    Spare {
        lane: LaneId,
        probe: bool,
    },
    Login {
        lane: LaneId,
        probe: bool,
    },
    /// A list of one entry that tests a token.
    Trial {
        lane: LaneId,
        probe: bool,
    },
    Wait(Option<Instant>),
}

/// The next action of one lane.
pub(super) enum LaneTurn {
    /// The lane has nothing to do.
    Idle,
    Go(Move),
    /// The lane's login waits until the calls of other lanes have ended; meanwhile no lane begins a call.
    Drain,
    Wait(Option<Instant>),
}

impl Core {
    pub(super) fn next_move(&mut self, now: Instant) -> Move {
        if self.closed || !self.may_send(now) {
            return Move::Wait(None);
        }
        let (mut spare, mut first, mut until) = (None, None, None::<Instant>);
        for id in self.in_turn() {
            match self.turn_of(id, now) {
                LaneTurn::Idle | LaneTurn::Wait(None) => {}
                LaneTurn::Drain => return Move::Wait(None),
                LaneTurn::Go(next @ Move::Spare { .. }) => {
                    spare.get_or_insert(next);
                }
                LaneTurn::Go(next) => {
                    first.get_or_insert(next);
                }
                LaneTurn::Wait(Some(at)) => until = Some(until.map_or(at, |until| until.min(at))),
            }
        }
        first.or(spare).unwrap_or(Move::Wait(until))
    }

    /// Returns all lanes in the order of their turns; the lane with the last turn comes last.
    fn in_turn(&self) -> Vec<LaneId> {
        let (mut after, before): (Vec<_>, Vec<_>) = self
            .lanes
            .keys()
            .copied()
            .partition(|id| Some(*id) > self.last_turn);
        after.extend(before);
        after
    }

    fn turn_of(&mut self, id: LaneId, now: Instant) -> LaneTurn {
        let Some(lane) = self.lanes.get(&id) else {
            return LaneTurn::Idle;
        };
        if lane.abandoned.is_some() {
            return LaneTurn::Idle;
        }
        let superseded = self.is_superseded(id);
        let queued = !lane.queue.is_empty() && !superseded;
        let spare = lane.spare > 0 && !superseded;
        let trial = self.trial(id, now);
        match trial {
            NextTry::No if !queued && !spare => return LaneTurn::Idle,
            NextTry::At(at) if !queued && !spare => return LaneTurn::Wait(Some(at)),
            NextTry::No | NextTry::At(_) | NextTry::Now => {}
        }
        let trial = trial == NextTry::Now;
        if trial && let Some(lane) = self.lanes.get_mut(&id).filter(|lane| lane.asked.is_some()) {
            // A person asks for this try, so the pause after failures doesn't apply.
            lane.health.try_now(now);
        }
        let Some(lane) = self.lanes.get(&id) else {
            return LaneTurn::Idle;
        };
        if self.others(id).any(|other| other.tokens.is_logging_in()) {
            return LaneTurn::Wait(None);
        }
        let probe = match lane.health.gate(now) {
            Gate::Open => false,
            Gate::Probe => true,
            Gate::At(at) => return LaneTurn::Wait(Some(at)),
            Gate::Answer => return LaneTurn::Wait(None),
        };
        let (login, alone) = match lane.tokens.need(now) {
            // The first call with a handed-in token is made with no other call of its lane in flight, because the token
            // may be refused.
            Need::Nothing if !lane.is_proven() => (false, true),
            Need::Nothing => (false, probe || lane.tokens.doubtful()),
            Need::Login => {
                let vain = (!trial).then(|| self.login_in_vain(lane, !queued, now));
                if let Some(instead) = vain.flatten() {
                    return instead;
                }
                (true, probe)
            }
            Need::Renewal if self.renewal_in_vain(lane, !queued && !trial, now) => {
                (false, probe || lane.tokens.doubtful())
            }
            // A login ends the old token, which calls in flight still need.
            Need::Renewal => (true, true),
            Need::At(at) => return LaneTurn::Wait(Some(at)),
            Need::Answer => return LaneTurn::Wait(None),
        };
        if login && !queued && !trial && self.is_served_by_another(id) {
            // A login that no caller waits for must not end another lane's token.
            return LaneTurn::Idle;
        }
        if login && let Some(at) = self.login_waits(id).filter(|at| *at > now) {
            return LaneTurn::Wait(Some(at));
        }
        if alone && self.out_of(id) > 0 {
            return LaneTurn::Wait(None);
        }
        let spare = !queued && !trial;
        let room = self.room_of(id, spare, now);
        // A spare call isn't worth a record of its own; the next regular record is soon enough.
        let free = self.budget.free(now);
        if !spare && room == Room::Now && self.runs_short(free) {
            self.lease_bounds.ask();
        }
        match room {
            Room::Now if self.lease_bounds.left() == 0 => LaneTurn::Wait(None),
            Room::Now if login && self.budget.in_flight() > self.out_of(id) => LaneTurn::Drain,
            Room::Now if login => LaneTurn::Go(Move::Login { lane: id, probe }),
            Room::Now if trial && (!queued || self.asks(id)) => {
                LaneTurn::Go(Move::Trial { lane: id, probe })
            }
            Room::Now if spare => LaneTurn::Go(Move::Spare { lane: id, probe }),
            Room::Now if self.may_permit() => LaneTurn::Go(Move::Grant { lane: id, probe }),
            Room::At(at) => LaneTurn::Wait(Some(at)),
            Room::Now | Room::AfterAnswer => LaneTurn::Wait(None),
        }
    }

    /// Whether a handed-in token isn't used, because a login of another credential works.
    pub(super) fn is_superseded(&self, id: LaneId) -> bool {
        let own = self.lanes.get(&id);
        own.is_some_and(|lane| !lane.terms.credential.logs_in())
            && self.others(id).any(super::Lane::speaks_for_application)
    }

    /// Returns the number of calls in flight and unused permits of a lane.
    pub(super) fn out_of(&self, id: LaneId) -> usize {
        let permits = self.permits.values().filter(|permit| permit.lane == id);
        let calls = self.under_way.iter().filter(|(_, lane)| *lane == id);
        permits.count() + calls.count()
    }

    pub(super) fn others(&self, id: LaneId) -> impl Iterator<Item = &super::Lane> {
        let others = self.lanes.iter().filter(move |(other, _)| **other != id);
        others.map(|(_, lane)| lane)
    }

    fn asks(&self, id: LaneId) -> bool {
        self.lanes.get(&id).is_some_and(|lane| lane.asked.is_some())
    }

    /// Returns whether there is room for a call of this lane: within the session's bounds, which count the calls of all
    /// lanes, and within the lane's own bounds, which count only its calls.
    fn room_of(&self, id: LaneId, spare: bool, now: Instant) -> Room {
        let shared = if spare {
            self.budget.spare_room(now)
        } else {
            self.budget.room(now)
        };
        match (shared, self.own_room(id, now)) {
            (Room::AfterAnswer, _) | (_, Room::AfterAnswer) => Room::AfterAnswer,
            (Room::At(one), Room::At(other)) => Room::At(one.max(other)),
            (Room::At(at), Room::Now) | (Room::Now, Room::At(at)) => Room::At(at),
            (Room::Now, Room::Now) => Room::Now,
        }
    }

    /// Returns whether the lane's own bounds leave room for one more of its calls. The lane of an accepted login needs
    /// no second check, because the session's bounds are at least as strict as the bounds of this lane. The bounds of
    /// any other lane may be stricter than the session's bounds.
    pub(super) fn own_room(&self, id: LaneId, now: Instant) -> Room {
        let lane = self.lanes.get(&id);
        let lane = lane.filter(|lane| !lane.speaks_for_application());
        lane.map_or(Room::Now, |lane| lane.own_room(self.out_of(id), now))
    }
}
