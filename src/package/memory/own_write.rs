//! What becomes of a write of this process to an object.

use tokio::time::Instant;

use crate::api::reason::Phase;

/// Which part of an object a write is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Its finalizers.
    Finalizers,
    /// Its status.
    Status,
    /// The conditions of a status that is refused otherwise: they say that it is.
    Complaint,
    /// A status of another phase than the one that is refused.
    Beside,
}

impl Part {
    /// The word of it, for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Finalizers => "finalizers",
            Self::Status | Self::Beside => "status",
            Self::Complaint => "conditions",
        }
    }
}

/// Whether the last own write is back through the watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Echo {
    /// It is, or there was none.
    Seen,
    /// It isn't; written at this time.
    Pending(Instant),
    /// It met a conflict, and no other version is shown yet.
    Contested(Conflict),
}

/// A write that the API server answered with a conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// What it was for.
    pub part: Part,
    /// In the words of the API server.
    pub words: String,
    /// When it was answered.
    pub at: Instant,
    /// The phase that a status would have told.
    pub phase: Option<Phase>,
}

/// A write that the API server, or an admission policy, refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedWrite {
    /// In the words of whoever refuses it.
    pub words: String,
    /// How often it was refused in a row.
    pub count: u32,
    /// When it is tried again.
    pub until: Instant,
    /// Whether somebody decided so; or it only fails.
    pub denied: bool,
    /// The phase that a status would have told.
    pub phase: Option<Phase>,
}

/// So many writes in a row that fail are told: an API server that starts anew is back by then.
pub const FAILURES_BORNE: u32 = 5;

impl RefusedWrite {
    /// Whether a person has to hear of it.
    pub fn lasts(&self) -> bool {
        self.denied || self.count >= FAILURES_BORNE
    }
}
