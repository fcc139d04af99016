//! What came of a decision: the one thing that flows from acting to concluding.

use crate::remote::answer::Answer;
use crate::remote::wire::CategoryInfo;
use crate::session::Standing;

/// What came of a decision.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Nothing was to be done.
    Nothing,
    /// A finalizer patch was taken.
    Patched {
        /// Whether the object has another version by that, which the watch is still to show.
        changed: bool,
    },
    /// A finalizer patch came too late, for a conflict in these words or since the object is gone: the watch will show
    /// what has changed.
    Contested(Option<String>),
    /// A finalizer patch was refused, in these words.
    Refused(String),
    /// The API server could not be asked, or did not decide.
    Failed(String),
    /// How the deletion ended could not be written down, so nothing follows from it yet.
    Unaudited(String),
    /// A permit was asked for.
    Seated(Standing),
    /// Another object was faster, or the guard has let others go; look again.
    Taken,
    /// The intent of this attempt, still to be written.
    Intended(String),
    /// The platform answered, or didn't in time.
    Answered(Answer),
    /// The platform told what it knows of the package, or why it doesn't.
    Shown(Result<Box<CategoryInfo>, Answer>),
    /// The permit was void: nothing was sent.
    NotSent,
}

impl Effect {
    /// The word of the variant, for the count of passes.
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
