//! How calls count: each deletion counts once, in the window of its latest call.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::super::tally::Stretch;
use super::super::{Judgement, OnRecord};
use super::{ApplicationGuard, Member};

/// The longest time from the counting of a call to its end.
const LONGEST_CALL: Duration = Duration::from_secs(120);

/// What was counted for the earlier call of a deletion. It is kept so that the count can be restored if the next call
/// isn't made.
#[derive(Debug)]
pub(in super::super) struct Earlier {
    unit: Option<Stretch>,
    taken: Option<Timestamp>,
    outlived: Option<Timestamp>,
}

impl ApplicationGuard {
    /// Stops counting a deletion as sent when the longest window has passed since the last call for it. The next call
    /// for the deletion is then counted anew. If a bound is zero, the deletion stops counting as soon as its count
    /// is too old for a new call ([`Self::is_stale`]), even if the longest window hasn't passed. A bound of zero
    /// doesn't allow a new count, so the deletion is then held.
    pub(in super::super) fn let_grow_old(&mut self, uid: &str, now: Timestamp) {
        let longest = self.longest();
        let none_goes = self.lowest() == 0;
        let Some(member) = self.members.get(uid) else {
            return;
        };
        let stale = self.is_stale(member, now);
        let old = |at: &Timestamp| {
            (stale && none_goes) || at.checked_add(longest).is_ok_and(|end| end <= now)
        };
        let Some(member) = self.members.get_mut(uid) else {
            return;
        };
        let sent = member.is_sent();
        member.taken = member.taken.filter(|at| !old(at));
        if member.asked.answered.as_ref().is_some_and(old) {
            member.outlived = member.asked.answered;
        }
        if sent != member.is_sent() {
            self.recount(uid);
        }
    }

    /// Moves the count of a deletion from an earlier call to the call that is about to be made, so that a window with
    /// both calls counts the deletion once. Returns the earlier count. If no unit of the reservation is then taken for
    /// the deletion, the caller has to put the earlier count back with [`Self::restore`].
    pub(in super::super) fn renew(&mut self, uid: &str, now: Timestamp) -> Option<Earlier> {
        let member = self.members.get(uid)?;
        let was_called = member.called || member.taken.is_none();
        // If a release frees the deletion, its next call isn't counted. So the count of the earlier call stays.
        if !self.is_stale(member, now) || (was_called && self.is_free(member)) {
            return None;
        }
        let unit = match (member.taken, member.asked.answered) {
            (Some(at), _) => self.tally.give_back(at),
            // A unit of the tally is one counted deletion. An earlier process counted this deletion at an unknown time,
            // so nobody knows which unit is its own. The oldest unit is moved instead, because the tally forgets that
            // unit first. If the deletion's own unit may be forgotten already, no unit is moved.
            (None, Some(at)) => {
                let start = now.checked_sub(self.longest()).ok();
                // A time in the future comes from another clock, so the real time of the call is unknown.
                let remembered = at <= now && at.checked_sub(LONGEST_CALL).ok() > start;
                remembered.then(|| self.tally.give_back_oldest()).flatten()
            }
            (None, None) => None,
        };
        let member = self.members.get_mut(uid)?;
        let earlier = Earlier {
            unit,
            taken: member.taken.take(),
            outlived: std::mem::replace(&mut member.outlived, member.asked.answered),
        };
        self.recount(uid);
        was_called.then_some(earlier)
    }

    /// Restores the count from before [`Self::renew`], because no call followed.
    pub(in super::super) fn restore(&mut self, uid: &str, earlier: &Earlier) {
        if let Some(unit) = earlier.unit {
            self.tally.put_back(unit);
        }
        if let Some(member) = self.members.get_mut(uid) {
            (member.taken, member.outlived) = (earlier.taken, earlier.outlived);
        }
        self.recount(uid);
    }

    /// Records that a call was made for `uid`.
    pub(in super::super) fn called(&mut self, uid: &str) {
        if let Some(member) = self.members.get_mut(uid) {
            member.called = true;
        }
    }

    /// Takes a unit of the reservation for `uid`, which is about to be sent. Returns `false` if none is left or the
    /// deletion is held. The caller has checked the bounds before.
    pub(in super::super) fn take(&mut self, uid: &str, now: Timestamp) -> bool {
        match self.judge(uid, now) {
            Judgement::Held(_) | Judgement::Free(OnRecord::Awaited | OnRecord::Unrecorded) => false,
            Judgement::Free(OnRecord::Counted) => true,
            Judgement::Free(OnRecord::Allowed) => {
                self.tally.send(now, self.shortest());
                if let Some(member) = self.members.get_mut(uid) {
                    (member.taken, member.called) = (Some(now), false);
                }
                self.recount(uid);
                self.reservation.take()
            }
        }
    }

    /// Whether a call that is made now has to be counted anew, because the present count of the deletion is too old.
    /// The tally forgets all counts of one stretch of time together, so an earlier count covers the new call only if
    /// both are in the same stretch. The count is too old if the present time isn't in the stretch of the count, or if
    /// the time of the count is unknown.
    pub(super) fn is_stale(&self, member: &Member, now: Timestamp) -> bool {
        match member.taken {
            Some(at) => !self.tally.covers(at, now),
            None => member.is_sent(),
        }
    }
}
