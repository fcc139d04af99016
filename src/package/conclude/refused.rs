//! What follows from a write that the API server refuses or fails to take.

use std::time::Duration;

use super::{Report, pause, rounded, say};
use crate::api::reason::{Phase, Reason};
use crate::backoff::Backoff;
use crate::package::decide::{self, Decision, Now, Observation};
use crate::package::errand::Errand;
use crate::package::memory::own_write::{Conflict, Part, RefusedWrite};
use crate::telemetry::events::Note;

/// Backoff after failed writes. The first failure has the count 1, so the pause after it is twice `first`.
pub(super) const FAILED: Backoff = Backoff {
    first: Duration::from_millis(500),
    longest: Duration::from_secs(30),
};
/// Backoff after refused writes.
pub(super) const DENIED: Backoff = Backoff {
    longest: Duration::from_secs(60),
    ..FAILED
};

/// Last refusal of a write to `part`.
pub(super) fn before(seen: &Observation, part: Part) -> Option<&RefusedWrite> {
    match part {
        Part::Finalizers => seen.finalizers_refused.as_ref(),
        Part::Status | Part::Beside => seen.status_refused.as_ref(),
        Part::Complaint => seen.complaint_refused.as_ref(),
    }
}

/// The next refusal in a row, with this message. If the write wasn't `denied`, the result is a failure.
pub(super) fn refusal(
    before: Option<&RefusedWrite>,
    (words, phase): (String, Option<Phase>),
    denied: bool,
    (now, chance): (Now, f64),
) -> RefusedWrite {
    let count = before.map_or(0, |before| before.count).saturating_add(1);
    let pauses = if denied { DENIED } else { FAILED };
    RefusedWrite {
        words,
        count,
        until: now.tick + pause(pauses, count, chance),
        denied,
        phase,
    }
}

/// Report on a change of the finalizers that was refused while carrying out `decision`.
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
    let said = said.map(|(reason, message)| say(seen, reason, &message, None, now));
    Report {
        wake: Some(refusal.until),
        errands: refused(Part::Finalizers, before, refusal),
        ..said.unwrap_or_else(Report::nothing)
    }
}

/// Treats a conflict as a refusal, since the watch shows no change that explains the conflict. The next pass decides
/// the consequences at once.
pub(super) fn no_conflict(
    seen: &Observation,
    conflict: &Conflict,
    now: Now,
    chance: f64,
) -> Report {
    let before = before(seen, conflict.part);
    let words = (conflict.words.clone(), conflict.phase);
    let refusal = refusal(before, words, true, (now, chance));
    // The refused write may have been the intent, and without an intent the permit is useless.
    let errands = refused(conflict.part, before, refusal).into_iter();
    Report {
        errands: errands.chain([Errand::LeaveSeat]).collect(),
        wake: Some(now.tick),
        ..Report::nothing()
    }
}

/// Whether a refusal is news after the failed write `before`: it is news unless that write was refused, too.
pub(super) fn is_news(before: Option<&RefusedWrite>) -> bool {
    before.is_none_or(|before| !before.denied)
}

/// Whether the conditions contain these words.
pub(super) fn says(seen: &Observation, words: &str) -> bool {
    let mut conditions = seen.object.status.conditions.iter();
    conditions.any(|condition| condition.message.contains(words))
}

/// Errands after a refused write. An event reports a refused status, because the status itself can't.
pub(super) fn refused(
    part: Part,
    before: Option<&RefusedWrite>,
    refusal: RefusedWrite,
) -> Vec<Errand> {
    let news = part == Part::Status && is_news(before);
    let event = news.then(|| Errand::Tell(status_refused(&refusal.words)));
    let refused = Errand::Refused(part, refusal);
    std::iter::once(refused).chain(event).collect()
}

/// Event for a write that has failed too often to be a hiccup.
pub(super) fn not_taken(error: &str) -> Note {
    Note {
        warning: true,
        reason: "WriteFailed",
        message: format!(
            "The object can't be written: {error}. Nothing more is done for the object until a write succeeds. The write is tried again by itself, with growing pauses of up to {}. If it lasts, mend the cause that the error names",
            rounded(FAILED.longest)
        ),
    }
}

/// Event for the first refusal of a status.
fn status_refused(words: &str) -> Note {
    Note {
        warning: true,
        reason: Reason::StatusRefused.as_str(),
        message: unwritable(words),
    }
}

pub(super) fn unwritable(words: &str) -> String {
    format!(
        "The status of the object can't be written: {words}. Nothing more is sent to the platform for this object until a write succeeds. Mend the admission policy that refuses the write, or give the operator the ClusterRole of its version"
    )
}
