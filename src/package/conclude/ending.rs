//! The end of a deletion: its count and its audit line.

use std::time::Duration;

use crate::api::outcome::Outcome;
use crate::package::decide::{Decision, Now, Observation};
use crate::package::errand::{Ending, Errand};
use crate::remote::answer::{Answer, Call};
use crate::telemetry::audit::{AuditRecord, LookUpRecord};

/// Counts the end of the deletion and writes its audit line, with the call and the answer that caused it, if any. An
/// end that was already counted isn't counted again, but its audit line may still be due.
pub(super) fn write_down(
    seen: &Observation,
    outcome: Outcome,
    answered: Option<(Call, &Answer)>,
    now: Now,
) -> Vec<Errand> {
    let mut errands = Vec::new();
    let mut owed = seen.owed.clone();
    if seen.audited != Some(outcome) {
        // If the clocks disagree, the end may be earlier than the request; the duration is then zero.
        let took = now.wall.duration_since(seen.asked_at(now));
        let took = Duration::try_from(took).unwrap_or_default();
        let record = audit_record(seen, outcome, answered, now).map(Box::new);
        owed = record.clone().or(owed);
        errands.push(Errand::End(Box::new(Ending {
            outcome,
            took: Some(took).filter(|_| answered.is_some()),
            record,
        })));
    }
    errands.extend(owed.map(Errand::Pay));
    errands
}

/// Counts and audits an end before `decision` is carried out, since nothing may follow from an unaudited end. If the
/// status already tells the end, an earlier pass has audited that end.
pub(super) fn untold_end(seen: &Observation, decision: &Decision, now: Now) -> Vec<Errand> {
    let end = match decision {
        Decision::Tell { outcome, .. } | Decision::Release { outcome, .. } => Some(*outcome),
        Decision::Nothing
        | Decision::Await(_)
        | Decision::AddFinalizer
        | Decision::Rest { .. }
        | Decision::Request(_)
        | Decision::WriteIntent(_)
        | Decision::LookUp
        | Decision::Confirm
        | Decision::Send
        | Decision::EndConflict(_)
        | Decision::RestartWatch
        | Decision::GiveBack(_) => seen.settled,
    };
    let untold = end.filter(|end| seen.object.outcome() != Some(*end));
    untold.map_or_else(Vec::new, |outcome| write_down(seen, outcome, None, now))
}

/// The audit line of an end, with the call and the answer that caused it, if any. `None` for an object whose `fileId`
/// can't be read, since no package is known.
pub fn audit_record(
    seen: &Observation,
    outcome: Outcome,
    answered: Option<(Call, &Answer)>,
    now: Now,
) -> Option<AuditRecord> {
    let object = &*seen.object;
    let disregarded = seen.claim.disregarded().iter();
    let answer = answered.map(|(_, answer)| answer);
    // If a look-up proved the deletion, the audit line names both answers.
    let proven = seen.unproven.as_ref().zip(answer);
    let (first, look_up) = match proven.filter(|_| outcome == Outcome::Deleted) {
        Some((deleted, shown)) => (Some(deleted), Some(shown)),
        None => (answer.and_then(Answer::detail), None),
    };
    let deletion = object.status.deletion.as_ref();
    let attempts = deletion
        .and_then(|deletion| deletion.attempts)
        .and_then(|attempts| u32::try_from(attempts).ok())
        .unwrap_or(0);
    // If the package is missing after an earlier call, that call may have deleted it. The answer to that call, or its
    // audit line, was then lost.
    let earlier = answered.map_or(attempts, |(call, _)| match call {
        Call::Delete => attempts.saturating_sub(1),
        Call::Login | Call::Show | Call::List => attempts,
    });
    let earlier = Some(earlier).filter(|earlier| *earlier > 0);
    let requested_at = seen.asked_at(now);
    let took = Duration::try_from(now.wall.duration_since(requested_at)).unwrap_or_default();
    Some(AuditRecord {
        time: now.wall,
        namespace: object.key.namespace.to_string(),
        name: object.key.name.to_string(),
        uid: object.uid.clone(),
        actor: object.actor.clone(),
        file_id: object.file_id()?.clone(),
        package: object.status.package.clone(),
        application: object.application().cloned(),
        outcome,
        disregarded: disregarded.map(ToString::to_string).collect(),
        http_status: match look_up {
            Some(_) => first.and_then(|detail| detail.http_status),
            None => answer.and_then(Answer::http_status),
        },
        code: first.and_then(|detail| detail.code.clone()),
        look_up: look_up.map(|shown| LookUpRecord {
            http_status: shown.http_status(),
            code: shown.detail().and_then(|detail| detail.code.clone()),
        }),
        attempts,
        earlier_attempts: match outcome {
            Outcome::AlreadyGone => earlier,
            Outcome::Deleted | Outcome::Retained | Outcome::HandedOver => None,
        },
        requested_at: Some(requested_at),
        duration_ms: u64::try_from(took.as_millis()).ok(),
    })
}
