//! What a session leaves to the process that leads next, and what it may do before that is written down.

use tokio::time::Instant;

use super::{Core, Tenure};
use crate::session::SessionKey;
use crate::session::call_log::{Past, Record};

/// A record allows for so many calls where no more wait, so that the next one needs no record first.
const IDLE: usize = 20;
/// Where more wait, it's one in so many of the limit: so the ten records that a window may have beside the
/// regular ones allow for all its calls, also where refusals have taken some. Whatever is allowed for and
/// not sent is lost to the next process for a window.
const PARTS: usize = 8;
/// Whoever runs short is allowed as many as can go within the window by this, so that a burst costs one
/// record and not many: all that wait, and while they are still coming this many times those that went
/// since the record before.
const BURST: u32 = 20;
const GROWTH: usize = 2;
/// A record is asked for while the last one still allows for so many, so that deletions which come one by
/// one needn't wait for it.
const AHEAD: usize = 5;

impl Core {
    /// From now on this process leads, within the bounds of `tenure`; it takes over what is known of
    /// the calls before.
    pub(in crate::session) fn begin_tenure(&mut self, past: Past, tenure: Tenure) {
        self.budget.inherit(past);
        self.tenure = tenure;
    }

    /// What the next leader has to know, for a record that has to last until `until`: the calls that
    /// count, and how many more may begin from now on.
    pub(in crate::session) fn record(
        &mut self,
        key: &SessionKey,
        until: Instant,
        now: Instant,
    ) -> Record {
        let (more, permits) = if self.closed || self.abandoned {
            (0, 0)
        } else {
            let room = self.budget.room_until(until, now);
            (room.min(self.wanted(now)), self.permits.len())
        };
        self.tenure.propose(more);
        self.untold = false;
        let mut past = self.budget.past(now);
        let latest = |began: &Instant| now.max(*began + self.time_out);
        past.stamps.extend(self.under_way.iter().map(latest));
        Record::new(key, &past, more + permits, now)
    }

    /// Whether the record allows for too few of the calls that are `free` to begin now.
    pub(super) fn runs_short(&self, free: usize) -> bool {
        self.tenure.left() < free.min(self.queue.len().max(AHEAD))
    }

    /// How many calls a record should allow for, as far as the budget can give them.
    fn wanted(&self, now: Instant) -> usize {
        let (coming, soon) = if self.tenure.is_short() {
            let burst = now + self.budget.window() / BURST;
            let soon = self.budget.room_until(burst, now);
            (self.tenure.begun().saturating_mul(GROWTH), soon)
        } else {
            (0, 0)
        };
        // One more for a login.
        let expected = coming.max(self.queue.len() + 1);
        if expected <= IDLE {
            return IDLE;
        }
        let part = (self.budget.limit() / PARTS).max(1);
        part.max(soon).min(expected)
    }

    /// The record that was made last is safe, and the lease lasts until `ends`.
    pub(in crate::session) fn recorded(&mut self, ends: Instant) {
        self.tenure.confirm(ends);
    }

    /// Whether the lease outlives a call that begins now.
    pub(in crate::session) fn may_send(&self, now: Instant) -> bool {
        self.tenure.outlives(now + self.time_out)
    }

    /// Whether a record is wanted before its time: more calls fit than the last one allows for, or a
    /// refusal has told something that it doesn't.
    pub(in crate::session) fn wants_record(&self) -> bool {
        (self.tenure.is_short() || self.untold) && !self.closed
    }

    /// Brings the record that is `due` then forward, where one is wanted before and this session has not
    /// done so too often; tells when it should come.
    pub(in crate::session) fn bring_forward(
        &mut self,
        due: Instant,
        now: Instant,
    ) -> Option<Instant> {
        if !self.wants_record() {
            return None;
        }
        let at = self.pace.next(self.budget.window(), now);
        (at < due).then(|| {
            self.pace.take(at);
            at
        })
    }
}
