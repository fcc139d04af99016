//! What belongs to one credential of a session: its queue, its token, its health, and what is known of it.

use std::collections::VecDeque;
use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;

use super::{Core, Terms};
use crate::api::names::ObjectKey;
use crate::remote::answer::Detail;
use crate::session::SessionState;
use crate::session::breaker::Breaker;
use crate::session::budget::{self, Room};
use crate::session::packages::PackageTurns;
use crate::session::queue::Queue;
use crate::session::stall_news::StallNews;
use crate::session::token::Tokens;

/// A credential that was refused is tried again after so long, unless it changes or a person asks.
pub(super) const REFUSED_FOR: Duration = Duration::from_secs(3600);
/// So long it is remembered what a credential is worth that nobody uses any more.
const REMEMBERED: Duration = REFUSED_FOR;
/// And so many of them.
const MOST_UNUSED: usize = 16;

/// Names a lane within its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::session) struct LaneId(pub(in crate::session) u64);

/// What the platform has shown of a credential.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::session) enum Learned {
    /// Nothing.
    Untried,
    /// That it accepts it, since when that is known.
    Proven(Instant),
    /// That it refuses it, when and how.
    Refused(Instant, Detail),
}

/// One credential and those who call by it.
pub(in crate::session) struct Lane {
    pub(super) terms: Terms,
    pub(super) queue: Queue,
    pub(super) packages: PackageTurns,
    /// How many want a call that nobody in the queue waits for.
    pub(super) spare: usize,
    pub(super) tokens: Tokens,
    pub(super) health: Breaker,
    pub(super) notice: StallNews,
    pub(super) learned: Learned,
    /// From when on its own calls count, in order: all of its window, and of older ones the latest.
    calls: VecDeque<Instant>,
    /// Since when somebody waits to know whether it is accepted.
    pub(super) awaited: Option<Instant>,
    /// Whether a package was shown under it that an object of its Platforms names.
    pub(super) shows_ours: bool,
    /// Whether a person's word waits for that, so that it is tried before others.
    pub(super) first: bool,
    /// Whether a try has ended, whatever it found out.
    pub(super) tried: bool,
    /// Since when a person waits for a try.
    pub(super) asked: Option<Instant>,
    /// When it was last tried since a person asked.
    pub(super) tried_as_asked: Option<Instant>,
    /// Since when nobody is a member, so that nothing is granted.
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

    /// Whether it proves to those with other credentials whose application it is: a token that was handed in may be of
    /// another one than the one that is named beside it, and be accepted all the same.
    pub(in crate::session) fn speaks_for_application(&self) -> bool {
        self.counts_for_others() && self.terms.credential.logs_in()
    }

    /// Whether the platform accepts it, and somebody uses it.
    pub(super) fn counts_for_others(&self) -> bool {
        self.is_proven() && self.abandoned.is_none()
    }

    pub(super) fn is_proven(&self) -> bool {
        match self.learned {
            Learned::Proven(_) => true,
            Learned::Untried | Learned::Refused(..) => false,
        }
    }

    /// A call of it ended, and counts from `stamp`.
    pub(super) fn called(&mut self, stamp: Instant, now: Instant) {
        let bounds = (self.terms.calls, self.terms.window);
        budget::log(&mut self.calls, stamp, bounds, now);
    }

    /// Whether its own bounds leave room for one more of its own calls, of which so many are `out`.
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
    /// Takes the terms that the members of a lane agree on now; a lane that isn't there yet begins. `worth_trying` tells
    /// that something else makes trying again worthwhile, such as another way to the platform.
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

    /// A person asks that the credential be tried now: at once, but not more often than others can bear.
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

    /// A try of the credential has ended, whatever it found out.
    pub(super) fn has_been_tried(&mut self, id: LaneId, now: Instant) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            // One whose try finds out nothing has its next turn after all others.
            lane.awaited = lane.awaited.map(|_| now);
            self.learned |= lane.awaited.is_some() && !lane.tried;
            (lane.tried, lane.first) = (true, false);
        }
    }

    /// A package was shown under the credential that an object of its Platforms names; whether that is news.
    pub(in crate::session) fn shows_ours(&mut self, id: LaneId) -> bool {
        let lane = self.lanes.get_mut(&id);
        lane.is_some_and(|lane| !std::mem::replace(&mut lane.shows_ours, true))
    }

    /// Whether one was shown.
    pub(in crate::session) fn has_shown_ours(&self, id: LaneId) -> bool {
        self.lanes.get(&id).is_some_and(|lane| lane.shows_ours)
    }

    /// Whether a try of the credential has ended, whatever it found out.
    pub(in crate::session) fn was_tried(&self, id: LaneId) -> bool {
        let lane = self.lanes.get(&id);
        lane.is_some_and(|lane| lane.tried || lane.learned != Learned::Untried)
    }

    /// The same, or one is under way.
    pub(in crate::session) fn try_has_begun(&self, id: LaneId) -> bool {
        self.was_tried(id) || self.under_way.iter().any(|(_, lane)| *lane == id)
    }

    /// Lets all of a lane go, since nobody is a member any more. Those who held something come back.
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

    /// Whether nobody is a member of any lane.
    pub(super) fn is_abandoned(&self) -> bool {
        self.lanes.values().all(|lane| lane.abandoned.is_some())
    }

    /// Forgets lanes that nobody has used for long; which ones are left.
    pub(in crate::session) fn sweep(&mut self, now: Instant) -> impl Iterator<Item = LaneId> {
        let mut unused: Vec<_> = self
            .lanes
            .iter()
            // Objects that wait for the turn of a package there are woken when its holder leaves.
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

    /// What is known of a credential.
    pub(in crate::session) fn learned(&self, id: LaneId) -> Learned {
        let lane = self.lanes.get(&id);
        lane.map_or(Learned::Untried, |lane| lane.learned.clone())
    }

    /// The platform has accepted the credential.
    pub(super) fn accepted(&mut self, id: LaneId, now: Instant) {
        let Some(lane) = self.lanes.get_mut(&id) else {
            return;
        };
        let awaited = lane.awaited.take().is_some();
        lane.asked = None;
        if !lane.is_proven() {
            lane.learned = Learned::Proven(now);
            // Of the only credential, for which nobody waits, the next look is soon enough.
            self.learned |= awaited || self.lanes.len() > 1;
            self.bound(now);
        }
    }

    /// The platform has refused the credential.
    pub(super) fn refused(&mut self, id: LaneId, detail: Detail, now: Instant) {
        let Some(lane) = self.lanes.get_mut(&id) else {
            return;
        };
        (lane.awaited, lane.asked) = (None, None);
        lane.learned = Learned::Refused(now, detail);
        self.learned = true;
        self.bound(now);
    }

    /// Sets the bounds of the budget: the strictest of the logins that are known to be accepted. Before any is, nobody's
    /// bounds may stand in the way of another, and each one's own are looked at with its calls.
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
