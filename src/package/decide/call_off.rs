//! How a person calls a deletion or a retirement off, for the messages of holds and grace periods.

use super::{Now, Observation};
use crate::api::version_package::Lifecycle;

/// Instruction for calling the deletion or retirement off. Kubernetes itself can't call a deletion off.
pub(super) fn call_off(seen: &Observation, now: Now) -> &'static str {
    let object = &seen.object;
    if object.deleted_at.is_some() {
        return "set deletionPolicy: Retain: the object then goes without its package, and the next sync creates the object anew. \
                Or create another object, of another name or in another namespace, that names the same package. A plain revert in Git changes nothing";
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
