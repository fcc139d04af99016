//! What to do with one object: the decision table, first match wins. Pure: no client, no clock.

#![deny(clippy::wildcard_enum_match_arm)]

mod by_platform;
mod decision;
mod ended;
mod holds;
mod noticed;
mod observation;
mod sending;
mod trail;
mod unbelieved;

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use self::by_platform::{held_by_platform, wanted, would_delete};
pub use self::decision::Decision;
use self::ended::ended;
use self::holds::held_by_guard;
pub(super) use self::noticed::is_doubted;
pub use self::noticed::{Hearing, hearing, noticed};
pub use self::observation::{Observation, PlatformView};
pub(super) use self::sending::WRITES_HANG;
use self::sending::call;
use self::trail::with_trail;
pub use self::unbelieved::Unbelieved;
use self::unbelieved::moved_keeper;
use super::claims::{self, Claim, Unclear, Why, Word};
use crate::api::names::{CONFIRM_ANNOTATION, FINALIZER, REQUESTED_AT_ANNOTATION};
use crate::api::outcome::Outcome;
use crate::api::reason::Reason;
pub use crate::clock::Now;
use crate::object::{Object, Undecodable};
use crate::package::claims::doubts;
use crate::package::memory::own_write::{Echo, RefusedWrite};
use crate::writes::CONFLICT_BOUND;

/// An own write that isn't back through the watch after this long means that the watch is blind.
pub const ECHO_BOUND: Duration = Duration::from_secs(5);
/// How the message begins where this process does not see the cluster as it is.
pub(super) const HINDERED: &str = "Nothing is sent: ";
/// The end of what hinders all wakes all; whoever missed that looks again after this long.
const HINDRANCE_PAUSE: Duration = Duration::from_secs(60);
/// A time in the future is looked at again at least this often, since wall clocks get set.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);

/// Decides.
pub fn decide(seen: &Observation, now: Now) -> Decision {
    let decision = told_first(seen, by_table(seen, now), now);
    let decision = unless_refused(seen, decision, now);
    with_trail(decision, seen.overdue.as_ref(), now)
}

/// `decision`, or in place of a change of finalizers that is refused, that of waiting until it is tried again.
fn unless_refused(seen: &Observation, decision: Decision, now: Now) -> Decision {
    let refusal = seen.finalizers_refused.as_ref();
    match (refusal, refused(&seen.object, &decision, refusal)) {
        (Some(refusal), Some(message)) if refusal.lasts() && refusal.until > now.tick => {
            Decision::Rest {
                reason: Reason::FinalizerRefused,
                message,
                until: Some(refusal.until),
            }
        }
        _ => decision,
    }
}

/// An object that others keep after us says how it ended before our finalizer goes; one whose status can't be written goes
/// all the same.
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

/// Until when the status of the object is known not to be writable.
fn unwritable_until(seen: &Observation, now: Now) -> Option<Instant> {
    let refusal = seen.status_refused.as_ref();
    let lasting = refusal.filter(|refusal| refusal.lasts() && refusal.until > now.tick);
    lasting.map(|refusal| refusal.until)
}

/// Row 1 of an object that is being deleted and stays for others: how it ended is told, where the status could not be written
/// before our finalizer went, or says since that our finalizer could not be taken off.
fn let_go(seen: &Observation, now: Now) -> Decision {
    let object = &*seen.object;
    let told = |outcome| object.outcome() == Some(outcome) && object.status.says(outcome.into());
    match (seen.settled.or(seen.audited), unwritable_until(seen, now)) {
        (Some(outcome), _) if told(outcome) => Decision::Nothing,
        (Some(_), Some(until)) => Decision::Await(until),
        (Some(outcome), None) => Decision::Tell {
            outcome,
            keeper: None,
        },
        (None, _) => Decision::Nothing,
    }
}

/// What is said where `decision` changes the finalizers and that is refused.
pub(super) fn refused(
    object: &Object,
    decision: &Decision,
    refusal: Option<&RefusedWrite>,
) -> Option<String> {
    let words = &refusal?.words;
    let adds = match decision {
        Decision::AddFinalizer => true,
        Decision::Release { .. } => false,
        Decision::Nothing
        | Decision::Await(_)
        | Decision::Tell { .. }
        | Decision::Rest { .. }
        | Decision::Request(_)
        | Decision::Follow { .. }
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
    Some(format!(
        "{what}: {words}; mend the admission policy or the right that refuses it. It is tried again with growing pauses of up to a minute, and at once with the annotation {REQUESTED_AT_ANNOTATION}"
    ))
}

/// The numbers are the rows of the decision table in `docs/architecture.md`.
fn by_table(seen: &Observation, now: Now) -> Decision {
    let object = &*seen.object;
    let going = object.deleted_at.is_some();
    match &seen.echo {
        Echo::Seen => {}
        Echo::Pending(since) if now.tick >= *since + ECHO_BOUND => return Decision::RestartWatch,
        Echo::Pending(since) => return Decision::Await(*since + ECHO_BOUND),
        Echo::Contested(conflict) if now.tick >= conflict.at + CONFLICT_BOUND => {
            return Decision::EndConflict(conflict.clone());
        }
        Echo::Contested(conflict) => return Decision::Await(conflict.at + CONFLICT_BOUND),
    }
    // 1: nothing is ever called for an object without our finalizer
    if !object.has_finalizer() {
        return if going {
            let_go(seen, now)
        } else {
            Decision::AddFinalizer
        };
    }
    let retired = object.is_retired(now.wall);
    // 2
    if let Some(outcome) = seen.settled {
        return ended(seen, outcome, retired, now);
    }
    // 3: works on an object in any trouble
    if going && object.is_retained() {
        return Decision::Release {
            outcome: Outcome::Retained,
            keeper: None,
        };
    }
    let spec = match &object.spec {
        Ok(spec) => spec,
        Err(undecodable) => return undecodable_rest(&object.uid, undecodable),
    };
    // 4
    if !going && !retired {
        return wanted(seen, spec.retire_after.as_ref().map(|at| at.0), now);
    }
    // What this process doesn't see may be a claim, or that nobody asks for it any more.
    if let Some(why) = &seen.hindrance {
        return Decision::Rest {
            reason: Reason::Queued,
            message: format!("{HINDERED}{why}"),
            until: Some(now.tick + HINDRANCE_PAUSE),
        };
    }
    // 5
    if let Claim::Claimed(keeper) = &seen.claim {
        return if let (true, Some(Unbelieved::Moved(accepted))) = (going, &seen.elsewhere) {
            // The keeper may have been accepted at the new endpoint, and would keep the package of another instance.
            rest(Reason::EndpointChanged, moved_keeper(keeper, accepted))
        } else if going {
            Decision::Release {
                outcome: Outcome::HandedOver,
                keeper: Some(keeper.clone()),
            }
        } else {
            rest(
                Reason::StillClaimed,
                format!(
                    "Retired, but {keeper} still wants the package: it stays until that object is deleted or retired"
                ),
            )
        };
    }
    // 6
    if object.paused {
        return rest(
            Reason::Paused,
            format!(
                "The deletion waits: the annotation iodm.dev/paused holds it, and taking it off lets it go on{}",
                odd_pause(object)
            ),
        );
    }
    // 7
    if let Some(held) = held_by_platform(seen, now) {
        return held;
    }
    if let Claim::Unclear(unclear) = &seen.claim {
        return claim_unclear(unclear, now);
    }
    // 8
    if let Some(held) = would_delete(seen, now) {
        return held;
    }
    // 9 and 10; what may not be there is looked up before both
    let grace = match &seen.platform {
        PlatformView::Usable { grace, .. } => *grace,
        PlatformView::Unread
        | PlatformView::Unconfirmed(_)
        | PlatformView::NotFound
        | PlatformView::NotAllowed
        | PlatformView::Unusable { .. } => Duration::ZERO,
    };
    let held = (!seen.looks_first).then(|| held_by_guard(seen, grace, now));
    if let Some(held) = held.flatten() {
        return held;
    }
    let unwritable = seen.status_refused.as_ref().map(|refusal| refusal.until);
    let pauses = seen.backoff.into_iter().chain(unwritable);
    if let Some(until) = pauses.max().filter(|until| *until > now.tick) {
        return Decision::Await(until);
    }
    // 11 to 14
    call(seen, going, now)
}

/// Whether `object` says that nothing is sent for it since a process does not see the cluster as it is.
pub(super) fn says_hindered(object: &Object) -> bool {
    let mut conditions = object.status.conditions.iter();
    conditions.any(|condition| condition.message.starts_with(HINDERED))
}

/// What is odd about the value of `iodm.dev/paused`, where it is.
fn odd_pause(object: &Object) -> String {
    object.odd_pause.as_ref().map_or_else(String::new, |value| {
        format!("; its value is {value:?}: write \"true\" to hold, or \"false\" not to, since every other value holds")
    })
}

/// Looked at again by itself, since what it rests on may change without a sign.
fn claim_unclear(unclear: &Unclear, now: Now) -> Decision {
    let message = claims::message::unclear(unclear);
    if unclear.doubt.why == Why::Unconfirmed {
        // Seen by whoever holds a permit only: another may use it meanwhile.
        return Decision::GiveBack(message);
    }
    let again = match unclear.word {
        Word::From(at) => at,
        Word::None | Word::AfterTry => now.tick + doubts::LOOK_AGAIN,
    };
    Decision::Rest {
        reason: Reason::ClaimUnclear,
        message,
        until: Some(again),
    }
}

fn undecodable_rest(uid: &str, undecodable: &Undecodable) -> Decision {
    let reason = if undecodable.lost {
        Reason::FieldsLost
    } else {
        Reason::Undecodable
    };
    rest(reason, unreadable(uid, undecodable))
}

/// What is said of an object that can't be read, or whose fields may be lost.
pub(super) fn unreadable(uid: &str, undecodable: &Undecodable) -> String {
    if undecodable.lost {
        format!(
            "The object was written while its CustomResourceDefinition was not complete ({}), and what those fields held is lost: look at its spec, \
             then edit it or set the annotation {CONFIRM_ANNOTATION}: {uid} (where it stands already, take it off first); deletionPolicy: Retain lets the object go without its package",
            undecodable.error
        )
    } else {
        format!(
            "The object can't be read: {}; mend that field, or set deletionPolicy: Retain to let the object go without its package",
            undecodable.error
        )
    }
}

fn rest(reason: Reason, message: String) -> Decision {
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
