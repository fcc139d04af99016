//! Rows 11 to 14: the turn, the intent and the call of an object.

use std::time::Duration;

use super::{Decision, ECHO_BOUND, Now, Observation, rest};
use crate::api::reason::Reason;
use crate::guard::{Judgement, OnRecord};
use crate::session::{Priority, Purpose, Standing, Ticket};

/// Pause until an object is looked at again while the writes of its namespace hang, unless the object is woken.
const WRITES_HANG_PAUSE: Duration = Duration::from_secs(30);

/// Decides for an object that nothing holds.
pub(super) fn call(seen: &Observation, going: bool, now: Now) -> Decision {
    let object = &*seen.object;
    // The application has to be in the status before any platform is asked about the package.
    if object.application().is_none() {
        return rest((
            Reason::Queued,
            "The object has just been accepted. Next it joins the queue for its deletion, by itself".to_owned(),
        ));
    }
    // An object that waits behind another object gets no permit of its own, so its hanging writes keep no permit idle.
    let behind = matches!(seen.standing, Standing::Behind { .. });
    if seen.writes_hang && seen.intent().is_none() && !behind {
        return waits_for_writes(&object.key.namespace, now);
    }
    let purpose = if seen.unproven.is_some() {
        Purpose::Confirm
    } else if seen.looks_first || needs_proof(seen, now) {
        Purpose::LookUp
    } else {
        Purpose::Delete
    };
    match &seen.standing {
        Standing::Permitted {
            purpose: permitted,
            intent,
        } if *permitted == purpose => match purpose {
            Purpose::LookUp => Decision::LookUp,
            Purpose::Confirm => Decision::Confirm,
            Purpose::Delete => delete(seen, intent.as_ref(), now),
        },
        // A waiting object asks again, because its priority may have risen: a retired object may have been deleted.
        Standing::Absent
        | Standing::Behind { .. }
        | Standing::Waiting { .. }
        | Standing::Permitted { .. } => Decision::Request(ticket(seen, purpose, going, now)),
    }
}

/// Decides for a permit for a DELETE, with the `intent` that was drawn for it.
fn delete(seen: &Observation, intent: Option<&String>, now: Now) -> Decision {
    if seen.blind {
        return Decision::RestartWatch;
    }
    // The reservation that covers this deletion is being written. Once that reservation is stored, the object is woken.
    if seen.guard == Judgement::Free(OnRecord::Awaited) {
        return Decision::Await(now.tick + ECHO_BOUND);
    }
    if seen.guard == Judgement::Free(OnRecord::Unrecorded) {
        return Decision::GiveBack(
            "the guard can't count the deletion, because the status of the Platform can't be written (that write is tried again with growing pauses of up to a minute)"
                .to_owned(),
        );
    }
    let deletion = seen.object.status.deletion.as_ref();
    let shown = deletion.and_then(|deletion| deletion.intent.as_ref());
    match intent {
        None => Decision::WriteIntent(None),
        Some(intent) if shown == Some(intent) => Decision::Send,
        // The echo of the last write has come back, so an intent that isn't shown met a conflict or was overwritten.
        Some(intent) => Decision::WriteIntent(Some(intent.clone())),
    }
}

/// Prefix of the condition message of an object that waits because the writes of its namespace hang.
pub(in crate::package) const WRITES_HANG: &str = "The object asks for its turn once objects";

/// Rests without a permit while writes hang: a permit would be idle until its intent is written, and other objects can
/// use that permit. The write of the status that says so hangs too; once it succeeds, writes work again.
fn waits_for_writes(namespace: &str, now: Now) -> Decision {
    Decision::Rest {
        reason: Reason::Queued,
        message: format!(
            "{WRITES_HANG} of namespace {namespace} can be written. The last writes there took long and \
             were not answered, as happens behind an admission webhook that doesn't answer. The object goes on by itself once such writes \
             work again; if it lasts, look at the webhooks of that namespace"
        ),
        until: Some(now.tick + WRITES_HANG_PAUSE),
    }
}

fn ticket(seen: &Observation, purpose: Purpose, going: bool, now: Now) -> Ticket {
    Ticket {
        uid: seen.object.uid.clone(),
        key: seen.object.key.clone(),
        purpose,
        // A person or a controller waits for the end of a deleted object, so the call for that object comes first.
        priority: if going {
            Priority::Deletion
        } else {
            Priority::Retirement
        },
        requested_at: seen.asked_at(now),
    }
}

/// Whether `spec.expect` needs a look-up before the call (row 11).
fn needs_proof(seen: &Observation, now: Now) -> bool {
    let expects = seen
        .object
        .spec
        .as_ref()
        .is_ok_and(|spec| spec.expect.is_some());
    let proven = seen.proven.is_some_and(|until| until > now.tick);
    expects && !proven
}
