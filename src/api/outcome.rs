//! The outcome of a deletion.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The outcome of a deletion.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The platform deleted the package.
    Deleted,
    /// The platform answered that the package doesn't exist.
    AlreadyGone,
    /// The object was released and the package stayed, as its deletionPolicy says.
    Retained,
    /// The object was released and the package stayed, as another object claims it.
    HandedOver,
}

impl Outcome {
    /// All outcomes.
    pub const ALL: [Self; 4] = [
        Self::Deleted,
        Self::AlreadyGone,
        Self::Retained,
        Self::HandedOver,
    ];

    /// The value of `status.deletion.outcome`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deleted => "Deleted",
            Self::AlreadyGone => "AlreadyGone",
            Self::Retained => "Retained",
            Self::HandedOver => "HandedOver",
        }
    }
}
