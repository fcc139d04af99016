//! The decision table, row by row in the order of `docs/architecture.md`. The first row that fits decides.

use std::time::Duration;

use super::by_platform::{held_by_platform, wanted, would_delete};
use super::ended::ended;
use super::grace_period::within_grace;
use super::mass_deletion::held_by_guard;
use super::sending::call;
use super::unbelieved::{Unbelieved, moved_keeper};
use super::{
    Decision, ECHO_BOUND, HINDERED, HINDRANCE_PAUSE, Now, Observation, PlatformView, odd_pause,
    rest, said_of_undecodable, unwritable_until,
};
use crate::api::outcome::Outcome;
use crate::api::reason::Reason;
use crate::package::claims::message::still_claimed;
use crate::package::claims::{self, Claim, Unclear, Why, Word, doubts};
use crate::package::memory::own_write::Echo;
use crate::writes::CONFLICT_BOUND;

/// One row: returns its decision if it fits.
type Row = fn(&Observation, Now) -> Option<Decision>;

/// The rows with their numbers in the docs. Rows without a number depend on what this process sees or has written
/// itself. Rows 11 to 14 follow after the table, in `call`.
pub(super) const ROWS: [(Option<u8>, Row); 13] = [
    (None, own_write_on_its_way),
    (Some(1), finalizer_missing),
    (Some(2), settled),
    (Some(3), retained),
    (None, unreadable),
    (Some(4), not_asked_for),
    (None, hindered),
    (Some(5), claimed),
    (Some(6), paused),
    (Some(7), platform_in_the_way),
    (Some(8), would_delete),
    (Some(9), held),
    (None, in_backoff),
];

/// Decision of the first row that fits.
pub(super) fn first(seen: &Observation, now: Now) -> Decision {
    let mut rows = ROWS.iter();
    let decided = rows.find_map(|(_, row)| row(seen, now));
    decided.unwrap_or_else(|| call(seen, is_going(seen), now))
}

fn is_going(seen: &Observation) -> bool {
    seen.object.deleted_at.is_some()
}

fn own_write_on_its_way(seen: &Observation, now: Now) -> Option<Decision> {
    match &seen.echo {
        Echo::Seen => None,
        Echo::Pending(since) if now.tick >= *since + ECHO_BOUND => Some(Decision::RestartWatch),
        Echo::Pending(since) => Some(Decision::Await(*since + ECHO_BOUND)),
        Echo::Contested(conflict) if now.tick >= conflict.at + CONFLICT_BOUND => {
            Some(Decision::EndConflict(conflict.clone()))
        }
        Echo::Contested(conflict) => Some(Decision::Await(conflict.at + CONFLICT_BOUND)),
    }
}

/// No call is made for an object without our finalizer.
fn finalizer_missing(seen: &Observation, now: Now) -> Option<Decision> {
    if seen.object.has_finalizer() {
        return None;
    }
    Some(if is_going(seen) {
        let_go(seen, now)
    } else {
        Decision::AddFinalizer
    })
}

/// Decides for a deleted object that only the finalizers of others still keep. The outcome is written into the status
/// if it could not be written before our finalizer was removed, or if the status has since reported that our finalizer
/// could not be removed.
fn let_go(seen: &Observation, now: Now) -> Decision {
    let object = &*seen.object;
    let told = |outcome| object.outcome() == Some(outcome) && object.status.says(outcome.into());
    match (seen.settled.or(seen.audited), unwritable_until(seen, now)) {
        (Some(outcome), _) if told(outcome) => Decision::Nothing,
        (Some(_), Some(until)) => Decision::Await(until),
        (Some(outcome), None) => Decision::Tell {
            outcome,
            keeper: None,
        },
        (None, _) => Decision::Nothing,
    }
}

fn settled(seen: &Observation, now: Now) -> Option<Decision> {
    let retired = seen.object.is_retired(now.wall);
    seen.settled
        .map(|outcome| ended(seen, outcome, retired, now))
}

/// `Retain` releases an object, no matter what else is wrong with the object.
fn retained(seen: &Observation, _: Now) -> Option<Decision> {
    let object = &*seen.object;
    if is_going(seen) && object.is_retained() {
        return Some(Decision::Release {
            outcome: Outcome::Retained,
            keeper: None,
        });
    }
    None
}

fn unreadable(seen: &Observation, _: Now) -> Option<Decision> {
    let undecodable = seen.object.spec.as_ref().err()?;
    Some(rest(said_of_undecodable(&seen.object.uid, undecodable)))
}

fn not_asked_for(seen: &Observation, now: Now) -> Option<Decision> {
    if seen.asks(now) {
        return None;
    }
    let spec = seen.object.spec.as_ref().ok()?;
    Some(wanted(seen, spec.retire_after.as_ref().map(|at| at.0), now))
}

/// While this process doesn't see the cluster as it is, it may miss a change. That change may be a claim on the
/// package, or the end of the request.
fn hindered(seen: &Observation, now: Now) -> Option<Decision> {
    if let Some(why) = &seen.hindrance {
        return Some(Decision::Rest {
            reason: Reason::Queued,
            message: format!("{HINDERED}{why}"),
            until: Some(now.tick + HINDRANCE_PAUSE),
        });
    }
    None
}

fn claimed(seen: &Observation, _: Now) -> Option<Decision> {
    let Claim::Claimed(keeper) = &seen.claim else {
        return None;
    };
    Some(match (is_going(seen), &seen.elsewhere) {
        // The keeper may have been accepted at the new endpoint. It then keeps a package of another instance of the
        // platform.
        (true, Some(Unbelieved::Moved(accepted))) => moved_keeper(keeper, accepted),
        (true, Some(Unbelieved::HandedIn(_)) | None) => Decision::Release {
            outcome: Outcome::HandedOver,
            keeper: Some(keeper.clone()),
        },
        (false, _) => rest(still_claimed(keeper)),
    })
}

fn paused(seen: &Observation, _: Now) -> Option<Decision> {
    let object = &*seen.object;
    if object.paused {
        return Some(rest((
            Reason::Paused,
            format!(
                "The deletion waits because of the annotation iodm.dev/paused. Remove the annotation to let the deletion go on{}",
                odd_pause(object)
            ),
        )));
    }
    None
}

fn platform_in_the_way(seen: &Observation, now: Now) -> Option<Decision> {
    held_by_platform(seen, now).or_else(|| match &seen.claim {
        Claim::Unclear(unclear) => Some(claim_unclear(unclear, now)),
        Claim::Claimed(_) | Claim::Disregarded(_) | Claim::Nobody => None,
    })
}

/// Rests on an unclear claim, with a time for the next look: the facts may change without a watch event.
fn claim_unclear(unclear: &Unclear, now: Now) -> Decision {
    let message = claims::message::unclear(unclear);
    if unclear.doubt.why == Why::Unconfirmed {
        // Only the holder of a permit sees this doubt, so the permit goes to another object meanwhile.
        return Decision::GiveBack(message);
    }
    let again = match unclear.word {
        Word::From(at) => at,
        Word::None | Word::AfterTry => now.tick + doubts::LOOK_AGAIN,
    };
    Decision::Rest {
        reason: Reason::ClaimUnclear,
        message,
        until: Some(again),
    }
}

/// Rows 9 and 10. A look-up that is due comes before both.
fn held(seen: &Observation, now: Now) -> Option<Decision> {
    let grace = match &seen.platform {
        PlatformView::Usable { grace, .. } => *grace,
        PlatformView::Unread
        | PlatformView::Unconfirmed(_)
        | PlatformView::NotFound
        | PlatformView::NotAllowed
        | PlatformView::Unusable { .. } => Duration::ZERO,
    };
    if seen.looks_first {
        return None;
    }
    held_by_guard(seen, now).or_else(|| within_grace(seen, grace, now))
}

fn in_backoff(seen: &Observation, now: Now) -> Option<Decision> {
    let unwritable = seen.status_refused.as_ref().map(|refusal| refusal.until);
    let pauses = seen.backoff.into_iter().chain(unwritable);
    let until = pauses.max().filter(|until| *until > now.tick)?;
    Some(Decision::Await(until))
}
