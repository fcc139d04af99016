//! What follows from an effect: errands, the next status, an event and a wake-up; and what follows from the result of
//! the status write. Pure: time and chance are arguments.

#![deny(clippy::wildcard_enum_match_arm)]

mod answer_table;
mod answers;
mod beforehand;
mod ending;
mod identity;
mod next_status;
mod parked;
mod refused;
mod wording;
mod writing;

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use self::answer_table::{answered, compared, confirmed, not_shown};
use self::answers::{after_answer, after_package, leaves};
pub use self::beforehand::beforehand;
pub use self::ending::audit_record;
use self::next_status::{intended, next_status, unaudited};
use self::parked::{parked, waits_already};
use self::refused::{no_conflict, not_patched};
use self::wording::{ended, rounded};
pub use self::writing::{Written, afterwards};
use self::writing::{contested, due, wrote};
use super::decide::{Decision, Now, Observation};
use super::effect::Effect;
use super::errand::Errand;
use crate::api::condition::{self, cut};
use crate::api::names::{ObjectKey, REQUESTED_AT_ANNOTATION};
use crate::api::outcome::Outcome;
use crate::api::reason::{Phase, Reason};
use crate::api::version_package::{LastError, VersionPackageStatus};
use crate::backoff::Backoff;
use crate::object::Object;
use crate::package::memory::own_write::Part;
use crate::remote::answer::{Answer, Detail};
use crate::session::Standing;
use crate::telemetry::events::Note;
use crate::writes::CONFLICT_BOUND;

/// Backoff after permits that could not be used.
const GIVE_BACK: Backoff = Backoff {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(15),
};
/// Number of consecutive unusable permits that are not reported.
pub(super) const HICCUPS: u32 = 3;

/// What follows from one pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Errands to run before the status is written, in this order.
    pub errands: Vec<Errand>,
    /// Status to write after the errands.
    pub status: Option<VersionPackageStatus>,
    /// Whether the status only reports that another status is refused.
    pub complains: bool,
    /// Hold that the status newly names. The status is written only while the guard still holds the object by this
    /// hold, and a release waits for that write.
    pub mark: Option<String>,
    /// Event to publish after the status was written.
    pub event: Option<Note>,
    /// When to look at the object again without a wake-up.
    pub wake: Option<Instant>,
}

/// Concludes a pass. `chance` is in [0, 1) and shortens the backoff.
pub fn conclude(
    seen: &Observation,
    decision: &Decision,
    effect: &Effect,
    now: Now,
    chance: f64,
) -> Report {
    let report = meaning(seen, decision, effect, now, chance);
    let report = match effect {
        Effect::Answered(answer) | Effect::Shown(Err(answer)) => {
            after_answer(seen, (decision, answer), report, now)
        }
        Effect::Shown(Ok(_)) => after_package(seen, report),
        Effect::NotSent => leaves(report),
        Effect::Patched { changed } => first(wrote(Part::Finalizers, *changed, now), report),
        Effect::Contested(Some(words)) => {
            first(contested((Part::Finalizers, None), words, now), report)
        }
        Effect::Nothing
        | Effect::Contested(None)
        | Effect::Refused(_)
        | Effect::Failed(_)
        | Effect::Unaudited(_)
        | Effect::Seated(_)
        | Effect::Taken
        | Effect::Intended(_) => report,
    };
    due(seen, effect, report, now)
}

/// Puts `errand` before all other errands of `report`.
fn first(errand: Errand, mut report: Report) -> Report {
    report.errands.insert(0, errand);
    report
}

/// Report on what the effect means for the object.
fn meaning(
    seen: &Observation,
    decision: &Decision,
    effect: &Effect,
    now: Now,
    chance: f64,
) -> Report {
    let wakes = |at| Report {
        wake: Some(at),
        ..Report::nothing()
    };
    match (decision, effect) {
        (Decision::Confirm, Effect::Shown(shown)) => confirmed(seen, shown.as_deref(), now, chance),
        // A failed write is retried with its own backoff: see `afterwards`.
        (_, Effect::Failed(_) | Effect::Unaudited(_)) => Report::nothing(),
        // The answer `Done` to a look-up came without a package, so it proves nothing.
        (_, Effect::Taken | Effect::NotSent | Effect::Shown(Err(Answer::Done(_)))) => {
            wakes(now.tick)
        }
        (_, Effect::Answered(answer)) => answered(seen, answer, now, chance),
        (_, Effect::Shown(Err(answer))) => not_shown(seen, answer, now, chance),
        (_, Effect::Shown(Ok(shown))) => compared(seen, shown, now, chance),
        (_, Effect::Intended(intent)) => intends(seen, intent, now),
        (_, Effect::Seated(standing)) => seated(seen, standing, now),
        (Decision::Tell { outcome, keeper }, _) => tells(seen, *outcome, keeper.as_ref(), now),
        (Decision::Release { outcome, keeper }, Effect::Patched { .. }) => {
            released(&seen.object, *outcome, keeper.as_ref())
        }
        (
            Decision::Rest {
                reason,
                message,
                until,
            },
            _,
        ) => rests(seen, (*reason, message), *until, now),
        (Decision::Await(until), _) => wakes(*until),
        (Decision::GiveBack(why), _) => given_back(seen, why, now, chance),
        (_, Effect::Refused(words)) => not_patched(seen, decision, words, now, chance),
        // The watch wakes the object with the change that caused the conflict. Without such a change, the conflict was
        // a refusal.
        (_, Effect::Contested(_)) => wakes(now.tick + CONFLICT_BOUND),
        (Decision::EndConflict(conflict), _) => no_conflict(seen, conflict, now, chance),
        (Decision::RestartWatch, _) => Report {
            errands: vec![Errand::RestartWatch],
            ..wakes(now.tick + GIVE_BACK.first)
        },
        (
            Decision::Nothing
            | Decision::AddFinalizer
            | Decision::Release { .. }
            | Decision::Request(_)
            | Decision::WriteIntent(_)
            | Decision::LookUp
            | Decision::Confirm
            | Decision::Send,
            Effect::Nothing | Effect::Patched { .. },
        ) => Report::nothing(),
    }
}

/// Writes the intent into the status.
fn intends(seen: &Observation, intent: &str, now: Now) -> Report {
    Report {
        status: Some(intended(seen, intent, now)),
        ..Report::nothing()
    }
}

/// Reports the place of the object in the queue of its session.
fn seated(seen: &Observation, standing: &Standing, now: Now) -> Report {
    match standing {
        Standing::Permitted { .. } => Report {
            wake: Some(now.tick),
            ..Report::nothing()
        },
        Standing::Behind { ahead } => follows(seen, ahead, now),
        Standing::Waiting {
            purpose: _,
            position,
            estimated,
            state,
            told,
        } => parked(seen, (state, *told), *position, *estimated, now),
        // The session is closing.
        Standing::Absent => Report {
            wake: Some(now.tick + GIVE_BACK.first),
            ..Report::nothing()
        },
    }
}

/// Makes no call, and reports the reason.
fn rests(
    seen: &Observation,
    (reason, message): (Reason, &str),
    until: Option<Instant>,
    now: Now,
) -> Report {
    let reopened = seen.reopened().map(|_| Errand::Reopen);
    // Once a person lets the object go, earlier failures must not delay its deletion.
    let anew = (reason.phase() == Phase::Held).then_some(Errand::Anew);
    Report {
        wake: until,
        errands: reopened.into_iter().chain(anew).collect(),
        ..say(seen, reason, message, None, now)
    }
}

/// Prefix of the condition message of an object that waits behind another object of the same package.
const FOLLOWS: &str = "Waiting for another object that is about to delete the same package:";

/// Reports that the object waits behind `ahead`.
fn follows(seen: &Observation, ahead: &ObjectKey, now: Now) -> Report {
    if waits_already(seen) {
        return Report::nothing();
    }
    let message = format!(
        "{FOLLOWS} {ahead}, or the next object of this package if {ahead} drops out. One call serves all of them"
    );
    say(seen, Reason::Queued, &message, None, now)
}

/// Reports the outcome of an object that stays for other finalizers, with one event.
fn tells(seen: &Observation, outcome: Outcome, keeper: Option<&ObjectKey>, now: Now) -> Report {
    let note = ended(&seen.object, outcome, keeper);
    let said = say(
        &seen.ended(outcome),
        outcome.into(),
        &note.message,
        None,
        now,
    );
    Report {
        // The removal of our finalizer has already published this event.
        event: Some(note)
            .filter(|_| seen.object.outcome().is_none() && seen.object.has_finalizer()),
        ..said
    }
}

/// Publishes the outcome after our finalizer was removed, unless the status has already told it since the deletion.
fn released(object: &Object, outcome: Outcome, keeper: Option<&ObjectKey>) -> Report {
    let current = object.status.observed_generation == Some(object.generation);
    let told = current && object.is_kept_by_others() && object.outcome().is_some();
    Report {
        event: (!told).then(|| ended(object, outcome, keeper)),
        ..Report::nothing()
    }
}

impl Report {
    fn nothing() -> Self {
        Self {
            errands: Vec::new(),
            status: None,
            complains: false,
            mark: None,
            event: None,
            wake: None,
        }
    }
}

/// Prefix of the condition message after a permit that could not be used.
const GIVEN_BACK: &str = "Its turn had come, but";

/// Asks for the next permit after a backoff, and reports the reason once the trouble lasts.
fn given_back(seen: &Observation, why: &str, now: Now, chance: f64) -> Report {
    let until = now.tick + pause(GIVE_BACK, seen.given_back, chance);
    let said = if seen.given_back < HICCUPS {
        Report::nothing()
    } else {
        let message = format!(
            "{GIVEN_BACK} {why}. Nothing is sent until that is over. The operator tries again by itself, with pauses of at most {}",
            rounded(GIVE_BACK.longest)
        );
        say(seen, Reason::Queued, &message, None, now)
    };
    Report {
        errands: vec![Errand::GivenBack(Some(until))],
        wake: Some(until),
        ..said
    }
}

/// Adds one failure to `report`, with a backoff before the next call. The status of a stalled object gets the time of
/// the next try.
fn failed(
    seen: &Observation,
    pauses: Backoff,
    mut report: Report,
    now: Now,
    chance: f64,
) -> Report {
    let failures = seen.failure.as_ref().map_or(0, |failure| failure.count);
    let until = now.tick + pause(pauses, failures, chance);
    let count = failures.saturating_add(1);
    report.errands.push(Errand::Fail(count, until));
    if let Some(status) = &mut report.status {
        say_when(status, until, now);
    }
    Report {
        wake: Some(until),
        ..report
    }
}

/// Adds the time of the next try to the message of an object that stalls for a reason of its own. A problem of the
/// whole application has a retry time of its own.
fn say_when(status: &mut VersionPackageStatus, until: Instant, now: Now) {
    let by_itself = [
        Reason::InvalidFileId,
        Reason::IdentityMismatch,
        Reason::UnexpectedAnswer,
    ];
    if !by_itself.iter().any(|reason| status.says(*reason)) {
        return;
    }
    let pause = until.saturating_duration_since(now.tick);
    let at = now.wall.checked_add(pause).unwrap_or(Timestamp::MAX);
    let at = Timestamp::from_second(at.as_second()).unwrap_or(at);
    let when = format!(
        "; the operator tries again after {at}, and at once after a change of the object or its Platform, or when the annotation {REQUESTED_AT_ANNOTATION} gets a new value"
    );
    condition::add(&mut status.conditions, &when);
}

/// A status with this reason, and an event if the reason is news to a person.
fn say(
    seen: &Observation,
    reason: Reason,
    message: &str,
    error: Option<(&Detail, Now)>,
    now: Now,
) -> Report {
    let mut status = next_status(seen, reason, message, now);
    if let (Some((detail, at)), Some(deletion)) = (error, status.deletion.as_mut()) {
        deletion.last_error = Some(LastError {
            http_status: detail.http_status.map(i32::from),
            code: detail.code.clone(),
            message: cut(&detail.to_string(), 1024).to_owned(),
            time: Time(at.wall),
        });
    }
    let before = seen
        .object
        .status
        .conditions
        .iter()
        .find(|c| c.type_ == condition::READY);
    let news = before.is_none_or(|before| before.reason != reason.as_str());
    let warning = match reason.phase() {
        Phase::Held | Phase::Stalled => Some(true),
        Phase::Gone => Some(false),
        Phase::Active | Phase::Waiting | Phase::Deleting => None,
    };
    // These reasons concern thousands of objects at once, so the Platform reports them, once for all objects.
    let of_platform = matches!(reason, Reason::MassDeletionHeld | Reason::WouldDelete);
    let event = warning.filter(|_| news && !of_platform);
    let event = event.map(|warning| Note {
        warning,
        reason: reason.as_str(),
        message: message.to_owned(),
    });
    Report {
        status: Some(status),
        event,
        ..Report::nothing()
    }
}

/// The backoff after this number of failures, shortened by up to half: `chance` 0 keeps all of it, 1 keeps half.
pub fn pause(pauses: Backoff, failures: u32, chance: f64) -> Duration {
    pauses
        .after(failures)
        .mul_f64(1.0 - chance.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests;
