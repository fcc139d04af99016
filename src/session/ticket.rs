//! An object's request for one call: ticket, purpose and priority.

use k8s_openapi::jiff::Timestamp;

use crate::api::names::ObjectKey;

/// The priority of a call; the call of an earlier variant is made first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Priority {
    /// The object is being deleted, and its deletion waits for the call.
    Deletion,
    /// The object is retired in bulk and stays in the cluster.
    Retirement,
}

impl Priority {
    /// Returns the name of the priority, one of a fixed set, for people and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deletion => "Deletion",
            Self::Retirement => "Retirement",
        }
    }
}

/// The purpose of an object's call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Looks the package up, before the decision whether it is deleted.
    LookUp,
    /// Looks the package up, because the answer to its DELETE proved nothing.
    Confirm,
    /// Deletes the package.
    Delete,
}

impl Purpose {
    /// Returns the name of the purpose, one of a fixed set, for people and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LookUp => "LookUp",
            Self::Confirm => "Confirm",
            Self::Delete => "Delete",
        }
    }
}

/// An object's request for one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The uid of the object, which has at most one ticket or permit at a time.
    pub uid: String,
    /// The key of the object to wake.
    pub key: ObjectKey,
    /// The purpose of the call; it has no effect on the place in the queue.
    pub purpose: Purpose,
    /// The priority of the call.
    pub priority: Priority,
    /// When the deletion was requested; this time orders tickets of the same priority, until a call for the object
    /// fails.
    pub requested_at: Timestamp,
}
