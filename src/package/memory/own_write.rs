//! State of the last write of this process to an object.

use tokio::time::Instant;

use crate::api::reason::Phase;

/// The part of an object that a write changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The finalizers.
    Finalizers,
    /// The status.
    Status,
    /// Only the conditions of the status. They tell that the whole status can't be written.
    Complaint,
    /// A status with another phase than the refused status. A successful write of this status doesn't end the refusal.
    Beside,
}

impl Part {
    /// Name of the part, for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Finalizers => "finalizers",
            Self::Status | Self::Beside => "status",
            Self::Complaint => "conditions",
        }
    }
}

/// Whether the watch has delivered the echo of the last own write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Echo {
    /// The echo was delivered, or there was no write.
    Seen,
    /// The echo is missing. The value is the time of the write.
    Pending(Instant),
    /// The write met a conflict, and the watch has shown no other version yet.
    Contested(Conflict),
}

/// A write that the API server answered with a conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The part that the write would have changed.
    pub part: Part,
    /// Error message of the API server.
    pub words: String,
    /// When the API server answered.
    pub at: Instant,
    /// Phase in the status that was to be written; `None` for finalizers.
    pub phase: Option<Phase>,
}

/// A write that the API server or an admission policy refuses, or that fails again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedWrite {
    /// Error message of the refusal.
    pub words: String,
    /// Number of consecutive refusals or failures.
    pub count: u32,
    /// End of the backoff: the write is tried again then.
    pub until: Instant,
    /// `true` for a refusal by rule, `false` for a failure without a decision, such as a timeout.
    pub denied: bool,
    /// Phase in the status that was to be written; `None` for finalizers.
    pub phase: Option<Phase>,
}

/// Number of consecutive failed writes after which the failure is reported. A restart of the API server is over before
/// so many writes have failed.
pub const FAILURES_BORNE: u32 = 5;

impl RefusedWrite {
    /// Whether the problem has to be reported to a person: a refusal at once, a failure after [`FAILURES_BORNE`] tries.
    pub fn lasts(&self) -> bool {
        self.denied || self.count >= FAILURES_BORNE
    }
}
