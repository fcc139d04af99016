//! Row 10: the grace period, within which a person can call a deletion off.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::call_off::call_off;
use super::{Decision, Now, Observation};
use crate::api::reason::Reason;
use crate::package::memory::requests::DeletionRequest;

/// Rests until `grace` has passed since the request of the deletion.
pub(super) fn within_grace(seen: &Observation, grace: Duration, now: Now) -> Option<Decision> {
    if grace.is_zero() {
        return None;
    }
    let request = seen.request.unwrap_or_else(|| DeletionRequest::new(now));
    // After a time in which this process may have missed that a deletion was called off, the grace period runs anew.
    let request = request.not_before(seen.graces_since, now);
    let until = request.since + grace;
    (now.tick < until).then(|| Decision::Rest {
        reason: Reason::GracePeriod,
        message: format!(
            "Nothing is sent before {} (guard.gracePeriod {grace:?} of the Platform); after that the operator goes on by itself. To call the deletion off, {}",
            request.at.checked_add(grace).unwrap_or(Timestamp::MAX),
            call_off(seen, now)
        ),
        until: Some(until),
    })
}
