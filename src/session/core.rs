//! The state of one session and all its rules, without I/O: time is an argument, what is to be done
//! comes back as a [`Step`].

#![deny(clippy::wildcard_enum_match_arm)]

mod begin;
mod handover;
mod learn;
mod view;

use std::collections::HashMap;
use std::mem;
use std::time::Duration;

use fastrand::Rng;
use secrecy::SecretString;
use tokio::time::Instant;

use super::budget::{Budget, Room};
use super::health::{Gate, Health};
use super::notice::Notice;
use super::pace::Pace;
use super::queue::Queue;
use super::tenure::Tenure;
use super::token::{Need, Tokens};
use super::{Credential, Purpose, Standing, State, Ticket};
use crate::api::names::ObjectKey;

/// A permit that nobody uses so long is taken back.
const PERMIT_LASTS: Duration = Duration::from_secs(30);

/// What the members of a session agree on.
pub(super) struct Terms {
    pub(super) calls: usize,
    pub(super) window: Duration,
    pub(super) credential: Credential,
}

/// A permit that was not used yet.
struct Permit {
    key: ObjectKey,
    purpose: Purpose,
    given: Instant,
    probe: bool,
    intent: Option<(String, Instant)>,
}

/// A call under way.
#[derive(Debug)]
pub(super) struct Underway {
    started: Instant,
    probe: bool,
    /// The object that waits for it, and what for: nobody does for a page of the list, and all do for a login.
    waits: Option<(String, Purpose)>,
    /// The serial of its token, or for a login the revision of the credential.
    serial: u64,
}

/// A login to be made.
pub(super) struct LoginOrder {
    pub(super) call: Underway,
    pub(super) secret: SecretString,
}

/// What is to be done now, and when to look again.
#[derive(Default)]
pub(super) struct Step {
    pub(super) wake: Vec<ObjectKey>,
    pub(super) login: Option<LoginOrder>,
    /// Whether those who wait for a spare call should try again.
    pub(super) spare: bool,
    /// Whether a record is wanted before its time.
    pub(super) wants_record: bool,
    pub(super) next: Option<Instant>,
}

/// What may happen next.
enum Move {
    Grant {
        probe: bool,
    },
    /// A call that nobody waits for in the queue.
    Spare {
        probe: bool,
    },
    Login {
        probe: bool,
    },
    Wait(Option<Instant>),
}

/// One session.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each stops or hastens calls for a reason of its own"
)]
pub(super) struct Core {
    budget: Budget,
    queue: Queue,
    permits: HashMap<String, Permit>,
    /// How many want a call that nobody in the queue waits for.
    spare: usize,
    /// When the calls under way began.
    under_way: Vec<Instant>,
    tenure: Tenure,
    pace: Pace,
    tokens: Tokens,
    health: Health,
    notice: Notice,
    chance: Rng,
    /// Whether a refusal has told something that no record tells yet.
    untold: bool,
    /// Those whose standing changed without their doing.
    woken: Vec<ObjectKey>,
    /// How long after its start a lost call counts as under way.
    time_out: Duration,
    /// Nobody is a member, so nothing is granted.
    abandoned: bool,
    /// This process doesn't see the cluster as it is, so nothing is begun.
    barred: bool,
    closed: bool,
}

impl Core {
    /// A session under `terms`; the window up to `assumed_used_at` counts as used. Nothing is sent
    /// before [`Self::begin_tenure`].
    pub(super) fn new(
        terms: Terms,
        assumed_used_at: Instant,
        time_out: Duration,
        mut chance: Rng,
    ) -> Self {
        Self {
            budget: Budget::new(terms.calls, terms.window, assumed_used_at),
            queue: Queue::new(),
            permits: HashMap::new(),
            spare: 0,
            under_way: Vec::new(),
            tenure: Tenure::default(),
            pace: Pace::default(),
            tokens: Tokens::new(terms.credential),
            health: Health::new(chance.fork()),
            notice: Notice::default(),
            chance,
            untold: false,
            woken: Vec::new(),
            time_out,
            abandoned: false,
            barred: false,
            closed: false,
        }
    }

    /// Takes the terms that the members agree on now. `worth_trying` tells that something
    /// else makes trying again worthwhile, such as another way to the platform.
    pub(super) fn agree(&mut self, terms: Terms, worth_trying: bool, now: Instant) {
        self.abandoned = false;
        self.budget.resize(terms.calls, terms.window);
        let other_credential = self.tokens.set_credential(terms.credential);
        if other_credential {
            match self.health.ailment() {
                Some(State::AuthenticationFailed(_) | State::ApplicationRefused(_)) => {
                    self.health.understood();
                }
                Some(_) | None => self.health.try_now(now),
            }
        }
        if worth_trying {
            self.health.try_now(now);
        }
        if other_credential || self.budget.overdrawn(now) {
            self.void_permits();
        }
    }

    /// See [`super::Session::try_soon`].
    pub(super) fn try_soon(&mut self, now: Instant) {
        self.health.try_soon(now);
    }

    /// Lets all go, since nobody is a member any more. Those who held something come back.
    pub(super) fn abandon(&mut self) -> Vec<ObjectKey> {
        self.abandoned = true;
        self.void_permits();
        let waiting = std::iter::from_fn(|| self.queue.pop());
        self.woken.extend(waiting.map(|ticket| ticket.key));
        mem::take(&mut self.woken)
    }

    /// From now on nothing is granted, used or begun: who holds a permit writes no intent for it any more.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.void_permits();
    }

    /// See [`super::Session::request`].
    pub(super) fn request(&mut self, ticket: &Ticket, now: Instant) -> Standing {
        self.tidy(now);
        if let Some(permit) = self.permits.get_mut(&ticket.uid) {
            if permit.purpose != ticket.purpose {
                permit.purpose = ticket.purpose;
                permit.intent = None;
            }
        } else {
            self.queue.insert(ticket);
            self.health.goes_on(&ticket.uid, now);
            if self.queue.len() == 1
                && let Move::Grant { probe } = self.next_move(now)
            {
                self.grant(probe, now);
            }
        }
        self.standing(&ticket.uid, now)
    }

    /// See [`super::Session::standing`].
    pub(super) fn standing(&self, uid: &str, now: Instant) -> Standing {
        if let Some(permit) = self.permits.get(uid) {
            return Standing::Permitted {
                purpose: permit.purpose,
                intent: permit.intent.clone(),
            };
        }
        match self.queue.position(uid) {
            Some((position, purpose)) => Standing::Waiting {
                purpose,
                position,
                estimated: self.estimate(position, now),
                state: self.state(now),
                told: self.notice.has_told(uid, &self.queue),
            },
            None => Standing::Absent,
        }
    }

    /// See [`super::Session::withdraw`].
    pub(super) fn withdraw(&mut self, uid: &str) {
        self.queue.remove(uid);
        if let Some(permit) = self.permits.remove(uid) {
            self.take_back(&permit);
        }
    }

    /// See [`super::Session::intend`].
    pub(super) fn intend(&mut self, uid: &str, intent: String, now: Instant) {
        if let Some(permit) = self.permits.get_mut(uid) {
            permit.intent = Some((intent, now));
        }
    }

    /// Does what is due, and tells what is left to others.
    pub(super) fn step(&mut self, now: Instant) -> Step {
        self.tidy(now);
        let mut step = Step::default();
        let moves = loop {
            match self.next_move(now) {
                Move::Grant { probe } => {
                    let granted = self.grant(probe, now);
                    self.woken.extend(granted);
                }
                Move::Login { probe } => match self.tokens.begin_login() {
                    Some(order) if self.budget.take(now) => {
                        self.tenure.take();
                        self.under_way.push(now);
                        if probe {
                            self.health.probe_begun();
                        }
                        step.login = Some(LoginOrder {
                            call: Underway {
                                started: now,
                                probe,
                                waits: None,
                                serial: order.credential,
                            },
                            secret: order.secret,
                        });
                    }
                    Some(_) | None => break None,
                },
                Move::Spare { .. } => {
                    step.spare = true;
                    break None;
                }
                Move::Wait(until) => break until,
            }
        };
        step.spare |= self.closed || self.abandoned;
        let unused = self.permits.values().map(|permit| permit.given).min();
        step.wake = mem::take(&mut self.woken);
        let notice = self
            .notice
            .advance(&self.state(now), &self.queue, now, &mut step.wake);
        let candidates = [moves, unused.map(|given| given + PERMIT_LASTS), notice];
        step.next = candidates.into_iter().flatten().min();
        step.wants_record = self.wants_record();
        step
    }

    /// Whether nothing is begun for now.
    pub(super) fn bar(&mut self, barred: bool) {
        self.barred = barred;
    }

    /// Whether nothing is granted, used or begun any more.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    fn next_move(&mut self, now: Instant) -> Move {
        let spare = self.queue.is_empty();
        let wanted = !spare || self.spare > 0;
        if self.closed || self.abandoned || !wanted || !self.may_send(now) {
            return Move::Wait(None);
        }
        let probe = match self.health.gate(now) {
            Gate::Open => false,
            Gate::Probe => true,
            Gate::At(at) => return Move::Wait(Some(at)),
            Gate::Answer => return Move::Wait(None),
        };
        let (login, alone) = match self.tokens.need(now) {
            Need::Nothing => (false, probe || self.tokens.doubtful()),
            Need::Login => (true, probe),
            // A login ends the old token, which calls that are out still need.
            Need::Renewal => (true, true),
            Need::At(at) => return Move::Wait(Some(at)),
            Need::Answer => return Move::Wait(None),
        };
        if alone && self.budget.in_flight() > 0 {
            return Move::Wait(None);
        }
        let room = if spare {
            self.budget.spare_room(now)
        } else {
            self.budget.room(now)
        };
        // What nobody waits for isn't worth a record of its own: the next one is soon enough.
        let free = self.budget.free(now);
        if !spare && room == Room::Now && self.runs_short(free) {
            self.tenure.ask();
        }
        match room {
            Room::Now if self.tenure.left() == 0 => Move::Wait(None),
            Room::Now if login => Move::Login { probe },
            Room::Now if spare => Move::Spare { probe },
            Room::Now if self.may_permit() => Move::Grant { probe },
            Room::At(at) => Move::Wait(Some(at)),
            Room::Now | Room::AfterAnswer => Move::Wait(None),
        }
    }

    /// Gives its permit to who is next, or to who probes for all.
    fn grant(&mut self, probe: bool, now: Instant) -> Option<ObjectKey> {
        let ticket = if probe {
            let begun = self.health.begun_by().and_then(|uid| self.queue.take(uid));
            begun.or_else(|| self.queue.draw(self.health.tries(), &mut self.chance))
        } else {
            self.queue.pop()
        };
        let ticket = ticket?;
        self.take(probe, now);
        let permit = Permit {
            key: ticket.key.clone(),
            purpose: ticket.purpose,
            given: now,
            probe,
            intent: None,
        };
        self.permits.insert(ticket.uid, permit);
        Some(ticket.key)
    }

    /// Takes the share of one call.
    fn take(&mut self, probe: bool, now: Instant) {
        self.budget.take(now);
        self.tenure.take();
        if probe {
            self.health.probe_begun();
        }
    }

    /// Takes back what has run out: permits that nobody used, and a token whose life is over.
    fn tidy(&mut self, now: Instant) {
        let unused: Vec<_> = self
            .permits
            .extract_if(|_, permit| permit.given + PERMIT_LASTS <= now)
            .collect();
        for (_, permit) in unused {
            self.take_back(&permit);
            self.woken.push(permit.key);
        }
        if self.tokens.expire(now) {
            self.void_permits();
        }
    }

    fn take_back(&mut self, permit: &Permit) {
        self.budget.give_back();
        self.tenure.give_back();
        if permit.probe {
            self.health.probe_returned();
        }
    }

    fn void_permits(&mut self) {
        for (_, permit) in mem::take(&mut self.permits) {
            self.take_back(&permit);
            self.woken.push(permit.key);
        }
    }
}

#[cfg(test)]
mod tests;
