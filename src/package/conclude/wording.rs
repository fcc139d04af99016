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
                "The platform refused a call because {application} made too many calls. All calls of {application} pause for a while, then go on by themselves"
            ),
        ),
        SessionState::TokenRefused(detail) => (
            Reason::TokenRefused,
            format!(
                "The platform refused the access token of {application} ({detail}). The operator logs in again by itself, and then the deletion goes on"
            ),
        ),
        SessionState::Unavailable(detail, trouble) => unavailable(detail, *trouble),
        SessionState::AuthenticationFailed(detail) => (
            Reason::AuthenticationFailed,
            format!(
                "The platform refused the credentials of {application} ({detail}). Put the right ones into the Secret of the Platform: the operator tries new ones at once. Without a change the operator tries again within an hour"
            ),
        ),
        SessionState::Superseded => (
            Reason::AuthenticationFailed,
            format!(
                "The Secret of the Platform has an accessToken, but another credential of {application} is a login that works, so no call is made with the token. The condition of the Platform says which Secret to use"
            ),
        ),
        SessionState::QuotaTooSmall { life } => (
            Reason::QuotaTooSmall,
            format!(
                "No call can be made for {application}: the quota is one call in a window, a login uses it up, and the token, which is valid for {}, expires before the next call is allowed. The condition of the Platform says how to mend that",
                rounded(*life)
            ),
        ),
        SessionState::ApplicationRefused(detail) => (
            Reason::ApplicationRefused,
            format!(
                "The platform refuses {application} ({detail}). The owner of the application has to clear this with those who run the platform. The operator tries again by itself, with pauses of up to ten minutes"
            ),
        ),
        SessionState::Unexpected(detail) => (
            Reason::UnexpectedAnswer,
            format!(
                "Calls for {application} get answers that the real platform never gives, so they prove nothing ({detail}). Compare spec.endpoint of the Platform with the real address of the platform, and look at proxies and gateways on the way. Meanwhile the operator tries one call at a time; a change of the Platform, or a new value of the annotation iodm.dev/requested-at, makes it try sooner"
            ),
        ),
    }
}

/// Reason and message for a call without an answer.
fn unavailable(detail: &Detail, trouble: Trouble) -> (Reason, String) {
    let begun = match trouble {
        Trouble::Answered => "The answer of the platform can't be understood",
        Trouble::NotConnected => "The platform can't be reached",
        Trouble::CertificateNotTrusted(_) => "The platform's certificate is not trusted",
        Trouble::ClientCertificateRefused(_) => "The platform wants another client certificate",
        Trouble::TlsMismatch(_) => "The platform and the operator can't agree on TLS",
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
            "{begun} ({detail}). It is unknown whether the package is gone; the operator tries again by itself to find out"
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
        .map_or_else(|| "that this object names".to_owned(), ToString::to_string);
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
