//! Who is told that the whole session waits for something that doesn't pass by itself.
//!
//! The head of the queue is told at once, so that somebody says it. The others are told once, at a
//! bounded pace, when it lasts: nobody keeps saying Queued while the login is refused.

use std::mem;
use std::time::Duration;

use tokio::time::Instant;

use super::State;
use super::queue::{Place, Queue};
use crate::api::names::ObjectKey;

/// How long it lasts before the others are told.
const LASTS: Duration = Duration::from_secs(30);
/// The pause between two of them: 50 a second.
const PACE: Duration = Duration::from_millis(20);

/// A state that those who wait have to be told of.
struct Told {
    kind: mem::Discriminant<State>,
    /// When the next is told; `None` once all were.
    next: Option<Instant>,
    /// The last that was told.
    place: Option<Place>,
}

/// Who was told what.
#[derive(Default)]
pub(super) struct Notice {
    told: Option<Told>,
}

impl Notice {
    /// Whom to wake now, given what the session waits for, and when to ask again.
    pub(super) fn advance(
        &mut self,
        state: &State,
        queue: &Queue,
        now: Instant,
        wake: &mut Vec<ObjectKey>,
    ) -> Option<Instant> {
        let kind = lasting(state).then(|| mem::discriminant(state));
        if self.told.as_ref().map(|told| told.kind) != kind {
            wake.extend(queue.head().map(|ticket| ticket.key));
            self.told = kind.map(|kind| Told {
                kind,
                next: Some(now + LASTS),
                place: None,
            });
        }
        let told = self.told.as_mut()?;
        while let Some(due) = told.next.filter(|due| *due <= now) {
            told.next = queue.after(told.place.as_ref()).map(|(place, key)| {
                told.place = Some(place);
                wake.push(key);
                due + PACE
            });
        }
        told.next
    }

    /// Whether the turn of `uid` to be told has come.
    pub(super) fn has_told(&self, uid: &str, queue: &Queue) -> bool {
        let Some(told) = &self.told else { return false };
        let passed = |last: &Place| queue.place(uid).is_some_and(|place| place <= *last);
        told.next.is_none()
            || told.place.as_ref().is_some_and(passed)
            || queue.head().is_some_and(|head| head.uid == uid)
    }
}

/// Whether those who wait should say so, rather than that they are queued.
fn lasting(state: &State) -> bool {
    match state {
        State::Open | State::Throttled { .. } | State::TokenRefused(_) => false,
        State::Unavailable(..) | State::AuthenticationFailed(_) | State::ApplicationRefused(_) => {
            true
        }
    }
}
