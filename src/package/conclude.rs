//! What an effect means: the next status, event, audit line and wake-up. Pure: time and chance are arguments.

#![deny(clippy::wildcard_enum_match_arm)]

mod identity;
mod next_status;
mod parked;
mod wording;

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::time::Instant;

use self::identity::{differences, identity};
pub use self::next_status::unaudited;
use self::next_status::{intended, next_status};
use self::parked::{parked, waits_already};
use self::wording::{ended, rounded, state_message, unavailable};
use super::decide::{Decision, Now, Observation, refused};
use super::effect::Effect;
use super::object::Object;
use crate::api::condition::{self, cut};
use crate::api::names::ObjectKey;
use crate::api::reason::{Phase, Reason};
use crate::api::version_package::{LastError, Outcome, VersionPackageStatus};
use crate::remote::answer::{Answer, Call, Detail};
use crate::remote::wire::CategoryInfo;
use crate::session::{Standing, State};
use crate::telemetry::audit::{AuditRecord, LookUpRecord};
use crate::telemetry::events::Note;
use crate::writes::CONFLICT_BOUND;

/// The first pause after a failure; it doubles with each further one.
const BACKOFF_BASE: Duration = Duration::from_secs(5);
/// The longest pause after a failure.
const BACKOFF_CAP: Duration = Duration::from_secs(600);
/// The pause where only a change of the object is likely to help.
const BACKOFF_SLOW: Duration = Duration::from_secs(3600);
/// After a permit that could not be used; it doubles with each further one.
const GIVE_BACK_PAUSE: Duration = Duration::from_secs(1);
const GIVE_BACK_CAP: Duration = Duration::from_secs(15);
/// So many in a row are a hiccup, which nobody has to hear of.
const HICCUPS: u32 = 3;

/// What follows from one pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The status to write, unless it equals the present one.
    pub status: Option<VersionPackageStatus>,
    /// How the deletion ended, to be remembered by uid.
    pub settled: Option<Outcome>,
    /// Whether how it ended before is to be forgotten: it begins anew.
    pub reopened: bool,
    /// Whether the platform answered in a way that is tried again later, and when.
    pub retry: Retry,
    /// Whether the platform has just confirmed what the object expects.
    pub proven: bool,
    /// Whether a look-up that came before the guard found the package, or can't tell: its deletion is asked for now.
    pub looked_up: bool,
    /// Something for the person who reads events.
    pub event: Option<Note>,
    /// When to look again without being woken.
    pub wake: Option<Instant>,
}

/// What a pass does to the count of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Leaves it.
    Unchanged,
    /// Begins it anew.
    Anew,
    /// Not before this time.
    After(Instant),
    /// Leaves it: no call was made. No permit is asked for before this time.
    GivenBack(Instant),
}

/// Concludes. `failures` is how many calls failed in a row before this one, `chance` is from 0 up to 1.
pub fn conclude(
    seen: &Observation,
    decision: &Decision,
    effect: &Effect,
    failures: u32,
    now: Now,
    chance: f64,
) -> Report {
    let soon = Report {
        wake: Some(now.tick),
        ..Report::nothing()
    };
    match (decision, effect) {
        (Decision::Confirm, Effect::Shown(shown)) => {
            confirmed(seen, shown.as_deref(), failures, now, chance)
        }
        // Tried again with the pauses of failing writes.
        (_, Effect::Failed(_) | Effect::Unaudited(_)) => Report::nothing(),
        // What a look-up did not bring settles nothing as done.
        (_, Effect::Beaten | Effect::NotSent | Effect::Shown(Err(Answer::Done(_)))) => soon,
        (_, Effect::Answered(answer)) => answered(seen, answer, failures, now, chance),
        (_, Effect::Shown(Err(answer))) => not_shown(seen, answer, failures, now, chance),
        (_, Effect::Shown(Ok(shown))) => compared(seen, shown, failures, now, chance),
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
        (Decision::Release { outcome, keeper }, Effect::Patched) => {
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
            reopened: seen.reopened().is_some(),
            // Whoever lets go what is held doesn't wait for what failed before.
            retry: match reason.phase() {
                Phase::Held => Retry::Anew,
                Phase::Active | Phase::Waiting | Phase::Deleting | Phase::Gone | Phase::Stalled => {
                    Retry::Unchanged
                }
            },
            ..say(seen, *reason, message, None, now)
        },
        (Decision::Follow { ahead, .. }, _) => {
            let message = format!("Waiting for {ahead}, which is about to delete the same package");
            if waits_already(seen) {
                Report::nothing()
            } else {
                say(seen, Reason::Queued, &message, None, now)
            }
        }
        (Decision::Await(until), _) => Report {
            wake: Some(*until),
            ..soon
        },
        (Decision::GiveBack(why), _) => given_back(seen, why, now, chance),
        (_, Effect::Refused(refusal)) => match refused(&seen.object, decision, Some(refusal)) {
            Some(message) => Report {
                wake: Some(refusal.until),
                ..say(seen, Reason::FinalizerRefused, &message, None, now)
            },
            None => Report::nothing(),
        },
        // The watch wakes it with what has changed; where it shows nothing, the conflict was none.
        (_, Effect::Outrun) => Report {
            wake: Some(now.tick + CONFLICT_BOUND),
            ..soon
        },
        (Decision::RestartWatch, _) => Report {
            wake: Some(now.tick + GIVE_BACK_PAUSE),
            ..soon
        },
        (
            Decision::Nothing
            | Decision::AddFinalizer
            | Decision::Release { .. }
            | Decision::Request(_)
            | Decision::WriteIntent
            | Decision::LookUp
            | Decision::Confirm
            | Decision::Send,
            Effect::None | Effect::Patched,
        ) => Report::nothing(),
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
            status: None,
            settled: None,
            reopened: false,
            retry: Retry::Unchanged,
            proven: false,
            looked_up: false,
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
    let report = if seen.given_back < HICCUPS {
        Report::nothing()
    } else {
        let message = format!(
            "{GIVEN_BACK} {why}; nothing is sent until that is over, and it is tried again every {} at most",
            rounded(GIVE_BACK_CAP)
        );
        say(seen, Reason::Queued, &message, None, now)
    };
    Report {
        retry: Retry::GivenBack(until),
        wake: Some(until),
        ..report
    }
}

/// The answer table: what one answer to a DELETE means for the object.
fn answered(seen: &Observation, answer: &Answer, failures: u32, now: Now, chance: f64) -> Report {
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
            (
                Reason::AuthenticationFailed,
                detail,
                message,
                Some(BACKOFF_CAP),
            )
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
            (
                Reason::ApplicationRefused,
                detail,
                message,
                Some(BACKOFF_CAP),
            )
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
            Some(BACKOFF_CAP),
        ),
        Answer::Unavailable(detail, trouble) => {
            let message = state_message(seen, &State::Unavailable(detail.clone(), *trouble));
            (unavailable(*trouble), detail, message, Some(BACKOFF_CAP))
        }
    };
    // Throttled and token answers are the session's matter: the object asks for its next turn at once.
    let until = wait.map_or(now.tick, |cap| {
        let base = if cap == BACKOFF_SLOW {
            BACKOFF_SLOW
        } else {
            BACKOFF_BASE
        };
        now.tick + pause(base, cap, failures, chance)
    });
    let retry = if wait.is_some() {
        Retry::After(until)
    } else {
        Retry::Unchanged
    };
    Report {
        retry,
        wake: Some(until),
        ..say(seen, reason, &message, Some((detail, now)), now)
    }
}

/// The platform says that it lacks the package, which proves something only where it speaks of our packages.
fn gone(seen: &Observation, outcome: Outcome, detail: &Detail, now: Now) -> Report {
    let Some(why) = &seen.elsewhere else {
        return finished(seen, outcome, now);
    };
    let (reason, message) = (why.reason(), why.message());
    Report {
        retry: Retry::Anew,
        wake: Some(now.tick),
        ..say(seen, reason, &message, Some((detail, now)), now)
    }
}

/// What a look-up shows after a DELETE whose answer proved nothing: gone is deleted, and anything else leaves it unproven.
fn confirmed(
    seen: &Observation,
    shown: Result<&CategoryInfo, &Answer>,
    failures: u32,
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
        ) => return keep_error(seen, answered(seen, answer, failures, now, chance)),
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
    let until = now.tick + pause(BACKOFF_BASE, BACKOFF_CAP, failures, chance);
    Report {
        retry: Retry::After(until),
        wake: Some(until),
        ..say(
            seen,
            Reason::UnexpectedAnswer,
            &message,
            Some((&answer, now)),
            now,
        )
    }
}

/// A look-up did not show the package. One that came before the guard and tells nothing of it lets the deletion go the
/// ordinary way.
fn not_shown(seen: &Observation, answer: &Answer, failures: u32, now: Now, chance: f64) -> Report {
    let tells_nothing = matches!(
        answer,
        Answer::Unproven(_) | Answer::Unexpected(_) | Answer::InvalidFileId(_)
    );
    if seen.looks_first && tells_nothing {
        return Report {
            looked_up: true,
            wake: Some(now.tick),
            ..Report::nothing()
        };
    }
    keep_error(seen, answered(seen, answer, failures, now, chance))
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
fn compared(
    seen: &Observation,
    shown: &CategoryInfo,
    failures: u32,
    now: Now,
    chance: f64,
) -> Report {
    let spec = seen.object.spec.as_ref().ok();
    let expected = spec.and_then(|spec| spec.expect.as_ref());
    let differences = expected.map_or_else(Vec::new, |expected| differences(expected, shown));
    if differences.is_empty() {
        return Report {
            proven: true,
            looked_up: seen.looks_first,
            wake: Some(now.tick),
            ..Report::nothing()
        };
    }
    let message = format!(
        "The package isn't the one that spec.expect names, so nothing is deleted: {}; mend spec.expect, or set deletionPolicy: Retain to let the object go without its package",
        differences.join("; ")
    );
    let until = now.tick + pause(BACKOFF_SLOW, BACKOFF_SLOW, failures, chance);
    let mut report = say(seen, Reason::IdentityMismatch, &message, None, now);
    if let Some(status) = &mut report.status {
        status.package = Some(identity(shown));
    }
    Report {
        looked_up: seen.looks_first,
        retry: Retry::After(until),
        wake: Some(until),
        ..report
    }
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
    Report {
        settled: Some(outcome),
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

/// The audit line of an end, with the call and the answer that brought it about, if one was made. `None` for
/// an object whose `fileId` can't be read: there is no package to speak of.
pub fn audit_record(
    seen: &Observation,
    outcome: Outcome,
    answered: Option<(Call, &Answer)>,
    now: Now,
) -> Option<AuditRecord> {
    let object = &*seen.object;
    let disregarded = seen.claim.disregarded().iter();
    let answer = answered.map(|(_, answer)| answer);
    // The line of a deletion that a look-up proved names both answers.
    let proven = seen.unproven.as_ref().zip(answer);
    let (first, look_up) = match proven.filter(|_| outcome == Outcome::Deleted) {
        Some((deleted, shown)) => (Some(deleted), Some(shown)),
        None => (answer.and_then(Answer::detail), None),
    };
    let deletion = object.status.deletion.as_ref();
    let attempts = deletion
        .and_then(|deletion| deletion.attempts)
        .and_then(|attempts| u32::try_from(attempts).ok())
        .unwrap_or(0);
    // A package that is gone after a call of ours may have gone by that: its answer was lost, or its line.
    let earlier = answered.map_or(attempts, |(call, _)| match call {
        Call::Delete => attempts.saturating_sub(1),
        Call::Login | Call::Show | Call::List => attempts,
    });
    let earlier = Some(earlier).filter(|earlier| *earlier > 0);
    let requested_at = seen.asked_at(now);
    let took = Duration::try_from(now.wall.duration_since(requested_at)).unwrap_or_default();
    Some(AuditRecord {
        time: now.wall,
        namespace: object.key.namespace.to_string(),
        name: object.key.name.to_string(),
        uid: object.uid.clone(),
        actor: object.actor.clone(),
        file_id: object.file_id()?.clone(),
        package: object.status.package.clone(),
        application: object.application().cloned(),
        outcome,
        disregarded: disregarded.map(ToString::to_string).collect(),
        http_status: match look_up {
            Some(_) => first.and_then(|detail| detail.http_status),
            None => answer.and_then(Answer::http_status),
        },
        code: first.and_then(|detail| detail.code.clone()),
        look_up: look_up.map(|shown| LookUpRecord {
            http_status: shown.http_status(),
            code: shown.detail().and_then(|detail| detail.code.clone()),
        }),
        attempts,
        earlier_attempts: match outcome {
            Outcome::AlreadyGone => earlier,
            Outcome::Deleted | Outcome::Retained | Outcome::HandedOver => None,
        },
        requested_at: Some(requested_at),
        duration_ms: u64::try_from(took.as_millis()).ok(),
    })
}

/// `base`, doubled with each failure up to `cap`, less up to a half by chance.
pub fn pause(base: Duration, cap: Duration, failures: u32, chance: f64) -> Duration {
    let doubled = base.saturating_mul(2_u32.saturating_pow(failures.min(16)));
    doubled.min(cap).mul_f64(1.0 - chance.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests;
