//! Objects whose last call failed: each is ordered as if it had joined the queue after all objects that were there.
//!
//! Otherwise a few old objects that always fail would be first again after each pause, and younger objects would never
//! get a turn. The order is derived from the times in the queue itself, so a wrong clock does no harm.

use std::collections::HashMap;
use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::session::Ticket;

/// How long a setback is remembered; longer than any object waits between two tries.
const REMEMBERED: Duration = Duration::from_secs(2 * 3600);
/// Below this number of setbacks, expired ones aren't cleaned up.
const FEW: usize = 64;

struct Setback {
    /// The time that orders the object's tickets, unless the `requested_at` of a ticket is later.
    place: Timestamp,
    since: Instant,
    /// The `requested_at` of the object's last ticket.
    requested_at: Timestamp,
}

/// The setbacks of all objects whose last call failed.
pub(super) struct Setbacks {
    all: HashMap<String, Setback>,
    /// The latest time that has ordered any ticket.
    latest: Timestamp,
    /// The place of the object that failed last.
    last: Timestamp,
    /// The number of setbacks at which expired ones are removed.
    full: usize,
}

impl Setbacks {
    /// Creates an empty set of setbacks.
    pub(super) fn new() -> Self {
        Self {
            all: HashMap::new(),
            latest: Timestamp::MIN,
            last: Timestamp::MIN,
            full: FEW,
        }
    }

    /// Returns the ticket with the time that orders it in the queue.
    pub(super) fn placed(&mut self, ticket: &Ticket) -> Ticket {
        let mut placed = ticket.clone();
        if let Some(setback) = self.all.get_mut(&ticket.uid) {
            setback.requested_at = ticket.requested_at;
            placed.requested_at = ticket.requested_at.max(setback.place);
        }
        self.latest = self.latest.max(placed.requested_at);
        placed
    }

    /// Turns `placed`, a ticket of the queue, back into the ticket that was inserted, with its own `requested_at`.
    pub(super) fn asked(&self, placed: Ticket) -> Ticket {
        match self.all.get(&placed.uid) {
            Some(setback) => Ticket {
                requested_at: setback.requested_at,
                ..placed
            },
            None => placed,
        }
    }

    /// Records that the call of `uid` failed. The setbacks of objects for which `waits` is true are never removed as
    /// expired.
    pub(super) fn add(&mut self, uid: &str, now: Instant, waits: impl Fn(&str) -> bool) {
        if self.all.len() >= self.full {
            self.all
                .retain(|uid, setback| now < setback.since + REMEMBERED || waits(uid));
            self.full = FEW.max(self.all.len() * 2);
            self.all.shrink_to(self.full);
        }
        let next = self.latest.checked_add(SignedDuration::from_nanos(1));
        self.latest = next.unwrap_or(self.latest);
        self.last = self.latest;
        let setback = Setback {
            place: self.latest,
            since: now,
            requested_at: self.latest,
        };
        self.all.insert(uid.to_owned(), setback);
    }

    /// Removes the setback of `uid`.
    pub(super) fn remove(&mut self, uid: &str) {
        self.all.remove(uid);
    }

    /// Whether the last call of `uid` failed.
    pub(super) fn contains(&self, uid: &str) -> bool {
        self.all.contains_key(uid)
    }

    /// Whether the setback of `uid` is the latest one.
    pub(super) fn is_last(&self, uid: &str) -> bool {
        let setback = self.all.get(uid);
        setback.is_some_and(|setback| setback.place == self.last)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}
