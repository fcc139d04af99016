//! The record that has to be stored before deletions are sent: the reservation for the next deletions, and the
//! releases.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use super::{ApplicationGuard, Hold, Released};
use crate::api::names::ObjectKey;

/// A reservation is the lowest bound divided by this number, rounded down. A crash leaves unused reservations that
/// count as sent, so a small reservation keeps a crash loop from looking like a mass deletion. If the division gives
/// zero, each deletion has a record of its own just before it is sent.
const BATCH: usize = 20;
/// The largest reservation of one record. It equals the usual quota (100 calls), so a burst that uses the whole quota
/// doesn't wait for a second record.
const LARGEST_BATCH: usize = 100;

impl ApplicationGuard {
    /// Whether a record should be written at once.
    pub(in super::super) fn is_due(&self) -> bool {
        self.untold || self.is_used_up()
    }

    /// Whether a record with a new reservation should be written at once.
    fn is_used_up(&self) -> bool {
        let (left, batch) = (self.reservation.left(), self.batch());
        if batch == 0 {
            return left == 0 && !self.reservation.is_proposed() && !self.waiting.is_empty();
        }
        let waits = self.hold.is_none() && self.tally.waiting() > 0;
        left == 0 || (waits && left * 2 < batch)
    }

    /// Returns the number of the record that was last proposed, and how much of its reservation is unused.
    pub(in super::super) fn unused(&self) -> Option<(i64, usize)> {
        let (shown, _) = self.shown.as_ref()?;
        let left = self.reservation.left();
        (shown.record > 0 && left > 0).then_some((shown.record, left))
    }

    /// If the due record is only for one deletion that waits for a reservation, returns the Platform of this deletion.
    /// The record is then written to the status of that Platform only.
    pub(in super::super) fn due_only_on(&self) -> Option<ObjectKey> {
        let alone = self.batch() == 0 && !self.untold && !self.unrecorded;
        let (_, platform) = self.waiting.first().filter(|_| alone)?;
        platform.clone()
    }

    /// Returns the most deletions that may be sent in a window without a person's release.
    pub(in super::super) fn lowest(&self) -> usize {
        let bounds = self.bounds.values();
        let most = bounds.map(|bound| bound.most(self.population, 0));
        most.min().unwrap_or(0)
    }

    /// Returns how many deletions a record reserves when no deletion waits.
    pub(in super::super) fn batch(&self) -> usize {
        (self.lowest() / BATCH).min(LARGEST_BATCH)
    }

    /// Records that the deletion of `uid` has its turn and waits for a reservation; `platform` is the Platform of its
    /// object.
    pub(in super::super) fn want(&mut self, uid: &str, platform: Option<ObjectKey>) {
        let Some(member) = self.members.get(uid) else {
            return;
        };
        let key = member.asked.key.clone();
        if !self.waiting.iter().any(|(known, _)| *known == key) {
            self.waiting.push((key, platform));
        }
    }

    /// Begins a record. Returns the number of deletions that it reserves, and the ids of the releases that it contains.
    pub(in super::super) fn propose(&mut self) -> (usize, Vec<Arc<str>>) {
        self.untold = false;
        let one = usize::from(self.lowest() > 0 && !self.waiting.is_empty());
        let batch = self.batch().max(one);
        self.reservation.propose(batch);
        let released = self.released.iter().map(|r| Arc::clone(&r.id));
        (batch, released.collect())
    }

    /// Confirms that a record with the releases `told` is stored. Returns the objects that may continue.
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

    /// Returns how many deletions the hold holds. An object that left the hold still counts as long as its status names
    /// the hold. If the object requests its deletion again during that time, it is part of the hold as before.
    pub(in super::super) fn held(&self) -> usize {
        let named = |hold: &Hold| self.departed.values().filter(|id| **id == hold.id).count();
        self.tally.waiting() + self.hold.as_ref().map_or(0, named)
    }

    /// Forgets sent deletions that no window reaches any more. Returns whether any sent deletion still counts.
    pub(in super::super) fn still_counts(&mut self, now: Timestamp) -> bool {
        self.tally.forget(self.longest(), now);
        self.tally.has_sent()
    }

    /// Forgets sent deletions that no window reaches any more, and releases that have no objects left.
    pub(in super::super) fn tidy(&mut self, now: Timestamp) {
        self.tally.forget(self.longest(), now);
        if self.complete {
            let members = &self.members;
            let frees = |released: &Released| members.values().any(|m| released.frees(&m.asked));
            self.released.retain(|r| !r.recorded || frees(r));
        }
    }
}
