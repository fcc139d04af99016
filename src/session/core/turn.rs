//! Choice of the next call: which lane has the turn, and whether a login comes before the call.
//!
//! Only the newest token of an application is alive, so a login of one credential ends the token of another. With one
//! credential, none of these rules matters.
//!
//! Lanes take turns. A login that would end the token of another lane waits for all calls in flight, and goes at most
//! once in five minutes. A credential that isn't proven is tried beside an accepted one at most once a minute.

use std::time::Duration;

use tokio::time::Instant;

use super::lane::REFUSED_FOR;
use super::{Core, LaneId, Learned, LoginOrder, Underway};
use crate::session::breaker::Gate;
use crate::session::budget::Room;
use crate::session::token::Need;

/// The interval at which two accepted logins take turns.
const CHANGE_OVER: Duration = Duration::from_secs(300);
/// The interval at which unproven credentials are tried beside an accepted one.
const TRY_PACE: Duration = Duration::from_secs(60);
/// The interval of tries at a person's request, where no other credential uses the application.
const ASK_PACE: Duration = Duration::from_secs(5);

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

/// Whether a credential is tried although no object of its lane waits for a call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trial {
    No,
    At(Instant),
    Now,
}

/// A request for a try of a credential.
struct Wish {
    /// Whether a person's word waits for the try, so that it goes before all others.
    first: bool,
    since: Instant,
    not_before: Instant,
    /// Whether the try is rate-limited: one such try goes a minute, the longest awaited first.
    in_turn: bool,
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
            Trial::No if !queued && !spare => return LaneTurn::Idle,
            Trial::At(at) if !queued && !spare => return LaneTurn::Wait(Some(at)),
            Trial::No | Trial::At(_) | Trial::Now => {}
        }
        let trial = trial == Trial::Now;
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
            // The first call with a handed-in token goes alone, because the token may be refused.
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

    /// Returns the time until which the login of this lane waits for the sake of the other lanes.
    pub(super) fn login_waits(&self, id: LaneId) -> Option<Instant> {
        let lane = self.lanes.get(&id)?;
        let changes_over = self.is_served_by_another(id);
        let turn = self.changed_over.filter(|_| changes_over);
        let beside = self.others(id).any(super::Lane::counts_for_others);
        let tried = self.tried.filter(|_| beside && !lane.is_proven());
        turn.map(|at| at + CHANGE_OVER)
            .max(tried.map(|at| at + TRY_PACE))
    }

    /// Returns the number of calls in flight and unused permits of a lane.
    pub(super) fn out_of(&self, id: LaneId) -> usize {
        let permits = self.permits.values().filter(|permit| permit.lane == id);
        let calls = self.under_way.iter().filter(|(_, lane)| *lane == id);
        permits.count() + calls.count()
    }

    /// Begins the login of a lane.
    pub(super) fn begin_login(
        &mut self,
        id: LaneId,
        probe: bool,
        now: Instant,
    ) -> Option<LoginOrder> {
        let order = self.lanes.get_mut(&id)?.tokens.begin_login()?;
        self.begin_try(id, probe, now);
        Some(LoginOrder {
            call: Underway {
                lane: id,
                started: now,
                probe,
                waits: None,
                serial: order.credential,
            },
            secret: order.secret,
        })
    }

    /// Begins a trial: a list of one entry with the lane's token.
    pub(super) fn begin_trial(
        &mut self,
        id: LaneId,
        probe: bool,
        now: Instant,
    ) -> Option<LoginOrder> {
        let lane = self.lanes.get_mut(&id)?;
        let (secret, serial) = lane.tokens.current()?;
        self.begin_try(id, probe, now);
        Some(LoginOrder {
            call: Underway {
                lane: id,
                started: now,
                probe,
                waits: None,
                serial,
            },
            secret,
        })
    }

    fn begin_try(&mut self, id: LaneId, probe: bool, now: Instant) {
        self.take(id, probe, now);
        self.under_way.push((now, id));
        let beside = self.others(id).any(super::Lane::counts_for_others);
        if let Some(lane) = self.lanes.get_mut(&id) {
            let for_others = lane.awaited.is_some();
            if lane.asked.take().is_some() {
                lane.tried_as_asked = Some(now);
            }
            if !lane.is_proven() && (beside || for_others) {
                self.tried = Some(now);
            }
        }
    }

    fn others(&self, id: LaneId) -> impl Iterator<Item = &super::Lane> {
        let others = self.lanes.iter().filter(move |(other, _)| **other != id);
        others.map(|(_, lane)| lane)
    }

    /// Whether another lane's login was accepted last and that lane has members.
    fn is_served_by_another(&self, id: LaneId) -> bool {
        // A token that a login has superseded isn't used, even if it was tried later.
        let live = self
            .live
            .filter(|live| *live != id && !self.is_superseded(*live));
        let live = live.and_then(|live| self.lanes.get(&live));
        live.is_some_and(|lane| lane.abandoned.is_none())
    }

    fn asks(&self, id: LaneId) -> bool {
        self.lanes.get(&id).is_some_and(|lane| lane.asked.is_some())
    }

    /// Returns when the credential is tried for callers that wait to know whether the platform accepts it.
    fn trial(&self, id: LaneId, now: Instant) -> Trial {
        let mut soonest = None::<Instant>;
        for wish in self.wishes(id, now) {
            if wish.not_before > now {
                soonest = Some(soonest.map_or(wish.not_before, |at| at.min(wish.not_before)));
            } else if self.others_come_first(id, &wish, now) {
                // The other try moves the time of this one.
                soonest.get_or_insert(now + TRY_PACE);
            } else {
                return Trial::Now;
            }
        }
        soonest.map_or(Trial::No, Trial::At)
    }

    /// Returns the requests for a try of this credential: a person's request, and the request of claims and holds that
    /// depend on the result.
    fn wishes(&self, id: LaneId, now: Instant) -> Vec<Wish> {
        let Some(lane) = self.lanes.get(&id) else {
            return Vec::new();
        };
        let paced = self.tried.map_or(now, |at| at + TRY_PACE);
        let by_a_person = lane.asked.map(|since| {
            let beside = self.others(id).any(super::Lane::counts_for_others);
            let in_turn = beside && !lane.is_proven();
            let shared = self.others(id).any(|other| other.abandoned.is_none());
            let pace = if self.is_superseded(id) {
                // A try would end the token of the login in use.
                CHANGE_OVER
            } else if shared {
                TRY_PACE
            } else {
                ASK_PACE
            };
            let own = lane.tried_as_asked.map_or(now, |at| at + pace);
            let not_before = if in_turn { own.max(paced) } else { own };
            Wish {
                first: false,
                since,
                not_before,
                in_turn,
            }
        });
        let refused_until = match &lane.learned {
            Learned::Refused(at, _) => *at + REFUSED_FOR,
            Learned::Untried | Learned::Proven(_) => now,
        };
        let awaited = lane.awaited.filter(|_| !lane.is_proven());
        let by_others = awaited.map(|since| Wish {
            first: lane.first,
            since,
            not_before: paced.max(refused_until),
            in_turn: true,
        });
        by_a_person.into_iter().chain(by_others).collect()
    }

    /// Whether a try of another credential can go now and has waited longer.
    fn others_come_first(&self, id: LaneId, wish: &Wish, now: Instant) -> bool {
        let mut others = self.lanes.iter().filter(|(other, _)| **other != id);
        wish.in_turn
            && others.any(|(other, lane)| {
                let open = match lane.health.gate(now) {
                    Gate::Open | Gate::Probe => true,
                    Gate::At(_) | Gate::Answer => lane.asked.is_some(),
                };
                let earlier = |theirs: &Wish| {
                    let places = (!theirs.first, theirs.since) < (!wish.first, wish.since);
                    theirs.in_turn && theirs.not_before <= now && places
                };
                open && self.login_waits(*other).is_none_or(|at| at <= now)
                    && self.own_room(*other, now) == Room::Now
                    && self.wishes(*other, now).iter().any(earlier)
            })
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

    /// Returns whether the lane's own bounds leave room for one more of its calls. The bounds of an accepted login are
    /// part of the session's bounds already; of handed-in tokens, only the widest bounds are.
    fn own_room(&self, id: LaneId, now: Instant) -> Room {
        let lane = self.lanes.get(&id);
        let lane = lane.filter(|lane| !lane.speaks_for_application());
        lane.map_or(Room::Now, |lane| lane.own_room(self.out_of(id), now))
    }
}
