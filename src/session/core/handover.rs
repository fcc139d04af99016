//! The record that a session leaves to the next leader, and the calls it may make before that record is stored.
//!
//! Each renewal of the Lease carries a record for each session: the calls of the last window, the calls in flight until
//! their time-out, and a reservation (how many more calls may begin before the next renewal). Reserved calls that were
//! not sent are lost to the next leader for one window. So the reservation is small: twenty calls if no more objects
//! wait, else a sixth of the quota, and never more than the budget can give until the next renewal. When two thirds of
//! a reservation are used and more calls fit, the session brings a renewal forward, at most ten times a window. That
//! renewal reserves as many calls as objects wait, or three times the calls since the last renewal while deletions
//! still arrive. Unused permits are lost in the same way, so at most a twelfth of the quota, or eight if that is more,
//! are out at a time. With these rules, a process that crashes every 20 s still uses four fifths of the quota or more,
//! wherever in a window the crashes fall.
//!
//! A refused call brings a renewal forward too. Its record carries the pause, the share, and the credit that is left
//! for tries.

use tokio::time::Instant;

use super::{Core, LeaseBounds};
use crate::session::SessionKey;
use crate::session::call_log::{Past, SessionRecord};

/// The size of a reservation in calls while no more calls are expected, so that the next call doesn't wait for a new
/// record.
const IDLE: usize = 20;
/// While more calls are expected, a reservation is at most the limit divided by this number. Reserved calls that were
/// not sent when the process ends are lost to the next leader for a window.
const PARTS: usize = 6;
/// The session asks for the next record once less than the last reservation divided by this number is left, so that no
/// call waits for the record. At this pace, the ten extra records that a window may have are enough for all calls of
/// the window.
const AHEAD: usize = 3;
/// While calls come one by one, a reservation is this many times the calls since the last record.
const GROWTH: usize = 3;
/// At most the limit divided by this number, or `FEW` if that is more, may be out as unused permits. Unused permits are
/// lost to the next leader just as reserved calls that were not sent. More permits would only wait longer for the API
/// server.
const UNUSED: usize = 12;
const FEW: usize = 8;

impl Core {
    /// Begins the leadership of this process within `lease_bounds`, and takes over the past calls.
    pub(in crate::session) fn begin_lease(&mut self, past: Past, lease_bounds: LeaseBounds) {
        self.budget.inherit(past);
        self.lease_bounds = lease_bounds;
    }

    /// Creates the record for the next leader: the calls that count, and the number of calls that may begin from now
    /// on. The record has to last until `until`.
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

    /// Whether one more unused permit may be out.
    pub(super) fn may_permit(&self) -> bool {
        self.permits.len() < (self.budget.limit() / UNUSED).max(FEW)
    }

    /// Whether the reservation is too small for the `free` calls that the budget allows now.
    pub(super) fn runs_short(&self, free: usize) -> bool {
        self.lease_bounds.left() < free.min((self.lease_bounds.given() / AHEAD).max(1))
    }

    /// Returns the number of calls that a record should reserve, before the limit of the budget is applied.
    fn wanted(&self) -> usize {
        let coming = if self.lease_bounds.is_short() {
            self.lease_bounds.begun().saturating_mul(GROWTH)
        } else {
            0
        };
        // One more call for a login.
        let expected = coming.max(self.all_waiting() + 1);
        if expected <= IDLE {
            return IDLE;
        }
        self.budget.limit().div_ceil(PARTS).min(expected)
    }

    /// Confirms that the last record is stored and the lease lasts until `ends`.
    pub(in crate::session) fn recorded(&mut self, ends: Instant) {
        self.lease_bounds.confirm(ends);
    }

    /// Whether the lease outlives a call that begins now, and this process sees the cluster.
    pub(in crate::session) fn may_send(&self, now: Instant) -> bool {
        !self.barred && self.lease_bounds.outlives(now + self.time_out)
    }

    /// Whether a record is wanted before its regular time: more calls fit than the reservation allows, or a refusal
    /// changed what the record should carry.
    pub(in crate::session) fn wants_record(&self) -> bool {
        (self.lease_bounds.is_short() || self.untold) && !self.closed
    }

    /// Brings forward the record that is `due`, if a record is wanted earlier and the session hasn't brought forward
    /// too many records. Returns the new time.
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
