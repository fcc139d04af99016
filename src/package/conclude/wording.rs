//! The messages of conditions and events.

use std::time::Duration;

use crate::api::names::ObjectKey;
use crate::api::outcome::Outcome;
use crate::api::reason::Reason;
use crate::object::Object;
use crate::package::decide::{Observation, PlatformView};
use crate::remote::answer::{Detail, Trouble};
use crate::session::SessionState;
use crate::telemetry::events::Note;

/// Reason and message for the state of a whole session.
pub(super) fn said_of(seen: &Observation, state: &SessionState) -> (Reason, String) {
    let application = application(seen);
    match state {
        SessionState::Open => (
            Reason::Queued,
            format!("Waiting for its turn in the queue of {application}"),
        ),
        SessionState::Throttled { .. } => (
            Reason::Throttled,
            format!(
                "The platform refused a call for too many calls; all of {application} pauses, then it goes on by itself"
            ),
        ),
        SessionState::TokenRefused(detail) => (
            Reason::TokenRefused,
            format!(
                "The platform refused the access token of {application} ({detail}); it goes on after a new login"
            ),
        ),
        SessionState::Unavailable(detail, trouble) => unavailable(detail, *trouble),
        SessionState::AuthenticationFailed(detail) => (
            Reason::AuthenticationFailed,
            format!(
                "The platform refused the credentials of {application} ({detail}); put the right ones into the Secret of the Platform, which is tried at once; otherwise the next try comes within an hour"
            ),
        ),
        SessionState::Superseded => (
            Reason::AuthenticationFailed,
            format!(
                "The Platform brings an accessToken beside a login of {application} that works, so nothing is called by the token; the condition of the Platform says which Secret to use"
            ),
        ),
        SessionState::QuotaTooSmall { life } => (
            Reason::QuotaTooSmall,
            format!(
                "No call can be made for {application}: a login takes the only call of a window, and a token lives {}, too short for the next one; the condition of the Platform says how to mend that",
                rounded(*life)
            ),
        ),
        SessionState::ApplicationRefused(detail) => (
            Reason::ApplicationRefused,
            format!(
                "The platform refuses {application} ({detail}); its owner has to clear this with the platform's operator, and it is tried again with pauses of up to ten minutes"
            ),
        ),
        SessionState::Unexpected(detail) => (
            Reason::UnexpectedAnswer,
            format!(
                "Calls for {application} get answers that the platform doesn't give, and that prove nothing ({detail}); compare endpoint with the platform's, and look at proxies and gateways on the way: one call at a time is tried meanwhile, and a change of the Platform or the annotation iodm.dev/requested-at tries sooner"
            ),
        ),
    }
}

/// Reason and message for a call without an answer.
fn unavailable(detail: &Detail, trouble: Trouble) -> (Reason, String) {
    let begun = match trouble {
        Trouble::Answered => "The platform did not answer understandably",
        Trouble::NotConnected => "The platform can't be reached",
        Trouble::CertificateNotTrusted(_) => "The platform's certificate is not trusted",
        Trouble::ClientCertificateRefused(_) => "The platform wants another client certificate",
        Trouble::TlsMismatch(_) => "There is no TLS that the platform and the operator speak",
        Trouble::ConnectionLost => "The connection to the platform broke",
        Trouble::TimedOut => "The platform did not answer in time",
    };
    if trouble.needs_person() {
        let message = format!(
            "{begun} ({detail}); nothing was sent, and the condition of the Platform says how to mend that"
        );
        (Reason::TlsFailed, message)
    } else {
        let message = format!(
            "{begun} ({detail}); it is unknown whether the package is gone, and trying again will tell"
        );
        (Reason::PlatformUnavailable, message)
    }
}

pub(super) fn application(seen: &Observation) -> String {
    match (&seen.platform, seen.object.application()) {
        (PlatformView::Usable { app_id, .. }, _) | (_, Some(app_id)) => {
            format!("application {app_id}")
        }
        (_, None) => "the application".to_owned(),
    }
}

pub(super) fn ended(object: &Object, outcome: Outcome, keeper: Option<&ObjectKey>) -> Note {
    let file = object
        .file_id()
        .map_or_else(|| "that it names".to_owned(), ToString::to_string);
    let message = match outcome {
        Outcome::Deleted => format!("The platform deleted the package {file}"),
        Outcome::AlreadyGone => format!("The platform did not have the package {file} any more"),
        Outcome::Retained => {
            format!("The package {file} stays on the platform, as deletionPolicy: Retain says")
        }
        Outcome::HandedOver => match keeper {
            Some(keeper) => {
                format!("The package {file} stays on the platform for {keeper}, which claims it")
            }
            None => format!(
                "The package {file} stays on the platform for another object, which claims it"
            ),
        },
    };
    Note {
        warning: false,
        reason: outcome.as_str(),
        message,
    }
}

/// A duration rounded for people: whole seconds, whole minutes rounded up, or hours and minutes.
pub(super) fn rounded(span: Duration) -> String {
    match span.as_secs() {
        seconds @ 0..60 => format!("{}s", seconds.max(1)),
        seconds @ 60..3600 => format!("{}m", seconds.div_ceil(60)),
        seconds => format!("{}h{}m", seconds / 3600, seconds % 3600 / 60),
    }
}
