//! Rows 11 to 14: the turn of an object, its intent and its call.

use std::time::Duration;

use super::holds::needs_proof;
use super::{Decision, ECHO_BOUND, Now, Observation, rest};
use crate::api::reason::Reason;
use crate::guard::{Judgement, OnRecord};
use crate::session::{Priority, Purpose, Standing, Ticket};

/// What can't be written is looked at again after so long, unless it is woken.
const WRITES_HANG_PAUSE: Duration = Duration::from_secs(30);

/// What to do for an object that nothing holds.
pub(super) fn call(seen: &Observation, going: bool, now: Now) -> Decision {
    if let Some(ahead) = &seen.ahead {
        return Decision::Follow {
            ahead: ahead.clone(),
            priority: priority(going),
        };
    }
    let object = &*seen.object;
    // Whose package it is stands in its status before anybody is asked about it.
    if object.application().is_none() {
        return rest(
            Reason::Queued,
            "The object was just accepted, and asks for the turn of its deletion next".to_owned(),
        );
    }
    if seen.writes_hang && seen.intent().is_none() {
        return waits_for_writes(&object.key.namespace, now);
    }
    let urgent = going || seen.hurried;
    let purpose = if seen.unproven.is_some() {
        Purpose::Confirm
    } else if seen.looks_first || needs_proof(seen, now) {
        Purpose::LookUp
    } else {
        Purpose::Delete
    };
    match &seen.standing {
        Standing::Permitted {
            purpose: Purpose::LookUp,
            ..
        } if purpose == Purpose::LookUp => Decision::LookUp,
        Standing::Permitted {
            purpose: Purpose::Confirm,
            ..
        } if purpose == Purpose::Confirm => Decision::Confirm,
        Standing::Permitted {
            purpose: permitted, ..
        } if *permitted != purpose => Decision::Request(ticket(seen, purpose, urgent, now)),
        // Who waits asks again: a retired object that was deleted since moves up.
        Standing::Absent
        | Standing::Waiting { .. }
        | Standing::Permitted {
            purpose: Purpose::LookUp | Purpose::Confirm,
            ..
        } => Decision::Request(ticket(seen, purpose, urgent, now)),
        Standing::Permitted {
            purpose: Purpose::Delete,
            ..
        } if seen.blind => Decision::RestartWatch,
        // The record that counts it is being written, and wakes it.
        Standing::Permitted {
            purpose: Purpose::Delete,
            ..
        } if seen.guard == Judgement::Free(OnRecord::Awaited) => Decision::Await(now.tick + ECHO_BOUND),
        Standing::Permitted {
            purpose: Purpose::Delete,
            ..
        } if seen.guard == Judgement::Free(OnRecord::Unrecorded) => Decision::GiveBack(
            "the deletion can't be counted, since the status of its Platform can't be written, which is tried again with growing pauses of up to a minute"
                .to_owned(),
        ),
        Standing::Permitted {
            purpose: Purpose::Delete,
            intent: None,
        } => Decision::WriteIntent(None),
        Standing::Permitted {
            purpose: Purpose::Delete,
            intent: Some(intent),
        } => {
            let deletion = object.status.deletion.as_ref();
            let shown = deletion.and_then(|deletion| deletion.intent.as_ref());
            // The last write of this object is back, so an intent that isn't shown met a conflict or was overwritten.
            if shown == Some(intent) {
                Decision::Send
            } else {
                Decision::WriteIntent(Some(intent.clone()))
            }
        }
    }
}

/// How it begins what is said where writes hang.
pub(in crate::package) const WRITES_HANG: &str = "The object asks for its turn once objects";

/// A permit would wait with the write of its intent, and others can use it meanwhile. That this can be said shows that it is
/// over.
fn waits_for_writes(namespace: &str, now: Now) -> Decision {
    Decision::Rest {
        reason: Reason::Queued,
        message: format!(
            "{WRITES_HANG} of namespace {namespace} can be written: the last writes there took long and \
             were not answered, as behind an admission webhook that doesn't answer"
        ),
        until: Some(now.tick + WRITES_HANG_PAUSE),
    }
}

fn ticket(seen: &Observation, purpose: Purpose, urgent: bool, now: Now) -> Ticket {
    Ticket {
        uid: seen.object.uid.clone(),
        key: seen.object.key.clone(),
        purpose,
        priority: priority(urgent),
        requested_at: seen.asked_at(now),
    }
}

/// Somebody waits for the end of an object that is being deleted, or of who waits behind it.
fn priority(urgent: bool) -> Priority {
    if urgent {
        Priority::Deletion
    } else {
        Priority::Retirement
    }
}
