//! Who is told that the whole session waits for something that doesn't pass by itself, and that it is over.
//!
//! The head of the queue is told at once, so that somebody says it. The others are told once, at a
//! bounded pace, when it lasts: nobody keeps saying Queued while the login is refused, nor that it is long after.

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

/// What those who wait have to be told.
struct Told {
    /// The state; `None` for the end of all such.
    kind: Option<mem::Discriminant<State>>,
    /// When the next is told; `None` once all were.
    next: Option<Instant>,
    /// The last that was told.
    place: Option<Place>,
}

/// Who was told what.
#[derive(Default)]
pub(super) struct Notice {
    told: Option<Told>,
    /// Whether others than the head were told of a state, and not all of them of its end.
    outdated: bool,
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
        if self.told.as_ref().and_then(|told| told.kind) != kind {
            wake.extend(queue.head().map(|ticket| ticket.key));
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
