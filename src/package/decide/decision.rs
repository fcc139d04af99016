//! What may be decided.

use tokio::time::Instant;

use crate::api::names::ObjectKey;
use crate::api::outcome::Outcome;
use crate::api::reason::Reason;
use crate::package::memory::own_write::Conflict;
use crate::session::Ticket;

/// What to do next. At most one effect.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Nothing, and nothing to say.
    Nothing,
    /// Nothing before this time, or before the object is woken.
    Await(Instant),
    /// Put our finalizer on.
    AddFinalizer,
    /// Write down how it ended: the object stays after our finalizer, for that of somebody else.
    Tell {
        /// How it ended.
        outcome: Outcome,
        /// Who keeps the package.
        keeper: Option<ObjectKey>,
    },
    /// Take our finalizer off; the object goes.
    Release {
        /// How it ended.
        outcome: Outcome,
        /// Who keeps the package.
        keeper: Option<ObjectKey>,
    },
    /// No call now; say this.
    Rest {
        /// The word for it.
        reason: Reason,
        /// The sentence for it.
        message: String,
        /// When time alone changes it.
        until: Option<Instant>,
    },
    /// Ask for a permit, or go on waiting for it with this ticket.
    Request(Ticket),
    /// Write the intent of this attempt; this one once more, where its write met a conflict or was overwritten.
    WriteIntent(Option<String>),
    /// Look the package up, to compare it with what is expected.
    LookUp,
    /// Look the package up, since the answer to its DELETE proved nothing.
    Confirm,
    /// Send the DELETE: the cache shows our intent, and so everything before it.
    Send,
    /// The watch doesn't bear a conflict out: it was a refusal.
    EndConflict(Conflict),
    /// The watch is blind: give the permit back and make the watch anew.
    RestartWatch,
    /// The permit can't be used now: give it back and try again soon.
    GiveBack(String),
}

impl Decision {
    /// Whether the object keeps its ticket or permit.
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
