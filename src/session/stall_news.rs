//! Who is told that the whole session waits for something other than its budget, and that it is over.
//!
//! The head of the queue is told at once, so that somebody says it. The others are told only what waits for a person,
//! once and at a bounded pace, when it lasts: nobody keeps saying Queued while the login is refused, nor that it is
//! long after. Of an outage that passes by itself the Platform tells.

use std::mem;
use std::time::Duration;

use tokio::time::Instant;

use super::SessionState;
use super::queue::{Queue, QueuePlace};
use crate::api::names::ObjectKey;

/// How long it lasts before the others are told.
const LASTS: Duration = Duration::from_secs(30);
/// The pause between two of them: 50 a second.
const PACE: Duration = Duration::from_millis(20);

/// What the others have to be told.
struct Told {
    /// The state; `None` for the end of all such.
    kind: Option<mem::Discriminant<SessionState>>,
    /// When the next is told; `None` once all were.
    next: Option<Instant>,
    /// The last that was told.
    place: Option<QueuePlace>,
}

/// Who was told what.
#[derive(Default)]
pub(super) struct StallNews {
    /// What the head was told.
    head: Option<mem::Discriminant<SessionState>>,
    told: Option<Told>,
    /// Whether somebody may have said what waits for a person, and not all were told of its end.
    outdated: bool,
}

impl StallNews {
    /// Whom to wake now, given what the session waits for, and when to ask again.
    pub(super) fn advance(
        &mut self,
        state: &SessionState,
        queue: &Queue,
        now: Instant,
        wake: &mut Vec<ObjectKey>,
    ) -> Option<Instant> {
        let head = state.is_ailing().then(|| mem::discriminant(state));
        if self.head != head {
            self.head = head;
            wake.extend(queue.head().map(|ticket| ticket.key));
        }
        let kind = head.filter(|_| state.needs_person());
        // Who is parked meanwhile says so at once.
        self.outdated |= kind.is_some();
        if self.told.as_ref().and_then(|told| told.kind) != kind {
            self.told = (kind.is_some() || self.outdated).then_some(Told {
                kind,
                next: Some(now + LASTS),
                place: None,
            });
        }
        let told = self.told.as_mut()?;
        while let Some(due) = told.next.filter(|due| *due <= now) {
            let next = queue.after(told.place.as_ref());
            self.outdated = told.kind.is_some() || next.is_some();
            told.next = next.map(|(place, key)| {
                told.place = Some(place);
                wake.push(key);
                due + PACE
            });
        }
        told.next
    }

    /// Whether the turn of `uid` to be told has come.
    pub(super) fn has_told(&self, uid: &str, queue: &Queue) -> bool {
        let leads = || queue.head().is_some_and(|head| head.uid == uid);
        let Some(told) = &self.told else {
            return self.head.is_some() && leads();
        };
        let passed = |last: &QueuePlace| queue.place(uid).is_some_and(|place| place <= *last);
        told.next.is_none() || told.place.as_ref().is_some_and(passed) || leads()
    }
}
