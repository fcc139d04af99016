//! The reasons why the present state of a Platform can't be confirmed.

use super::object::SpecFault;
use crate::api::names::ObjectKey;

/// The reason why a check before a call failed; its text is for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unconfirmed {
    /// No read showed the object in time.
    #[error("{what} can't be read: {why}")]
    Unreadable {
        /// The object that could not be read, or its definition.
        what: String,
        /// The API server's message, or that no answer came in time.
        why: String,
    },
    /// A Secret can't be read; the message leaves the cause out, so that nothing of the Secret's contents is told.
    #[error("Secret {0} can't be read")]
    Secret(ObjectKey),
    /// The request for a definition can't be made.
    #[error("{0}")]
    Request(String),
    /// A definition has another version than the one that was compared with this binary.
    #[error(
        "a CustomResourceDefinition has just been changed, and it is not known yet whether it has all fields"
    )]
    Uncompared,
    /// The watch shows another version of the Platform than the read.
    #[error("Platform {0} has just been changed, and the watch has not shown it yet")]
    NotShown(ObjectKey),
    /// The reads took longer than their results are valid.
    #[error(
        "the API server took too long to show Platform {0} and the namespace, so either of them may have changed since"
    )]
    Old(ObjectKey),
    /// The reads of the Platforms that other claimants name took longer than their results are valid.
    #[error(
        "other objects name the same fileId, and the API server took too long to show their Platforms, so these Platforms may have changed since"
    )]
    OldOthers,
    /// The spec of the Platform can't be used.
    #[error(transparent)]
    Spec(#[from] SpecFault),
}
