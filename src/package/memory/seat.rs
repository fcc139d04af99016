//! Where an object has asked for the turn of its package.

use std::sync::Arc;

use super::Memory;
use crate::api::names::ObjectKey;
use crate::package::decide::Now;
use crate::session::{PackageKey, Session, Standing};

/// Where an object has asked for a call, and for which package.
#[derive(Clone)]
pub struct Seat {
    /// The session that it has asked.
    pub session: Arc<Session>,
    /// The package.
    pub package: PackageKey,
}

impl Seat {
    /// Where the object `uid` of this seat stands.
    pub fn standing(&self, uid: &str) -> Standing {
        self.session.standing(uid, &self.package)
    }
}

impl Memory {
    /// The seat of `uid`.
    pub fn seat(&self, uid: &str) -> Option<Seat> {
        self.state.lock().entries.get(uid)?.seat.clone()
    }

    /// Remembers the seat of `uid`, which has none for another package or in another session.
    pub fn take_seat(&self, uid: &str, seat: Seat) {
        self.state.lock().entry(uid).seat = Some(seat);
    }

    /// Gives the seat of `uid` back. Returns the objects that waited behind it, to be woken.
    pub fn leave_seat(&self, uid: &str) -> Vec<ObjectKey> {
        let seat = self
            .state
            .lock()
            .entries
            .get_mut(uid)
            .and_then(|entry| entry.seat.take());
        // Outside the lock: the session has a lock of its own.
        seat.map_or_else(Vec::new, |seat| seat.session.withdraw(uid, &seat.package))
    }

    /// The package of `uid` is there, or the platform can't tell: that goes for the objects that wait behind `uid`, too.
    pub fn looked_up(&self, uid: &str, now: Now) {
        self.requests.looked_up(uid, now);
        let seat = self.seat(uid);
        let behind = seat.map(|seat| seat.session.behind(uid, &seat.package));
        for follower in behind.into_iter().flatten() {
            self.requests.looked_up(&follower, now);
        }
    }
}
