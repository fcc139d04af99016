//! Tells the world what a pass came to: memory, audit, status, event; in this order.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use super::Context;
use super::act::{leave_seat, record_end};
use super::conclude::{Report, Retry, pause, unaudited};
use super::decide::{Now, Refusal};
use super::effect::Effect;
use super::memory::{Failure, Fingerprint, Part};
use super::object::Object;
use super::observe::Observed;
use super::slot::Slot;
use crate::api::reason::{Phase, Reason};
use crate::api::status;
use crate::api::version_package::{Outcome, VersionPackage, VersionPackageStatus};
use crate::remote::answer::{Answer, Call};
use crate::sight::Kind;
use crate::telemetry::events::{self, Note};
use crate::writes::{self, CONFLICT_BOUND, End};

/// Delivers `report`; returns when to look at the object again.
pub async fn deliver(
    context: &Context,
    observed: &Observed,
    effect: &Effect,
    report: Report,
    mut slot: Slot,
) -> Option<Instant> {
    let object = &*observed.facts.object;
    let recorded = remember(context, observed, effect, &report, &mut slot).await;
    count_failure(context, observed, report.retry);
    let mut wake = report.wake;
    let hold_in = |status: &VersionPackageStatus| status.deletion.as_ref()?.hold.clone();
    let hold = report.status.as_ref().and_then(hold_in);
    let hold = hold.filter(|hold| Some(hold) != hold_in(&object.status).as_ref());
    // Held back while it is written, so that a release knows who was marked by then.
    let mark = hold.map(|hold| context.guards.mark(&object.uid, &hold));
    if matches!(mark, Some(None)) {
        // It is held otherwise since, or not at all.
        return Some(Instant::now());
    }
    let mut failed = match effect {
        Effect::Failed(error) | Effect::Unaudited(error) => Some(error.clone()),
        _ => None,
    };
    let mut event = report.event;
    // What an earlier pass couldn't write is still so, where this one has nothing to say.
    let failure = observed.failure.as_ref();
    let failure = failure.filter(|failure| failure.until > observed.now.tick);
    let unsaid = failure.and_then(|failure| failure.unsaid.as_deref());
    let unsaid = unsaid.filter(|_| matches!(effect, Effect::None)).cloned();
    let mut status = report.status.or(unsaid);
    // Where the application is goes with a write that is due anyway.
    let in_place = |status: &VersionPackageStatus| VersionPackageStatus {
        endpoint: object.status.endpoint.clone(),
        ..status.clone()
    };
    status = status.filter(|status| in_place(status) != object.status);
    if let Err(error) = &recorded {
        // The pass that writes the line says what this one had to say.
        event = None;
        failed = Some(error.clone());
    }
    let owing = recorded.is_err() || matches!(effect, Effect::Unaudited(_));
    if let Some(error) = failed.as_ref().filter(|_| owing) {
        let said = unaudited(&observed.facts, error, observed.now);
        let unsaid = !object.status.says(Reason::AuditFailed);
        status = Some(said).filter(|_| unsaid);
    }
    let refusal = observed.facts.status_refused.as_ref();
    let pausing = refusal.filter(|refusal| refusal.until > observed.now.tick);
    if let (Some(status), Some(refusal)) = (&status, pausing) {
        // What it would say is worked out anew then, and its event is no news before.
        (wake, event) = (Some(earlier(wake, refusal.until)), None);
        if matches!(effect, Effect::Answered(_) | Effect::Shown(_)) {
            let unsaid = Some(status.clone());
            context.memory.set_unsaid(&object.uid, unsaid);
        }
    } else if let Some(status) = status {
        let end = write_status(context, object, &status).await;
        if end == Written::Yes {
            context.memory.set_unsaid(&object.uid, None);
            tracing::info!(
                reason = status.conditions.first().map(|c| c.reason.as_str()),
                phase = status.phase.map(Phase::as_str),
                "status"
            );
        } else {
            let intended = matches!(effect, Effect::Intended(_));
            // Without its intent, a permit is of no use; but the object may only have been changed meanwhile.
            if intended && !matches!(end, Written::Contested(..=CONFLICTS_BORNE)) {
                leave_seat(context, object);
            }
            if matches!(effect, Effect::Answered(_) | Effect::Shown(_)) {
                context.memory.set_unsaid(&object.uid, Some(status));
            }
        }
        match end {
            Written::Yes => {}
            Written::Gone => wake = Some(earlier(wake, Instant::now() + GONE_PAUSE)),
            Written::Contested(_) => {
                // Told when it is said.
                event = None;
                wake = Some(earlier(wake, Instant::now() + CONFLICT_BOUND));
            }
            Written::Refused(words) => {
                let what = (Part::Status, words);
                let under = &observed.fingerprint;
                let (count, refusal) = refused(context, object, what, under);
                wake = Some(earlier(wake, refusal.until));
                if count > 1 {
                    event = None;
                }
            }
            Written::Failed(error) => failed = Some(error),
        }
    }
    drop(mark);
    if let Some(error) = failed {
        tracing::warn!(error, "a write was not taken, and is tried again");
        let failures = context.memory.write_failed(&object.uid);
        if failures == 1 && owing {
            event = Some(audit_failed(&error));
        }
        let again = pause(WRITE_PAUSE, WRITE_PAUSE_CAP, failures, fastrand::f64());
        wake = Some(Instant::now() + again);
    }
    drop(slot);
    if let Some(note) = event {
        tell(context, object, note);
    }
    wake
}

/// A look-up proves the identity of a package for a window and so long: it has to be just before the call, which goes a
/// window later where the quota is smallest.
pub(super) const PROOF_LASTS: Duration = Duration::from_secs(60);
/// After a write that the API server did not take; it doubles with each further one.
const WRITE_PAUSE: Duration = Duration::from_millis(500);
const WRITE_PAUSE_CAP: Duration = Duration::from_secs(30);
/// After a write that was refused; it doubles with each further one.
const REFUSAL_PAUSE: Duration = Duration::from_secs(1);
const REFUSAL_PAUSE_CAP: Duration = Duration::from_secs(60);
/// So many conflicts in a row cost no permit.
pub(super) const CONFLICTS_BORNE: u32 = 3;
/// After the API server said that there is no such object; mostly the watch says so before.
const GONE_PAUSE: Duration = Duration::from_secs(30);

/// What is remembered of an answer, and its audit line, before anything is written.
async fn remember(
    context: &Context,
    observed: &Observed,
    effect: &Effect,
    report: &Report,
    slot: &mut Slot,
) -> Result<(), String> {
    let object = &*observed.facts.object;
    if report.reopened {
        context.memory.reopen(&object.uid);
    }
    // As of the answer, which may have come long after the look that its call rests on.
    let now = Now {
        wall: Timestamp::now(),
        tick: Instant::now(),
    };
    if report.looked_up {
        context.memory.looked_up(&object.uid, now);
    }
    let (call, answer) = match effect {
        Effect::Answered(answer) => (Call::Delete, answer),
        Effect::Shown(Err(answer)) => (Call::Show, answer),
        Effect::Shown(Ok(_)) if report.proven => {
            // The place in the queue stays: the call comes right after.
            let window = observed
                .usable
                .as_ref()
                .map(|usable| usable.session.window());
            let until = Instant::now() + window.unwrap_or_default() + PROOF_LASTS;
            let proven = (observed.fingerprint.clone(), until);
            context.memory.set_proven(&object.uid, Some(proven));
            context.memory.set_given_back(&object.uid, None);
            return Ok(());
        }
        Effect::Shown(Ok(_)) => {
            context.memory.set_unproven(&object.uid, None);
            leave_seat(context, object);
            return Ok(());
        }
        Effect::None
        | Effect::Patched
        | Effect::Outrun
        | Effect::Refused(_)
        | Effect::Failed(_)
        | Effect::Unaudited(_)
        | Effect::Seated(_)
        | Effect::Beaten
        | Effect::Intended(_)
        | Effect::NotSent => return Ok(()),
    };
    context.memory.set_proven(&object.uid, None);
    context.memory.set_given_back(&object.uid, None);
    if let (Effect::Answered(Answer::Unproven(detail)), Some(usable)) = (effect, &observed.usable) {
        // The place in the queue stays: the look-up that tells comes right after.
        let unproven = (usable.session.key().clone(), detail.clone());
        context.memory.set_unproven(&object.uid, Some(unproven));
        log_answer(answer, None);
        return Ok(());
    }
    if told(answer) {
        context.memory.set_unproven(&object.uid, None);
    }
    let mut recorded = Ok(());
    if let Some(outcome) = report.settled {
        // Those served by it write their own lines, in passes of their own.
        for key in context.memory.settle(&object.uid, outcome) {
            context.queue.add(key);
        }
        if let Some(((session, _), file, _)) = observed.package.clone() {
            let gone = (session, file);
            context.memory.gone.remember(gone.clone(), Instant::now());
            // Whoever wants the package all the same says that it isn't there.
            context.queue.add_all(context.cache.of_file(&gone.1));
        }
        context.memory.set_failure(&object.uid, None);
        let answered = Some((call, answer));
        recorded = record_end(context, &observed.facts, outcome, answered, now, slot).await;
    }
    log_answer(answer, report.settled);
    leave_seat(context, object);
    recorded
}

/// Whether the answer to a look-up told something of the package, or will not by being asked for again.
fn told(answer: &Answer) -> bool {
    match answer {
        Answer::Done(_)
        | Answer::Unproven(_)
        | Answer::AlreadyGone(_)
        | Answer::InvalidFileId(_)
        | Answer::Unexpected(_) => true,
        Answer::Throttled(_)
        | Answer::TokenRefused(_)
        | Answer::CredentialsRefused(_)
        | Answer::ApplicationRefused(_)
        | Answer::Unavailable(..) => false,
    }
}

fn count_failure(context: &Context, observed: &Observed, retry: Retry) {
    let uid = &observed.facts.object.uid;
    match retry {
        Retry::Unchanged => {}
        Retry::Anew => {
            context.memory.set_failure(uid, None);
            context.memory.set_given_back(uid, None);
        }
        Retry::GivenBack(until) => context.memory.set_given_back(uid, Some(until)),
        Retry::After(until) => {
            let count = observed
                .failure
                .as_ref()
                .map_or(0, |failure| failure.count)
                .saturating_add(1);
            let failure = Failure {
                count,
                until,
                fingerprint: observed.fingerprint.clone(),
                unsaid: None,
            };
            context.memory.set_failure(uid, Some(failure));
        }
    }
}

/// Said at the first failure.
fn audit_failed(error: &str) -> Note {
    Note {
        warning: true,
        reason: Reason::AuditFailed.as_str(),
        message: format!("The object stays until how it ended is written down: {error}"),
    }
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

/// How a write of the status ended.
#[derive(Debug, PartialEq)]
enum Written {
    /// It stands there.
    Yes,
    /// There is no such object.
    Gone,
    /// The object has changed meanwhile, so often in a row.
    Contested(u32),
    /// Refused, in these words.
    Refused(String),
    /// Not decided, for this reason.
    Failed(String),
}

async fn write_status(
    context: &Context,
    object: &Object,
    status: &VersionPackageStatus,
) -> Written {
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
        End::Taken(_) if changed => {
            memory.wrote(uid, Part::Status, target.version, Instant::now());
            Written::Yes
        }
        // A write that changed nothing has no echo to wait for.
        End::Taken(_) => {
            memory.wrote_nothing(uid, Part::Status);
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

/// Remembers that a write is refused, and when to try again; returns how often it was in a row.
pub(super) fn refused(
    context: &Context,
    object: &Object,
    (part, words): (Part, String),
    under: &Fingerprint,
) -> (u32, Refusal) {
    context.metrics.write_refused(part.as_str());
    tracing::warn!(part = part.as_str(), words, "a write is refused");
    let until = |count| {
        let again = pause(REFUSAL_PAUSE, REFUSAL_PAUSE_CAP, count, fastrand::f64());
        Instant::now() + again
    };
    let memory = &context.memory;
    let (count, refusal) = memory.refused(&object.uid, part, words, under, until);
    // The object can't say it itself.
    if part == Part::Status && count == 1 {
        tell(context, object, status_refused(&refusal.words));
    }
    (count, refusal)
}

fn earlier(wake: Option<Instant>, other: Instant) -> Instant {
    wake.map_or(other, |wake| wake.min(other))
}

/// Said at the first refusal.
fn status_refused(words: &str) -> Note {
    Note {
        warning: true,
        reason: "StatusRefused",
        message: format!(
            "The status can't be written, and nothing is deleted from the platform for the object before it can: {words}"
        ),
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
