//! Rows 9 to 11: what stands between a deletion that may be made and its call.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::{Decision, Now, Observation, instant_of, requested_at, rest};
use crate::api::reason::Reason;
use crate::platform::guard::Judgement;

/// Rows 9 and 10: the mass deletion that waits for a person, and the time to undo.
pub(super) fn held_by_guard(seen: &Observation, grace: Duration, now: Now) -> Option<Decision> {
    if let Judgement::Held(hold) = &seen.guard {
        return Some(rest(Reason::MassDeletionHeld, held(seen, hold)));
    }
    let since = requested_at(&seen.object, now.wall);
    let mut ends = since.checked_add(grace).ok()?;
    // After a time in which this process didn't see who called it off, there is time for that again.
    let anew = seen.graces_since.map(|since| since + grace);
    let left = anew.and_then(|anew| anew.checked_duration_since(now.tick));
    if let Some(left) = left.filter(|left| !left.is_zero()) {
        // In whole seconds: the two clocks are read a moment apart, and another time would be said with each look.
        let anew = now.wall.checked_add(left).ok()?;
        ends = ends.max(Timestamp::from_second(anew.as_second().saturating_add(1)).ok()?);
    }
    (now.wall < ends).then(|| Decision::Rest {
        reason: Reason::GracePeriod,
        message: format!(
            "Nothing is sent before {ends} (guard.gracePeriod {grace:?} of the Platform); {}",
            undo(seen)
        ),
        until: Some(instant_of(ends, now)),
    })
}

/// Whether the look-up that row 11 asks for is still to be made.
pub(super) fn needs_proof(seen: &Observation, now: Now) -> bool {
    let expects = seen
        .object
        .spec
        .as_ref()
        .is_ok_and(|spec| spec.expect.is_some());
    let proven = seen.proven.is_some_and(|until| until > now.tick);
    expects && !proven
}

fn held(seen: &Observation, hold: &str) -> String {
    let platform = seen
        .object
        .platform()
        .map_or_else(String::new, |platform| format!(" {platform}"));
    format!(
        "Part of the mass deletion {hold}, which waits for a person; status.hold of the Platform{platform} says why. \
         If all of it is meant, release it with `vpo hold release {hold}`. If not, {}",
        undo(seen)
    )
}

/// How a deletion is called off that Kubernetes can't call off.
fn undo(seen: &Observation) -> &'static str {
    if seen.object.deleted_at.is_some() {
        "set deletionPolicy: Retain, and the object goes without its package and the next sync creates it anew; \
         or claim the package by an object of another name or namespace. A plain revert in Git changes nothing"
    } else {
        "set lifecycle: Active again"
    }
}
