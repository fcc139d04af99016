//! Rows 9 to 11: the hold, the grace period and the proof that come before the call.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::{Decision, Now, Observation, rest};
use crate::api::reason::Reason;
use crate::api::version_package::Lifecycle;
use crate::guard::Judgement;
use crate::package::memory::requests::DeletionRequest;

/// Rows 9 and 10: a mass deletion that waits for a person, and the grace period.
pub(super) fn held_by_guard(seen: &Observation, grace: Duration, now: Now) -> Option<Decision> {
    if let Judgement::Held(hold) = &seen.guard {
        return Some(held(seen, hold, now));
    }
    if grace.is_zero() {
        return None;
    }
    let request = seen.request.unwrap_or_else(|| DeletionRequest::new(now));
    // After a time in which this process may have missed a revocation, the grace period runs anew.
    let request = request.not_before(seen.graces_since, now);
    let until = request.since + grace;
    (now.tick < until).then(|| Decision::Rest {
        reason: Reason::GracePeriod,
        message: format!(
            "Nothing is sent before {} (guard.gracePeriod {grace:?} of the Platform); to call it off, {}",
            request.at.checked_add(grace).unwrap_or(Timestamp::MAX),
            undo(seen, now)
        ),
        until: Some(until),
    })
}

/// Whether `spec.expect` needs a look-up before the call (row 11).
pub(super) fn needs_proof(seen: &Observation, now: Now) -> bool {
    let expects = seen
        .object
        .spec
        .as_ref()
        .is_ok_and(|spec| spec.expect.is_some());
    let proven = seen.proven.is_some_and(|until| until > now.tick);
    expects && !proven
}

fn held(seen: &Observation, hold: &str, now: Now) -> Decision {
    let platform = seen
        .object
        .platform()
        .map_or_else(String::new, |platform| format!(" {platform}"));
    let message = format!(
        "Part of the mass deletion {hold}, which waits for a person; status.hold of the Platform{platform} says why. \
         If all of it is meant, release it with `vpo hold release {hold}`. If not, {}",
        undo(seen, now)
    );
    rest((Reason::MassDeletionHeld, message))
}

/// Instruction for calling the deletion or retirement off. Kubernetes itself can't call a deletion off.
fn undo(seen: &Observation, now: Now) -> &'static str {
    let object = &seen.object;
    if object.deleted_at.is_some() {
        return "set deletionPolicy: Retain, and the object goes without its package and the next sync creates it anew; \
                or claim the package by an object of another name or namespace. A plain revert in Git changes nothing";
    }
    let spec = object.spec.as_ref().ok();
    let by_field = spec.is_some_and(|spec| spec.lifecycle == Lifecycle::Retired);
    let by_time = spec
        .and_then(|spec| spec.retire_after.as_ref())
        .is_some_and(|at| at.0 <= now.wall);
    match (by_field, by_time) {
        (true, true) => {
            "set lifecycle: Active again, and take retireAfter out or set it to a later time"
        }
        (false, true) => "take retireAfter out or set it to a later time",
        (true | false, false) => "set lifecycle: Active again",
    }
}
