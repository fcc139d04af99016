//! Builds the next status of an object from the present status.

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
        // A failed look-up is no answer to this call.
        deletion.last_error = None;
    }
    deletion.attempts = Some(deletion.attempts.unwrap_or(0).saturating_add(1));
    deletion.intent = Some(intent.to_owned());
    status
}

/// Status of an object whose deletion has ended, but whose audit line can't be written. It doesn't tell the outcome
/// yet.
pub fn unaudited(seen: &Observation, error: &str, now: Now) -> VersionPackageStatus {
    let message = format!(
        "The deletion has ended, but its result can't be written to the audit log: {error}. The object stays until the result is written, which is tried again by itself. Give the operator disk space and the right to write the audit log"
    );
    VersionPackageStatus {
        deletion: seen.object.status.deletion.clone(),
        ..next_status(seen, Reason::AuditFailed, &message, now)
    }
}

/// The next status, derived from the present one.
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
        // A Platform that is being deleted accepts no object that wants its package.
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
        // `status::patch` adds the uid.
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
    // An object that can't be decoded keeps everything that the status tells of its deletion.
    VersionPackageStatus {
        application: present.application.clone(),
        endpoint: present.endpoint.clone(),
        package: present.package.clone(),
        last_handled_requested_at: present.last_handled_requested_at.clone(),
        deletion: present.deletion.clone(),
        ..said
    }
}

/// Endpoint for the status: the Platform's endpoint, or the stored one as long as the Platform's endpoint has not shown
/// that it serves the same packages.
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
            // If the grace period runs anew, its new start is stored, so that a restart doesn't end the grace period.
            // After the grace period the original request is stored again.
            let anew = seen.graces_since.filter(|_| reason == Reason::GracePeriod);
            let asked = seen.request.map(|request| request.not_before(anew, now).at);
            // Before a due look-up no time is stored, so a restarted process knows that the look-up is due. An object
            // without our finalizer, or with `Retain`, has no request and no time.
            let at = asked.filter(|_| !seen.looks_first).map(Time);
            let told = same && present.requested_at == at;
            // The id of a released hold stays in the status, so a restarted process knows that this request was
            // released. An object whose package is claimed has left its hold, and the guard judges the object anew
            // after the claim.
            let hold = match (&seen.guard, &seen.claim) {
                (Judgement::Held(id), _) => Some(id.to_string()),
                (Judgement::Free(_), Claim::Claimed(_)) => None,
                (Judgement::Free(_), _) => present.hold.clone().filter(|_| same),
            };
            Some(Deletion {
                object_deleted_at: match &present.object_deleted_at {
                    // A deletion timestamp that fits the stored request is kept as it is: the first version of the
                    // operator wrote this timestamp, or the request began with a retirement.
                    of if told => of.clone(),
                    _ => object.deleted_at.map(Time),
                },
                requested_at: at,
                intent: None,
                hold,
                ..present
            })
        }
        // The package is wanted again; a later retirement begins anew.
        (None, false) => None,
    }
}
