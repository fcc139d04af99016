//! How a deletion ends.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a deletion ended.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The platform deleted the package.
    Deleted,
    /// The platform said that it does not have the package.
    AlreadyGone,
    /// The object went and the package stayed, as its deletionPolicy says.
    Retained,
    /// The object went and the package stayed, since another object claims it.
    HandedOver,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [
        Self::Deleted,
        Self::AlreadyGone,
        Self::Retained,
        Self::HandedOver,
    ];

    /// The word as it stands in `status.deletion.outcome`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deleted => "Deleted",
            Self::AlreadyGone => "AlreadyGone",
            Self::Retained => "Retained",
            Self::HandedOver => "HandedOver",
        }
    }
}
