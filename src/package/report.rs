//! Does the errands of a pass, and writes the status. It makes no choices.

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
use crate::platform::inventory::Moment;
use crate::platform::{Resolution, Usable};
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
    let mut ended = Ok(());
    for errand in errands {
        if let Errand::WriteDown(ending) = errand {
            let uid = &observed.facts.object.uid;
            ended = write_down(context, uid, ending, slot).await;
        } else {
            at_once(context, observed, errand);
        }
    }
    ended
}

/// Does what has to wait for nobody.
pub fn at_once(context: &Context, observed: &Observed, errand: Errand) {
    let (memory, queue, usable) = (&context.memory, &context.queue, observed.usable.as_ref());
    let object = &*observed.facts.object;
    let uid = &object.uid;
    match errand {
        Errand::Try(trial) => {
            let shown = context.directory.resolve(&trial.platform, &trial.namespace);
            if let Resolution::Usable(usable) = shown {
                usable.try_credential(trial.first);
            }
        }
        Errand::See { doubted } => {
            memory.requests.see(object, observed.now);
            if doubted {
                memory.requests.doubt(object);
            }
        }
        Errand::Unfollow => memory.unfollow(uid),
        Errand::ReadAhead => read_ahead(context, object),
        Errand::WantRoom => context.guards.want(uid, object.platform()),
        Errand::TrySoon => usable.iter().for_each(|usable| usable.session.try_soon()),
        Errand::Wake(key) => queue.add(key),
        Errand::RestartWatch => restart_watch(context),
        Errand::Exists => exists(context, object, usable),
        Errand::Deleted => {
            if let (Some(usable), Some(file)) = (usable, object.file_id()) {
                let (inventory, now) = (&context.inventory, Moment::now());
                inventory.deleted(&usable.app_id, file, now);
            }
        }
        Errand::Reopen => memory.reopen(uid),
        Errand::LookedUp(now) => memory.looked_up(uid, now),
        Errand::Proven(until) => {
            let under = || observed.fingerprint.clone();
            memory.set_proven(uid, until.map(|until| (under(), until)));
        }
        Errand::Unproven(answer) => {
            let session = usable.map(|usable| usable.session.key());
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
        // It waits for the audit log: see `run`.
        Errand::WriteDown(_) => {}
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

fn read_ahead(context: &Context, object: &Object) {
    let Some(platform) = object.platform() else {
        return;
    };
    let (directory, namespace) = (context.directory.clone(), object.key.namespace.clone());
    tokio::spawn(async move { directory.confirm(&platform, &namespace).await });
}

/// Whoever finds the watch blind, it is made anew once before it has delivered a list.
fn restart_watch(context: &Context) {
    context.metrics.permit_blind();
    if context.memory.set_blind(true) {
        tracing::warn!("an own write did not come back through the watch, which is made anew");
        context.metrics.watch_restarted("versionpackages");
        context.restart.notify_one();
    }
}

/// Where that is the first package of ours that the platform has shown, those look again who did not believe it.
fn exists(context: &Context, object: &Object, usable: Option<&Usable>) {
    let Some(usable) = usable else { return };
    let key = usable.session.key();
    let accepted = object.status.endpoint.as_ref();
    let moved = accepted.is_some_and(|accepted| *accepted != key.endpoint);
    let endpoint = moved && context.inventory.has_shown_one(key);
    let token = !usable.logs_in && usable.session.shows_ours();
    if !endpoint && !token {
        return;
    }
    for (platform, other) in context.directory.platforms() {
        if other.is_some_and(|other| other.session.key() == key) {
            let concerned = context.cache.concerned_by(&platform);
            context.queue.add_wakes(concerned);
        }
    }
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
