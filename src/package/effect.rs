//! The effect of a decision, which the acting stage hands to the concluding stage.

use crate::remote::answer::Answer;
use crate::remote::wire::CategoryInfo;
use crate::session::Standing;

/// The effect of a decision.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// There was nothing to do.
    Nothing,
    /// A change of the finalizers was written.
    Patched {
        /// Whether the change gave the object a new version, whose echo is to be awaited.
        changed: bool,
    },
    /// A change of the finalizers came too late: a conflict with this message, or the object is gone. The watch will
    /// show what has changed.
    Contested(Option<String>),
    /// A change of the finalizers was refused, with this message.
    Refused(String),
    /// The API server could not be reached, or gave no decision.
    Failed(String),
    /// The end of the deletion could not be audited, so nothing follows from it yet.
    Unaudited(String),
    /// A permit was asked for. The value is the object's new state in the queue.
    Seated(Standing),
    /// The guard doesn't let this deletion be sent any more, or there is no session to ask; the object is looked at
    /// again.
    Taken,
    /// An intent was drawn for this attempt and is still to be written.
    Intended(String),
    /// The platform answered a DELETE, or the call ended without an answer.
    Answered(Answer),
    /// The platform showed the package, or answered why it can't.
    Shown(Result<Box<CategoryInfo>, Answer>),
    /// The permit was void, so no call was made.
    NotSent,
}

impl Effect {
    /// Whether the object waits behind another one for the turn of its package.
    pub fn waits_behind(&self) -> bool {
        matches!(self, Self::Seated(Standing::Behind { .. }))
    }

    /// Label of the effect for the metric of passes.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Patched { .. } => "patched",
            Self::Contested(_) => "outrun",
            Self::Refused(_) => "refused",
            Self::Failed(_) => "failed",
            Self::Unaudited(_) => "unaudited",
            Self::Seated(_) => "seated",
            Self::Taken => "beaten",
            Self::Intended(_) => "intended",
            Self::Answered(_) => "answered",
            Self::Shown(_) => "shown",
            Self::NotSent => "not-sent",
        }
    }
}
