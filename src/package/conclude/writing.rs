//! Which status is written, and what follows from how that ended.

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
        rounded(DENIED.longest)
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

/// What has followed so far.
struct Afterwards<'a> {
    seen: &'a Observation,
    then: (Now, f64),
    errands: Vec<Errand>,
    event: Option<Note>,
    wake: Option<Instant>,
    /// When what failed is tried again, which goes before every other wake-up.
    again: Option<Instant>,
}

impl Afterwards<'_> {
    /// The write of the status ended so.
    fn write(&mut self, (part, phase): (Part, Option<Phase>), written: &Written) {
        let (now, _) = self.then;
        let remembered = of_the_write(self.seen, (part, phase), written, now);
        self.errands.extend(remembered);
        match written {
            // What failed is told last.
            Written::Yes { .. } | Written::Outdated | Written::Failed(_) => {}
            Written::Gone => self.wake = Some(earlier(self.wake, now.tick + GONE_PAUSE)),
            Written::Contested(_) => {
                // The event is published once the status is written.
                self.event = None;
                self.wake = Some(earlier(self.wake, now.tick + CONFLICT_BOUND));
            }
            Written::Refused(words) => {
                let known = before(self.seen, part);
                let refusal = refusal(known, (words.clone(), phase), true, self.then);
                // Conditions that don't tell of the refusal are to tell of it at once.
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

    /// The audit line of the end could not be written.
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

    /// A write to `part` was not decided.
    fn failed(&mut self, part: Part, what: (String, Option<Phase>)) {
        let (now, _) = self.then;
        let failure = refusal(before(self.seen, part), what, false, self.then);
        let complains = part == Part::Complaint;
        if failure.count == FAILURES_BORNE && !complains {
            self.errands.push(Errand::Tell(not_taken(&failure.words)));
        }
        // It may be just this that can't be written: then the conditions are to say so at once.
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

/// Said at the first failure.
fn audit_failed(error: &str) -> Note {
    Note {
        warning: true,
        reason: Reason::AuditFailed.as_str(),
        message: format!("The object stays until how it ended is written down: {error}"),
    }
}

fn earlier(wake: Option<Instant>, other: Instant) -> Instant {
    wake.map_or(other, |wake| wake.min(other))
}
