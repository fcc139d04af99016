//! The status of an object that waits for its turn.

#![deny(clippy::wildcard_enum_match_arm)]

use std::time::Duration;

use super::wording::{application, rounded, said_of};
use super::{FOLLOWS, GIVEN_BACK, Report, say};
use crate::api::reason::{Phase, Reason};
use crate::package::decide::{HINDERED, Now, Observation, WRITES_HANG};
use crate::session::SessionState;

/// Reports a ticket in the queue: one status write when the object is parked, and another only when the session stalls
/// until a person acts, and when that stall is over. Short troubles are reported by the next object in the queue and by
/// the Platform.
pub(super) fn parked(
    seen: &Observation,
    (state, told): (&SessionState, bool),
    position: usize,
    estimated: Duration,
    now: Now,
) -> Report {
    // An outage may end long before the turn of an object that was parked during the outage.
    let outlasted = state.is_ailing() && !state.needs_person() && position > 1;
    // The objects report one by one, so that ten thousand waiting objects don't write all at once.
    let follows = seen.object.status.begins(FOLLOWS);
    let said = waits_already(seen) && !follows || (is_current(seen) && says_lasting(seen));
    if said && !told {
        return Report::nothing();
    }
    let (reason, message) = match state {
        SessionState::Open => queued(seen, position, estimated),
        SessionState::Unavailable(..) if outlasted => {
            let (reason, turn) = queued(seen, position, estimated);
            let (_, outage) = said_of(seen, state);
            (reason, format!("{turn}. {outage}"))
        }
        SessionState::Throttled { .. }
        | SessionState::TokenRefused(_)
        | SessionState::Unavailable(..)
        | SessionState::AuthenticationFailed(_)
        | SessionState::ApplicationRefused(_)
        | SessionState::Unexpected(_)
        | SessionState::Superseded
        | SessionState::QuotaTooSmall { .. } => said_of(seen, state),
    };
    let lasting = state.is_ailing() && !outlasted;
    let outdated = !seen.object.status.says(reason) && (lasting || says_lasting(seen));
    if said && !outdated {
        return Report::nothing();
    }
    say(seen, reason, &message, None, now)
}

/// Reason and message with the position at the time of parking, and where to follow the queue.
fn queued(seen: &Observation, position: usize, estimated: Duration) -> (Reason, String) {
    let (application, estimated) = (application(seen), rounded(estimated));
    let look = seen.object.platform().map_or_else(String::new, |platform| {
        format!(". This number isn't updated; the status of Platform {platform} shows how the queue moves")
    });
    let message = format!(
        "Waiting for its turn: number {position} in the queue of {application} when this was written, with about {estimated} to wait{look}"
    );
    (Reason::Queued, message)
}

/// Whether the status already says that this version of the object waits, for a reason that still holds.
pub(super) fn waits_already(seen: &Observation) -> bool {
    let status = &seen.object.status;
    // The object asks for its turn, so these reasons no longer hold.
    let over = status.begins(HINDERED)
        || status.begins(WRITES_HANG)
        || status.says(Reason::GracePeriod)
        || (seen.given_back == 0 && status.begins(GIVEN_BACK));
    if over {
        return false;
    }
    status.phase == Some(Phase::Waiting) && is_current(seen)
}

/// Whether the status belongs to the present version of the object.
fn is_current(seen: &Observation) -> bool {
    let status = &seen.object.status;
    status.observed_generation == Some(seen.object.generation)
        && status.last_handled_requested_at == seen.object.requested_at
}

/// Whether the status tells of a trouble of the whole session that doesn't pass by itself.
fn says_lasting(seen: &Observation) -> bool {
    let lasting = [
        Reason::PlatformUnavailable,
        Reason::TlsFailed,
        Reason::AuthenticationFailed,
        Reason::ApplicationRefused,
        Reason::UnexpectedAnswer,
        Reason::QuotaTooSmall,
    ];
    lasting
        .iter()
        .any(|reason| seen.object.status.says(*reason))
}
