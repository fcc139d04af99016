//! Shrinks a failing history and prints its story.

use crate::at_once::unless_failing;
use crate::random::Plan;
use crate::story::tell_failures;

/// The most plays of a search for a shorter history.
const PLAYS: usize = 150;

fn fails(plan: &Plan) -> bool {
    unless_failing(|| plan.play()).is_none()
}

/// Leaves out as many steps as possible while the history still fails.
pub fn shrink(mut plan: Plan) -> Plan {
    let (mut plays, mut size) = (0, Plan::STEPS / 2);
    while size > 0 {
        let left: Vec<usize> = (0..Plan::STEPS)
            .filter(|step| !plan.without.contains(step))
            .collect();
        for part in left.chunks(size) {
            if plays == PLAYS {
                return plan;
            }
            plays += 1;
            let mut shorter = plan.clone();
            shorter.without.extend(part);
            if fails(&shorter) {
                plan = shorter;
            }
        }
        size /= 2;
    }
    plan
}

/// Shrinks a failing history, and plays it once more to print its story.
pub fn tell(plan: Plan) {
    let plan = shrink(plan);
    let left = Plan::STEPS - plan.without.len();
    eprintln!(
        "the shortest history of seed {} that fails has {left} steps:",
        plan.seed
    );
    tell_failures(true);
    let failed = fails(&plan);
    tell_failures(false);
    assert!(failed, "a history is the same each time");
}
