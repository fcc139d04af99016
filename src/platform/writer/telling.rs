//! What log, metrics and events say of the writes of a Platform.

use tracing::{debug, warn};

use super::super::credentials::PlatformWord;
use super::super::object::PlatformObject;
use super::PlatformContext;
use crate::api::names::REQUESTED_AT_ANNOTATION;
use crate::api::platform::{Platform, PlatformReason, PlatformStatus};
use crate::telemetry::events::{self, Note};
use crate::writes::End;

/// What the log and the metrics say of a write that was not taken.
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
            debug!(%platform, part, "the Platform changed or went before it was written");
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
            "The status can't be written, and no deletion that its guard has to count is sent before it can: {words}; it is tried again with growing pauses of up to a minute, and at once with the annotation {REQUESTED_AT_ANNOTATION}"
        ),
    }
}

/// An event where a hold has come or gone.
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
                "Hold {} keeps {} deletions: {}",
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

/// Has an event about a Platform published.
pub(super) fn tell(context: &PlatformContext, object: &PlatformObject, note: Note) {
    let about = events::about::<Platform>(&object.key, &object.uid);
    context.events.say(about, note);
}
