//! What is remembered of an answer of the platform, around what it means for the object.

use super::Report;
use super::ending::write_down;
use crate::api::outcome::Outcome;
use crate::package::decide::{Decision, Now, Observation};
use crate::package::errand::Errand;
use crate::remote::answer::{Answer, Call};

/// An answer that may have changed the package, or tells how its deletion ended.
pub(super) fn after_answer(
    seen: &Observation,
    (decision, answer): (&Decision, &Answer),
    report: Report,
    now: Now,
) -> Report {
    let call = if *decision == Decision::Send {
        Call::Delete
    } else {
        Call::Show
    };
    let mut errands = vec![Errand::Proven(None), Errand::GivenBack(None)];
    let unproven = if let (Call::Delete, Answer::Unproven(detail)) = (call, answer) {
        Some(detail.clone())
    } else {
        None
    };
    // The look-up that tells comes right after, in the same place of the queue.
    let stays = unproven.is_some();
    if stays || told(answer) {
        errands.push(Errand::Unproven(unproven));
    }
    let settled = report.settled();
    errands.extend(report.errands);
    if let Some(outcome) = settled {
        // Also where a look-up shows it: its DELETE did it, whatever that was answered with.
        if matches!(decision, Decision::Send | Decision::Confirm) {
            errands.push(Errand::Deleted(now));
        }
        errands.extend(write_down(seen, outcome, Some((call, answer)), now));
    }
    errands.push(Errand::Log(Box::new(answer.clone()), settled));
    if !stays {
        errands.push(Errand::LeaveSeat);
    }
    Report { errands, ..report }
}

/// The package that a look-up showed. Where it is the one that is expected, the call comes right after, in the same place
/// of the queue.
pub(super) fn after_package(seen: &Observation, mut report: Report) -> Report {
    let accepted = seen.object.status.endpoint.clone();
    let elsewhere = accepted.filter(|accepted| Some(accepted) != seen.endpoint.as_ref());
    report.errands.push(Errand::Exists(elsewhere));
    let proven = |errand: &Errand| matches!(errand, Errand::Proven(Some(_)));
    if report.errands.iter().any(proven) {
        report.errands.push(Errand::GivenBack(None));
    } else {
        report.errands.insert(0, Errand::Unproven(None));
        report = leaves(report);
    }
    report
}

/// A permit that is used, or void: its place in the queue goes.
pub(super) fn leaves(mut report: Report) -> Report {
    report.errands.push(Errand::LeaveSeat);
    report
}

impl Report {
    /// How the deletion ended by it.
    pub fn settled(&self) -> Option<Outcome> {
        self.errands.iter().find_map(|errand| {
            if let Errand::Settle(outcome) = errand {
                Some(*outcome)
            } else {
                None
            }
        })
    }
}

/// Whether the answer told something of the package, or will not by being asked for again.
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
