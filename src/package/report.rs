//! Runs the errands of a pass and writes the status, without making any choice of its own.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::cache::Cache;
use super::claims::others::Trial;
use super::conclude::Written;
use super::decide::Now;
use super::errand::Errand;
use super::memory::own_write::{Part, RefusedWrite};
use super::memory::{Failure, Memory};
use super::observe::Observed;
use super::writer::Writer;
use crate::api::names::{Endpoint, FileId};
use crate::api::outcome::Outcome;
use crate::api::version_package::{VersionPackage, VersionPackageStatus};
use crate::guard::Guards;
use crate::inventory::Inventory;
use crate::object::Object;
use crate::package::turns::api_slots::Slot;
use crate::package::turns::workqueue::Workqueue;
use crate::platform::{Directory, Resolution, Usable};
use crate::remote::answer::Answer;
use crate::telemetry::audit::{AuditLog, AuditRecord};
use crate::telemetry::events::{self, Events, Note};
use crate::telemetry::metrics::Metrics;

/// Everything that an errand may use. Errands neither write to objects nor call the platform.
#[derive(Clone, Copy)]
pub struct Reach<'a> {
    /// Memory of this process.
    pub memory: &'a Memory,
    /// Work queue of object keys to reconcile.
    pub queue: &'a Workqueue,
    /// Cache, to find the other objects of a package.
    pub cache: &'a Cache,
    /// Directory of all Platforms, to read them and to try their credentials.
    pub directory: &'a Arc<Directory>,
    /// Guards, to ask for a reservation.
    pub guards: &'a Guards,
    /// Inventory: the packages that the platforms list.
    pub inventory: &'a Inventory,
    /// Signal that restarts the watch.
    pub restart: &'a Notify,
    /// Audit log: one line for each finished deletion.
    pub audit: &'a AuditLog,
    /// Publisher of Kubernetes events.
    pub events: &'a Events,
    /// Metrics of the operator.
    pub metrics: &'a Metrics,
}

/// The audit line of a deletion can't be written.
#[derive(Debug, thiserror::Error)]
#[error("the audit line of {outcome:?} can't be written: {source}")]
pub struct Unaudited {
    outcome: Outcome,
    source: std::io::Error,
}

/// Runs `errands` in their order. `slot` is given back while the audit log is waited for, and taken again afterwards.
///
/// # Errors
/// If the audit line can't be written: then nothing may follow from the end of the deletion.
pub async fn run(
    reach: &Reach<'_>,
    observed: &Observed,
    errands: Vec<Errand>,
    slot: &mut Slot,
) -> Result<(), Unaudited> {
    let mut ended = Ok(());
    for errand in errands {
        if let Errand::Pay(record) = errand {
            let uid = &observed.facts.object.uid;
            ended = pay(reach, uid, &record, slot).await;
        } else {
            at_once(reach, observed, errand);
        }
    }
    ended
}

/// Runs one errand without waiting. [`Errand::Pay`] has to wait and is ignored here.
pub fn at_once(reach: &Reach<'_>, observed: &Observed, errand: Errand) {
    let (memory, queue, usable) = (reach.memory, reach.queue, observed.usable.as_ref());
    let object = &*observed.facts.object;
    let uid = &object.uid;
    match errand {
        Errand::Try(trial) => try_credential(reach, &trial),
        Errand::Doubt(finding) => memory.doubts.note(finding, observed.now),
        Errand::Back => memory.back(uid),
        Errand::See(found) => memory.requests.note(object, found, observed.now),
        Errand::ReadAhead => read_ahead(reach, object),
        Errand::WantRoom => reach.guards.want(uid, object.platform()),
        Errand::TrySoon => usable.iter().for_each(|usable| usable.session.try_soon()),
        Errand::RestartWatch => restart_watch(reach),
        Errand::Exists(elsewhere) => exists(reach, usable, elsewhere),
        Errand::Deleted(now) => deleted(reach, usable, object, now),
        Errand::Reopen => memory.reopen(uid),
        Errand::LookedUp(now) => memory.looked_up(uid, now),
        Errand::Proven(until) => {
            memory.set_proven(
                uid,
                until.map(|until| (observed.fingerprint.clone(), until)),
            );
        }
        Errand::Unproven(answer) => {
            let session = usable.map(|usable| usable.session.key());
            memory.set_unproven(uid, session.cloned().zip(answer));
        }
        Errand::GivenBack(until) => memory.set_given_back(uid, until),
        Errand::Fail(count, until) => {
            memory.set_failure(uid, Some(failure(observed, count, until)));
        }
        Errand::Anew => memory.begin_anew(uid),
        Errand::Settle(outcome) => queue.add_each(memory.settle(uid, outcome)),
        Errand::Gone(file, now) => gone(reach, usable, file, now),
        Errand::End(ending) => {
            reach.metrics.deleted(ending.outcome, ending.took);
            memory.owe(uid, *ending);
        }
        // `run` writes the audit line, because that has to wait for the audit log.
        Errand::Pay(_) => {}
        Errand::Wrote(part, at) => {
            let echo = at.map(|at| (&*object.resource_version, at));
            memory.taken(uid, part, echo);
        }
        Errand::Contested(conflict) => {
            memory.met_conflict(uid, &object.resource_version, conflict);
        }
        Errand::LeaveSeat => queue.add_each(memory.leave_seat(uid)),
        Errand::Unsaid(status) => memory.set_unsaid(uid, status),
        Errand::Refused(part, refusal) => refused(reach, observed, part, refusal),
        Errand::NotTaken(part, failure) => {
            memory.refused(uid, part, failure, observed.fingerprint.clone());
        }
        Errand::Unaudited => memory.not_paid(uid),
        Errand::LogNotTaken(error) => log_not_taken(&error),
        Errand::Tell(note) => tell(reach, object, note),
        Errand::Log(answer, outcome) => log_answer(&answer, outcome),
    }
}

fn try_credential(reach: &Reach<'_>, trial: &Trial) {
    let shown = reach.directory.resolve(&trial.platform, &trial.namespace);
    if let Resolution::Usable(usable) = shown {
        usable.try_credential(trial.first);
    }
}

fn deleted(reach: &Reach<'_>, usable: Option<&Usable>, object: &Object, now: Now) {
    if let (Some(usable), Some(file)) = (usable, object.file_id()) {
        let key = usable.session.key();
        reach.inventory.deleted(key, file, now);
    }
}

fn failure(observed: &Observed, count: u32, until: Instant) -> Failure {
    Failure {
        count,
        until,
        fingerprint: observed.fingerprint.clone(),
        unsaid: None,
    }
}

fn gone(reach: &Reach<'_>, usable: Option<&Usable>, file: FileId, now: Now) {
    reach.queue.add_all(reach.cache.of_file(&file));
    if let Some(usable) = usable {
        let gone = (usable.witness(), file);
        reach.memory.gone.remember(gone, now.tick);
    }
}

fn refused(reach: &Reach<'_>, observed: &Observed, part: Part, refusal: RefusedWrite) {
    let words = &refusal.words;
    tracing::warn!(part = part.as_str(), words, "a write is refused");
    reach.metrics.write_refused(part.as_str());
    let under = observed.fingerprint.clone();
    let uid = &observed.facts.object.uid;
    reach.memory.refused(uid, part, refusal, under);
}

fn tell(reach: &Reach<'_>, object: &Object, note: Note) {
    let about = events::about::<VersionPackage>(&object.key, &object.uid);
    reach.events.say(about, note);
}

fn read_ahead(reach: &Reach<'_>, object: &Object) {
    let Some(platform) = object.platform() else {
        return;
    };
    let (directory, namespace) = (reach.directory.clone(), object.key.namespace.clone());
    tokio::spawn(async move { directory.confirm(&platform, &namespace).await });
}

/// Restarts the watch. The restart is requested once, however many passes find the watch blind before it has delivered
/// a list.
fn restart_watch(reach: &Reach<'_>) {
    reach.metrics.permit_blind();
    if reach.memory.set_blind(true) {
        tracing::warn!("an own write did not come back through the watch, which is made anew");
        reach.metrics.watch_restarted("versionpackages");
        reach.restart.notify_one();
    }
}

/// Tells the inventory that a package exists. If that is news, wakes the objects of all Platforms of the application:
/// some of them may not have trusted the platform's answers before.
fn exists(reach: &Reach<'_>, usable: Option<&Usable>, elsewhere: Option<Endpoint>) {
    let Some(usable) = usable else { return };
    let (session, own) = (&*usable.session, !usable.logs_in);
    let witness = usable.witness();
    if reach.inventory.exists(session, &witness, elsewhere, own) {
        for platform in reach.directory.of_application(session.key()) {
            let concerned = reach.cache.concerned_by(&platform);
            reach.queue.add_wakes(concerned);
        }
    }
}

/// Writes an audit line. If that fails, the line stays in memory and later passes try again. `slot` is given back
/// meanwhile, because a disk may hang.
async fn pay(
    reach: &Reach<'_>,
    uid: &str,
    record: &AuditRecord,
    slot: &mut Slot,
) -> Result<(), Unaudited> {
    slot.give_back();
    let written = reach.audit.write(record).await;
    slot.take().await;
    written.map_err(|source| {
        reach.metrics.unaudited();
        let outcome = record.outcome;
        Unaudited { outcome, source }
    })?;
    reach.memory.paid(uid);
    Ok(())
}

fn log_not_taken(error: &str) {
    tracing::warn!(error, "a write was not taken, and is tried again");
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

/// Writes the status. If the status newly names a hold, a release of that hold waits for this write. The function
/// beside `slot` is called if the write hangs: see [`Slot::write`].
pub async fn write(
    writer: Writer<'_>,
    guards: &Arc<Guards>,
    object: &Object,
    (status, hold): (&VersionPackageStatus, Option<&str>),
    slot: (&mut Slot, impl FnOnce()),
) -> Written {
    let mark = hold.map(|hold| guards.mark(&object.uid, hold));
    if matches!(mark, Some(None)) {
        return Written::Outdated;
    }
    writer.status(object, status, slot).await
}
