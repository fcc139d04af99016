//! Whose last call failed: from then on it's ordered as if it had come to the queue just after everybody there.
//!
//! Otherwise a few old objects that fail for ever would be first again after each pause, and nobody younger would have a
//! turn. The order is that of the queue itself, so no clock is asked, and none that is wrong does harm.

use std::collections::HashMap;
use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::session::Ticket;

/// Longer than any object waits between two tries: who hasn't come back by then starts anew.
const REMEMBERED: Duration = Duration::from_secs(2 * 3600);
/// So few aren't worth a look for those that are over.
const FEW: usize = 64;

struct Setback {
    /// What orders its tickets in place of an earlier time.
    place: Timestamp,
    since: Instant,
    /// What its last ticket said.
    requested_at: Timestamp,
}

/// All whose last call failed.
pub(super) struct Setbacks {
    all: HashMap<String, Setback>,
    /// The latest time that has ordered anybody.
    latest: Timestamp,
    /// The place of who failed last.
    last: Timestamp,
    /// With so many, those that are over are forgotten.
    full: usize,
}

impl Setbacks {
    /// Nobody has failed.
    pub(super) fn new() -> Self {
        Self {
            all: HashMap::new(),
            latest: Timestamp::MIN,
            last: Timestamp::MIN,
            full: FEW,
        }
    }

    /// The ticket as it is ordered.
    pub(super) fn placed(&mut self, ticket: &Ticket) -> Ticket {
        let mut placed = ticket.clone();
        if let Some(setback) = self.all.get_mut(&ticket.uid) {
            setback.requested_at = ticket.requested_at;
            placed.requested_at = ticket.requested_at.max(setback.place);
        }
        self.latest = self.latest.max(placed.requested_at);
        placed
    }

    /// The ticket as it was asked for, from the one that is ordered.
    pub(super) fn asked(&self, placed: Ticket) -> Ticket {
        match self.all.get(&placed.uid) {
            Some(setback) => Ticket {
                requested_at: setback.requested_at,
                ..placed
            },
            None => placed,
        }
    }

    /// The call of `uid` failed. Those who are in the queue, as `waits` tells, are never forgotten.
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

    /// Forgets that a call of `uid` failed.
    pub(super) fn remove(&mut self, uid: &str) {
        self.all.remove(uid);
    }

    /// Whether the last call of `uid` failed.
    pub(super) fn contains(&self, uid: &str) -> bool {
        self.all.contains_key(uid)
    }

    /// Whether nobody has failed after `uid` did.
    pub(super) fn is_last(&self, uid: &str) -> bool {
        let setback = self.all.get(uid);
        setback.is_some_and(|setback| setback.place == self.last)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}
