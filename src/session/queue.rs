//! Who gets the next call: deletions before retirement, then by age. Whose call failed goes behind all who were there.

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

/// Of so many turns in a row, the last goes to retirement where it waits: it gets a tenth at least.
const ROUND: usize = 10;

/// The tickets of one session.
pub(super) struct Queue {
    order: RankedTickets,
    setbacks: Setbacks,
    /// Deletions that went before waiting retirements since one of those had its turn.
    passed: usize,
}

/// How many are left to have their turns, and whose the next one is.
struct Rounds {
    deletions: usize,
    retirements: usize,
    passed: usize,
}

impl Rounds {
    /// Takes one turn.
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

/// A place in the order, for walking over all who wait.
pub(super) type QueuePlace = (Priority, Timestamp, String);

impl Queue {
    /// Nobody waits.
    pub(super) fn new() -> Self {
        Self {
            order: RankedTickets::new(),
            setbacks: Setbacks::new(),
            passed: 0,
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.deletions() + self.retirements()
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts a ticket in its place; a second one of the same uid only moves it there.
    pub(super) fn insert(&mut self, ticket: &Ticket) {
        let placed = self.setbacks.placed(ticket);
        if self.order.get(&ticket.uid).as_ref() != Some(&placed) {
            self.order.remove(&ticket.uid);
            self.order.insert(&placed);
        }
    }

    /// Moves the ticket of `uid`, if there is one, to its place in `priority`.
    pub(super) fn prioritise(&mut self, uid: &str, priority: Priority) {
        if let Some(ticket) = self.take(uid) {
            self.insert(&Ticket { priority, ..ticket });
        }
    }

    /// A call of `uid` failed: its tickets go behind all of its priority that have come before.
    pub(super) fn set_back(&mut self, uid: &str, now: Instant) {
        self.replace(uid, |setbacks, order| {
            setbacks.add(uid, now, |uid| order.contains(uid));
        });
    }

    /// A call of `uid` did what it was for: its next one goes by age again.
    pub(super) fn forgive(&mut self, uid: &str) {
        if self.setbacks.contains(uid) {
            self.replace(uid, |setbacks, _| setbacks.remove(uid));
        }
    }

    /// Changes what is remembered of `uid`, and the place of its ticket with it.
    fn replace(&mut self, uid: &str, change: impl FnOnce(&mut Setbacks, &RankedTickets)) {
        let waiting = self.order.remove(uid);
        let waiting = waiting.map(|ticket| self.setbacks.asked(ticket));
        change(&mut self.setbacks, &self.order);
        if let Some(ticket) = waiting {
            self.insert(&ticket);
        }
    }

    /// Takes a ticket out; whether there was one.
    pub(super) fn remove(&mut self, uid: &str) -> bool {
        self.order.remove(uid).is_some()
    }

    /// Takes the ticket of `uid` out, whosever turn it is.
    pub(super) fn take(&mut self, uid: &str) -> Option<Ticket> {
        let ticket = self.order.remove(uid)?;
        Some(self.setbacks.asked(ticket))
    }

    /// Takes the ticket out whose turn it is.
    pub(super) fn pop(&mut self) -> Option<Ticket> {
        let mut rounds = self.rounds();
        let ticket = self.order.next(rounds.turn()?, None)?;
        self.passed = rounds.passed;
        let ticket = self.order.remove(&ticket.uid)?;
        Some(self.setbacks.asked(ticket))
    }

    /// Takes a ticket out for the next try whether calls are answered again, after so many `tries` in vain. Anybody's
    /// by lot, so that no group of them that always fails stands before the others; who hasn't failed is preferred, and
    /// never is it who failed last, where somebody else waits. Deletions and retirements take turns.
    pub(super) fn draw(&mut self, tries: u32, chance: &mut Rng) -> Option<Ticket> {
        let mut priorities = [Priority::Deletion, Priority::Retirement];
        if tries % 2 == 1 {
            priorities.reverse();
        }
        let mut drawn: Vec<Ticket> = priorities
            .into_iter()
            .filter_map(|priority| self.candidate(priority, chance))
            .collect();
        // Who hasn't been tried goes before all who were, whichever of the two has its turn.
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

    /// One of `priority` that hasn't failed, by lot; where all have, who did first.
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

    /// Who is next.
    pub(super) fn head(&self) -> Option<Ticket> {
        self.turns().next()
    }

    /// All tickets in the order of their turns, if nobody comes or goes: the first is at position 1.
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

    /// How many turns until that of `uid`, and what it wants its call for; 1 is the next.
    pub(super) fn position(&self, uid: &str) -> Option<(usize, Purpose)> {
        let (priority, older, purpose) = self.order.rank(uid)?;
        // So many deletions go before the first retirement; then a round of them before each other.
        let first = self.left_in_round();
        let others = match priority {
            Priority::Deletion if older < first => 0,
            Priority::Deletion => (1 + (older - first) / (ROUND - 1)).min(self.retirements()),
            Priority::Retirement => (first + older * (ROUND - 1)).min(self.deletions()),
        };
        Some((older + others + 1, purpose))
    }

    /// Where the ticket of `uid` stands.
    pub(super) fn place(&self, uid: &str) -> Option<QueuePlace> {
        let ticket = self.order.get(uid)?;
        Some((ticket.priority, ticket.requested_at, ticket.uid))
    }

    /// The first ticket, or the first after `place`; by priority and age, without the turns of ageing.
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
