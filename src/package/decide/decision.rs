//! The possible decisions.

use tokio::time::Instant;

use crate::api::names::ObjectKey;
use crate::api::outcome::Outcome;
use crate::api::reason::Reason;
use crate::package::memory::own_write::Conflict;
use crate::session::Ticket;

/// What to do next with one object. Each decision has at most one effect.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Do nothing and report nothing.
    Nothing,
    /// Do nothing until this time, or until the object is woken.
    Await(Instant),
    /// Add our finalizer.
    AddFinalizer,
    /// Write the outcome into the status of an object that another finalizer keeps after our finalizer is removed.
    Tell {
        /// How the deletion ended.
        outcome: Outcome,
        /// The object that keeps the package, if any.
        keeper: Option<ObjectKey>,
    },
    /// Remove our finalizer, so that the object can go.
    Release {
        /// How the deletion ended.
        outcome: Outcome,
        /// The object that keeps the package, if any.
        keeper: Option<ObjectKey>,
    },
    /// Make no call now, and report the reason.
    Rest {
        /// Reason of the condition.
        reason: Reason,
        /// Message of the condition.
        message: String,
        /// When the situation changes by time alone.
        until: Option<Instant>,
    },
    /// Ask for a permit with this ticket, or go on waiting with it.
    Request(Ticket),
    /// Write the intent of this attempt. `Some` repeats an intent whose write met a conflict or was overwritten; `None`
    /// draws a new one.
    WriteIntent(Option<String>),
    /// Look the package up, to compare it with `spec.expect` or to see whether it exists.
    LookUp,
    /// Look the package up, because the answer to its DELETE proved nothing.
    Confirm,
    /// Send the DELETE. The cache shows our intent, so it also shows every earlier change.
    Send,
    /// Treat a conflict as a refusal: the watch shows no change that explains the conflict.
    EndConflict(Conflict),
    /// Give the permit back and restart the watch, because the watch is blind.
    RestartWatch,
    /// Give the permit back for this reason, and try again soon.
    GiveBack(String),
}

impl Decision {
    /// Whether the object keeps its ticket or permit after this decision.
    pub fn keeps_seat(&self) -> bool {
        match self {
            Self::Request(_)
            | Self::WriteIntent(_)
            | Self::LookUp
            | Self::Confirm
            | Self::Send
            | Self::EndConflict(_)
            | Self::Await(_) => true,
            Self::Nothing
            | Self::AddFinalizer
            | Self::Tell { .. }
            | Self::Release { .. }
            | Self::Rest { .. }
            | Self::RestartWatch
            | Self::GiveBack(_) => false,
        }
    }
}
