//! Why it isn't known what a Platform is now.

use super::object::SpecFault;
use crate::api::names::ObjectKey;

/// What is in the way of a look before a call; the text is for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unconfirmed {
    /// No answer shows an object, or not in time.
    #[error("{what} can't be read: {why}")]
    Unreadable {
        /// The object, or its definition.
        what: String,
        /// What the API server said, or that it said nothing.
        why: String,
    },
    /// The same of a Secret: what is wrong with its contents is told to nobody.
    #[error("Secret {0} can't be read")]
    Secret(ObjectKey),
    /// A definition can't be asked for.
    #[error("{0}")]
    Request(String),
    /// A definition is another one than the one that was compared with this binary.
    #[error(
        "a CustomResourceDefinition has just been changed, and it is not known yet whether it has all fields"
    )]
    Uncompared,
    /// The watch shows another Platform.
    #[error("Platform {0} has just been changed, and the watch has not shown it yet")]
    NotShown(ObjectKey),
    /// The reads took so long that they prove nothing any more.
    #[error(
        "the API server took so long to show Platform {0} and the namespace that either may have changed since"
    )]
    Old(ObjectKey),
    /// The Platform says nothing that can be used.
    #[error(transparent)]
    Spec(#[from] SpecFault),
}
