//! Which status is written, and what follows from the result of that write.

use std::time::Duration;

use tokio::time::Instant;

use super::next_status::next_status;
use super::refused::{
    DENIED, FAILED, before, is_news, not_taken, refusal, refused, says, unwritable,
};
use super::{Report, pause, rounded, unaudited};
use crate::api::names::REQUESTED_AT_ANNOTATION;
use crate::api::reason::{Phase, Reason};
use crate::api::version_package::VersionPackageStatus;
use crate::package::decide::{self, Now, Observation};
use crate::package::effect::Effect;
use crate::package::errand::Errand;
use crate::package::memory::own_write::{Conflict, FAILURES_BORNE, Part, RefusedWrite};

use crate::telemetry::events::Note;
use crate::writes::CONFLICT_BOUND;

/// Number of consecutive conflicts that don't cost the permit.
const CONFLICTS_BORNE: u32 = 3;
/// Pause after the API server answered that the object doesn't exist. Usually the watch shows the removal earlier.
const GONE_PAUSE: Duration = Duration::from_secs(30);

/// Result of a status write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// The status was written.
    Yes {
        /// Whether the write gave the object a new version, whose echo is to be awaited.
        changed: bool,
    },
    /// Nothing was sent, because the guard no longer holds the object by the hold that the status names.
    Outdated,
    /// The object doesn't exist.
    Gone,
    /// Conflict, with the error message of the API server.
    Contested(String),
    /// Refusal, with its message.
    Refused(String),
    /// Failure without a decision, with its reason.
    Failed(String),
}

/// The report with the status that is due now. An unchanged status isn't written. During the backoff of a refusal, only
/// a [`complaint`] is written.
pub(super) fn due(seen: &Observation, effect: &Effect, mut report: Report, now: Now) -> Report {
    let said = if let Effect::Unaudited(error) = effect {
        // Before the end is in the audit log, nothing else is reported.
        let said = seen.object.status.says(Reason::AuditFailed);
        (!said).then(|| unaudited(seen, error, now))
    } else if *effect == Effect::Nothing {
        // This pass has nothing to report, so a status that an earlier pass couldn't write is still due.
        report.status.or_else(|| unsaid(seen, now))
    } else {
        report.status
    };
    report.status = said.filter(|status| in_place(seen, status) != seen.object.status);
    let refusal = seen.status_refused.as_ref();
    if let Some(refusal) = refusal.filter(|refusal| refusal.until > now.tick) {
        if let Some(status) = report.status.take() {
            // The next try works out the status and its event anew.
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

/// The present status with conditions that say why no other status can be written, since a policy may refuse only
/// certain contents. `None` if the status says so already, or if the conditions are refused, too.
fn complaint(seen: &Observation, refusal: &RefusedWrite, now: Now) -> Option<VersionPackageStatus> {
    let refused = seen.complaint_refused.as_ref();
    if !refusal.lasts() || refused.is_some_and(|refused| refused.until > now.tick) {
        return None;
    }
    let message = format!(
        "{}. The write is tried again by itself, with growing pauses of up to {}, and at once when the annotation {REQUESTED_AT_ANNOTATION} gets a new value",
        unwritable(&refusal.words),
        rounded(DENIED.longest)
    );
    let (reason, message) = match &seen.object.spec {
        // A restarted process knows the lost fields only from this reason.
        Err(undecodable) if undecodable.lost => {
            let (reason, lost) = decide::said_of_undecodable(&seen.object.uid, undecodable);
            (reason, format!("{lost}. Meanwhile: {message}"))
        }
        Ok(_) | Err(_) => (Reason::StatusRefused, message),
    };
    let present = &seen.object.status;
    let said = next_status(seen, reason, &message, now);
    // Fields that calls, guards and later processes rely on stay as they were written.
    let complaint = VersionPackageStatus {
        phase: said.phase,
        conditions: said.conditions,
        ..present.clone()
    };
    (complaint != *present).then_some(complaint)
}

/// The hold that `status` names and the object's present status doesn't.
fn marks(seen: &Observation, status: &VersionPackageStatus) -> Option<String> {
    let hold = |status: &VersionPackageStatus| status.deletion.as_ref()?.hold.clone();
    hold(status).filter(|held| Some(held) != hold(&seen.object.status).as_ref())
}

/// What follows from the result of the status write, if one was due. This is the last report of a pass.
pub fn afterwards(
    seen: &Observation,
    effect: &Effect,
    report: Report,
    written: Option<Written>,
    then: (Now, f64),
) -> Report {
    if written == Some(Written::Outdated) {
        return Report {
            wake: Some(then.0.tick),
            ..Report::nothing()
        };
    }
    let part = if report.complains {
        Part::Complaint
    } else {
        Part::Status
    };
    let phase = report.status.as_ref().and_then(|status| status.phase);
    let mut after = Afterwards {
        seen,
        then,
        errands: Vec::new(),
        event: report.event,
        wake: report.wake,
        again: None,
    };
    if let Some(written) = &written {
        if !report.complains {
            let call = of_the_call(seen, effect, report.status, written);
            after.errands.extend(call);
        }
        after.write((part, phase), written);
    }
    if let Effect::Unaudited(error) = effect {
        after.unaudited(error);
    }
    if let Effect::Failed(error) = effect {
        after.failed(Part::Finalizers, (error.clone(), None));
    }
    if let Some(Written::Failed(error)) = written {
        after.failed(part, (error, phase));
    }
    after.report()
}

/// The consequences so far.
struct Afterwards<'a> {
    seen: &'a Observation,
    then: (Now, f64),
    errands: Vec<Errand>,
    event: Option<Note>,
    wake: Option<Instant>,
    /// When a failed write is tried again. This time takes precedence over every other wake-up.
    again: Option<Instant>,
}

impl Afterwards<'_> {
    /// Adds what follows from the result of the status write.
    fn write(&mut self, (part, phase): (Part, Option<Phase>), written: &Written) {
        let (now, _) = self.then;
        let remembered = of_the_write(self.seen, (part, phase), written, now);
        self.errands.extend(remembered);
        match written {
            // `failed` handles a failure.
            Written::Yes { .. } | Written::Outdated | Written::Failed(_) => {}
            Written::Gone => self.wake = Some(earlier(self.wake, now.tick + GONE_PAUSE)),
            Written::Contested(_) => {
                // The event is published after the status was written.
                self.event = None;
                self.wake = Some(earlier(self.wake, now.tick + CONFLICT_BOUND));
            }
            Written::Refused(words) => {
                let known = before(self.seen, part);
                let refusal = refusal(known, (words.clone(), phase), true, self.then);
                // If the conditions don't report the refusal yet, the next pass reports it at once.
                let unsaid = part == Part::Status && !says(self.seen, &refusal.words);
                let until = if unsaid { now.tick } else { refusal.until };
                self.wake = Some(earlier(self.wake, until));
                if part != Part::Status || !is_news(known) {
                    self.event = None;
                }
                self.errands.extend(refused(part, known, refusal));
            }
        }
    }

    /// Adds what follows from an audit line that could not be written.
    fn unaudited(&mut self, error: &str) {
        let (now, chance) = self.then;
        let failures = self.seen.failed_audits.saturating_add(1);
        if failures == 1 {
            self.event = Some(audit_failed(error));
        }
        let pause = pause(FAILED, failures, chance);
        self.again = Some(now.tick + pause);
        self.errands.push(Errand::Unaudited);
        self.errands.extend(log(failures, error));
    }

    /// Adds what follows from a write to `part` that failed without a decision.
    fn failed(&mut self, part: Part, what: (String, Option<Phase>)) {
        let (now, _) = self.then;
        let failure = refusal(before(self.seen, part), what, false, self.then);
        let complains = part == Part::Complaint;
        if failure.count == FAILURES_BORNE && !complains {
            self.errands.push(Errand::Tell(not_taken(&failure.words)));
        }
        // The content of this status may be the problem, so the next pass tries the conditions alone, at once.
        let soon = failure.lasts() && !complains;
        let until = if soon { now.tick } else { failure.until };
        self.again = Some(earlier(self.again, until));
        self.errands.extend(log(failure.count, &failure.words));
        self.errands.push(Errand::NotTaken(part, failure));
    }

    fn report(mut self) -> Report {
        self.errands.extend(self.event.map(Errand::Tell));
        Report {
            errands: self.errands,
            wake: self.again.or(self.wake),
            ..Report::nothing()
        }
    }
}

/// A log entry if the number of failures is a power of two, so that a thousand retrying objects don't fill the log.
fn log(failures: u32, error: &str) -> Option<Errand> {
    let logged = failures.is_power_of_two();
    logged.then(|| Errand::LogNotTaken(error.to_owned()))
}

/// What the result of a status write means for the permit, or for the call result that the status tells.
fn of_the_call(
    seen: &Observation,
    effect: &Effect,
    status: Option<VersionPackageStatus>,
    written: &Written,
) -> Option<Errand> {
    match (effect, written) {
        (_, Written::Yes { .. }) => Some(Errand::Unsaid(None)),
        // A conflict may come from an ordinary change of the object.
        (Effect::Intended(_), Written::Contested(_)) if seen.conflicts < CONFLICTS_BORNE => None,
        // Without a written intent, the permit is useless.
        (Effect::Intended(_), _) => Some(Errand::LeaveSeat),
        (_, _) => kept(effect, status?),
    }
}

/// What to remember of the status write itself.
fn of_the_write(
    seen: &Observation,
    (part, phase): (Part, Option<Phase>),
    written: &Written,
    now: Now,
) -> Option<Errand> {
    let refusal = seen.status_refused.as_ref();
    let refused = refusal.and_then(|refusal| refusal.phase);
    // A policy may refuse one phase and take all others, so the success of another phase doesn't end the refusal.
    let beside = part == Part::Status && refused.is_some() && refused != phase;
    match written {
        Written::Yes { changed } if beside => Some(wrote(Part::Beside, *changed, now)),
        Written::Yes { changed } => Some(wrote(part, *changed, now)),
        Written::Contested(words) => Some(contested((part, phase), words, now)),
        Written::Outdated | Written::Gone | Written::Refused(_) | Written::Failed(_) => None,
    }
}

/// Records a successful write. Only a write that changed the object has an echo to await.
pub(super) fn wrote(part: Part, changed: bool, now: Now) -> Errand {
    Errand::Wrote(part, changed.then_some(now.tick))
}

/// Records a write that met a conflict, with this message.
pub(super) fn contested((part, phase): (Part, Option<Phase>), words: &str, now: Now) -> Errand {
    Errand::Contested(Conflict {
        part,
        words: words.to_owned(),
        at: now.tick,
        phase,
    })
}

/// Keeps the status that tells the result of a call, for a later pass.
fn kept(effect: &Effect, status: VersionPackageStatus) -> Option<Errand> {
    let called = matches!(effect, Effect::Answered(_) | Effect::Shown(_));
    called.then(|| Errand::Unsaid(Some(Box::new(status))))
}

fn unsaid(seen: &Observation, now: Now) -> Option<VersionPackageStatus> {
    let failure = seen.failure.as_ref();
    let failure = failure.filter(|failure| failure.until > now.tick)?;
    failure.unsaid.as_deref().cloned()
}

/// A change of the endpoint alone causes no write; the endpoint is written with the next status.
fn in_place(seen: &Observation, status: &VersionPackageStatus) -> VersionPackageStatus {
    VersionPackageStatus {
        endpoint: seen.object.status.endpoint.clone(),
        ..status.clone()
    }
}

/// Event for the first failure to write an audit line.
fn audit_failed(error: &str) -> Note {
    Note {
        warning: true,
        reason: Reason::AuditFailed.as_str(),
        message: format!(
            "The deletion has ended, but its result can't be written to the audit log: {error}. The object stays until the result is written, which is tried again by itself. Give the operator disk space and the right to write the audit log"
        ),
    }
}

fn earlier(wake: Option<Instant>, other: Instant) -> Instant {
    wake.map_or(other, |wake| wake.min(other))
}
