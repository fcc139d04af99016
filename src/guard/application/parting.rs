//! The split of a guard whose Platforms no longer count together, and the merge of guards whose Platforms now count
//! together. If a sent deletion was counted for a Platform, it still counts for this Platform in any later group. A
//! release frees only the objects of the guard in which the release was read.

use std::collections::BTreeSet;
use std::mem;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use super::{ApplicationGuard, Hold, Member};
use crate::api::names::ObjectKey;

impl ApplicationGuard {
    /// Returns the Platforms that have a bound or a deletion here.
    pub(super) fn platforms(&self) -> BTreeSet<ObjectKey> {
        let members = self.members.values().map(|member| &member.asked.platform);
        self.bounds.keys().chain(members).cloned().collect()
    }

    /// Splits off the guard of these `platforms`; `leaves` tells which objects belong to them. Both guards count the
    /// deletions sent so far, and a hold continues in both.
    pub(in super::super) fn part(
        &mut self,
        platforms: &BTreeSet<ObjectKey>,
        leaves: impl Fn(&str) -> bool,
    ) -> Self {
        let uids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        let mut part = Self {
            tally: self.tally.copy_sent(),
            unsure: self.unsure,
            hold: self.hold.clone(),
            released: self.released.clone(),
            releasing: self.releasing.clone(),
            marking: self.marking.clone(),
            raised: self.raised,
            unrecorded: self.unrecorded,
            reserved_before: self.reserved_before.clone(),
            ..Self::new(self.complete, self.numbers.clone())
        };
        for uid in uids.into_iter().filter(|uid| leaves(uid)) {
            self.withdraw(&uid);
            if let Some(member) = self.members.remove(&uid) {
                part.members.insert(
                    uid,
                    Member {
                        counts: false,
                        stays: false,
                        ..member
                    },
                );
            }
        }
        let departed = mem::take(&mut self.departed).into_iter();
        (part.departed, self.departed) = departed.partition(|(uid, _)| leaves(uid));
        let bounds = mem::take(&mut self.bounds).into_iter();
        (part.bounds, self.bounds) = bounds.partition(|(platform, _)| platforms.contains(platform));
        self.begin_anew();
        part.begin_anew();
        part
    }

    /// Merges another guard, whose Platforms count together with those of this guard from now on.
    pub(in super::super) fn absorb(&mut self, mut other: Self, now: Timestamp) {
        // A pending release takes effect first, only for the objects of the guard where it was read.
        for guard in [&mut *self, &mut other] {
            if guard.complete {
                guard.end_release(now);
            }
        }
        self.hold = match (self.hold.take(), other.hold.take()) {
            (Some(own), Some(others)) => Some(older(own, others)),
            (own, others) => own.or(others),
        };
        if let Some(passed) = self.hold.as_mut().and_then(|hold| hold.bound.as_mut()) {
            // The bound may have been raised while it counted for the other group only.
            passed.most = passed.told;
            passed.unseen = true;
        }
        for released in other.released {
            match self
                .released
                .iter_mut()
                .find(|known| known.id == released.id)
            {
                Some(known) => {
                    known.recorded &= released.recorded;
                    known.of.extend(released.of);
                    known.count += released.count;
                }
                None => self.released.push(released),
            }
        }
        self.releasing = self.releasing.take().or(other.releasing);
        self.marking.append(&mut other.marking);
        for (uid, member) in other.members {
            let member = Member {
                counts: false,
                stays: false,
                ..member
            };
            self.members.insert(uid, member);
        }
        self.departed.extend(other.departed);
        self.bounds.append(&mut other.bounds);
        self.tally.merge_sent(other.tally);
        self.unsure = match (self.unsure, other.unsure) {
            (Some((at, count)), Some((then, more))) => Some((at.max(then), count + more)),
            (own, others) => own.or(others),
        };
        for (name, reserved) in other.reserved_before {
            let known = self.reserved_before.entry(name).or_default();
            *known = reserved.max(*known);
        }
        self.raised |= other.raised;
        self.unrecorded |= other.unrecorded;
        self.begin_anew();
    }

    /// Resets the reservation and the record. No record describes the new group yet, so no deletion is sent until a
    /// record of the new group is stored.
    fn begin_anew(&mut self) {
        self.reservation = super::Reservation::default();
        self.shown = None;
        self.read = None;
        self.name = None;
        self.untold = true;
        self.recount_all();
        self.end_empty_hold();
    }

    /// Ends the wait of all objects that wait for a reservation, and returns these objects. They have to request a
    /// reservation again.
    pub(in super::super) fn stop_waiting(&mut self) -> Vec<ObjectKey> {
        let waiting = mem::take(&mut self.waiting);
        waiting.into_iter().map(|(key, _)| key).collect()
    }
}

/// Returns the hold that began earlier. If both are records of the same hold, returns the one with the higher recorded
/// bound.
fn older(one: Hold, other: Hold) -> Hold {
    let told = |hold: &Hold| hold.bound.as_ref().map_or(0, |passed| passed.told);
    if one.id == other.id {
        let sent = one.sent.max(other.sent);
        let more = if told(&one) >= told(&other) {
            one
        } else {
            other
        };
        return Hold { sent, ..more };
    }
    if (one.since, &one.id) <= (other.since, &other.id) {
        one
    } else {
        other
    }
}
