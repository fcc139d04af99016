//! The answer table: what each answer of the platform means for the object.

use std::time::Duration;

use super::identity::{differences, identity};
use super::wording::said_of;
use super::{Report, failed, say};
use crate::api::outcome::Outcome;
use crate::api::reason::Reason;
use crate::backoff::Backoff;
use crate::package::decide::{Now, Observation};
use crate::package::errand::Errand;
use crate::remote::answer::{Answer, Detail};
use crate::remote::wire::CategoryInfo;
use crate::session::SessionState;

/// Backoff after failures.
pub(super) const BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(5),
    longest: Duration::from_secs(600),
};
/// Backoff after failures that only a change of the object is likely to end.
pub(super) const BACKOFF_SLOW: Backoff = Backoff {
    first: Duration::from_secs(3600),
    longest: Duration::from_secs(3600),
};
/// A look-up counts as proof of identity for one window plus this time. The proof has to be recent at the call. With
/// the smallest quota, the call may come a whole window after the look-up.
const PROOF_LASTS: Duration = Duration::from_secs(60);

/// What one answer to a DELETE means for the object.
pub(super) fn answered(seen: &Observation, answer: &Answer, now: Now, chance: f64) -> Report {
    let (detail, (reason, message), wait) = match answer {
        Answer::Done(_) => return finished(seen, Outcome::Deleted, now),
        Answer::AlreadyGone(detail) => return gone(seen, Outcome::AlreadyGone, detail, now),
        Answer::Throttled(detail) => {
            let state = SessionState::Throttled { until: now.tick };
            (detail, said_of(seen, &state), None)
        }
        Answer::TokenRefused(detail) => {
            let state = SessionState::TokenRefused(detail.clone());
            (detail, said_of(seen, &state), None)
        }
        Answer::CredentialsRefused(detail) => {
            let state = SessionState::AuthenticationFailed(detail.clone());
            (detail, said_of(seen, &state), Some(BACKOFF))
        }
        Answer::InvalidFileId(detail) => (detail, invalid_file_id(detail), Some(BACKOFF_SLOW)),
        Answer::ApplicationRefused(detail) => {
            let state = SessionState::ApplicationRefused(detail.clone());
            (detail, said_of(seen, &state), Some(BACKOFF))
        }
        // The look-up that follows at once tells the outcome.
        Answer::Unproven(_) => {
            return Report {
                wake: Some(now.tick),
                ..Report::nothing()
            };
        }
        Answer::Unexpected(detail) => (detail, proves_nothing(detail), Some(BACKOFF)),
        Answer::Unavailable(detail, trouble) => {
            let state = SessionState::Unavailable(detail.clone(), *trouble);
            (detail, said_of(seen, &state), Some(BACKOFF))
        }
    };
    let said = say(seen, reason, &message, Some((detail, now)), now);
    match wait {
        Some(pauses) => failed(seen, pauses, said, now, chance),
        // The session handles throttling and token answers, so the object asks for its next turn at once.
        None => Report {
            wake: Some(now.tick),
            ..said
        },
    }
}

fn invalid_file_id(detail: &Detail) -> (Reason, String) {
    let message = format!(
        "The platform does not accept the fileId as an id ({detail}). Set deletionPolicy: Retain and delete this object, so that it goes without a package; then create it anew with the right fileId"
    );
    (Reason::InvalidFileId, message)
}

fn proves_nothing(detail: &Detail) -> (Reason, String) {
    let message = format!(
        "The platform gave an answer that doesn't show whether the package exists ({detail}). Compare spec.endpoint of the Platform with the real address of the platform"
    );
    (Reason::UnexpectedAnswer, message)
}

/// The platform answered that it doesn't have the package. That ends the deletion unless the answer proves nothing.
fn gone(seen: &Observation, outcome: Outcome, detail: &Detail, now: Now) -> Report {
    let Some(why) = &seen.elsewhere else {
        return finished(seen, outcome, now);
    };
    let (reason, message) = why.said();
    Report {
        errands: vec![Errand::Anew],
        wake: Some(now.tick),
        ..say(seen, reason, &message, Some((detail, now)), now)
    }
}

/// Judges the look-up after a DELETE whose answer proved nothing: a missing package is deleted; any other answer leaves
/// the deletion unproven.
pub(super) fn confirmed(
    seen: &Observation,
    shown: Result<&CategoryInfo, &Answer>,
    now: Now,
    chance: f64,
) -> Report {
    let found = match shown {
        Err(Answer::AlreadyGone(detail)) => return gone(seen, Outcome::Deleted, detail, now),
        // The look-up was not carried out and has to be repeated.
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
        "The answer to the DELETE doesn't show whether the package is deleted ({answer}), and {found}. Compare spec.endpoint of the Platform with the real address of the platform, and look at proxies and gateways on the way"
    );
    let (reason, answer) = (Reason::UnexpectedAnswer, Some((&answer, now)));
    let said = say(seen, reason, &message, answer, now);
    failed(seen, BACKOFF, said, now, chance)
}

/// Judges a look-up that did not show the package. If the look-up came before the guard's judgement and the answer
/// tells nothing of the package, the deletion takes the usual steps.
pub(super) fn not_shown(seen: &Observation, answer: &Answer, now: Now, chance: f64) -> Report {
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

/// Keeps the last error of a DELETE when a later look-up fails: the guard dates the call by that error.
fn keep_error(seen: &Observation, mut report: Report) -> Report {
    let present = seen.object.status.deletion.as_ref();
    let called = present.filter(|deletion| deletion.is_attempted());
    let next = report.status.as_mut().and_then(|s| s.deletion.as_mut());
    if let (Some(present), Some(next)) = (called, next) {
        next.last_error.clone_from(&present.last_error);
    }
    report
}

/// Row 11: compares the package that the platform shows with the expected package.
pub(super) fn compared(seen: &Observation, shown: &CategoryInfo, now: Now, chance: f64) -> Report {
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
        // No status is written: the finalizer is removed next, and then the object is gone.
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
    // Only the endpoint of a usable Platform tells which remote platform said that the package is gone.
    let file = seen.endpoint.as_ref().and(object.file_id()).cloned();
    let settle = [Errand::Settle(outcome)].into_iter();
    let settle = settle.chain(file.map(|file| Errand::Gone(file, now)));
    Report {
        errands: settle.chain([Errand::Anew]).collect(),
        ..report
    }
}
