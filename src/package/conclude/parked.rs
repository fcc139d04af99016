//! What an object says that waits for its turn.

#![deny(clippy::wildcard_enum_match_arm)]

use std::time::Duration;

use super::wording::{application, rounded, state_message};
use super::{Report, say};
use crate::api::reason::{Phase, Reason};
use crate::package::decide::{Now, Observation};
use crate::session::State;

/// A ticket is held. One status write when it is parked, none after, but for what doesn't pass by itself, and its end.
pub(super) fn parked(
    seen: &Observation,
    (state, told): (&State, bool),
    position: usize,
    estimated: Duration,
    now: Now,
) -> Report {
    let reason = match state {
        State::Open => Reason::Queued,
        State::Throttled { .. } => Reason::Throttled,
        State::TokenRefused(_) => Reason::TokenRefused,
        State::Unavailable(..) => Reason::PlatformUnavailable,
        State::AuthenticationFailed(_) => Reason::AuthenticationFailed,
        State::ApplicationRefused(_) => Reason::ApplicationRefused,
    };
    let lasts = reason == Reason::PlatformUnavailable || reason.phase() != Phase::Waiting;
    let status = &seen.object.status;
    let outdated = !status.says(reason) && (lasts || says_lasting(seen));
    // Told in turn, so that ten thousand who wait don't write all at once.
    let said = waits_already(seen) || (is_current(seen) && says_lasting(seen));
    if said && !(outdated && told) {
        return Report::nothing();
    }
    let message = match state {
        State::Open => format!(
            "Waiting for its turn: number {position} in the queue of {}, about {}",
            application(seen),
            rounded(estimated)
        ),
        State::Throttled { .. }
        | State::TokenRefused(_)
        | State::Unavailable(..)
        | State::AuthenticationFailed(_)
        | State::ApplicationRefused(_) => state_message(seen, state),
    };
    say(seen, reason, &message, None, now)
}

/// Whether the status says of the object as it is now that it waits, and not for a time that has passed.
pub(super) fn waits_already(seen: &Observation) -> bool {
    let status = &seen.object.status;
    if status.says(Reason::GracePeriod) {
        return false;
    }
    status.phase == Some(Phase::Waiting) && is_current(seen)
}

/// Whether the status is of the object as it is now.
fn is_current(seen: &Observation) -> bool {
    let status = &seen.object.status;
    status.observed_generation == Some(seen.object.generation)
        && status.last_handled_requested_at == seen.object.requested_at
}

/// Whether the status tells what a session waits for that doesn't pass by itself.
fn says_lasting(seen: &Observation) -> bool {
    let lasting = [
        Reason::PlatformUnavailable,
        Reason::AuthenticationFailed,
        Reason::ApplicationRefused,
    ];
    lasting
        .iter()
        .any(|reason| seen.object.status.says(*reason))
}
