//! Row 9: a mass deletion that waits for a person.

use super::call_off::call_off;
use super::{Decision, Now, Observation, named_platform, rest};
use crate::api::reason::Reason;
use crate::guard::Judgement;

/// Rests while the guard holds the deletion.
pub(super) fn held_by_guard(seen: &Observation, now: Now) -> Option<Decision> {
    let Judgement::Held(hold) = &seen.guard else {
        return None;
    };
    let platform = named_platform(seen);
    let message = format!(
        "Part of the mass deletion {hold}, which waits for a person; status.hold of the Platform{platform} says why. \
         If all of it is meant, release it with `vpo hold release {hold}`. If not, {}",
        call_off(seen, now)
    );
    Some(rest((Reason::MassDeletionHeld, message)))
}
