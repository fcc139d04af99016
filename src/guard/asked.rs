//! What the guard is asked, and what it says.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use crate::api::names::ObjectKey;

/// A deletion that is asked for, whatever else holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The object.
    pub key: ObjectKey,
    /// The Platform that it names.
    pub platform: ObjectKey,
    /// Since when.
    pub at: Timestamp,
    /// The hold that its status names.
    pub hold: Option<Arc<str>>,
    /// When the last call for it was answered without an end.
    pub answered: Option<Timestamp>,
}

/// What the guard says of one deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It is part of the hold of this id.
    Held(Arc<str>),
    /// It may go.
    Free(OnRecord),
}

/// Whether a deletion that may go still has to be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRecord {
    /// It was, or needn't be.
    Counted,
    /// It has to be, and there is room on record for it.
    Allowed,
    /// It has to be, and the record with room for it is still to be written.
    Awaited,
    /// It has to be, and the record with room for it could not be written the last time.
    Unrecorded,
}
