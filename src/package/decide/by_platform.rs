//! The rows that depend on the object's `Platform`: row 4 for a wanted package, rows 7 and 8 for a package to delete.

use k8s_openapi::jiff::Timestamp;

use super::{
    Decision, ECHO_BOUND, Now, Observation, PlatformView, instant_of, named_platform, odd_pause,
    rest,
};
use crate::api::names::AppId;
use crate::api::platform::{Mode, PlatformReason};
use crate::api::reason::Reason;
use crate::inventory::Known;
use crate::object::Object;

pub(super) fn wanted(seen: &Observation, retire_after: Option<Timestamp>, now: Now) -> Decision {
    let decision = of_wanted(seen, retire_after, now);
    // The object has to be looked at when its retirement is due, no matter what the decision is.
    match (decision, retire_after) {
        (
            Decision::Rest {
                reason,
                message,
                until: None,
            },
            Some(at),
        ) => Decision::Rest {
            reason,
            message,
            until: Some(instant_of(at, now)),
        },
        (decision, _) => decision,
    }
}

fn of_wanted(seen: &Observation, retire_after: Option<Timestamp>, now: Now) -> Decision {
    match &seen.platform {
        PlatformView::Unread | PlatformView::Unconfirmed(_) => {
            Decision::Await(now.tick + ECHO_BOUND)
        }
        PlatformView::NotFound => rest(platform_not_found(seen)),
        PlatformView::NotAllowed => rest(not_allowed(seen)),
        PlatformView::Unusable { message, .. }
        | PlatformView::Usable {
            last_good: Some(message),
            ..
        } => rest((Reason::CredentialsMissing, message.clone())),
        PlatformView::Usable { accepts: false, .. } if seen.object.application().is_none() => {
            rest(platform_goes(seen))
        }
        PlatformView::Usable {
            app_id, accepts, ..
        } => match application_changed(seen, app_id) {
            Some(changed) if !(*accepts && seen.object.accepts_anew(app_id, now.wall)) => changed,
            Some(_) | None => usable(seen, app_id, retire_after),
        },
    }
}

/// Decides for a usable Platform: all is well unless the package is missing from the platform's list.
fn usable(seen: &Observation, app_id: &AppId, retire_after: Option<Timestamp>) -> Decision {
    if seen.known == Known::Gone {
        return rest((
            Reason::PackageMissing,
            format!(
                "This object wants the package, but the package was deleted from application {app_id} for an earlier object with the same fileId. \
                 Upload the package again, which gives it a new fileId, and create an object with the new fileId. Then delete this object, or set lifecycle: Retired on it"
            ),
        ));
    }
    let missing = match &seen.known {
        Known::Missing | Known::Gone => true,
        // The result of a reading stays in the status until the next reading, even over a restart.
        Known::Unread => seen.object.status.says(Reason::PackageMissing),
        Known::Listed(_) | Known::Off => false,
    };
    let (reason, message) = match (missing, retire_after) {
        (true, _) => (
            Reason::PackageMissing,
            format!(
                "This object wants the package, but the platform does not list the package among those of application {app_id}. Set lifecycle: Retired; if the package was uploaded again, create an object with its new fileId"
            ),
        ),
        (false, None) => (
            Reason::Active,
            format!("The package is wanted{}", paused(&seen.object)),
        ),
        (false, Some(at)) => (
            Reason::Scheduled,
            format!(
                "The package is wanted until {at}, then it is retired{}",
                paused(&seen.object)
            ),
        ),
    };
    rest((reason, message))
}

/// Remark on the annotation `iodm.dev/paused` while nobody wants the package deleted.
fn paused(object: &Object) -> String {
    if !object.paused {
        return String::new();
    }
    format!(
        "; the annotation iodm.dev/paused would hold its deletion{}",
        odd_pause(object)
    )
}

/// Row 7 without unclear claims: the reasons why the Platform can't be asked.
pub(super) fn held_by_platform(seen: &Observation, now: Now) -> Option<Decision> {
    let until = seen.lagging.then(|| now.tick + ECHO_BOUND);
    let rest = |(reason, message)| Decision::Rest {
        reason,
        message,
        until,
    };
    match &seen.platform {
        PlatformView::Unread => Some(Decision::Await(now.tick + ECHO_BOUND)),
        PlatformView::Unconfirmed(why) => Some(Decision::GiveBack(why.clone())),
        PlatformView::NotFound => Some(rest(platform_not_found(seen))),
        PlatformView::NotAllowed => Some(rest(not_allowed(seen))),
        PlatformView::Unusable {
            reason,
            message,
            ending,
        } => Some(match reason {
            PlatformReason::SecretNotFound | PlatformReason::SecretForbidden => {
                rest(credentials_lost(*reason, message, *ending))
            }
            PlatformReason::Available
            | PlatformReason::Observing
            | PlatformReason::Throttled
            | PlatformReason::PlatformUnavailable
            | PlatformReason::MassDeletionHeld
            | PlatformReason::InUse
            | PlatformReason::EndpointInvalid
            | PlatformReason::SecretUnreadable
            | PlatformReason::FinalizerRefused
            | PlatformReason::StatusRefused
            | PlatformReason::SecretInvalid
            | PlatformReason::CertificateNotTrusted
            | PlatformReason::ClientCertificateRefused
            | PlatformReason::TlsMismatch
            | PlatformReason::AuthenticationFailed
            | PlatformReason::TokenNotUsed
            | PlatformReason::QuotaTooSmall
            | PlatformReason::ApplicationRefused
            | PlatformReason::UnexpectedAnswer
            | PlatformReason::AuditFailed
            | PlatformReason::FieldsLost
            | PlatformReason::Blind
            | PlatformReason::Undecodable => rest((Reason::CredentialsMissing, message.clone())),
        }),
        PlatformView::Usable { app_id, .. } => {
            application_changed(seen, app_id).or_else(|| unbelieved(seen))
        }
    }
}

/// Row 8: in mode Observe, no DELETE is sent for the objects of the Platform.
pub(super) fn would_delete(seen: &Observation, now: Now) -> Option<Decision> {
    match &seen.platform {
        PlatformView::Usable {
            mode: Mode::Observe,
            ..
        } => Some(Decision::Rest {
            reason: Reason::WouldDelete,
            message: "The Platform is in mode Observe, so no DELETE is sent; in mode Enforce the package would be deleted. To delete it, set spec.mode: Enforce on the Platform".to_owned(),
            until: seen.lagging.then(|| now.tick + ECHO_BOUND),
        }),
        PlatformView::Usable {
            mode: Mode::Enforce,
            ..
        }
        | PlatformView::Unread
        | PlatformView::Unconfirmed(_)
        | PlatformView::NotFound
        | PlatformView::NotAllowed
        | PlatformView::Unusable { .. } => None,
    }
}

fn application_changed(seen: &Observation, app_id: &AppId) -> Option<Decision> {
    let accepted = seen
        .object
        .application()
        .filter(|accepted| *accepted != app_id)?;
    let going = seen.object.deleted_at.is_some();
    let message = if going {
        format!(
            "The package belongs to the application {accepted}, but the Platform now has credentials of {app_id}. With those, the platform would answer that the package does not exist, so nothing is sent. Give the Platform credentials of {accepted}, or set deletionPolicy: Retain"
        )
    } else {
        format!(
            "The object was accepted for the application {accepted}, but the Platform now has credentials of {app_id}, so nothing is sent. Give the Platform credentials of {accepted}. \
             If the package belongs to {app_id}, set the annotation iodm.dev/accept: {app_id} instead, while the object is Active"
        )
    };
    Some(rest((Reason::ApplicationChanged, message)))
}

/// Makes no call once the status tells of an answer of the platform that proves nothing: a second call would get the
/// same answer.
fn unbelieved(seen: &Observation) -> Option<Decision> {
    let why = seen.elsewhere.as_ref()?;
    let (reason, message) = why.said();
    let told = seen.object.status.says(reason);
    told.then(|| rest((reason, message)))
}

fn credentials_lost(reason: PlatformReason, message: &str, ending: bool) -> (Reason, String) {
    let way_out = "set deletionPolicy: Retain to let the object go without its package";
    let message = if ending {
        format!(
            "The deletion waits for credentials, and the namespace of the Platform is being deleted and takes no Secret any more: {way_out}"
        )
    } else {
        let mends = if reason == PlatformReason::SecretForbidden {
            "give the operator the right to read that Secret"
        } else {
            "create that Secret again"
        };
        let message = message.trim_end_matches('.');
        format!("The deletion waits for credentials: {message}; {mends}, or {way_out}")
    };
    (Reason::CredentialsLost, message)
}

fn platform_goes(seen: &Observation) -> (Reason, String) {
    let name = named_platform(seen);
    let message = format!(
        "The Platform{name} is being deleted and takes on no new objects; create it anew once it is gone"
    );
    (Reason::PlatformNotFound, message)
}

fn platform_not_found(seen: &Observation) -> (Reason, String) {
    let name = named_platform(seen);
    let message = format!(
        "There is no Platform{name}; create it, or set deletionPolicy: Retain to let the object go without its package"
    );
    (Reason::PlatformNotFound, message)
}

fn not_allowed(seen: &Observation) -> (Reason, String) {
    let name = named_platform(seen);
    let message = format!(
        "The Platform{name} does not allow objects of namespace {}; widen its allowedNamespaces, or set deletionPolicy: Retain",
        seen.object.key.namespace
    );
    (Reason::PlatformNotAllowed, message)
}
