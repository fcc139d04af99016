//! Which status is written, and what follows from how that ended.

use std::time::Duration;

use tokio::time::Instant;

use super::next_status::next_status;
use super::{Report, pause, rounded, say, unaudited};
use crate::api::names::REQUESTED_AT_ANNOTATION;
use crate::api::reason::{Phase, Reason};
use crate::api::version_package::VersionPackageStatus;
use crate::package::decide::{self, Decision, Now, Observation};
use crate::package::effect::Effect;
use crate::package::errand::Errand;
use crate::package::memory::own_write::{Conflict, FAILURES_BORNE, Part, RefusedWrite};

use crate::telemetry::events::Note;
use crate::writes::CONFLICT_BOUND;

/// Half of the pause after a write that the API server did not take or has refused; it doubles with each further one.
const WRITE_PAUSE: Duration = Duration::from_millis(500);
const WRITE_PAUSE_CAP: Duration = Duration::from_secs(30);
const REFUSAL_PAUSE_CAP: Duration = Duration::from_secs(60);
/// So many conflicts in a row cost no permit.
const CONFLICTS_BORNE: u32 = 3;
/// After the API server said that there is no such object; mostly the watch says so before.
const GONE_PAUSE: Duration = Duration::from_secs(30);

/// How a write of the status ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// It stands there.
    Yes {
        /// Whether the object has another version by that, which the watch is still to show.
        changed: bool,
    },
    /// The guard holds the object otherwise by now, or not at all: nothing was sent.
    Outdated,
    /// There is no such object.
    Gone,
    /// The object has changed meanwhile, in the words of the API server.
    Contested(String),
    /// Refused, in these words.
    Refused(String),
    /// Not decided, for this reason.
    Failed(String),
}

/// The report with the status that is due now: none that stands there already, or that is known to be refused for a while.
pub(super) fn due(seen: &Observation, effect: &Effect, mut report: Report, now: Now) -> Report {
    let said = if let Effect::Unaudited(error) = effect {
        // Nothing else is told before the end is written down.
        let said = seen.object.status.says(Reason::AuditFailed);
        (!said).then(|| unaudited(seen, error, now))
    } else if *effect == Effect::Nothing {
        // What an earlier pass couldn't write is still so, where this one has nothing to say.
        report.status.or_else(|| unsaid(seen, now))
    } else {
        report.status
    };
    report.status = said.filter(|status| in_place(seen, status) != seen.object.status);
    let refusal = seen.status_refused.as_ref();
    if let Some(refusal) = refusal.filter(|refusal| refusal.until > now.tick) {
        if let Some(status) = report.status.take() {
            // What it would say is worked out anew then, and its event is no news before.
            report.event = None;
            report.wake = Some(earlier(report.wake, refusal.until));
            report.errands.extend(kept(effect, status));
        }
        if *effect == Effect::Nothing {
            report.status = complaint(seen, refusal, now);
            report.complains = report.status.is_some();
        }
    }
    report.mark = report
        .status
        .as_ref()
        .and_then(|status| marks(seen, status));
    report
}

/// The present status with conditions that say why no other one can be written; a policy may refuse just what the other one
/// tells. `None` where they stand there, or are refused too.
fn complaint(seen: &Observation, refusal: &RefusedWrite, now: Now) -> Option<VersionPackageStatus> {
    let refused = seen.complaint_refused.as_ref();
    if !refusal.lasts() || refused.is_some_and(|refused| refused.until > now.tick) {
        return None;
    }
    let message = format!(
        "{}; it is tried again with growing pauses of up to {}, and at once with the annotation {REQUESTED_AT_ANNOTATION}",
        unwritable(&refusal.words),
        rounded(REFUSAL_PAUSE_CAP)
    );
    let (reason, message) = match &seen.object.spec {
        // From this reason alone the next process knows it.
        Err(undecodable) if undecodable.lost => (
            Reason::FieldsLost,
            format!(
                "{}. Meanwhile: {message}",
                decide::unreadable(&seen.object.uid, undecodable)
            ),
        ),
        Ok(_) | Err(_) => (Reason::StatusRefused, message),
    };
    let present = &seen.object.status;
    let said = next_status(seen, reason, &message, now);
    // What calls, guards and a later process rest on stays as it was written.
    let complaint = VersionPackageStatus {
        phase: said.phase,
        conditions: said.conditions,
        ..present.clone()
    };
    (complaint != *present).then_some(complaint)
}

/// The hold that `status` names and the object doesn't yet.
fn marks(seen: &Observation, status: &VersionPackageStatus) -> Option<String> {
    let hold = |status: &VersionPackageStatus| status.deletion.as_ref()?.hold.clone();
    hold(status).filter(|held| Some(held) != hold(&seen.object.status).as_ref())
}

/// What follows from how the write of the status ended, where one was due. The last of what is told of a pass.
pub fn afterwards(
    seen: &Observation,
    effect: &Effect,
    report: Report,
    written: Option<Written>,
    then: (Now, f64),
) -> Report {
    let (now, chance) = then;
    let Report {
        status,
        complains,
        mut event,
        mut wake,
        ..
    } = report;
    let part = if complains {
        Part::Complaint
    } else {
        Part::Status
    };
    let phase = status.as_ref().and_then(|status| status.phase);
    let mut errands = Vec::new();
    let mut failed = Vec::new();
    if let Effect::Failed(error) = effect {
        let before = before(seen, Part::Finalizers);
        let failure = refusal(before, (error.clone(), None), false, then);
        failed.push((Part::Finalizers, failure));
    }
    if let Some(written) = &written {
        if !complains {
            errands.extend(of_the_call(seen, effect, status, written));
        }
        errands.extend(of_the_write(seen, (part, phase), written, now));
    }
    match written {
        None | Some(Written::Yes { .. }) => {}
        Some(Written::Outdated) => {
            return Report {
                wake: Some(now.tick),
                ..Report::nothing()
            };
        }
        Some(Written::Gone) => wake = Some(earlier(wake, now.tick + GONE_PAUSE)),
        Some(Written::Contested(_)) => {
            // Told when it is said.
            event = None;
            wake = Some(earlier(wake, now.tick + CONFLICT_BOUND));
        }
        Some(Written::Refused(words)) => {
            let known = before(seen, part);
            let refusal = refusal(known, (words, phase), true, then);
            // Where the conditions don't say so, they are to say it at once.
            let unsaid = part == Part::Status && !says(seen, &refusal.words);
            wake = Some(earlier(wake, if unsaid { now.tick } else { refusal.until }));
            event = event.filter(|_| part == Part::Status && is_news(known));
            errands.extend(refused(part, known, refusal));
        }
        Some(Written::Failed(error)) => {
            let known = before(seen, part);
            let failure = refusal(known, (error, phase), false, then);
            failed.push((part, failure));
        }
    }
    let mut again = None;
    if let Effect::Unaudited(error) = effect {
        let failures = seen.failed_audits.saturating_add(1);
        if failures == 1 {
            event = Some(audit_failed(error));
        }
        again = Some(now.tick + pause(WRITE_PAUSE, WRITE_PAUSE_CAP, failures, chance));
        errands.push(Errand::Unaudited);
        errands.extend(log(failures, error));
    }
    for (part, failure) in failed {
        let complains = part == Part::Complaint;
        if failure.count == FAILURES_BORNE && !complains {
            errands.push(Errand::Tell(not_taken(&failure.words)));
        }
        // It may be just this that can't be written: then the conditions are to say so at once.
        let soon = failure.lasts() && !complains;
        again = Some(earlier(again, if soon { now.tick } else { failure.until }));
        errands.extend(log(failure.count, &failure.words));
        errands.push(Errand::NotTaken(part, failure));
    }
    wake = again.or(wake);
    errands.extend(event.map(Errand::Tell));
    Report {
        errands,
        wake,
        ..Report::nothing()
    }
}

/// A thousand that are tried again and again fill no log.
fn log(failures: u32, error: &str) -> Option<Errand> {
    let logged = failures.is_power_of_two();
    logged.then(|| Errand::LogNotTaken(error.to_owned()))
}

/// What becomes of a permit, or of what a call came to, when the status that tells of it was written or was not.
fn of_the_call(
    seen: &Observation,
    effect: &Effect,
    status: Option<VersionPackageStatus>,
    written: &Written,
) -> Option<Errand> {
    match (effect, written) {
        (_, Written::Yes { .. }) => Some(Errand::Unsaid(None)),
        // The object may only have been changed meanwhile.
        (Effect::Intended(_), Written::Contested(_)) if seen.conflicts < CONFLICTS_BORNE => None,
        // Without its intent, a permit is of no use.
        (Effect::Intended(_), _) => Some(Errand::LeaveSeat),
        (_, _) => kept(effect, status?),
    }
}

/// What is remembered of the write of the status itself, but for what is told of it.
fn of_the_write(
    seen: &Observation,
    (part, phase): (Part, Option<Phase>),
    written: &Written,
    now: Now,
) -> Option<Errand> {
    let refusal = seen.status_refused.as_ref();
    let refused = refusal.and_then(|refusal| refusal.phase);
    // A policy may refuse one phase and take all others: to say those is no way out.
    let beside = part == Part::Status && refused.is_some() && refused != phase;
    match written {
        Written::Yes { changed } if beside => Some(wrote(Part::Beside, *changed, now)),
        Written::Yes { changed } => Some(wrote(part, *changed, now)),
        Written::Contested(words) => Some(contested((part, phase), words, now)),
        Written::Outdated | Written::Gone | Written::Refused(_) | Written::Failed(_) => None,
    }
}

/// A write that was taken: only where it has changed the object there is an echo to wait for.
pub(super) fn wrote(part: Part, changed: bool, now: Now) -> Errand {
    Errand::Wrote(part, changed.then_some(now.tick))
}

/// A write that met a conflict, in these words.
pub(super) fn contested((part, phase): (Part, Option<Phase>), words: &str, now: Now) -> Errand {
    Errand::Contested(Conflict {
        part,
        words: words.to_owned(),
        at: now.tick,
        phase,
    })
}

/// What a call came to is said by a later pass.
fn kept(effect: &Effect, status: VersionPackageStatus) -> Option<Errand> {
    let called = matches!(effect, Effect::Answered(_) | Effect::Shown(_));
    called.then(|| Errand::Unsaid(Some(Box::new(status))))
}

fn unsaid(seen: &Observation, now: Now) -> Option<VersionPackageStatus> {
    let failure = seen.failure.as_ref();
    let failure = failure.filter(|failure| failure.until > now.tick)?;
    failure.unsaid.as_deref().cloned()
}

/// Where the application is goes with a write that is due anyway.
fn in_place(seen: &Observation, status: &VersionPackageStatus) -> VersionPackageStatus {
    VersionPackageStatus {
        endpoint: seen.object.status.endpoint.clone(),
        ..status.clone()
    }
}

/// The last refusal of a write to `part`.
fn before(seen: &Observation, part: Part) -> Option<&RefusedWrite> {
    match part {
        Part::Finalizers => seen.finalizers_refused.as_ref(),
        Part::Status | Part::Beside => seen.status_refused.as_ref(),
        Part::Complaint => seen.complaint_refused.as_ref(),
    }
}

/// One refusal more, in these words; or one failure more, where nobody has `denied` it.
fn refusal(
    before: Option<&RefusedWrite>,
    (words, phase): (String, Option<Phase>),
    denied: bool,
    (now, chance): (Now, f64),
) -> RefusedWrite {
    let count = before.map_or(0, |before| before.count).saturating_add(1);
    let cap = if denied {
        REFUSAL_PAUSE_CAP
    } else {
        WRITE_PAUSE_CAP
    };
    RefusedWrite {
        words,
        count,
        until: now.tick + pause(WRITE_PAUSE, cap, count, chance),
        denied,
        phase,
    }
}

/// What is said of finalizers that can't be changed, for which `decision` is.
pub(super) fn not_patched(
    seen: &Observation,
    decision: &Decision,
    words: &str,
    now: Now,
    chance: f64,
) -> Report {
    let before = seen.finalizers_refused.as_ref();
    let words = (words.to_owned(), None);
    let refusal = refusal(before, words, true, (now, chance));
    let said = decide::refused(&seen.object, decision, Some(&refusal));
    let said = said.map(|message| say(seen, Reason::FinalizerRefused, &message, None, now));
    Report {
        wake: Some(refusal.until),
        errands: refused(Part::Finalizers, before, refusal),
        ..said.unwrap_or_else(Report::nothing)
    }
}

/// A conflict that the watch doesn't bear out is a refusal: what follows from that is decided at once.
pub(super) fn no_conflict(
    seen: &Observation,
    conflict: &Conflict,
    now: Now,
    chance: f64,
) -> Report {
    let before = before(seen, conflict.part);
    let words = (conflict.words.clone(), conflict.phase);
    let refusal = refusal(before, words, true, (now, chance));
    // It may have been the intent: without that, a permit is of no use.
    let errands = refused(conflict.part, before, refusal).into_iter();
    Report {
        errands: errands.chain([Errand::LeaveSeat]).collect(),
        wake: Some(now.tick),
        ..Report::nothing()
    }
}

/// Whether a refusal after this one is news: the ones before only failed, or there were none.
fn is_news(before: Option<&RefusedWrite>) -> bool {
    before.is_none_or(|before| !before.denied)
}

/// Whether the conditions tell these words.
fn says(seen: &Observation, words: &str) -> bool {
    let mut conditions = seen.object.status.conditions.iter();
    conditions.any(|condition| condition.message.contains(words))
}

/// What follows from a write that is refused. Where the object can't say itself that its status is, an event does.
fn refused(part: Part, before: Option<&RefusedWrite>, refusal: RefusedWrite) -> Vec<Errand> {
    let news = part == Part::Status && is_news(before);
    let event = news.then(|| Errand::Tell(status_refused(&refusal.words)));
    let refused = Errand::Refused(part, refusal);
    std::iter::once(refused).chain(event).collect()
}

/// Said at the first failure.
fn audit_failed(error: &str) -> Note {
    Note {
        warning: true,
        reason: Reason::AuditFailed.as_str(),
        message: format!("The object stays until how it ended is written down: {error}"),
    }
}

/// Said once nobody can take it for a hiccup: the object can't say it.
fn not_taken(error: &str) -> Note {
    Note {
        warning: true,
        reason: "WriteFailed",
        message: format!(
            "The object can't be written, and nothing more is done for it before it can; it is tried again with growing pauses of up to {}: {error}",
            rounded(WRITE_PAUSE_CAP)
        ),
    }
}

/// Said at the first refusal.
fn status_refused(words: &str) -> Note {
    Note {
        warning: true,
        reason: Reason::StatusRefused.as_str(),
        message: unwritable(words),
    }
}

fn unwritable(words: &str) -> String {
    format!(
        "The status can't be written, and nothing more is sent to the platform for the object before it can: {words}"
    )
}

fn earlier(wake: Option<Instant>, other: Instant) -> Instant {
    wake.map_or(other, |wake| wake.min(other))
}
