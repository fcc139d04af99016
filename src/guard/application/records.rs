//! What goes on record before anything goes by it: room for the next deletions, and releases.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use super::{ApplicationGuard, Hold, Released};
use crate::api::names::ObjectKey;

/// A record allows for so small a part of the lowest bound beyond what is sent, rounded down: what a crash leaves
/// unused counts as sent, and a loop of crashes is no mass deletion. Where that is nothing, each deletion has a record
/// of its own just before it is sent.
const BATCH: usize = 20;
/// The most that one record allows for: a burst of the usual quota doesn't wait for the next.
const LARGEST_BATCH: usize = 100;

impl ApplicationGuard {
    /// Whether a record should be written at once.
    pub(in super::super) fn is_due(&self) -> bool {
        self.untold || self.is_used_up()
    }

    /// Whether a record with more room should be written at once.
    fn is_used_up(&self) -> bool {
        let (left, batch) = (self.reservation.left(), self.batch());
        if batch == 0 {
            return left == 0 && !self.reservation.is_proposed() && !self.waiting.is_empty();
        }
        let waits = self.hold.is_none() && self.tally.waiting() > 0;
        left == 0 || (waits && left * 2 < batch)
    }

    /// The record that was proposed last, and how much of what it reserves was not used.
    pub(in super::super) fn unused(&self) -> Option<(i64, usize)> {
        let (shown, _) = self.shown.as_ref()?;
        let left = self.reservation.left();
        (shown.record > 0 && left > 0).then_some((shown.record, left))
    }

    /// The Platform whose status is enough for the record that is due: one deletion waits for room, and nothing else is
    /// to be told.
    pub(in super::super) fn due_only_on(&self) -> Option<ObjectKey> {
        let alone = self.batch() == 0 && !self.untold && !self.unrecorded;
        let (_, platform) = self.waiting.first().filter(|_| alone)?;
        platform.clone()
    }

    /// The most that goes in a window without a person.
    pub(in super::super) fn lowest(&self) -> usize {
        let bounds = self.bounds.values();
        let most = bounds.map(|bound| bound.most(self.population, 0));
        most.min().unwrap_or(0)
    }

    /// How many deletions a record allows for ahead of any that waits.
    pub(in super::super) fn batch(&self) -> usize {
        (self.lowest() / BATCH).min(LARGEST_BATCH)
    }

    /// The deletion of `uid` has its turn, and waits for room on record; `platform` is that of its object.
    pub(in super::super) fn want(&mut self, uid: &str, platform: Option<ObjectKey>) {
        let Some(member) = self.members.get(uid) else {
            return;
        };
        let key = member.asked.key.clone();
        if !self.waiting.iter().any(|(known, _)| *known == key) {
            self.waiting.push((key, platform));
        }
    }

    /// A record is being written: it allows for so many deletions, and tells of these releases.
    pub(in super::super) fn propose(&mut self) -> (usize, Vec<Arc<str>>) {
        self.untold = false;
        let one = usize::from(self.lowest() > 0 && !self.waiting.is_empty());
        let batch = self.batch().max(one);
        self.reservation.propose(batch);
        let released = self.released.iter().map(|r| Arc::clone(&r.id));
        (batch, released.collect())
    }

    /// A record that tells of these releases is safe. Those who may go on come back.
    pub(in super::super) fn recorded(&mut self, told: &[Arc<str>]) -> Vec<ObjectKey> {
        self.reservation.confirm();
        self.unrecorded = false;
        let waiting = std::mem::take(&mut self.waiting);
        let mut woken: Vec<ObjectKey> = waiting.into_iter().map(|(key, _)| key).collect();
        let mut freed = false;
        for released in &mut self.released {
            let safe = told.contains(&released.id);
            freed |= safe && !std::mem::replace(&mut released.recorded, true);
        }
        if freed {
            self.recount_all();
            woken.extend(self.members.values().map(|m| m.asked.key.clone()));
            self.end_empty_hold();
        }
        woken
    }

    /// How many deletions the hold holds. Who left it counts until the status of its object says so: should it
    /// ask again before, it is part of the hold as ever.
    pub(in super::super) fn held(&self) -> usize {
        let named = |hold: &Hold| self.departed.values().filter(|id| **id == hold.id).count();
        self.tally.waiting() + self.hold.as_ref().map_or(0, named)
    }

    /// Forgets what no window reaches any more of what was sent; whether any of it counts yet.
    pub(in super::super) fn still_counts(&mut self, now: Timestamp) -> bool {
        self.tally.forget(self.longest(), now);
        self.tally.has_sent()
    }

    /// Forgets what no window reaches any more, and releases whose objects are all gone.
    pub(in super::super) fn tidy(&mut self, now: Timestamp) {
        self.tally.forget(self.longest(), now);
        if self.complete {
            let members = &self.members;
            let frees = |released: &Released| members.values().any(|m| released.frees(&m.asked));
            self.released.retain(|r| !r.recorded || frees(r));
        }
    }
}
