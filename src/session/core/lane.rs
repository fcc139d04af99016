//! A lane: the queue, the token, the health and the proof of one credential of a session.

use std::collections::VecDeque;
use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;

use super::{Core, Terms};
use crate::api::names::ObjectKey;
use crate::remote::answer::Detail;
use crate::session::SessionState;
use crate::session::budget::{self, Room};
use crate::session::circuit_breaker::Breaker;
use crate::session::credential::REFUSED_FOR;
use crate::session::packages::PackageTurns;
use crate::session::queue::Queue;
use crate::session::stall_news::StallNews;
use crate::session::token::Tokens;

/// How long the lane of a credential is remembered after its last member has left.
const REMEMBERED: Duration = REFUSED_FOR;
/// How many lanes without members are remembered.
const MOST_UNUSED: usize = 16;

/// The number of a lane within its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::session) struct LaneId(pub(in crate::session) u64);

/// What the platform's answers have shown about a credential.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::session) enum Learned {
    /// No answer has shown anything.
    Untried,
    /// The platform accepts the credential; the time is when that became known.
    Proven(Instant),
    /// The platform refuses the credential; with the time and the detail of the refusal.
    Refused(Instant, Detail),
}

/// One credential of a session, with the state of the calls under it.
pub(in crate::session) struct Lane {
    pub(super) terms: Terms,
    pub(super) queue: Queue,
    pub(super) packages: PackageTurns,
    /// The number of callers that want a spare call, which no queued object waits for.
    pub(super) spare: usize,
    pub(super) tokens: Tokens,
    pub(super) health: Breaker,
    pub(super) notice: StallNews,
    pub(super) learned: Learned,
    /// When the lane's calls begin to age in the window, in order: all calls of the lane's window, and the latest older
    /// ones.
    calls: VecDeque<Instant>,
    /// The time since which a caller waits to know whether the platform accepts the credential.
    pub(super) awaited: Option<Instant>,
    /// Whether the platform has shown, under this credential, a package that an object of its Platforms names.
    pub(super) shows_ours: bool,
    /// Whether a person's word, such as a release, waits for the result of the try. Such a credential is tried before
    /// others.
    pub(super) first: bool,
    /// Whether a try has ended, with any result.
    pub(super) tried: bool,
    /// Since when a person waits for a try.
    pub(super) asked: Option<Instant>,
    /// When the credential was last tried at a person's request.
    pub(super) tried_as_asked: Option<Instant>,
    /// Since when the lane has no members; without members no permit is granted.
    pub(super) abandoned: Option<Instant>,
}

impl Lane {
    pub(super) fn new(terms: Terms, chance: Rng) -> Self {
        Self {
            queue: Queue::new(),
            packages: PackageTurns::default(),
            spare: 0,
            tokens: Tokens::new(terms.credential.clone()),
            health: Breaker::new(chance),
            notice: StallNews::default(),
            learned: Learned::Untried,
            calls: VecDeque::new(),
            awaited: None,
            shows_ours: false,
            first: false,
            tried: false,
            asked: None,
            tried_as_asked: None,
            abandoned: None,
            terms,
        }
    }

    /// Whether the credential proves to Platforms of other credentials that it belongs to the application. A handed-in
    /// token doesn't prove this: the platform may accept such a token although the token belongs to another application
    /// than the one that is named beside it.
    pub(in crate::session) fn speaks_for_application(&self) -> bool {
        self.counts_for_others() && self.terms.credential.logs_in()
    }

    /// Whether the platform accepts the credential and the lane has members.
    pub(super) fn counts_for_others(&self) -> bool {
        self.is_proven() && self.abandoned.is_none()
    }

    pub(super) fn is_proven(&self) -> bool {
        match self.learned {
            Learned::Proven(_) => true,
            Learned::Untried | Learned::Refused(..) => false,
        }
    }

    /// Logs the end of a call of this lane, which counts for one window after `stamp`.
    pub(super) fn called(&mut self, stamp: Instant, now: Instant) {
        let bounds = (self.terms.calls, self.terms.window);
        budget::log(&mut self.calls, stamp, bounds, now);
    }

    /// Returns whether the lane's own bounds leave room for one more of its calls, while `out` of them are in flight or
    /// permitted.
    pub(super) fn own_room(&self, out: usize, now: Instant) -> Room {
        let Some(free) = self.terms.calls.checked_sub(out).filter(|free| *free > 0) else {
            return Room::AfterAnswer;
        };
        match budget::blocking(&self.calls, free).map(|stamp| stamp + self.terms.window) {
            Some(at) if at > now => Room::At(at),
            Some(_) | None => Room::Now,
        }
    }
}

impl Core {
    /// Sets the terms that the members of a lane agree on, and creates the lane if it doesn't exist. `worth_trying`
    /// means that something else makes another try worthwhile, such as a new connection.
    pub(in crate::session) fn agree(
        &mut self,
        id: LaneId,
        terms: Terms,
        worth_trying: bool,
        now: Instant,
    ) {
        let chance = &mut self.chance;
        let lane = self
            .lanes
            .entry(id)
            .or_insert_with(|| Lane::new(terms.clone(), chance.fork()));
        lane.abandoned = None;
        let other_credential = lane.tokens.set_credential(terms.credential.clone());
        lane.terms = terms;
        if other_credential {
            self.learned |= lane.learned != Learned::Untried;
            lane.learned = Learned::Untried;
            (lane.tried, lane.shows_ours) = (false, false);
            match lane.health.ailment() {
                Some(
                    SessionState::AuthenticationFailed(_) | SessionState::ApplicationRefused(_),
                ) => {
                    lane.health.understood();
                }
                Some(_) | None => lane.health.try_now(now),
            }
        }
        if worth_trying {
            lane.health.try_now(now);
        }
        if other_credential {
            self.void_permits(id);
        }
        self.bound(now);
    }

    /// Records that a person asks for a try of the credential. The try is made at once, within the limits that protect
    /// the other lanes.
    pub(in crate::session) fn ask(&mut self, id: LaneId, now: Instant) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.asked.get_or_insert(now);
        }
    }

    /// See [`super::super::Session::try_credential`].
    pub(in crate::session) fn try_credential(&mut self, id: LaneId, first: bool, now: Instant) {
        if let Some(lane) = self.lanes.get_mut(&id)
            && !lane.is_proven()
        {
            lane.awaited.get_or_insert(now);
            lane.first |= first && !lane.tried;
        }
    }

    /// Records that a try of the credential has ended, with any result.
    pub(super) fn has_been_tried(&mut self, id: LaneId, now: Instant) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            // A credential whose try had no result has its next turn after all others.
            lane.awaited = lane.awaited.map(|_| now);
            self.learned |= lane.awaited.is_some() && !lane.tried;
            (lane.tried, lane.first) = (true, false);
        }
    }

    /// Records that the platform has shown a package that an object of the credential's Platforms names. Returns
    /// whether that was not known before.
    pub(in crate::session) fn shows_ours(&mut self, id: LaneId) -> bool {
        let lane = self.lanes.get_mut(&id);
        lane.is_some_and(|lane| !std::mem::replace(&mut lane.shows_ours, true))
    }

    /// Whether the platform has shown a package that an object of the credential's Platforms names.
    pub(in crate::session) fn has_shown_ours(&self, id: LaneId) -> bool {
        self.lanes.get(&id).is_some_and(|lane| lane.shows_ours)
    }

    /// Whether a try of the credential has ended, with any result.
    pub(in crate::session) fn was_tried(&self, id: LaneId) -> bool {
        let lane = self.lanes.get(&id);
        lane.is_some_and(|lane| lane.tried || lane.learned != Learned::Untried)
    }

    /// Whether a try of the credential has ended or is under way.
    pub(in crate::session) fn try_has_begun(&self, id: LaneId) -> bool {
        self.was_tried(id) || self.under_way.iter().any(|(_, lane)| *lane == id)
    }

    /// Empties a lane that has lost its last member. Returns the objects to wake, which held tickets or permits.
    pub(in crate::session) fn abandon(&mut self, id: LaneId, now: Instant) -> Vec<ObjectKey> {
        self.void_permits(id);
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.abandoned.get_or_insert(now);
            (lane.awaited, lane.asked, lane.first) = (None, None, false);
            let waiting = std::iter::from_fn(|| lane.queue.pop());
            self.woken.extend(waiting.map(|ticket| ticket.key));
        }
        self.bound(now);
        std::mem::take(&mut self.woken)
    }

    /// Whether no lane has members.
    pub(super) fn is_abandoned(&self) -> bool {
        self.lanes.values().all(|lane| lane.abandoned.is_some())
    }

    /// Removes lanes that have had no members for long. Returns the remaining lanes.
    pub(in crate::session) fn sweep(&mut self, now: Instant) -> impl Iterator<Item = LaneId> {
        let mut unused: Vec<_> = self
            .lanes
            .iter()
            // A lane stays while a turn is held, because objects behind the holder are woken when the holder leaves.
            .filter(|(_, lane)| lane.packages.is_empty())
            .filter_map(|(id, lane)| Some((lane.abandoned?, *id)))
            .collect();
        unused.sort_unstable();
        let many = unused.len().saturating_sub(MOST_UNUSED);
        for (index, (since, id)) in unused.into_iter().enumerate() {
            if self.out_of(id) == 0 && (index < many || since + REMEMBERED <= now) {
                self.lanes.remove(&id);
            }
        }
        self.lanes.keys().copied()
    }

    /// Returns what is known about the credential.
    pub(in crate::session) fn learned(&self, id: LaneId) -> Learned {
        let lane = self.lanes.get(&id);
        lane.map_or(Learned::Untried, |lane| lane.learned.clone())
    }

    /// Records that the platform has accepted the credential.
    pub(super) fn accepted(&mut self, id: LaneId, now: Instant) {
        let Some(lane) = self.lanes.get_mut(&id) else {
            return;
        };
        let awaited = lane.awaited.take().is_some();
        lane.asked = None;
        if !lane.is_proven() {
            lane.learned = Learned::Proven(now);
            // If there is only one credential and no caller waits for the result, the news can wait for the next
            // regular check.
            self.learned |= awaited || self.lanes.len() > 1;
            self.bound(now);
        }
    }

    /// Records that the platform has refused the credential.
    pub(super) fn refused(&mut self, id: LaneId, detail: Detail, now: Instant) {
        let Some(lane) = self.lanes.get_mut(&id) else {
            return;
        };
        (lane.awaited, lane.asked) = (None, None);
        lane.learned = Learned::Refused(now, detail);
        self.learned = true;
        self.bound(now);
    }

    /// Sets the bounds of the budget to the strictest bounds of the accepted logins. Before a login is accepted, the
    /// widest bounds apply, so that no lane hinders another; each lane's own bounds are then checked for its own calls.
    fn bound(&mut self, now: Instant) {
        let used = || self.lanes.values().filter(|lane| lane.abandoned.is_none());
        let speaking = || used().filter(|lane| lane.speaks_for_application());
        let strict = speaking()
            .map(|lane| lane.terms.calls)
            .min()
            .zip(speaking().map(|lane| lane.terms.window).max());
        let wide = |proven: bool| {
            let among = || used().filter(|lane| !proven || lane.is_proven());
            let most = among().map(|lane| lane.terms.calls).max();
            most.zip(among().map(|lane| lane.terms.window).min())
        };
        if let Some((calls, window)) = strict.or_else(|| wide(true)).or_else(|| wide(false)) {
            self.budget.resize(calls, window);
        }
        if self.budget.overdrawn(now) {
            self.void_all_permits();
        }
    }
}
