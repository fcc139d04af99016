//! When a login or a try of a credential may begin, beside the other credentials of the application.
//!
//! Only the newest token of an application is alive, so a login of one credential ends the token of another. Two
//! accepted logins take turns, at most once in five minutes. A credential that isn't proven is tried beside an accepted
//! credential at most once a minute.

use std::time::Duration;

use tokio::time::Instant;

use super::{Core, LaneId, Learned, LoginOrder, Underway};
use crate::session::budget::Room;
use crate::session::circuit_breaker::Gate;
use crate::session::credential::REFUSED_FOR;

/// The interval at which two accepted logins take turns.
const CHANGE_OVER: Duration = Duration::from_secs(300);
/// The interval at which unproven credentials are tried beside an accepted credential.
const TRY_PACE: Duration = Duration::from_secs(60);
/// The interval of tries at a person's request, where no other credential uses the application.
const ASK_PACE: Duration = Duration::from_secs(5);

/// Whether a credential is tried although no object of its lane waits for a call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum NextTry {
    No,
    At(Instant),
    Now,
}

/// A request for a try of a credential.
struct Wish {
    /// Whether a person's word, such as a release, waits for the result. Such a try is made before all others.
    first: bool,
    since: Instant,
    not_before: Instant,
    /// Whether the try is rate-limited: one such try is made a minute, the longest awaited first.
    in_turn: bool,
}

impl Core {
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

    /// Begins the login of a lane.
    pub(super) fn begin_login(
        &mut self,
        id: LaneId,
        probe: bool,
        now: Instant,
    ) -> Option<LoginOrder> {
        let order = self.lanes.get_mut(&id)?.tokens.begin_login()?;
        Some(LoginOrder {
            call: self.begin_try(id, probe, order.credential, now),
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
        Some(LoginOrder {
            call: self.begin_try(id, probe, serial, now),
            secret,
        })
    }

    /// Counts a call that tries the credential of a lane, and returns the call.
    fn begin_try(&mut self, id: LaneId, probe: bool, serial: u64, now: Instant) -> Underway {
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
        Underway {
            lane: id,
            started: now,
            probe,
            waits: None,
            serial,
        }
    }

    /// Whether another lane's login was accepted last and that lane has members.
    pub(super) fn is_served_by_another(&self, id: LaneId) -> bool {
        // A token that a login has superseded isn't used, even if it was tried later.
        let live = self
            .live
            .filter(|live| *live != id && !self.is_superseded(*live));
        let live = live.and_then(|live| self.lanes.get(&live));
        live.is_some_and(|lane| lane.abandoned.is_none())
    }

    /// Returns the time at which the credential is tried for callers that wait to know whether the platform accepts it.
    pub(super) fn trial(&self, id: LaneId, now: Instant) -> NextTry {
        let mut soonest = None::<Instant>;
        for wish in self.wishes(id, now) {
            if wish.not_before > now {
                soonest = Some(soonest.map_or(wish.not_before, |at| at.min(wish.not_before)));
            } else if self.others_come_first(id, &wish, now) {
                // The other try is made first, and postpones this try.
                soonest.get_or_insert(now + TRY_PACE);
            } else {
                return NextTry::Now;
            }
        }
        soonest.map_or(NextTry::No, NextTry::At)
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

    /// Whether a try of another credential can be made now and has waited longer.
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
}
