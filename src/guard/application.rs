//! The guard of the Platforms of one application that count together: it decides which deletions are held and which may
//! be sent. The guard is pure: time and random numbers are arguments.

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
    /// A sentence that names the bound that was exceeded.
    pub reason: String,
    /// The bound that was exceeded, if it is known; only a raise of this bound counts as a release.
    pub bound: Option<Passed>,
    /// The number of deletions sent in the same window when the hold began.
    pub sent: usize,
}

/// The bound that was exceeded when a hold began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Passed {
    pub platform: ObjectKey,
    pub uid: String,
    pub most: usize,
    /// The highest value of the bound since the hold began: `most`, or the value after a raise that was too small to
    /// release the hold. It is stored in the status.
    pub told: usize,
    /// Whether the bound may have been raised while no process watched.
    pub unseen: bool,
}

/// A hold that a person released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Released {
    pub id: Arc<str>,
    pub time: Timestamp,
    pub count: usize,
    /// The Platforms whose objects the release frees: those that counted together when the release took effect.
    pub of: BTreeSet<ObjectKey>,
    /// Whether the release is stored in a status. Until then the release frees no deletion.
    pub recorded: bool,
}

impl Released {
    /// Whether this release frees the deletion `asked`.
    fn frees(&self, asked: &Asked) -> bool {
        asked.hold.as_ref() == Some(&self.id) && self.of.contains(&asked.platform)
    }
}

/// A release that was read and hasn't taken effect yet.
#[derive(Debug, Clone)]
struct Releasing {
    id: Arc<str>,
    /// The id that objects are marked with from now on.
    next: Arc<str>,
}

/// One requested deletion.
#[derive(Debug)]
struct Member {
    asked: Asked,
    /// When a unit of the reservation was taken for the deletion.
    taken: Option<Timestamp>,
    /// Whether a call was made after the unit was taken.
    called: bool,
    /// The time of an answer to an earlier call. That call no longer counts as a sent deletion.
    outlived: Option<Timestamp>,
    /// Whether the bounds count the deletion as a requested one. Sent deletions are counted separately.
    counts: bool,
    /// Whether the deletion was sent and its object still exists.
    stays: bool,
}

/// The guard of the Platforms that count together.
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, true or not whatever the others are"
)]
#[derive(Debug, Default)]
pub(super) struct ApplicationGuard {
    pub(super) bounds: BTreeMap<ObjectKey, Bound>,
    /// The number of the application's objects whose packages aren't gone.
    population: usize,
    /// The number of deletions that were sent and whose objects still exist.
    staying: usize,
    /// The time at which reserved deletions of the former leader were counted as sent, and the number of these
    /// deletions. It isn't known whether they were sent.
    unsure: Option<(Timestamp, usize)>,
    members: BTreeMap<Arc<str>, Member>,
    /// Objects that request no deletion any more while their statuses still name a hold, each with the id of that hold.
    departed: HashMap<Arc<str>, Arc<str>>,
    pub(super) tally: Tally,
    pub(super) reservation: Reservation,
    pub(super) hold: Option<Hold>,
    pub(super) released: Vec<Released>,
    /// The hold that is being released, with the id for the objects that stay held.
    releasing: Option<Releasing>,
    /// The writes in flight that mark an object with a hold, each with its number.
    marking: BTreeSet<(Arc<str>, i64)>,
    /// Whether all objects are known. Until then, a missing object doesn't count as gone.
    complete: bool,
    /// Whether something has changed since the last check, so that a bound may be exceeded now.
    unchecked: bool,
    /// Whether a bound was raised, and it has not been checked yet whether the raise releases the hold.
    raised: bool,
    /// Whether the hold or the releases differ from the last record.
    pub(super) untold: bool,
    /// Whether writing the last record failed.
    pub(super) unrecorded: bool,
    /// The objects whose turn waits for the reservation, each with the Platform whose status is to contain the
    /// reservation.
    waiting: Vec<(ObjectKey, Option<ObjectKey>)>,
    /// The reservations of the former leader's groups. The key is the name of a group in its records. The value is the
    /// number of reserved deletions that may have been sent.
    pub(super) reserved_before: BTreeMap<i64, usize>,
    /// The name of this group in its records; `None` before there is one.
    pub(super) name: Option<i64>,
    /// The record that was last proposed, with the releases that it contains.
    pub(super) shown: Option<(GuardStatus, Vec<Arc<str>>)>,
    /// The newest record that was read.
    pub(super) read: Option<GuardStatus>,
    pub(super) numbers: Numbers,
}

impl ApplicationGuard {
    /// Creates a guard without deletions; `complete` tells whether all objects are known.
    pub(super) fn new(complete: bool, numbers: Numbers) -> Self {
        Self {
            complete,
            tally: Tally::new(numbers.clone()),
            numbers,
            ..Self::default()
        }
    }

    /// Whether the guard has a bound or a release of this Platform.
    pub(super) fn names(&self, platform: &ObjectKey) -> bool {
        let released = self.released.iter();
        self.bounds.contains_key(platform)
            || released.map(|one| &one.of).any(|of| of.contains(platform))
    }

    /// Finishes the reading of the statuses: the reservations of the former leader count as sent.
    pub(super) fn loaded(&mut self, now: Timestamp) {
        // If a bound was raised while another process led, the raise may be older than the hold.
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

    /// Sets or changes the bound of a Platform.
    pub(super) fn set_bound(&mut self, platform: &ObjectKey, bound: Bound) {
        let known = self.bounds.get(platform);
        if known != Some(&bound) {
            self.raised |= known.is_some_and(|known| bound.is_raised_from(known));
            self.bounds.insert(platform.clone(), bound);
            self.unchecked = true;
        }
    }

    /// Removes the bound of a Platform that is gone. This removal never releases a hold.
    pub(super) fn drop_bound(&mut self, platform: &ObjectKey) {
        // Some facts may be recorded only in the status of this Platform. The statuses of the other Platforms must
        // record them now.
        self.untold |= self.bounds.remove(platform).is_some();
    }

    /// Sets the number of the application's objects whose packages aren't gone.
    pub(super) fn set_population(&mut self, population: usize) {
        // A smaller population lowers a bound in percent.
        self.unchecked |= population < self.population;
        self.population = population;
    }

    /// Adds a requested deletion, or updates it.
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

    /// Removes a deletion that isn't requested any more or has ended.
    pub(super) fn forget(&mut self, uid: &str) {
        self.withdraw(uid);
        if let Some(member) = self.members.remove(uid) {
            self.waiting.retain(|(key, _)| *key != member.asked.key);
        }
        self.departed.remove(uid);
        self.end_empty_hold();
    }

    /// Removes a deletion that isn't requested any more, while the status of its object still names `hold`.
    pub(super) fn leave(&mut self, uid: &Arc<str>, hold: &Arc<str>) {
        self.forget(uid);
        self.departed.insert(Arc::clone(uid), Arc::clone(hold));
    }

    /// Removes all deletions whose objects aren't `present` in the full list that was read.
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

    /// Begins a hold if a bound is exceeded. The hold's id is made from `chance`. Returns the objects to wake.
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
        // Sent deletions that aren't known to have ended are held like the others.
        self.recount_all();
        self.members.values().map(|m| m.asked.key.clone()).collect()
    }

    /// Judges the deletion of `uid`; the caller has checked the bounds before.
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

    /// Whether no Platform or object needs this guard any more.
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

    /// Returns how many of the `sent` deletions within a window belong to an object that is gone. If this number were
    /// too high, a bound in percent would be too high as well. Therefore reservations whose outcome is unknown don't
    /// count as gone.
    fn gone(&self, sent: usize, now: Timestamp) -> usize {
        let recent = |(at, _): &(Timestamp, usize)| {
            // The tally counts sent deletions by stretches of time, so it forgets them a little late.
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
        // A deletion that a release frees counts as sent only if a unit of the reservation was taken for it before the
        // release.
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
    /// Whether a call was made for the deletion within the longest window, or is about to be made.
    fn is_sent(&self) -> bool {
        let answered = self.asked.answered;
        self.taken.is_some() || (answered.is_some() && answered != self.outlived)
    }
}

#[cfg(test)]
mod tests;
