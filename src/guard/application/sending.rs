//! What a call counts for: once for each deletion, and in the window of its latest call.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::super::tally::Stretch;
use super::super::{Judgement, OnRecord};
use super::{ApplicationGuard, Member};

/// No call takes longer, the time between its count and its sending included.
const LONGEST_CALL: Duration = Duration::from_secs(120);

/// How a deletion counted as sent before it counts for another call.
#[derive(Debug)]
pub(in super::super) struct Earlier {
    unit: Option<Stretch>,
    taken: Option<Timestamp>,
    outlived: Option<Timestamp>,
}

impl ApplicationGuard {
    /// What was sent a window ago counts anew, since it would be sent again; sooner where nothing may go any more, so
    /// that it is held.
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

    /// Whoever was counted long before the call that comes now counts for this one, as if it had not been sent: a
    /// window that reaches both counts it once. Where it may not be taken then, [`Self::restore`] it.
    pub(in super::super) fn renew(&mut self, uid: &str, now: Timestamp) -> Option<Earlier> {
        let member = self.members.get(uid)?;
        let was_called = member.called || member.taken.is_none();
        // Where a person freed it, its next call counts nowhere, so the earlier one goes on counting.
        if !self.is_stale(member, now) || (was_called && self.is_free(member)) {
            return None;
        }
        let unit = match (member.taken, member.asked.answered) {
            (Some(at), _) => self.tally.give_back(at),
            // An earlier process counted it, and nobody knows for which time. The oldest stands for it, since
            // that one is forgotten first; none does where its own may be forgotten by now.
            (None, Some(at)) => {
                let start = now.checked_sub(self.longest()).ok();
                // One in the future was told by another clock, and may have been at any time.
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

    /// No call followed after [`Self::renew`]: the earlier one counts as it did.
    pub(in super::super) fn restore(&mut self, uid: &str, earlier: &Earlier) {
        if let Some(unit) = earlier.unit {
            self.tally.put_back(unit);
        }
        if let Some(member) = self.members.get_mut(uid) {
            (member.taken, member.outlived) = (earlier.taken, earlier.outlived);
        }
        self.recount(uid);
    }

    /// A call was made for `uid`.
    pub(in super::super) fn called(&mut self, uid: &str) {
        if let Some(member) = self.members.get_mut(uid) {
            member.called = true;
        }
    }

    /// Takes one of the reservation for `uid`, which is about to be sent; `false` where none is left or
    /// it is held. It was looked before whether a bound is passed.
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

    /// Whether a call that comes now would count for a time long before it.
    pub(super) fn is_stale(&self, member: &Member, now: Timestamp) -> bool {
        match member.taken {
            Some(at) => !self.tally.covers(at, now),
            None => member.is_sent(),
        }
    }
}
