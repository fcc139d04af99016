//! The seat of an object: the ticket or permit that it has in a session.

use std::sync::Arc;

use super::Memory;
use crate::api::names::ObjectKey;
use crate::package::decide::Now;
use crate::session::{PackageKey, Session, Standing};

/// The session in which an object has asked for a call, and the package of that call.
#[derive(Clone)]
pub struct Seat {
    /// The session that the object has asked.
    pub session: Arc<Session>,
    /// The package of the call.
    pub package: PackageKey,
}

impl Seat {
    /// State of the object `uid` in the queue of the session.
    pub fn standing(&self, uid: &str) -> Standing {
        self.session.standing(uid, &self.package)
    }

    /// Gives the seat of `uid` back. Returns the keys of the objects that waited behind it. Memory must not be locked,
    /// since the session has a lock of its own.
    pub(super) fn leave(&self, uid: &str) -> Vec<ObjectKey> {
        self.session.withdraw(uid, &self.package)
    }
}

impl Memory {
    /// The seat of `uid`, if it has one.
    pub fn seat(&self, uid: &str) -> Option<Seat> {
        self.state.lock().entries.get(uid)?.seat.clone()
    }

    /// Stores the seat of `uid`. The caller must have left any seat in another session or for another package.
    pub fn take_seat(&self, uid: &str, seat: Seat) {
        self.state.lock().entry(uid).seat = Some(seat);
    }

    /// Gives the seat of `uid` back. Returns the keys of the objects that waited behind it, which the caller has to
    /// wake.
    pub fn leave_seat(&self, uid: &str) -> Vec<ObjectKey> {
        let seat = self
            .state
            .lock()
            .entries
            .get_mut(uid)
            .and_then(|entry| entry.seat.take());
        seat.map_or_else(Vec::new, |seat| seat.leave(uid))
    }

    /// Ends the look-up that was due for `uid` and for the objects that wait behind it: the package is there, or the
    /// platform can't tell.
    pub fn looked_up(&self, uid: &str, now: Now) {
        self.requests.looked_up(uid, now);
        let seat = self.seat(uid);
        let behind = seat.map(|seat| seat.session.behind(uid, &seat.package));
        for follower in behind.into_iter().flatten() {
            self.requests.looked_up(&follower, now);
        }
    }
}
