//! The last words that a leader leaves in the Lease, beside its calls, when it stops in order.

use std::sync::{Arc, OnceLock};

/// The last words of the previous leader and of this process.
#[derive(Debug, Default)]
pub struct LastWords {
    /// The last words of the previous leader. They are set before this process leads.
    pub heard: Arc<OnceLock<String>>,
    /// The last words of this process. They are set before this process gives the Lease back.
    pub own: OnceLock<String>,
}
