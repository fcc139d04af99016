//! Errands that come before a decision is carried out.

use super::ending::untold_end;
use crate::guard::{Judgement, OnRecord};
use crate::package::decide::{Decision, Now, Observation};
use crate::package::errand::Errand;
use crate::session::{Purpose, Standing};

/// The errands that come before `decision`. If one of them fails, the decision is not carried out.
pub fn beforehand(seen: &Observation, decision: &Decision, now: Now) -> Vec<Errand> {
    let mut errands = Vec::new();
    if !decision.keeps_seat() {
        errands.push(Errand::LeaveSeat);
    } else if waits_for_room(seen) {
        errands.push(Errand::WantRoom);
    }
    errands.extend(untold_end(seen, decision, now));
    if matches!(decision, Decision::Request(_)) && seen.object.asks_for_a_try() {
        errands.push(Errand::TrySoon);
    }
    // Reads the Platform while the intent is being written. One read serves all objects that ask within half a second.
    if *decision == Decision::WriteIntent(None) {
        errands.push(Errand::ReadAhead);
    }
    errands
}

/// Whether the object has a permit for its DELETE and waits only for the guard's reservation.
fn waits_for_room(seen: &Observation) -> bool {
    let turn = matches!(
        seen.standing,
        Standing::Permitted {
            purpose: Purpose::Delete,
            ..
        }
    );
    turn && seen.guard == Judgement::Free(OnRecord::Awaited)
}
