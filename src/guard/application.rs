//! The guard of those Platforms of one application that count together: what is held, what may go. Pure: time and
//! chance are arguments.

#![deny(clippy::wildcard_enum_match_arm)]

mod bound;
mod holds;
mod parting;
mod records;
mod sending;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

pub(super) use self::bound::Bound;
use super::tally::{Numbers, Tally};
use super::{Asked, Judgement, OnRecord};
use crate::api::names::ObjectKey;
use crate::api::platform::GuardStatus;
use crate::reservation::Reservation;

/// A mass deletion that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hold {
    pub id: Arc<str>,
    pub since: Timestamp,
    /// Which bound was passed, in a sentence.
    pub reason: String,
    /// Whose bound it was, where that is known: only raising that one counts as a release.
    pub bound: Option<Passed>,
    /// Deletions sent in the same window when it began.
    pub sent: usize,
}

/// The bound that a hold began with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Passed {
    pub platform: ObjectKey,
    pub uid: String,
    pub most: usize,
    /// The most that it was raised to without a release; it goes on record.
    pub told: usize,
    /// Whether it may have been raised while no process looked.
    pub unseen: bool,
}

/// A hold that a person released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Released {
    pub id: Arc<str>,
    pub time: Timestamp,
    pub count: usize,
    /// The Platforms whose objects it freed: those that counted together then.
    pub of: BTreeSet<ObjectKey>,
    /// Nothing goes by it before it is written down.
    pub recorded: bool,
}

impl Released {
    /// Whether it was read for a deletion that is asked for so.
    fn frees(&self, asked: &Asked) -> bool {
        asked.hold.as_ref() == Some(&self.id) && self.of.contains(&asked.platform)
    }
}

/// A release between its reading and its record.
#[derive(Debug, Clone)]
struct Releasing {
    id: Arc<str>,
    /// What objects are marked with from now on.
    next: Arc<str>,
}

/// One deletion that was asked for.
#[derive(Debug)]
struct Member {
    asked: Asked,
    /// When one of the reservation was taken for it.
    taken: Option<Timestamp>,
    /// Whether a call has followed.
    called: bool,
    /// An answer that counts for nothing any more.
    outlived: Option<Timestamp>,
    /// Whether it counts against the bounds as asked for.
    counts: bool,
    /// Whether it is one of those that were sent and are still there.
    stays: bool,
}

/// The guard of Platforms that count together.
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, true or not whatever the others are"
)]
#[derive(Debug, Default)]
pub(super) struct ApplicationGuard {
    pub(super) bounds: BTreeMap<ObjectKey, Bound>,
    /// Objects of the application whose package isn't gone.
    population: usize,
    /// Those of them that were sent.
    staying: usize,
    /// What the process before had reserved, and when it was counted as sent: nobody knows whether it was.
    unsure: Option<(Timestamp, usize)>,
    members: BTreeMap<Arc<str>, Member>,
    /// Objects that ask for nothing any more, while their status still names this hold.
    departed: HashMap<Arc<str>, Arc<str>>,
    pub(super) tally: Tally,
    pub(super) reservation: Reservation,
    pub(super) hold: Option<Hold>,
    pub(super) released: Vec<Released>,
    /// The hold that is about to be released, and the one of those that stay.
    releasing: Option<Releasing>,
    /// Writes under way that mark an object with a hold, each under its number.
    marking: BTreeSet<(Arc<str>, i64)>,
    /// Whether all objects are known: before that, none that is missing has left.
    complete: bool,
    /// Something changed that may pass a bound.
    unchecked: bool,
    /// A bound was raised, and it wasn't judged yet whether that releases the hold.
    raised: bool,
    /// Whether hold or releases differ from what was recorded last.
    pub(super) untold: bool,
    /// Whether the last record could not be written.
    pub(super) unrecorded: bool,
    /// Those whose turn waits for the reservation, and their Platforms.
    waiting: Vec<(ObjectKey, Option<ObjectKey>)>,
    /// What the process before had reserved and may have sent, by the names of those who counted together then.
    pub(super) reserved_before: BTreeMap<i64, usize>,
    /// The name of those who count together, in their records; none before there is one.
    pub(super) name: Option<i64>,
    /// The record that was proposed last, and the releases that it tells of.
    pub(super) shown: Option<(GuardStatus, Vec<Arc<str>>)>,
    /// The newest record that was read.
    pub(super) read: Option<GuardStatus>,
    pub(super) numbers: Numbers,
}

impl ApplicationGuard {
    /// Nothing known yet, or nothing there where all objects are `complete`.
    pub(super) fn new(complete: bool, numbers: Numbers) -> Self {
        Self {
            complete,
            tally: Tally::new(numbers.clone()),
            numbers,
            ..Self::default()
        }
    }

    /// Whether a bound or a release is of this Platform.
    pub(super) fn names(&self, platform: &ObjectKey) -> bool {
        let released = self.released.iter();
        self.bounds.contains_key(platform)
            || released.map(|one| &one.of).any(|of| of.contains(platform))
    }

    /// What the statuses say was taken over: what the process before may have sent was sent.
    pub(super) fn loaded(&mut self, now: Timestamp) {
        // What was raised while another process led may be older than the hold.
        self.raised = false;
        self.tally.bring_back(now, self.shortest());
        let unsure = std::mem::take(&mut self.reserved_before).into_values();
        let unsure = unsure.sum();
        let before = self.unsure.map_or(0, |(_, count)| count);
        self.unsure = Some((now, before + unsure));
        for _ in 0..unsure {
            self.tally.send(now, self.shortest());
        }
        self.recount_all();
        self.end_empty_hold();
    }

    /// The bound of a Platform came or changed.
    pub(super) fn set_bound(&mut self, platform: &ObjectKey, bound: Bound) {
        let known = self.bounds.get(platform);
        if known != Some(&bound) {
            self.raised |= known.is_some_and(|known| bound.is_raised_from(known));
            self.bounds.insert(platform.clone(), bound);
            self.unchecked = true;
        }
    }

    /// A Platform went, which is never a release.
    pub(super) fn drop_bound(&mut self, platform: &ObjectKey) {
        // What only its status told is told by the others.
        self.untold |= self.bounds.remove(platform).is_some();
    }

    /// How many objects of the application have packages that aren't gone.
    pub(super) fn set_population(&mut self, population: usize) {
        // Only a share of fewer is a lower bound.
        self.unchecked |= population < self.population;
        self.population = population;
    }

    /// A deletion is asked for, or is asked for otherwise than before.
    pub(super) fn ask(&mut self, uid: &Arc<str>, asked: Asked) {
        let before = self.members.get(uid);
        if before.is_some_and(|member| member.asked == asked) {
            return;
        }
        let taken = before.and_then(|member| member.taken);
        let called = before.is_some_and(|member| member.called);
        let outlived = before.and_then(|member| member.outlived);
        self.withdraw(uid);
        self.departed.remove(uid);
        let member = Member {
            asked,
            taken,
            called,
            outlived,
            counts: false,
            stays: false,
        };
        self.members.insert(Arc::clone(uid), member);
        self.recount(uid);
    }

    /// A deletion isn't asked for any more, or has ended.
    pub(super) fn forget(&mut self, uid: &str) {
        self.withdraw(uid);
        if let Some(member) = self.members.remove(uid) {
            self.waiting.retain(|(key, _)| *key != member.asked.key);
        }
        self.departed.remove(uid);
        self.end_empty_hold();
    }

    /// A deletion isn't asked for any more, but the status of its object still names `hold`.
    pub(super) fn leave(&mut self, uid: &Arc<str>, hold: &Arc<str>) {
        self.forget(uid);
        self.departed.insert(Arc::clone(uid), Arc::clone(hold));
    }

    /// Forgets all deletions but those of `present`: a whole list was read.
    pub(super) fn retain(&mut self, present: impl Fn(&str) -> bool) {
        let gone: Vec<_> = self
            .members
            .keys()
            .filter(|uid| !present(uid))
            .cloned()
            .collect();
        for uid in gone {
            self.withdraw(&uid);
            self.members.remove(&uid);
        }
        self.departed.retain(|uid, _| present(uid));
        self.complete = true;
        self.unchecked = true;
        self.end_empty_hold();
    }

    /// Begins a hold where a bound is passed; `chance` makes its id. Those to be told come back.
    pub(super) fn check(&mut self, now: Timestamp, chance: u32) -> Vec<ObjectKey> {
        self.unchecked |= self.tally.bring_back(now, self.shortest());
        if !std::mem::take(&mut self.unchecked) {
            return Vec::new();
        }
        self.finish_release(now);
        self.release_by_bounds(now, chance);
        if self.hold.is_some() {
            return Vec::new();
        }
        let Some(hold) = self.lost_hold(now).or_else(|| self.passed(now, chance)) else {
            return Vec::new();
        };
        self.hold = Some(hold);
        self.untold = true;
        // What was sent and isn't known to be gone is held like the rest.
        self.recount_all();
        self.members.values().map(|m| m.asked.key.clone()).collect()
    }

    /// What may be done for `uid`, once it was looked whether a bound is passed.
    pub(super) fn judge(&mut self, uid: &str, now: Timestamp) -> Judgement {
        let Some(member) = self.members.get(uid) else {
            return Judgement::Free(OnRecord::Counted);
        };
        if self.is_free(member) {
            return Judgement::Free(OnRecord::Counted);
        }
        if let Some(id) = self.holding(member) {
            return Judgement::Held(id);
        }
        if member.is_sent() && !self.is_stale(member, now) {
            Judgement::Free(OnRecord::Counted)
        } else if self.reservation.left() > 0 {
            Judgement::Free(OnRecord::Allowed)
        } else if self.unrecorded {
            Judgement::Free(OnRecord::Unrecorded)
        } else {
            Judgement::Free(OnRecord::Awaited)
        }
    }

    /// Whether nobody needs this guard any more.
    pub(super) fn is_empty(&self) -> bool {
        self.bounds.is_empty()
            && self.members.is_empty()
            && self.hold.is_none()
            && self.tally.all() == 0
    }

    fn longest(&self) -> Duration {
        let windows = self.bounds.values().map(|bound| bound.window);
        windows.max().unwrap_or(Duration::from_secs(24 * 3600))
    }

    fn shortest(&self) -> Duration {
        let windows = self.bounds.values().map(|bound| bound.window);
        windows.min().unwrap_or(Duration::from_secs(600))
    }

    fn is_free(&self, member: &Member) -> bool {
        let mut released = self.released.iter().filter(|released| released.recorded);
        released.any(|released| released.frees(&member.asked))
    }

    /// Of so many that were sent within a window, how many aren't among the objects any more. None too many, since
    /// they raise what a share of all comes to.
    fn gone(&self, sent: usize, now: Timestamp) -> usize {
        let recent = |(at, _): &(Timestamp, usize)| {
            // What is counted by stretches is forgotten a little late.
            let end = at.checked_add(self.longest() + self.shortest() / 10);
            end.is_ok_and(|end| now < end)
        };
        let unsure = self.unsure.filter(recent).map_or(0, |(_, count)| count);
        sent.saturating_sub(self.staying + unsure)
    }

    fn withdraw(&mut self, uid: &str) {
        let Some((uid, member)) = self.members.get_key_value(uid) else {
            return;
        };
        if member.counts {
            self.tally.withdraw(member.asked.at, uid);
        }
        self.staying -= usize::from(member.stays);
    }

    fn recount(&mut self, uid: &str) {
        self.withdraw(uid);
        let Some((uid, member)) = self.members.get_key_value(uid) else {
            return;
        };
        let uid = Arc::clone(uid);
        let (free, sent) = (self.is_free(member), member.is_sent());
        let counts = !free && (self.hold.is_some() || !sent);
        // Whatever a person freed is counted as sent only where it was taken before.
        let stays = member.taken.is_some() || (sent && !free);
        self.staying += usize::from(stays);
        if let Some(member) = self.members.get_mut(&uid) {
            (member.counts, member.stays) = (counts, stays);
            if counts {
                self.tally.ask(member.asked.at, &uid);
            }
        }
        self.unchecked = true;
    }

    fn recount_all(&mut self) {
        let all: Vec<_> = self.members.keys().cloned().collect();
        for uid in all {
            self.recount(&uid);
        }
    }
}

impl Member {
    /// Whether a call was made for it within the longest window, or is about to be.
    fn is_sent(&self) -> bool {
        let answered = self.asked.answered;
        self.taken.is_some() || (answered.is_some() && answered != self.outlived)
    }
}

#[cfg(test)]
mod tests;
