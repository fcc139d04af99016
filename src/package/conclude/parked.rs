//! What an object says that waits for its turn.

#![deny(clippy::wildcard_enum_match_arm)]

use std::time::Duration;

use super::wording::{application, rounded, state_message, unavailable};
use super::{FOLLOWS, GIVEN_BACK, Report, say};
use crate::api::reason::{Phase, Reason};
use crate::package::decide::{HINDERED, Now, Observation, WRITES_HANG};
use crate::session::SessionState;

/// A ticket is held. One status write when it is parked and none after, but one when its session stalls for a person,
/// and then the object is parked anew. What passes by itself is said by who is called for next, and by the Platform.
pub(super) fn parked(
    seen: &Observation,
    (state, told): (&SessionState, bool),
    position: usize,
    estimated: Duration,
    now: Now,
) -> Report {
    // An outage may be over long before the turn of who was parked in it.
    let outlasted = state.is_ailing() && !state.needs_person() && position > 1;
    let reason = match state {
        SessionState::Unavailable(..) if outlasted => Reason::Queued,
        SessionState::Unavailable(_, trouble) => unavailable(*trouble),
        SessionState::Open => Reason::Queued,
        SessionState::Throttled { .. } => Reason::Throttled,
        SessionState::TokenRefused(_) => Reason::TokenRefused,
        SessionState::AuthenticationFailed(_) | SessionState::Superseded => {
            Reason::AuthenticationFailed
        }
        SessionState::ApplicationRefused(_) => Reason::ApplicationRefused,
        SessionState::Unexpected(_) => Reason::UnexpectedAnswer,
        SessionState::QuotaTooSmall { .. } => Reason::QuotaTooSmall,
    };
    let status = &seen.object.status;
    let lasting = state.is_ailing() && !outlasted;
    let outdated = !status.says(reason) && (lasting || says_lasting(seen));
    // Told in turn, so that ten thousand who wait don't write all at once.
    let follows = seen.object.status.begins(FOLLOWS);
    let said = waits_already(seen) && !follows || (is_current(seen) && says_lasting(seen));
    if said && !(outdated && told) {
        return Report::nothing();
    }
    let turn = || queued(seen, position, estimated);
    let message = match state {
        SessionState::Open => turn(),
        SessionState::Unavailable(..) if outlasted => {
            format!("{}. {}", turn(), state_message(seen, state))
        }
        SessionState::Throttled { .. }
        | SessionState::TokenRefused(_)
        | SessionState::Unavailable(..)
        | SessionState::AuthenticationFailed(_)
        | SessionState::ApplicationRefused(_)
        | SessionState::Unexpected(_)
        | SessionState::Superseded
        | SessionState::QuotaTooSmall { .. } => state_message(seen, state),
    };
    say(seen, reason, &message, None, now)
}

/// Where it stood when it was parked, and where to look how the queue moves.
fn queued(seen: &Observation, position: usize, estimated: Duration) -> String {
    let (application, estimated) = (application(seen), rounded(estimated));
    let look = seen.object.platform().map_or_else(String::new, |platform| {
        format!("; since then, Platform {platform} tells how the queue moves")
    });
    format!(
        "Waiting for its turn: number {position} in the queue of {application}, about {estimated}{look}"
    )
}

/// Whether the status says of the object as it is now that it waits, and not for what is over.
pub(super) fn waits_already(seen: &Observation) -> bool {
    let status = &seen.object.status;
    // It asks for its turn, so nothing keeps it from that.
    let over = status.begins(HINDERED)
        || status.begins(WRITES_HANG)
        || status.says(Reason::GracePeriod)
        || (seen.given_back == 0 && status.begins(GIVEN_BACK));
    if over {
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

/// Whether the status tells of what a whole session may wait for that doesn't pass by itself.
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
