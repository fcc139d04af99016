//! What an effect means: what is done on the way, the next status, event and wake-up; and what follows from how the write of
//! that status ended. Pure: time and chance are arguments.

#![deny(clippy::wildcard_enum_match_arm)]

mod answers;
mod beforehand;
mod ending;
mod identity;
mod next_status;
mod parked;
mod wording;
mod writing;

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::time::Instant;

use self::answers::{after_answer, after_package, leaves};
pub use self::beforehand::beforehand;
pub use self::ending::audit_record;
use self::identity::{differences, identity};
use self::next_status::{intended, next_status, unaudited};
use self::parked::{parked, waits_already};
use self::wording::{ended, rounded, state_message, unavailable};
pub use self::writing::{Written, afterwards, heard};
use self::writing::{contested, due, no_conflict, not_patched, wrote};
use super::decide::{Decision, Now, Observation};
use super::effect::Effect;
use super::errand::Errand;
use super::memory::{Following, Part};
use super::object::Object;
use crate::api::condition::{self, cut};
use crate::api::names::ObjectKey;
use crate::api::reason::{Phase, Reason};
use crate::api::version_package::{LastError, Outcome, VersionPackageStatus};
use crate::remote::answer::{Answer, Detail};
use crate::remote::wire::CategoryInfo;
use crate::session::{Standing, State};
use crate::telemetry::events::Note;
use crate::writes::CONFLICT_BOUND;

/// The first pause after a failure, which doubles with each further one, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(600));
/// The same where only a change of the object is likely to help.
const BACKOFF_SLOW: (Duration, Duration) = (Duration::from_secs(3600), Duration::from_secs(3600));
/// After a permit that could not be used; it doubles with each further one.
const GIVE_BACK_PAUSE: Duration = Duration::from_secs(1);
const GIVE_BACK_CAP: Duration = Duration::from_secs(15);
/// So many in a row are a hiccup, which nobody has to hear of.
const HICCUPS: u32 = 3;

/// A look-up proves the identity of a package for a window and so long: it has to be just before the call, which goes a
/// window later where the quota is smallest.
const PROOF_LASTS: Duration = Duration::from_secs(60);

/// What follows from one pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// What is done first, in this order.
    pub errands: Vec<Errand>,
    /// The status to write then.
    pub status: Option<VersionPackageStatus>,
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
        Effect::Shown(Ok(_)) => after_package(report),
        Effect::NotSent => leaves(report),
        Effect::Patched { changed } => first(wrote(Part::Finalizers, *changed, now), report),
        Effect::Outrun(Some(words)) => first(contested(Part::Finalizers, words, now), report),
        Effect::None
        | Effect::Outrun(None)
        | Effect::Refused(_)
        | Effect::Failed(_)
        | Effect::Unaudited(_)
        | Effect::Seated(_)
        | Effect::Beaten
        | Effect::Follows(_)
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
    let soon = Report {
        wake: Some(now.tick),
        ..Report::nothing()
    };
    match (decision, effect) {
        (Decision::Confirm, Effect::Shown(shown)) => confirmed(seen, shown.as_deref(), now, chance),
        // Tried again with the pauses of failing writes.
        (_, Effect::Failed(_) | Effect::Unaudited(_)) => Report::nothing(),
        // What a look-up did not bring settles nothing as done.
        (
            _,
            Effect::Beaten
            | Effect::Follows(Following::Nobody)
            | Effect::NotSent
            | Effect::Shown(Err(Answer::Done(_))),
        ) => soon,
        (_, Effect::Answered(answer)) => answered(seen, answer, now, chance),
        (_, Effect::Shown(Err(answer))) => not_shown(seen, answer, now, chance),
        (_, Effect::Shown(Ok(shown))) => compared(seen, shown, now, chance),
        (_, Effect::Intended(intent)) => Report {
            status: Some(intended(seen, intent, now)),
            ..Report::nothing()
        },
        (_, Effect::Seated(standing)) => match standing {
            Standing::Permitted { .. } => soon,
            Standing::Waiting {
                purpose: _,
                position,
                estimated,
                state,
                told,
            } => parked(seen, (state, *told), *position, *estimated, now),
            // The session is closing.
            Standing::Absent => Report {
                wake: Some(now.tick + GIVE_BACK_PAUSE),
                ..soon
            },
        },
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
        ) => Report {
            wake: *until,
            errands: [
                seen.reopened().map(|_| Errand::Reopen),
                // Whoever lets go what is held doesn't wait for what failed before.
                (reason.phase() == Phase::Held).then_some(Errand::Anew),
            ]
            .into_iter()
            .flatten()
            .collect(),
            ..say(seen, *reason, message, None, now)
        },
        (Decision::Follow { ahead, .. }, effect) => follows(seen, ahead, effect, now),
        (Decision::Await(until), _) => Report {
            wake: Some(*until),
            ..soon
        },
        (Decision::GiveBack(why), _) => given_back(seen, why, now, chance),
        (_, Effect::Refused(words)) => not_patched(seen, decision, words, now, chance),
        // The watch wakes it with what has changed; where it shows nothing, the conflict was none.
        (_, Effect::Outrun(_)) => Report {
            wake: Some(now.tick + CONFLICT_BOUND),
            ..soon
        },
        (Decision::EndConflict(conflict), _) => no_conflict(seen, conflict, now, chance),
        (Decision::RestartWatch, _) => Report {
            errands: vec![Errand::RestartWatch],
            wake: Some(now.tick + GIVE_BACK_PAUSE),
            ..soon
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
            Effect::None | Effect::Patched { .. } | Effect::Follows(_),
        ) => Report::nothing(),
    }
}

/// Waiting behind `ahead`, which asks for an earlier turn where the first deletion waits behind it.
fn follows(seen: &Observation, ahead: &ObjectKey, effect: &Effect, now: Now) -> Report {
    let message = format!("Waiting for {ahead}, which is about to delete the same package");
    let said = if waits_already(seen) {
        Report::nothing()
    } else {
        say(seen, Reason::Queued, &message, None, now)
    };
    let hurried = if let Effect::Follows(Following::Hurries(leader)) = effect {
        Some(Errand::Wake(leader.clone()))
    } else {
        None
    };
    Report {
        errands: hurried.into_iter().collect(),
        ..said
    }
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
        event: Some(note).filter(|_| seen.object.outcome().is_none()),
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
    let until = now.tick + pause(GIVE_BACK_PAUSE, GIVE_BACK_CAP, seen.given_back, chance);
    let said = if seen.given_back < HICCUPS {
        Report::nothing()
    } else {
        let message = format!(
            "{GIVEN_BACK} {why}; nothing is sent until that is over, and it is tried again every {} at most",
            rounded(GIVE_BACK_CAP)
        );
        say(seen, Reason::Queued, &message, None, now)
    };
    Report {
        errands: vec![Errand::GivenBack(Some(until))],
        wake: Some(until),
        ..said
    }
}

/// `report`, and one failure more: nothing is tried before the pause is over.
fn failed(
    seen: &Observation,
    (base, cap): (Duration, Duration),
    mut report: Report,
    now: Now,
    chance: f64,
) -> Report {
    let failures = seen.failure.as_ref().map_or(0, |failure| failure.count);
    let until = now.tick + pause(base, cap, failures, chance);
    let count = failures.saturating_add(1);
    report.errands.push(Errand::Fail(count, until));
    Report {
        wake: Some(until),
        ..report
    }
}

/// The answer table: what one answer to a DELETE means for the object.
fn answered(seen: &Observation, answer: &Answer, now: Now, chance: f64) -> Report {
    let (reason, detail, message, wait) = match answer {
        Answer::Done(_) => return finished(seen, Outcome::Deleted, now),
        Answer::AlreadyGone(detail) => return gone(seen, Outcome::AlreadyGone, detail, now),
        Answer::Throttled(detail) => (
            Reason::Throttled,
            detail,
            state_message(seen, &State::Throttled { until: now.tick }),
            None,
        ),
        Answer::TokenRefused(detail) => (
            Reason::TokenRefused,
            detail,
            state_message(seen, &State::TokenRefused(detail.clone())),
            None,
        ),
        Answer::CredentialsRefused(detail) => {
            let message = state_message(seen, &State::AuthenticationFailed(detail.clone()));
            (Reason::AuthenticationFailed, detail, message, Some(BACKOFF))
        }
        Answer::InvalidFileId(detail) => (
            Reason::InvalidFileId,
            detail,
            format!(
                "The platform does not take the fileId for an id ({detail}); create the object anew with the right fileId, or set deletionPolicy: Retain to let this one go without a package"
            ),
            Some(BACKOFF_SLOW),
        ),
        Answer::ApplicationRefused(detail) => {
            let message = state_message(seen, &State::ApplicationRefused(detail.clone()));
            (Reason::ApplicationRefused, detail, message, Some(BACKOFF))
        }
        // Nothing is said before the look-up that tells, which is asked for next.
        Answer::Unproven(_) => {
            return Report {
                wake: Some(now.tick),
                ..Report::nothing()
            };
        }
        Answer::Unexpected(detail) => (
            Reason::UnexpectedAnswer,
            detail,
            format!(
                "The platform gave an answer that proves nothing about the package ({detail}); compare endpoint with the platform, a change of the Platform tries again"
            ),
            Some(BACKOFF),
        ),
        Answer::Unavailable(detail, trouble) => {
            let message = state_message(seen, &State::Unavailable(detail.clone(), *trouble));
            (unavailable(*trouble), detail, message, Some(BACKOFF))
        }
    };
    let said = say(seen, reason, &message, Some((detail, now)), now);
    match wait {
        Some(pauses) => failed(seen, pauses, said, now, chance),
        // Throttled and token answers are the session's matter: the object asks for its next turn at once.
        None => Report {
            wake: Some(now.tick),
            ..said
        },
    }
}

/// The platform says that it lacks the package, which proves something only where it speaks of our packages.
fn gone(seen: &Observation, outcome: Outcome, detail: &Detail, now: Now) -> Report {
    let Some(why) = &seen.elsewhere else {
        return finished(seen, outcome, now);
    };
    let (reason, message) = (why.reason(), why.message());
    Report {
        errands: vec![Errand::Anew],
        wake: Some(now.tick),
        ..say(seen, reason, &message, Some((detail, now)), now)
    }
}

/// What a look-up shows after a DELETE whose answer proved nothing: gone is deleted, and anything else leaves it unproven.
fn confirmed(
    seen: &Observation,
    shown: Result<&CategoryInfo, &Answer>,
    now: Now,
    chance: f64,
) -> Report {
    let found = match shown {
        Err(Answer::AlreadyGone(detail)) => return gone(seen, Outcome::Deleted, detail, now),
        // The look-up itself is still to come.
        Err(
            answer @ (Answer::Throttled(_)
            | Answer::TokenRefused(_)
            | Answer::CredentialsRefused(_)
            | Answer::ApplicationRefused(_)
            | Answer::Unavailable(..)),
        ) => return keep_error(seen, answered(seen, answer, now, chance)),
        Ok(_) => "a look-up still shows the package".to_owned(),
        Err(Answer::Done(_)) => "a look-up proved nothing either".to_owned(),
        Err(
            Answer::Unproven(detail) | Answer::Unexpected(detail) | Answer::InvalidFileId(detail),
        ) => format!("a look-up proved nothing either ({detail})"),
    };
    let answer = seen.unproven.clone().unwrap_or_default();
    let message = format!(
        "The DELETE was answered in a way that proves nothing ({answer}), and {found}; compare endpoint with the platform's, and look at proxies and gateways on the way"
    );
    let (reason, answer) = (Reason::UnexpectedAnswer, Some((&answer, now)));
    let said = say(seen, reason, &message, answer, now);
    failed(seen, BACKOFF, said, now, chance)
}

/// A look-up did not show the package. One that came before the guard and tells nothing of it lets the deletion go the
/// ordinary way.
fn not_shown(seen: &Observation, answer: &Answer, now: Now, chance: f64) -> Report {
    let tells_nothing = matches!(
        answer,
        Answer::Unproven(_) | Answer::Unexpected(_) | Answer::InvalidFileId(_)
    );
    if seen.looks_first && tells_nothing {
        return Report {
            errands: vec![Errand::LookedUp(now)],
            wake: Some(now.tick),
            ..Report::nothing()
        };
    }
    keep_error(seen, answered(seen, answer, now, chance))
}

/// The error of a DELETE stays when a look-up fails after it: by its time the guard counts the call.
fn keep_error(seen: &Observation, mut report: Report) -> Report {
    let present = seen.object.status.deletion.as_ref();
    let called = present.filter(|deletion| deletion.is_attempted());
    let next = report.status.as_mut().and_then(|s| s.deletion.as_mut());
    if let (Some(present), Some(next)) = (called, next) {
        next.last_error.clone_from(&present.last_error);
    }
    report
}

/// Row 11: the package that the platform shows, against the one that is expected.
fn compared(seen: &Observation, shown: &CategoryInfo, now: Now, chance: f64) -> Report {
    let spec = seen.object.spec.as_ref().ok();
    let expected = spec.and_then(|spec| spec.expect.as_ref());
    let differences = expected.map_or_else(Vec::new, |expected| differences(expected, shown));
    let looked_up = seen.looks_first.then_some(Errand::LookedUp(now));
    if differences.is_empty() {
        let until = now.tick + seen.window + PROOF_LASTS;
        let proven = Errand::Proven(Some(until));
        return Report {
            errands: looked_up.into_iter().chain([proven]).collect(),
            wake: Some(now.tick),
            ..Report::nothing()
        };
    }
    let message = format!(
        "The package isn't the one that spec.expect names, so nothing is deleted: {}; mend spec.expect, or set deletionPolicy: Retain to let the object go without its package",
        differences.join("; ")
    );
    let mut report = say(seen, Reason::IdentityMismatch, &message, None, now);
    if let Some(status) = &mut report.status {
        status.package = Some(identity(shown));
    }
    report.errands.extend(looked_up);
    failed(seen, BACKOFF_SLOW, report, now, chance)
}

fn finished(seen: &Observation, outcome: Outcome, now: Now) -> Report {
    let settled = seen.ended(outcome);
    let object = &seen.object;
    let report = if object.deleted_at.is_some() {
        // No status: the finalizer goes right after, and the object with it.
        Report {
            wake: Some(now.tick),
            ..Report::nothing()
        }
    } else {
        let (reason, message) = match outcome {
            Outcome::AlreadyGone => (
                Reason::AlreadyGone,
                "The platform said that it does not have the package",
            ),
            Outcome::Deleted | Outcome::Retained | Outcome::HandedOver => {
                (Reason::Deleted, "The platform deleted the package")
            }
        };
        say(&settled, reason, message, None, now)
    };
    // By whose word it is gone is known where calls can be made.
    let file = seen.endpoint.as_ref().and(object.file_id()).cloned();
    let settle = [Errand::Settle(outcome)].into_iter();
    let settle = settle.chain(file.map(Errand::Gone));
    Report {
        errands: settle.chain([Errand::Anew]).collect(),
        ..report
    }
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

/// `base`, doubled with each failure up to `cap`, less up to a half by chance.
pub fn pause(base: Duration, cap: Duration, failures: u32, chance: f64) -> Duration {
    let doubled = base.saturating_mul(2_u32.saturating_pow(failures.min(16)));
    doubled.min(cap).mul_f64(1.0 - chance.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests;
