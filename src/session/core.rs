//! The state and the rules of one session, without I/O: the time is an argument, and the actions to take are returned
//! as a [`Step`].
//!
//! The budget belongs to the application and counts every call. Each distinct credential has a [`Lane`] with its own
//! queue, token and health.
//!
//! The limit of a session is the lowest limit of the lanes whose login is accepted, and its window is the longest
//! window of these lanes. Every other lane is also bound by its own limit. That limit counts only the lane's own calls
//! since the start of this process. If it counted all calls, a busy lane would use up the small quota of another lane
//! before that lane's first call. With one credential the two limits are the same.

#![deny(clippy::wildcard_enum_match_arm)]

mod begin;
mod handover;
mod in_vain;
mod lane;
mod learn;
mod login_pace;
mod permits;
mod shared_turn;
mod turn;
mod view;

use std::collections::BTreeMap;
use std::mem;
use std::time::Duration;

use fastrand::Rng;
use secrecy::SecretString;
use tokio::time::Instant;

pub(super) use self::lane::{Lane, LaneId, Learned};
use self::turn::Move;
use super::budget::Budget;
use super::lease_bounds::LeaseBounds;
use super::renewal_limit::RenewalLimit;
use super::{Credential, Purpose, Standing, Ticket};
use crate::api::names::ObjectKey;

/// How long a permit may stay unused before it is taken back.
const PERMIT_LASTS: Duration = Duration::from_secs(30);

/// The settings that the members of a lane agree on.
#[derive(Clone)]
pub(super) struct Terms {
    pub(super) calls: usize,
    pub(super) window: Duration,
    pub(super) credential: Credential,
}

/// A permit that hasn't been used yet.
struct Permit {
    lane: LaneId,
    key: ObjectKey,
    purpose: Purpose,
    given: Instant,
    probe: bool,
    intent: Option<String>,
}

/// A call in flight.
#[derive(Debug)]
pub(super) struct Underway {
    lane: LaneId,
    started: Instant,
    probe: bool,
    /// The object that waits for the call, and the call's purpose; `None` for a list page, which no object waits for,
    /// and for a login, which all objects wait for.
    waits: Option<(String, Purpose)>,
    /// The serial of the call's token; for a login, the revision of its credential.
    serial: u64,
}

/// A call that tries a credential: a login with a secret, or a list of one entry with a token.
pub(super) struct LoginOrder {
    pub(super) call: Underway,
    pub(super) secret: SecretString,
}

impl Underway {
    /// Returns the lane of the call.
    pub(super) fn lane(&self) -> LaneId {
        self.lane
    }
}

/// The actions to take now, and when to step again.
#[derive(Default)]
pub(super) struct Step {
    pub(super) wake: Vec<ObjectKey>,
    pub(super) login: Option<LoginOrder>,
    /// A trial: a list of one entry that tests a token.
    pub(super) trial: Option<LoginOrder>,
    /// Whether callers that wait for a spare call should try again.
    pub(super) spare: bool,
    /// Whether a record should be written before its regular time.
    pub(super) wants_record: bool,
    /// Whether something new was learned about a credential.
    pub(super) learned: bool,
    pub(super) next: Option<Instant>,
}

/// The state of one session.
#[allow(
    clippy::struct_excessive_bools,
    reason = "each stops or hastens calls for a reason of its own"
)]
pub(super) struct Core {
    budget: Budget,
    permits: BTreeMap<String, Permit>,
    /// The start and the lane of each call in flight.
    under_way: Vec<(Instant, LaneId)>,
    lease_bounds: LeaseBounds,
    pace: RenewalLimit,
    lanes: BTreeMap<LaneId, Lane>,
    /// The lane that had the last turn; the other lanes come first.
    last_turn: Option<LaneId>,
    /// The lane whose login was accepted last. Of the tokens of all logins, only the token of this lane is alive.
    live: Option<LaneId>,
    /// When the login of one credential last replaced the login of another.
    changed_over: Option<Instant>,
    /// When a credential that isn't proven was last tried.
    tried: Option<Instant>,
    chance: Rng,
    /// Whether a refusal changed the pause, and no record contains the change yet.
    untold: bool,
    /// Whether something was learned about a credential since the last step.
    learned: bool,
    /// Objects to wake because their standing changed although they requested nothing.
    woken: Vec<ObjectKey>,
    /// The time after its start at which a lost call is considered over.
    time_out: Duration,
    /// Whether sends are barred because this process doesn't see the cluster as it is.
    barred: bool,
    closed: bool,
}

impl Core {
    /// Creates a session with one lane under `terms`; the window up to `assumed_used_at` counts as fully used. The
    /// session sends nothing before [`Self::begin_lease`].
    pub(super) fn new(
        lane: LaneId,
        terms: Terms,
        assumed_used_at: Instant,
        time_out: Duration,
        mut chance: Rng,
    ) -> Self {
        Self {
            budget: Budget::new(terms.calls, terms.window, assumed_used_at),
            permits: BTreeMap::new(),
            under_way: Vec::new(),
            lease_bounds: LeaseBounds::default(),
            pace: RenewalLimit::default(),
            lanes: BTreeMap::from([(lane, Lane::new(terms, chance.fork()))]),
            last_turn: None,
            live: None,
            changed_over: None,
            tried: None,
            chance,
            untold: false,
            learned: false,
            woken: Vec::new(),
            time_out,
            barred: false,
            closed: false,
        }
    }

    /// See [`super::Session::try_soon`].
    pub(super) fn try_soon(&mut self, lane: LaneId, now: Instant) {
        if let Some(lane) = self.lanes.get_mut(&lane) {
            lane.health.try_soon(now);
        }
    }

    /// Allows the lane's next probe at once, because the cause of the lane's failures may be gone.
    pub(super) fn try_now(&mut self, lane: LaneId, now: Instant) {
        if let Some(lane) = self.lanes.get_mut(&lane) {
            lane.health.try_now(now);
        }
    }

    /// Closes the session: no permit is granted or used and no call begins from now on. Objects lose their permits, so
    /// no intent is written for them.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.void_all_permits();
    }

    /// Inserts or updates the ticket of an object that holds the turn of its package. Returns the object's standing.
    pub(super) fn request(&mut self, id: LaneId, ticket: &Ticket, now: Instant) -> Standing {
        self.tidy(now);
        if self
            .permits
            .get(&ticket.uid)
            .is_some_and(|permit| permit.lane != id)
        {
            self.take_permit_back(&ticket.uid);
        }
        if let Some(permit) = self.permits.get_mut(&ticket.uid) {
            if permit.purpose != ticket.purpose {
                permit.purpose = ticket.purpose;
                permit.intent = None;
            }
        } else if let Some(lane) = self.lanes.get_mut(&id) {
            lane.queue.insert(ticket);
            lane.health.goes_on(&ticket.uid, now);
            if lane.queue.len() == 1
                && let Move::Grant { lane, probe } = self.next_move(now)
                && lane == id
            {
                self.grant(id, probe, now);
            }
        }
        self.standing(id, &ticket.uid, now)
    }

    /// Returns the standing of an object that holds the turn of its package.
    pub(super) fn standing(&self, id: LaneId, uid: &str, now: Instant) -> Standing {
        if let Some(permit) = self.permits.get(uid).filter(|permit| permit.lane == id) {
            return Standing::Permitted {
                purpose: permit.purpose,
                intent: permit.intent.clone(),
            };
        }
        let Some(lane) = self.lanes.get(&id) else {
            return Standing::Absent;
        };
        match lane.queue.position(uid) {
            Some((position, purpose)) => Standing::Waiting {
                purpose,
                position,
                estimated: self.estimate(id, position, now),
                state: self.state(id, now),
                told: lane.notice.has_told(uid, &lane.queue),
            },
            None => Standing::Absent,
        }
    }

    /// Gives back the ticket or the unused permit of `uid`.
    pub(super) fn withdraw(&mut self, id: LaneId, uid: &str) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.queue.remove(uid);
        }
        if self
            .permits
            .get(uid)
            .is_some_and(|permit| permit.lane == id)
        {
            self.take_permit_back(uid);
        }
    }

    /// See [`super::Session::intend`].
    pub(super) fn intend(&mut self, id: LaneId, uid: &str, intent: String) {
        let permit = self.permits.get_mut(uid);
        if let Some(permit) = permit.filter(|permit| permit.lane == id) {
            permit.intent = Some(intent);
        }
    }

    /// Grants permits and begins logins and trials that are due. Returns the actions left to the dispatcher.
    pub(super) fn step(&mut self, now: Instant) -> Step {
        self.tidy(now);
        let mut step = Step::default();
        let moves = loop {
            match self.next_move(now) {
                Move::Grant { lane, probe } => {
                    let granted = self.grant(lane, probe, now);
                    self.woken.extend(granted);
                }
                Move::Login { lane, probe } => match self.begin_login(lane, probe, now) {
                    Some(order) => step.login = Some(order),
                    None => break None,
                },
                Move::Trial { lane, probe } => match self.begin_trial(lane, probe, now) {
                    Some(order) => step.trial = Some(order),
                    None => break None,
                },
                Move::Spare { .. } => {
                    step.spare = true;
                    break None;
                }
                Move::Wait(until) => break until,
            }
        };
        step.spare |= self.closed || self.is_abandoned();
        let unused = self.permits.values().map(|permit| permit.given).min();
        step.wake = mem::take(&mut self.woken);
        let mut candidates = vec![moves, unused.map(|given| given + PERMIT_LASTS)];
        let states: Vec<_> = self
            .lanes
            .keys()
            .map(|id| (*id, self.state(*id, now)))
            .collect();
        for (id, state) in states {
            if let Some(lane) = self.lanes.get_mut(&id) {
                let queue = &lane.queue;
                candidates.push(lane.notice.advance(&state, queue, now, &mut step.wake));
            }
        }
        step.next = candidates.into_iter().flatten().min();
        step.wants_record = self.wants_record();
        step.learned = mem::take(&mut self.learned);
        step
    }

    /// Bars the session from beginning calls, or lifts the bar.
    pub(super) fn bar(&mut self, barred: bool) {
        self.barred = barred;
    }

    /// Whether the session is closed.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Grants a permit to the next ticket. The permit for a probe goes to the object whose probe continues, or else to
    /// a ticket drawn by lot.
    fn grant(&mut self, id: LaneId, probe: bool, now: Instant) -> Option<ObjectKey> {
        let lane = self.lanes.get_mut(&id)?;
        let ticket = if probe {
            let begun = lane.health.begun_by().and_then(|uid| lane.queue.take(uid));
            begun.or_else(|| lane.queue.draw(lane.health.tries(), &mut self.chance))
        } else {
            lane.queue.pop()
        };
        let ticket = ticket?;
        self.take(id, probe, now);
        let permit = Permit {
            lane: id,
            key: ticket.key.clone(),
            purpose: ticket.purpose,
            given: now,
            probe,
            intent: None,
        };
        self.permits.insert(ticket.uid, permit);
        Some(ticket.key)
    }

    /// Takes a slot of the budget and of the reservation for one call.
    fn take(&mut self, id: LaneId, probe: bool, now: Instant) {
        self.last_turn = Some(id);
        self.budget.take(now);
        self.lease_bounds.take();
        if probe && let Some(lane) = self.lanes.get_mut(&id) {
            lane.health.probe_begun();
        }
    }

    /// Takes back unused permits that are too old, and drops expired tokens.
    fn tidy(&mut self, now: Instant) {
        let unused: Vec<_> = self
            .permits
            .iter()
            .filter(|(_, permit)| permit.given + PERMIT_LASTS <= now)
            .map(|(uid, _)| uid.clone())
            .collect();
        for uid in unused {
            let key = self.take_permit_back(&uid);
            self.woken.extend(key);
        }
        let expired: Vec<_> = self
            .lanes
            .iter_mut()
            .filter_map(|(id, lane)| lane.tokens.expire(now).then_some(*id))
            .collect();
        for id in expired {
            self.void_permits(id);
        }
    }
}

#[cfg(test)]
mod tests;
