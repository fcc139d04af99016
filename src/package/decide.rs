//! Decides what to do with one object, by the decision table: the first row that fits wins. Pure: no client, no clock.

#![deny(clippy::wildcard_enum_match_arm)]

mod by_platform;
mod decision;
mod call_off;
mod ended;
mod grace_period;
mod mass_deletion;
mod noticed;
mod observation;
mod rows;
mod sending;
mod trail;
mod unbelieved;

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

pub use self::decision::Decision;
pub(super) use self::noticed::is_doubted;
pub use self::noticed::{Hearing, hearing, noticed};
pub use self::observation::{Observation, PlatformView};
pub(super) use self::sending::WRITES_HANG;
use self::trail::with_trail;
pub use self::unbelieved::Unbelieved;
use crate::api::names::{CONFIRM_ANNOTATION, FINALIZER, REQUESTED_AT_ANNOTATION};
use crate::api::reason::Reason;
pub use crate::clock::Now;
use crate::object::{Object, Undecodable};
use crate::package::memory::own_write::RefusedWrite;

/// The watch counts as blind if it hasn't shown a write of this process within this time.
pub const ECHO_BOUND: Duration = Duration::from_secs(5);
/// Prefix of the condition message of an object for which nothing is sent because this process doesn't see the cluster
/// as it is.
pub(super) const HINDERED: &str = "Nothing is sent: ";
/// Longest wait until a hindered object is looked at again. The end of the hindrance wakes all objects; this pause is
/// for an object that missed the wake-up.
const HINDRANCE_PAUSE: Duration = Duration::from_secs(60);
/// Longest wait for a time in the future, because the wall clock may be set meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);

/// Takes the decision for the observed object at `now`.
pub fn decide(seen: &Observation, now: Now) -> Decision {
    let decision = told_first(seen, rows::first(seen, now), now);
    let decision = unless_refused(seen, decision, now);
    with_trail(decision, seen.overdue.as_ref(), now)
}

/// Replaces a change of the finalizers by a rest until the end of the backoff, while such changes are refused.
fn unless_refused(seen: &Observation, decision: Decision, now: Now) -> Decision {
    let refusal = seen.finalizers_refused.as_ref();
    match (refusal, refused(&seen.object, &decision, refusal)) {
        (Some(refusal), Some((reason, message))) if refusal.lasts() && refusal.until > now.tick => {
            Decision::Rest {
                reason,
                message,
                until: Some(refusal.until),
            }
        }
        _ => decision,
    }
}

/// Replaces the release of an object that stays for other finalizers by a status that tells the outcome, if no status
/// tells it yet. If the status can't be written, the release goes ahead.
fn told_first(seen: &Observation, decision: Decision, now: Now) -> Decision {
    let unsaid = seen.object.is_kept_by_others() && seen.object.outcome().is_none();
    if let Decision::Release { outcome, keeper } = &decision
        && unsaid
        && unwritable_until(seen, now).is_none()
    {
        return Decision::Tell {
            outcome: *outcome,
            keeper: keeper.clone(),
        };
    }
    decision
}

/// End of the backoff of status writes, while they are refused.
fn unwritable_until(seen: &Observation, now: Now) -> Option<Instant> {
    let refusal = seen.status_refused.as_ref();
    let lasting = refusal.filter(|refusal| refusal.lasts() && refusal.until > now.tick);
    lasting.map(|refusal| refusal.until)
}

/// Reason and message for a `decision` whose change of the finalizers is refused; `None` for every other decision.
pub(super) fn refused(
    object: &Object,
    decision: &Decision,
    refusal: Option<&RefusedWrite>,
) -> Option<(Reason, String)> {
    let words = &refusal?.words;
    let adds = match decision {
        Decision::AddFinalizer => true,
        Decision::Release { .. } => false,
        Decision::Nothing
        | Decision::Await(_)
        | Decision::Tell { .. }
        | Decision::Rest { .. }
        | Decision::Request(_)
        | Decision::WriteIntent(_)
        | Decision::LookUp
        | Decision::Confirm
        | Decision::Send
        | Decision::EndConflict(_)
        | Decision::RestartWatch
        | Decision::GiveBack(_) => return None,
    };
    let what = if adds {
        format!(
            "The finalizer {FINALIZER} can't be put on, and without it nothing is deleted from the platform when {} goes",
            object.key
        )
    } else {
        format!(
            "There is nothing left to do for this object, but its finalizer {FINALIZER} can't be taken off, so it stays"
        )
    };
    let message = format!(
        "{what}: {words}. Mend the admission policy that refuses the write, or give the operator the right that it lacks. The write is tried again by itself, with growing pauses of up to a minute, and at once when the annotation {REQUESTED_AT_ANNOTATION} gets a new value"
    );
    Some((Reason::FinalizerRefused, message))
}

/// Whether the conditions of `object` say that nothing is sent because a process doesn't see the cluster as it is.
pub(super) fn says_hindered(object: &Object) -> bool {
    let mut conditions = object.status.conditions.iter();
    conditions.any(|condition| condition.message.starts_with(HINDERED))
}

/// A blank and the Platform that the object names, for a message; empty if the object can't be read.
fn named_platform(seen: &Observation) -> String {
    let platform = seen.object.platform();
    platform.map_or_else(String::new, |platform| format!(" {platform}"))
}

/// Remark on an unusual value of the annotation `iodm.dev/paused`; empty if the value is usual.
fn odd_pause(object: &Object) -> String {
    object.odd_pause.as_ref().map_or_else(String::new, |value| {
        format!("; the value of the annotation is {value:?}. Every value but \"false\" holds the deletion: write \"true\" to hold it, or \"false\" to let it go on")
    })
}

/// Reason and message of an object that can't be decoded, or that may have lost fields.
pub(super) fn said_of_undecodable(uid: &str, undecodable: &Undecodable) -> (Reason, String) {
    let error = &undecodable.error;
    if undecodable.lost {
        let message = format!(
            "The object was written while its CustomResourceDefinition lacked fields ({error}), and the values of these fields are lost. Look at the spec of the object, \
             then edit it or set the annotation {CONFIRM_ANNOTATION}: {uid} (if the annotation is there already, remove it first). deletionPolicy: Retain lets the object go without its package"
        );
        (Reason::FieldsLost, message)
    } else {
        let message = format!(
            "The object can't be read: {error}; mend that field, or set deletionPolicy: Retain to let the object go without its package"
        );
        (Reason::Undecodable, message)
    }
}

fn rest((reason, message): (Reason, String)) -> Decision {
    Decision::Rest {
        reason,
        message,
        until: None,
    }
}

fn instant_of(at: Timestamp, now: Now) -> Instant {
    let ahead = Duration::try_from(at.duration_since(now.wall)).unwrap_or(Duration::ZERO);
    now.tick + ahead.min(LOOK_AGAIN)
}

#[cfg(test)]
mod tests;
