//! What an object asks its session for, and what it gets.

use k8s_openapi::jiff::Timestamp;

use crate::api::names::ObjectKey;

/// Whose calls go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Priority {
    /// Somebody waits for it: the object is being deleted.
    Deletion,
    /// Bulk retirement.
    Retirement,
}

impl Priority {
    /// A bounded word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deletion => "Deletion",
            Self::Retirement => "Retirement",
        }
    }
}

/// What an object wants its call for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// To look its package up, before it is decided whether it is deleted.
    LookUp,
    /// To look its package up, since the answer to its DELETE proved nothing.
    Confirm,
    /// To delete its package.
    Delete,
}

impl Purpose {
    /// A bounded word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LookUp => "LookUp",
            Self::Confirm => "Confirm",
            Self::Delete => "Delete",
        }
    }
}

/// An object that wants one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The uid of the object: one ticket or permit at a time.
    pub uid: String,
    /// The object to wake.
    pub key: ObjectKey,
    /// What the call is for; its place in the queue is the same for either.
    pub purpose: Purpose,
    /// Whose calls go first.
    pub priority: Priority,
    /// Since when the deletion is wanted: the order within a priority, until a call for it fails.
    pub requested_at: Timestamp,
}
