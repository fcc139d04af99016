//! What a session leaves to the process that leads next, and what it may do before that is written down.
//!
//! A renewal of the Lease carries, for each session, the calls of the last window, the calls under way until their
//! time-out, and a reservation: how many more may begin before the next renewal. What is reserved and not sent is lost
//! to the next process for a window, so the reservation is small. It is twenty where no more wait, else a sixth of the
//! quota, and never more than the budget can give until then. Once two thirds of it are gone and more calls fit, a
//! renewal is brought forward, for each session at most ten times a window. That renewal allows for as many as wait, or
//! for three times as many as went since the renewal before while deletions are still coming. Permits that nobody has
//! used are lost in the same way, so at most a twelfth of the quota, or eight, are out at one time. With both, a
//! process that crashes every 20 s still uses four fifths of the quota or more, wherever in a window the crashes fall.
//!
//! A renewal is brought forward after a refused call too. It carries the pause, the share that others leave, and what
//! is left to pay tries with.

use tokio::time::Instant;

use super::{Core, LeaseBounds};
use crate::session::SessionKey;
use crate::session::call_log::{Past, SessionRecord};

/// A record allows for so many calls where no more are expected, so that the next one needs no record first.
const IDLE: usize = 20;
/// Where more are expected, it allows for one in so many of the limit at most. Whatever is allowed for and not sent
/// when the process ends is lost to the next one for a window.
const PARTS: usize = 6;
/// The next one is asked for while one in so many of those is left, so that nobody waits for it. So the ten that a
/// window may have beside the regular ones allow for all its calls.
const AHEAD: usize = 3;
/// While calls come one by one, a record allows for so many times those that went since the one before.
const GROWTH: usize = 3;
/// Permits that wait for their use are lost in the same way, and many only wait longer for the API server. One in so
/// many of the limit may be out, or a few where that is less.
const UNUSED: usize = 12;
const FEW: usize = 8;

impl Core {
    /// From now on this process leads, within the bounds of `lease_bounds`; it takes over what is known of
    /// the calls before.
    pub(in crate::session) fn begin_lease(&mut self, past: Past, lease_bounds: LeaseBounds) {
        self.budget.inherit(past);
        self.lease_bounds = lease_bounds;
    }

    /// What the next leader has to know, for a record that has to last until `until`: the calls that
    /// count, and how many more may begin from now on.
    pub(in crate::session) fn record(
        &mut self,
        key: &SessionKey,
        until: Instant,
        now: Instant,
    ) -> SessionRecord {
        let (more, permits) = if self.closed || self.is_abandoned() {
            (0, 0)
        } else {
            let room = self.budget.room_until(until, now);
            (room.min(self.wanted()), self.permits.len())
        };
        self.lease_bounds.propose(more);
        self.untold = false;
        let mut past = self.budget.past(now);
        let latest = |(began, _): &(Instant, _)| now.max(*began + self.time_out);
        past.stamps.extend(self.under_way.iter().map(latest));
        SessionRecord::new(key, &past, more + permits, now)
    }

    /// Whether one more permit may wait for its use.
    pub(super) fn may_permit(&self) -> bool {
        self.permits.len() < (self.budget.limit() / UNUSED).max(FEW)
    }

    /// Whether the record allows for too few of the calls that are `free` to begin now.
    pub(super) fn runs_short(&self, free: usize) -> bool {
        self.lease_bounds.left() < free.min((self.lease_bounds.given() / AHEAD).max(1))
    }

    /// How many calls a record should allow for, as far as the budget can give them.
    fn wanted(&self) -> usize {
        let coming = if self.lease_bounds.is_short() {
            self.lease_bounds.begun().saturating_mul(GROWTH)
        } else {
            0
        };
        // One more for a login.
        let expected = coming.max(self.all_waiting() + 1);
        if expected <= IDLE {
            return IDLE;
        }
        self.budget.limit().div_ceil(PARTS).min(expected)
    }

    /// The record that was made last is safe, and the lease lasts until `ends`.
    pub(in crate::session) fn recorded(&mut self, ends: Instant) {
        self.lease_bounds.confirm(ends);
    }

    /// Whether the lease outlives a call that begins now, and this process sees what it does.
    pub(in crate::session) fn may_send(&self, now: Instant) -> bool {
        !self.barred && self.lease_bounds.outlives(now + self.time_out)
    }

    /// Whether a record is wanted before its time: more calls fit than the last one allows for, or a
    /// refusal has told something that it doesn't.
    pub(in crate::session) fn wants_record(&self) -> bool {
        (self.lease_bounds.is_short() || self.untold) && !self.closed
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
