//! Carries out what follows from a pass: its errands, and the write of the status between them. It makes no choices.

use tokio::time::Instant;

use super::Context;
use super::conclude::Written;
use super::errand::{Ending, Errand};
use super::memory::{Failure, Part};
use super::object::Object;
use super::observe::Observed;
use super::slot::Slot;
use crate::api::reason::Phase;
use crate::api::status;
use crate::api::version_package::{Outcome, VersionPackage, VersionPackageStatus};
use crate::remote::answer::Answer;
use crate::sight::Kind;
use crate::telemetry::events::{self, Note};
use crate::writes::{self, End};

/// Does `errands` in their order; `slot` is given back while the audit log is waited for, and taken again after.
///
/// # Errors
/// When an end can't be written down: nothing may follow from it then.
pub async fn run(
    context: &Context,
    observed: &Observed,
    errands: Vec<Errand>,
    slot: &mut Slot,
) -> Result<(), String> {
    let (memory, queue) = (&context.memory, &context.queue);
    let object = &*observed.facts.object;
    let uid = &object.uid;
    let mut ended = Ok(());
    for errand in errands {
        match errand {
            Errand::Reopen => memory.reopen(uid),
            Errand::LookedUp(now) => memory.looked_up(uid, now),
            Errand::Proven(until) => {
                let under = || observed.fingerprint.clone();
                memory.set_proven(uid, until.map(|until| (under(), until)));
            }
            Errand::Unproven(answer) => {
                let session = observed.usable.as_ref().map(|usable| usable.session.key());
                memory.set_unproven(uid, session.cloned().zip(answer));
            }
            Errand::GivenBack(until) => memory.set_given_back(uid, until),
            Errand::Fail(count, until) => {
                let failure = Failure {
                    count,
                    until,
                    fingerprint: observed.fingerprint.clone(),
                    unsaid: None,
                };
                memory.set_failure(uid, Some(failure));
            }
            Errand::Anew => {
                memory.set_failure(uid, None);
                memory.set_given_back(uid, None);
            }
            Errand::Settle(outcome) => settle(context, observed, outcome),
            Errand::WriteDown(ending) => {
                ended = write_down(context, uid, ending, slot).await;
            }
            Errand::LeaveSeat => {
                for key in memory.leave_seat(uid) {
                    queue.add(key);
                }
            }
            Errand::Unsaid(status) => memory.set_unsaid(uid, status),
            Errand::Refused(part, refusal) => {
                let words = &refusal.words;
                tracing::warn!(part = part.as_str(), words, "a write is refused");
                context.metrics.write_refused(part.as_str());
                memory.refused(uid, part, refusal, observed.fingerprint.clone());
            }
            Errand::NotTaken(error) => {
                tracing::warn!(error, "a write was not taken, and is tried again");
                memory.write_failed(uid);
            }
            Errand::Tell(note) => tell(context, object, note),
            Errand::Log(answer, outcome) => log_answer(&answer, outcome),
        }
    }
    ended
}

fn settle(context: &Context, observed: &Observed, outcome: Outcome) {
    // Those served by it write their own lines, in passes of their own.
    for key in context.memory.settle(&observed.facts.object.uid, outcome) {
        context.queue.add(key);
    }
    if let Some(((session, _), file, _)) = observed.package.clone() {
        context.queue.add_all(context.cache.of_file(&file));
        context
            .memory
            .gone
            .remember((session, file), Instant::now());
    }
}

/// Counts an end and writes its audit line, once for each end. A line that can't be written is kept, and tried again by
/// every later call. A disk may hang, so `slot` is given back meanwhile.
async fn write_down(
    context: &Context,
    uid: &str,
    ending: Option<Box<Ending>>,
    slot: &mut Slot,
) -> Result<(), String> {
    let (memory, metrics) = (&context.memory, &context.metrics);
    if let Some(ending) = ending {
        metrics.deleted(ending.outcome, ending.took);
        memory.owe(uid, *ending);
    }
    let Some(record) = memory.owed(uid) else {
        return Ok(());
    };
    slot.give_back();
    let written = context.audit.write(&record).await;
    slot.take().await;
    written.map_err(|error| {
        metrics.unaudited();
        let outcome = record.outcome;
        format!("the audit line of {outcome:?} can't be written: {error}")
    })?;
    memory.paid(uid);
    Ok(())
}

fn log_answer(answer: &Answer, outcome: Option<Outcome>) {
    match (outcome, answer.detail()) {
        (Some(outcome), _) => tracing::info!(outcome = outcome.as_str(), "the platform answered"),
        (None, Some(detail)) => tracing::warn!(
            answer = answer.as_str(),
            http_status = detail.http_status,
            code = detail.code.as_deref(),
            message = detail.message,
            "the platform answered"
        ),
        (None, None) => tracing::warn!(answer = answer.as_str(), "the platform answered"),
    }
}

/// The fields of the status that calls and guards rest on.
const RELIED_ON: [&str; 4] = ["deletion", "application", "endpoint", "uid"];

/// Writes the status. Held back while it newly names a hold, so that a release knows who was marked by then.
pub async fn write(context: &Context, object: &Object, status: &VersionPackageStatus) -> Written {
    let hold_in = |status: &VersionPackageStatus| status.deletion.as_ref()?.hold.clone();
    let hold = hold_in(status).filter(|hold| Some(hold) != hold_in(&object.status).as_ref());
    let mark = hold.map(|hold| context.guards.mark(&object.uid, &hold));
    if matches!(mark, Some(None)) {
        return Written::Outdated;
    }
    if !context.sight.may_write(Kind::Packages) {
        return Written::Failed("its CustomResourceDefinition lacks fields".to_owned());
    }
    let (memory, uid, target) = (&context.memory, &object.uid, object.target());
    let body = status::patch(status, uid, &object.beside);
    let end = writes::status::<VersionPackage>(&context.client, &target, &body).await;
    let changed = end.changed(&target);
    if let End::Taken(stored) = &end
        && let Some(field) = status::changed_on_the_way(&body, &stored["status"], &RELIED_ON)
    {
        return Written::Refused(format!(
            "the write was taken, but status.{field} is not as it was written: an admission policy or webhook changes it"
        ));
    }
    match end {
        End::Taken(_) => {
            tracing::info!(
                reason = status.conditions.first().map(|c| c.reason.as_str()),
                phase = status.phase.map(Phase::as_str),
                "status"
            );
            memory.taken(uid, Part::Status, changed.then_some(target.version));
            Written::Yes
        }
        End::Gone => Written::Gone,
        End::Conflict(words) => {
            tracing::debug!(words, "the object has changed meanwhile");
            let (shown, at) = (target.version, Instant::now());
            Written::Contested(memory.met_conflict(uid, Part::Status, shown, words, at))
        }
        End::Refused(words) => Written::Refused(words),
        End::Failed(error) => Written::Failed(error),
    }
}

/// Has an event published.
fn tell(context: &Context, object: &Object, note: Note) {
    // It would be refused there.
    if context.directory.is_terminating(&object.key.namespace) {
        context.metrics.told("skipped");
        return;
    }
    let about = events::about::<VersionPackage>(&object.key, &object.uid);
    context.events.say(about, note);
}
