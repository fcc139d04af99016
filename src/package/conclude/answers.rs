//! What to remember of the platform's answer, beside its meaning for the object.

use super::Report;
use super::ending::write_down;
use crate::api::outcome::Outcome;
use crate::package::decide::{Decision, Now, Observation};
use crate::package::errand::Errand;
use crate::remote::answer::{Answer, Call};

/// Adds the errands that follow from an answer which may have changed the package or ended the deletion.
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
    // The object keeps its seat for the look-up, which follows at once.
    let stays = unproven.is_some();
    if stays || told(answer) {
        errands.push(Errand::Unproven(unproven));
    }
    let settled = report.settled();
    errands.extend(report.errands);
    if let Some(outcome) = settled {
        // A look-up that shows the package missing counts, too: the earlier DELETE removed the package, no matter what
        // the answer to that DELETE was.
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

/// Adds the errands that follow from a package that a look-up showed. If it is the expected package, the object keeps
/// its seat for the call.
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

/// Gives the seat back, after a permit that was used or void.
pub(super) fn leaves(mut report: Report) -> Report {
    report.errands.push(Errand::LeaveSeat);
    report
}

impl Report {
    /// Outcome of the deletion, if this report ends it.
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

/// Whether the answer tells something of the package, or would stay the same at a second call.
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
