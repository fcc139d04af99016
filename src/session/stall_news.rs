//! Stall news: waiting objects are woken to update their statuses when the session stalls for a reason other than its
//! budget, and when it recovers.
//!
//! The head of the queue is woken at once, so that one object reports the stall. The other objects are woken only for a
//! stall that needs a person, and only after the stall has lasted a while: each object once, at a bounded pace. So no
//! status says Queued while the login is refused, and no status reports the refusal long after its end. An outage that
//! ends by itself is reported by the Platform.

use std::mem;
use std::time::Duration;

use tokio::time::Instant;

use super::SessionState;
use super::queue::{Queue, QueuePlace};
use crate::api::names::ObjectKey;

/// How long a stall lasts before the other objects are woken.
const LASTS: Duration = Duration::from_secs(30);
/// The pause between two wake-ups: 50 objects a second.
const PACE: Duration = Duration::from_millis(20);

/// The round of wake-ups for one state.
struct Told {
    /// The state to report; `None` for the end of the stall.
    kind: Option<mem::Discriminant<SessionState>>,
    /// When the next object is woken; `None` after the last one.
    next: Option<Instant>,
    /// The place of the object that was woken last.
    place: Option<QueuePlace>,
}

/// The state of the wake-ups of one lane.
#[derive(Default)]
pub(super) struct StallNews {
    /// The state that the head of the queue was last woken for.
    head: Option<mem::Discriminant<SessionState>>,
    told: Option<Told>,
    /// Whether some objects may report a stall that needs a person, because not all objects have been woken for its
    /// end.
    outdated: bool,
}

impl StallNews {
    /// Adds the objects to wake now to `wake`, given the state of the session. Returns the time at which to call this
    /// method again.
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
        // An object that parks during the stall reports the stall at once, so it has to be woken for the end.
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

    /// Whether the turn of `uid` to report the state has come.
    pub(super) fn has_told(&self, uid: &str, queue: &Queue) -> bool {
        let leads = || queue.head().is_some_and(|head| head.uid == uid);
        let Some(told) = &self.told else {
            return self.head.is_some() && leads();
        };
        let passed = |last: &QueuePlace| queue.place(uid).is_some_and(|place| place <= *last);
        told.next.is_none() || told.place.as_ref().is_some_and(passed) || leads()
    }
}
