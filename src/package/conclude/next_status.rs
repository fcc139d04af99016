//! The next status of an object, from the present one.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::condition::{self, Statement};
use crate::api::names::{AppId, Endpoint};
use crate::api::reason::Reason;
use crate::api::version_package::{Deletion, VersionPackageStatus};
use crate::guard::Judgement;
use crate::inventory::Known;
use crate::package::claims::Claim;
use crate::package::decide::{Now, Observation, PlatformView, Unbelieved};

pub(super) fn intended(seen: &Observation, intent: &str, now: Now) -> VersionPackageStatus {
    let mut status = next_status(
        seen,
        Reason::Deleting,
        "The package is about to be deleted from the platform",
        now,
    );
    let deletion = status.deletion.get_or_insert_default();
    if !deletion.is_attempted() {
        // What a look-up failed with is no answer to this call.
        deletion.last_error = None;
    }
    deletion.attempts = Some(deletion.attempts.unwrap_or(0).saturating_add(1));
    deletion.intent = Some(intent.to_owned());
    status
}

/// The deletion has ended, but that can't be written down: nothing of it is told before.
pub fn unaudited(seen: &Observation, error: &str, now: Now) -> VersionPackageStatus {
    let message = format!(
        "How the deletion ended can't be written to the audit log, and the object stays until it is: {error}"
    );
    VersionPackageStatus {
        deletion: seen.object.status.deletion.clone(),
        ..next_status(seen, Reason::AuditFailed, &message, now)
    }
}

/// The next status, from the present one.
pub(super) fn next_status(
    seen: &Observation,
    reason: Reason,
    message: &str,
    now: Now,
) -> VersionPackageStatus {
    let object = &*seen.object;
    let present = &object.status;
    let verdict = Statement {
        progress: reason.phase().progress(),
        reason: reason.as_str(),
        message,
        generation: object.generation,
    };
    let accepted = match &seen.platform {
        // A Platform that is being deleted takes on no object that would need it.
        PlatformView::Usable {
            app_id, accepts, ..
        } => (object.has_finalizer() && (*accepts || seen.asks(now))).then(|| app_id.clone()),
        PlatformView::Unread
        | PlatformView::Unconfirmed(_)
        | PlatformView::NotFound
        | PlatformView::NotAllowed
        | PlatformView::Unusable { .. } => None,
    };
    let application = match accepted {
        Some(app_id) if object.accepts_anew(&app_id, now.wall) || seen.reopened().is_some() => {
            Some(app_id)
        }
        accepted => present.application.clone().or(accepted),
    };
    let said = VersionPackageStatus {
        observed_generation: Some(object.generation),
        phase: Some(reason.phase()),
        conditions: condition::merge(&present.conditions, &verdict, now.wall),
        // The write adds it.
        uid: None,
        endpoint: endpoint(seen, application.as_ref()),
        application,
        package: match &seen.known {
            Known::Listed(identity) => Some(identity.clone()),
            Known::Off | Known::Unread | Known::Missing | Known::Gone => present.package.clone(),
        },
        last_handled_requested_at: object.requested_at.clone(),
        deletion: next_deletion(seen, reason, now),
    };
    if object.spec.is_ok() || seen.settled.is_some() {
        return said;
    }
    // Of an object that can't be read nothing is known to be over.
    VersionPackageStatus {
        application: present.application.clone(),
        endpoint: present.endpoint.clone(),
        package: present.package.clone(),
        last_handled_requested_at: present.last_handled_requested_at.clone(),
        deletion: present.deletion.clone(),
        ..said
    }
}

/// Where the application is: the present endpoint, unless that is another one which has not shown that it speaks of the
/// same packages.
fn endpoint(seen: &Observation, application: Option<&AppId>) -> Option<Endpoint> {
    let present = &seen.object.status;
    match (&seen.platform, &seen.endpoint) {
        (PlatformView::Usable { app_id, .. }, Some(endpoint)) if Some(app_id) == application => {
            let anew = present.application.as_ref() != application;
            let moved = matches!(seen.elsewhere, Some(Unbelieved::Moved(_)));
            let kept = present.endpoint.clone().filter(|_| !anew && moved);
            kept.or_else(|| Some(endpoint.clone()))
        }
        _ => present.endpoint.clone(),
    }
}

fn next_deletion(seen: &Observation, reason: Reason, now: Now) -> Option<Deletion> {
    let object = &*seen.object;
    if seen.reopened().is_some() {
        return None;
    }
    let present = object.status.deletion.clone();
    match (seen.settled, seen.asks(now)) {
        (Some(outcome), _) => {
            let present = present.unwrap_or_default();
            let finished_at = present.finished_at.clone().or(Some(Time(now.wall)));
            let requested = present
                .requested_at
                .clone()
                .or_else(|| Some(Time(seen.asked_at(now))));
            Some(Deletion {
                outcome: Some(outcome),
                finished_at,
                requested_at: requested,
                object_deleted_at: present.object_deleted_at,
                hold: None,
                intent: None,
                last_error: None,
                attempts: present.attempts,
            })
        }
        (None, true) => {
            let present = present.unwrap_or_default();
            let same = present.is_of(object.deleted_at, object.is_retired(now.wall));
            // One that runs anew is stored so, or a restart would end it. Once it is over, what counts is the request.
            let anew = seen.graces_since.filter(|_| reason == Reason::GracePeriod);
            let asked = seen.request.map(|request| request.not_before(anew, now).at);
            // No time is stored before a look-up, so that a restart knows that one is to come; nor for an object without
            // our finalizer, or one that goes without its package: it asks for nothing.
            let at = asked.filter(|_| !seen.looks_first).map(Time);
            let told = same && present.requested_at == at;
            // The id of a released hold stays: by it a restart knows that this request was released. Who is claimed
            // has left its hold, and is judged anew once no other object wants the package.
            let hold = match (&seen.guard, &seen.claim) {
                (Judgement::Held(id), _) => Some(id.to_string()),
                (Judgement::Free(_), Claim::Claimed(_)) => None,
                (Judgement::Free(_), _) => present.hold.clone().filter(|_| same),
            };
            Some(Deletion {
                object_deleted_at: match &present.object_deleted_at {
                    // What the first version wrote, and what was asked for by a retirement, stands as it is.
                    of if told => of.clone(),
                    _ => object.deleted_at.map(Time),
                },
                requested_at: at,
                intent: None,
                hold,
                ..present
            })
        }
        // Wanted again: a later retirement starts anew.
        (None, false) => None,
    }
}
