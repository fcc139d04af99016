//! What an effect means: what is done on the way, the next status, event and wake-up; and what follows from how the write of
//! that status ended. Pure: time and chance are arguments.

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

/// The pauses after permits that could not be used.
const GIVE_BACK: Backoff = Backoff {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(15),
};
/// So many in a row are a hiccup, which nobody has to hear of.
pub(super) const HICCUPS: u32 = 3;

/// What follows from one pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// What is done first, in this order.
    pub errands: Vec<Errand>,
    /// The status to write then.
    pub status: Option<VersionPackageStatus>,
    /// Whether it only says that another one is refused.
    pub complains: bool,
    /// The hold that it newly names: it is written only while that holds the object, and a release knows who was marked by
    /// then.
    pub mark: Option<String>,
    /// Something for the person who reads events, once the status is written.
    pub event: Option<Note>,
    /// When to look again without being woken.
    pub wake: Option<Instant>,
}

/// Concludes; `chance` is from 0 up to 1.
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

/// `report`, with one thing to do before all others.
fn first(errand: Errand, mut report: Report) -> Report {
    report.errands.insert(0, errand);
    report
}

/// What the effect means for the object.
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
        // Tried again with the pauses of failing writes.
        (_, Effect::Failed(_) | Effect::Unaudited(_)) => Report::nothing(),
        // What a look-up did not bring settles nothing as done.
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
        // The watch wakes it with what has changed; where it shows nothing, the conflict was none.
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

/// The intent is to be written.
fn intends(seen: &Observation, intent: &str, now: Now) -> Report {
    Report {
        status: Some(intended(seen, intent, now)),
        ..Report::nothing()
    }
}

/// The object has asked for a permit, and stands there now.
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

/// No call is made now, and the object says why.
fn rests(
    seen: &Observation,
    (reason, message): (Reason, &str),
    until: Option<Instant>,
    now: Now,
) -> Report {
    let reopened = seen.reopened().map(|_| Errand::Reopen);
    // An object that is let go after a hold doesn't wait for what failed before.
    let anew = (reason.phase() == Phase::Held).then_some(Errand::Anew);
    Report {
        wake: until,
        errands: reopened.into_iter().chain(anew).collect(),
        ..say(seen, reason, message, None, now)
    }
}

/// The beginning of what is said of a package that another object is about to delete.
const FOLLOWS: &str = "Waiting for another object that is about to delete the same package:";

/// The object waits behind `ahead`.
fn follows(seen: &Observation, ahead: &ObjectKey, now: Now) -> Report {
    if waits_already(seen) {
        return Report::nothing();
    }
    let message = format!("{FOLLOWS} {ahead}, or whoever comes after that one");
    say(seen, Reason::Queued, &message, None, now)
}

/// How an object ended that stays for others; an event of it is said once.
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
        // That our finalizer is off was told when it went.
        event: Some(note)
            .filter(|_| seen.object.outcome().is_none() && seen.object.has_finalizer()),
        ..said
    }
}

/// Our finalizer is off, which is told unless the object has said already how it ended, since it was deleted.
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

/// How it begins what is said of that.
const GIVEN_BACK: &str = "Its turn had come, but";

/// A permit that could not be used: the object asks for the next one after a while, and says why when it lasts.
fn given_back(seen: &Observation, why: &str, now: Now, chance: f64) -> Report {
    let until = now.tick + pause(GIVE_BACK, seen.given_back, chance);
    let said = if seen.given_back < HICCUPS {
        Report::nothing()
    } else {
        let message = format!(
            "{GIVEN_BACK} {why}; nothing is sent until that is over, and it is tried again every {} at most",
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

/// `report`, and one failure more: nothing is tried before the pause is over. Who stalls by itself says when that is.
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

/// Adds to a status of an object that stalls when it is tried again. What a whole application waits for has a time of
/// its own.
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
        "; it is tried again after {at}, and at once after a change of the object or its Platform, or with the annotation {REQUESTED_AT_ANNOTATION}"
    );
    condition::add(&mut status.conditions, &when);
}

/// The status that says `reason`, and an event if that is news to a person.
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
    // Said of thousands at once, and by the Platform once for all.
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

/// The pause after so many failures, less up to a half by chance.
pub fn pause(pauses: Backoff, failures: u32, chance: f64) -> Duration {
    pauses
        .after(failures)
        .mul_f64(1.0 - chance.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests;
