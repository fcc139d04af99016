//! No call without an audit trail: while an audit line is overdue, nothing new is sent.

use std::time::Duration;

use super::{Decision, Now};
use crate::api::reason::Reason;
use crate::telemetry::audit::Overdue;

/// Pause between looks at the overdue audit line.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Replaces a `decision` that leads to a call by a rest, while an audit line is overdue. A release waits only for the
/// object's own audit line.
pub(super) fn with_trail(decision: Decision, overdue: Option<&Overdue>, now: Now) -> Decision {
    let Some(overdue) = overdue else {
        return decision;
    };
    match decision {
        Decision::Request(_)
        | Decision::WriteIntent(_)
        | Decision::LookUp
        | Decision::Confirm
        | Decision::Send => Decision::Rest {
            reason: Reason::AuditFailed,
            message: format!(
                "Nothing is sent while no line can be written to the audit log ({}), because the result of an earlier deletion has to be written first. The deletion goes on by itself once lines can be written. Give the operator disk space and the right to write the log; if its writes hang for good, restart the operator",
                overdue.error
            ),
            until: Some(now.tick + LOOK_AGAIN),
        },
        Decision::Nothing
        | Decision::Await(_)
        | Decision::AddFinalizer
        | Decision::Tell { .. }
        | Decision::Release { .. }
        | Decision::Rest { .. }
        | Decision::EndConflict(_)
        | Decision::RestartWatch
        | Decision::GiveBack(_) => decision,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;
    use tokio::time::Instant;

    use super::*;
    use crate::api::names::ObjectKey;
    use crate::api::outcome::Outcome;
    use crate::session::{Priority, Purpose, Ticket};

    #[test]
    fn an_overdue_line_holds_all_that_leads_to_a_call_and_nothing_else() {
        let now = Now {
            wall: Timestamp::UNIX_EPOCH,
            tick: Instant::now(),
        };
        let overdue = Overdue {
            age: Duration::from_secs(11),
            error: "No space left on device".to_owned(),
        };
        for decision in [
            Decision::Request(Ticket {
                uid: "u".to_owned(),
                key: ObjectKey::new("n", "a"),
                purpose: Purpose::Delete,
                priority: Priority::Deletion,
                requested_at: now.wall,
            }),
            Decision::WriteIntent(None),
            Decision::LookUp,
            Decision::Confirm,
            Decision::Send,
        ] {
            assert_eq!(with_trail(decision.clone(), None, now), decision);
            let held = with_trail(decision, Some(&overdue), now);
            let Decision::Rest {
                reason: Reason::AuditFailed,
                message,
                until: Some(until),
            } = &held
            else {
                panic!("{held:?}");
            };
            assert!(message.contains("No space left") && *until > now.tick);
            assert!(!held.keeps_seat());
        }
        for decision in [
            Decision::Nothing,
            Decision::AddFinalizer,
            Decision::Release {
                outcome: Outcome::Retained,
                keeper: None,
            },
        ] {
            assert_eq!(with_trail(decision.clone(), Some(&overdue), now), decision);
        }
    }
}
