//! What is done before a decision is carried out.

use super::ending::untold_end;
use crate::guard::{Judgement, OnRecord};
use crate::package::decide::{Decision, Now, Observation};
use crate::package::errand::Errand;
use crate::session::{Purpose, Standing};

/// What is done before `decision` is carried out. Where that fails, it isn't.
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
    // While the intent is being written: one read serves all who ask within half a second.
    if *decision == Decision::WriteIntent(None) {
        errands.push(Errand::ReadAhead);
    }
    errands
}

/// Whether it has its turn and lacks nothing but room on record.
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
