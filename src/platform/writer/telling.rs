//! Log lines, metrics and events about the writes of a Platform.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use tracing::{debug, info, warn};

use super::super::credentials::PlatformWord;
use super::super::object::PlatformObject;
use super::PlatformContext;
use crate::api::condition::STALLED;
use crate::api::names::REQUESTED_AT_ANNOTATION;
use crate::api::platform::{Platform, PlatformReason, PlatformStatus};
use crate::telemetry::events::{self, Note};
use crate::writes::End;

/// Logs and counts a write that was not taken.
pub(super) fn tell_end(
    context: &PlatformContext,
    object: &PlatformObject,
    part: &'static str,
    end: &End,
) {
    let platform = &object.key;
    match end {
        End::Taken(_) => {}
        End::Gone | End::Conflict(_) => {
            debug!(%platform, part, "the Platform was changed or deleted before the write reached it");
        }
        End::Refused(words) => {
            context.metrics.write_refused(part);
            warn!(%platform, part, words, "a write is refused");
        }
        End::Failed(error) => warn!(%platform, part, error, "a write was not taken"),
    }
}

pub(super) fn refused_note(refusal: &PlatformWord) -> Note {
    Note {
        warning: true,
        reason: refusal.reason.as_str(),
        message: refusal.message.clone(),
    }
}

pub(super) fn status_refused(words: &str) -> Note {
    Note {
        warning: true,
        reason: PlatformReason::StatusRefused.as_str(),
        message: format!(
            "The status of the Platform can't be written: {words}. Until a write succeeds, no deletion that the guard of this Platform has to count is sent. Mend the admission policy that refuses the write, or give the operator the ClusterRole of its version. The write is tried again by itself, with growing pauses of up to a minute, and at once when the annotation {REQUESTED_AT_ANNOTATION} gets a new value"
        ),
    }
}

/// Publishes an event when a hold begins or ends.
pub(super) fn tell_hold(
    context: &PlatformContext,
    object: &PlatformObject,
    status: &PlatformStatus,
) {
    let before = object.status.hold.as_ref().map(|hold| &hold.id);
    let note = match (&status.hold, before) {
        (Some(hold), before) if before != Some(&hold.id) => Note {
            warning: true,
            reason: PlatformReason::MassDeletionHeld.as_str(),
            message: format!(
                "Hold {0} keeps {1} deletions: {2}. They wait for a person: run vpo hold release {0} if all of them are meant, or vpo hold retain {0} if not",
                hold.id, hold.count, hold.reason
            ),
        },
        (None, Some(id)) => Note {
            warning: false,
            reason: "HoldEnded",
            message: format!(
                "The hold {id} has ended: it was released, or its objects have left it"
            ),
        },
        (Some(_), _) | (None, None) => return,
    };
    tell(context, object, note);
}

/// Logs a line and publishes an event when a Platform begins to need a person, and logs a line when that ends. A hold
/// or a refused write is reported where it happens, so not here.
pub(super) fn tell_trouble(
    context: &PlatformContext,
    object: &PlatformObject,
    status: &PlatformStatus,
) {
    let platform = &object.key;
    match trouble(&object.status.conditions, &status.conditions) {
        Some(TroubleNews::Begins(note)) => {
            let Note {
                reason, message, ..
            } = &note;
            warn!(%platform, reason, why = message, "the Platform can't be used before a person acts");
            tell(context, object, note);
        }
        Some(TroubleNews::Over(reason)) => {
            info!(%platform, reason, "the trouble of the Platform that the field reason names is over");
        }
        None => {}
    }
}

/// The change of a trouble that a person has to correct.
#[derive(Debug, PartialEq)]
enum TroubleNews {
    /// A trouble begins, or another one takes its place.
    Begins(Note),
    /// The last trouble has ended; its reason.
    Over(&'static str),
}

fn trouble(before: &[Condition], now: &[Condition]) -> Option<TroubleNews> {
    let (had, has) = (stalled(before), stalled(now));
    match (had, has) {
        (had, Some((reason, message))) if had.map(|(reason, _)| reason) != Some(reason) => {
            Some(TroubleNews::Begins(Note {
                warning: true,
                reason: reason.as_str(),
                message: message.to_owned(),
            }))
        }
        (Some((reason, _)), None) => Some(TroubleNews::Over(reason.as_str())),
        (Some(_) | None, Some(_)) | (None, None) => None,
    }
}

/// The reason and the message of a stalled condition, unless they are reported elsewhere.
fn stalled(conditions: &[Condition]) -> Option<(PlatformReason, &str)> {
    let stalled = conditions.iter().find(|c| c.type_ == STALLED)?;
    let told_elsewhere = [
        PlatformReason::MassDeletionHeld,
        PlatformReason::FinalizerRefused,
        PlatformReason::StatusRefused,
    ];
    let mut reasons = PlatformReason::ALL.iter();
    let reason = reasons.find(|reason| reason.as_str() == stalled.reason)?;
    (!told_elsewhere.contains(reason)).then_some((*reason, &stalled.message))
}

/// Publishes an event about a Platform.
pub(super) fn tell(context: &PlatformContext, object: &PlatformObject, note: Note) {
    let about = events::about::<Platform>(&object.key, &object.uid);
    context.events.say(about, note);
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;
    use crate::api::condition::{Statement, merge};

    fn says(reason: PlatformReason, message: &str) -> Vec<Condition> {
        let statement = Statement {
            progress: reason.progress(),
            reason: reason.as_str(),
            message,
            generation: 1,
        };
        merge(&[], &statement, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_trouble_is_told_when_it_begins_and_when_it_is_over_and_not_in_between() {
        let (well, login) = (
            says(PlatformReason::Available, "well"),
            says(PlatformReason::AuthenticationFailed, "refused"),
        );
        let begins = |reason: PlatformReason, message: &str| {
            Some(TroubleNews::Begins(Note {
                warning: true,
                reason: reason.as_str(),
                message: message.to_owned(),
            }))
        };
        let told = begins(PlatformReason::AuthenticationFailed, "refused");
        assert_eq!(trouble(&[], &login), told);
        assert_eq!(trouble(&well, &login), told);
        let again = says(PlatformReason::AuthenticationFailed, "refused again");
        assert_eq!(trouble(&login, &again), None);
        let name = says(PlatformReason::CertificateNotTrusted, "another name");
        let told = begins(PlatformReason::CertificateNotTrusted, "another name");
        assert_eq!(trouble(&login, &name), told);
        assert_eq!(
            trouble(&name, &well),
            Some(TroubleNews::Over("CertificateNotTrusted"))
        );
        assert_eq!(trouble(&[], &well), None);
    }

    #[test]
    fn what_passes_by_itself_and_what_is_told_elsewhere_is_no_trouble() {
        let well = says(PlatformReason::Available, "well");
        for reason in [
            PlatformReason::Throttled,
            PlatformReason::PlatformUnavailable,
            PlatformReason::Blind,
            PlatformReason::MassDeletionHeld,
            PlatformReason::FinalizerRefused,
            PlatformReason::StatusRefused,
        ] {
            assert_eq!(trouble(&well, &says(reason, "m")), None, "{reason:?}");
        }
    }
}
