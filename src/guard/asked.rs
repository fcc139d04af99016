//! The requests to the guard and its judgements.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use crate::api::names::ObjectKey;

/// A requested deletion. It is reported to the guard even if something else holds the deletion back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The key of the object.
    pub key: ObjectKey,
    /// The Platform that the object names.
    pub platform: ObjectKey,
    /// When the deletion was requested.
    pub at: Timestamp,
    /// The hold that the object's status names.
    pub hold: Option<Arc<str>>,
    /// When the last call for the deletion was answered, if that answer didn't end the deletion.
    pub answered: Option<Timestamp>,
}

/// The guard's judgement of one deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// The deletion is part of the hold with this id.
    Held(Arc<str>),
    /// The deletion may be sent.
    Free(OnRecord),
}

/// Whether a deletion that may be sent still has to be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRecord {
    /// The deletion was counted, or needn't be counted.
    Counted,
    /// The deletion has to be counted, and the reservation has room for it.
    Allowed,
    /// The deletion has to be counted, and the record with room for it still has to be written.
    Awaited,
    /// The deletion has to be counted, and the last attempt to write the record with room for it failed.
    Unrecorded,
}
