//! Work queue of tickets: deletions come before retirements, then older tickets before younger ones. An object whose
//! call failed is moved behind all objects that were in the queue.

#![deny(clippy::wildcard_enum_match_arm)]

mod setbacks;

use std::iter;

use fastrand::Rng;
use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use self::setbacks::Setbacks;
use super::ranked_tickets::RankedTickets;
use super::{Priority, Purpose, Ticket};
use crate::api::names::ObjectKey;

/// The length of a round: the last of ten turns goes to a retirement if one waits, so retirements get a tenth of the
/// turns at least.
const ROUND: usize = 10;

/// The tickets of one lane.
pub(super) struct Queue {
    order: RankedTickets,
    setbacks: Setbacks,
    /// The number of deletions that went ahead of waiting retirements since the last retirement.
    passed: usize,
}

/// The numbers of waiting tickets and the position in the round, from which the next priority follows.
struct Rounds {
    deletions: usize,
    retirements: usize,
    passed: usize,
}

impl Rounds {
    /// Takes the next turn. Returns its priority, or `None` if no ticket waits.
    fn turn(&mut self) -> Option<Priority> {
        let due = self.retirements > 0 && self.passed >= ROUND - 1;
        if self.deletions > 0 && !due {
            self.deletions -= 1;
            self.passed += usize::from(self.retirements > 0);
            Some(Priority::Deletion)
        } else {
            self.retirements = self.retirements.checked_sub(1)?;
            self.passed = 0;
            Some(Priority::Retirement)
        }
    }
}

/// The sort key of a ticket, as a cursor for a walk over all tickets.
pub(super) type QueuePlace = (Priority, Timestamp, String);

impl Queue {
    /// Creates an empty queue.
    pub(super) fn new() -> Self {
        Self {
            order: RankedTickets::new(),
            setbacks: Setbacks::new(),
            passed: 0,
        }
    }

    /// Returns the number of tickets.
    pub(super) fn len(&self) -> usize {
        self.deletions() + self.retirements()
    }

    /// Whether the queue is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Inserts a ticket; a second ticket of the same uid replaces the first.
    pub(super) fn insert(&mut self, ticket: &Ticket) {
        let placed = self.setbacks.placed(ticket);
        if self.order.get(&ticket.uid).as_ref() != Some(&placed) {
            self.order.remove(&ticket.uid);
            self.order.insert(&placed);
        }
    }

    /// Moves the ticket of `uid`, if it exists, to its place in `priority`.
    pub(super) fn prioritise(&mut self, uid: &str, priority: Priority) {
        if let Some(ticket) = self.take(uid) {
            self.insert(&Ticket { priority, ..ticket });
        }
    }

    /// Records that a call of `uid` failed: the object's ticket is moved behind all earlier tickets of its priority.
    pub(super) fn set_back(&mut self, uid: &str, now: Instant) {
        self.replace(uid, |setbacks, order| {
            setbacks.add(uid, now, |uid| order.contains(uid));
        });
    }

    /// Forgets the failures of `uid` after a successful call: its next ticket is ordered by age again.
    pub(super) fn forgive(&mut self, uid: &str) {
        if self.setbacks.contains(uid) {
            self.replace(uid, |setbacks, _| setbacks.remove(uid));
        }
    }

    /// Changes the setback of `uid`, and moves its ticket to the new place.
    fn replace(&mut self, uid: &str, change: impl FnOnce(&mut Setbacks, &RankedTickets)) {
        let waiting = self.order.remove(uid);
        let waiting = waiting.map(|ticket| self.setbacks.asked(ticket));
        change(&mut self.setbacks, &self.order);
        if let Some(ticket) = waiting {
            self.insert(&ticket);
        }
    }

    /// Removes the ticket of `uid`. Returns whether there was one.
    pub(super) fn remove(&mut self, uid: &str) -> bool {
        self.order.remove(uid).is_some()
    }

    /// Removes and returns the ticket of `uid`, wherever it stands in the queue.
    pub(super) fn take(&mut self, uid: &str) -> Option<Ticket> {
        let ticket = self.order.remove(uid)?;
        Some(self.setbacks.asked(ticket))
    }

    /// Removes and returns the next ticket.
    pub(super) fn pop(&mut self) -> Option<Ticket> {
        let mut rounds = self.rounds();
        let ticket = self.order.next(rounds.turn()?, None)?;
        self.passed = rounds.passed;
        let ticket = self.order.remove(&ticket.uid)?;
        Some(self.setbacks.asked(ticket))
    }

    /// Removes and returns a ticket for the next probe, after `tries` failed probes. The ticket is drawn by lot, so
    /// that no group of objects that always fail blocks the others. Objects that haven't failed are preferred, and the
    /// object that failed last is drawn only if no other waits. Deletions and retirements alternate.
    pub(super) fn draw(&mut self, tries: u32, chance: &mut Rng) -> Option<Ticket> {
        let mut priorities = [Priority::Deletion, Priority::Retirement];
        if tries % 2 == 1 {
            priorities.reverse();
        }
        let mut drawn: Vec<Ticket> = priorities
            .into_iter()
            .filter_map(|priority| self.candidate(priority, chance))
            .collect();
        // An object whose call hasn't failed comes before one whose call has failed, no matter which priority has its
        // turn.
        drawn.sort_by_key(|ticket| self.setbacks.contains(&ticket.uid));
        let mut drawn = drawn.into_iter();
        let first = drawn.next()?;
        let ticket = if self.setbacks.is_last(&first.uid) {
            drawn.next().unwrap_or(first)
        } else {
            first
        };
        let ticket = self.order.remove(&ticket.uid)?;
        match ticket.priority {
            Priority::Deletion => self.passed += usize::from(self.retirements() > 0),
            Priority::Retirement => self.passed = 0,
        }
        Some(self.setbacks.asked(ticket))
    }

    /// Draws a ticket of `priority` whose object hasn't failed; if all objects have failed, returns the first in order.
    fn candidate(&self, priority: Priority, chance: &mut Rng) -> Option<Ticket> {
        let count = self.order.count(priority);
        let first = chance.usize(..count.max(1));
        let mut ranks = (first..count).chain(0..first);
        let untried = ranks.find_map(|rank| {
            let ticket = self.order.nth(priority, rank)?;
            (!self.setbacks.contains(&ticket.uid)).then_some(ticket)
        });
        untried.or_else(|| self.order.next(priority, None))
    }

    /// Returns the next ticket without removing it.
    pub(super) fn head(&self) -> Option<Ticket> {
        self.turns().next()
    }

    /// Returns all tickets in the order of their turns, as long as the queue doesn't change; the first one is at
    /// position 1.
    pub(super) fn turns(&self) -> impl Iterator<Item = Ticket> {
        let mut rounds = self.rounds();
        let (mut deletion, mut retirement) = (None::<Ticket>, None::<Ticket>);
        let placed = iter::from_fn(move || {
            let priority = rounds.turn()?;
            let last = match priority {
                Priority::Deletion => &mut deletion,
                Priority::Retirement => &mut retirement,
            };
            let after = last.as_ref().map(|last| (last.requested_at, &*last.uid));
            *last = self.order.next(priority, after);
            last.clone()
        });
        placed.map(move |ticket| self.setbacks.asked(ticket))
    }

    /// Returns the position of `uid` (1 is the next ticket) and the purpose of its call.
    pub(super) fn position(&self, uid: &str) -> Option<(usize, Purpose)> {
        let (priority, older, purpose) = self.order.rank(uid)?;
        // `first` deletions come before the first retirement, then a round of deletions comes before each further
        // retirement.
        let first = self.left_in_round();
        let others = match priority {
            Priority::Deletion if older < first => 0,
            Priority::Deletion => (1 + (older - first) / (ROUND - 1)).min(self.retirements()),
            Priority::Retirement => (first + older * (ROUND - 1)).min(self.deletions()),
        };
        Some((older + others + 1, purpose))
    }

    /// Returns the sort key of the ticket of `uid`.
    pub(super) fn place(&self, uid: &str) -> Option<QueuePlace> {
        let ticket = self.order.get(uid)?;
        Some((ticket.priority, ticket.requested_at, ticket.uid))
    }

    /// Returns the first ticket after `place`, or the first of all, by priority and age; the retirements' share of the
    /// turns doesn't apply.
    pub(super) fn after(&self, place: Option<&QueuePlace>) -> Option<(QueuePlace, ObjectKey)> {
        let ticket = match place {
            Some((Priority::Retirement, at, uid)) => {
                self.order.next(Priority::Retirement, Some((*at, uid)))
            }
            Some((Priority::Deletion, at, uid)) => self
                .order
                .next(Priority::Deletion, Some((*at, uid)))
                .or_else(|| self.order.next(Priority::Retirement, None)),
            None => self
                .order
                .next(Priority::Deletion, None)
                .or_else(|| self.order.next(Priority::Retirement, None)),
        }?;
        Some((
            (ticket.priority, ticket.requested_at, ticket.uid),
            ticket.key,
        ))
    }

    fn rounds(&self) -> Rounds {
        Rounds {
            deletions: self.deletions(),
            retirements: self.retirements(),
            passed: self.passed,
        }
    }

    fn left_in_round(&self) -> usize {
        (ROUND - 1).saturating_sub(self.passed)
    }

    fn deletions(&self) -> usize {
        self.order.count(Priority::Deletion)
    }

    fn retirements(&self) -> usize {
        self.order.count(Priority::Retirement)
    }
}

#[cfg(test)]
mod tests;
