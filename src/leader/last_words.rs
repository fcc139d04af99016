//! What a leader that stops in order leaves to the next one beside its calls.

use std::sync::{Arc, OnceLock};

/// What was left to this process, and what it leaves itself.
#[derive(Debug, Default)]
pub struct LastWords {
    /// Those of the leader before, known before this process leads.
    pub heard: Arc<OnceLock<String>>,
    /// Those of this one, set before it gives the Lease back.
    pub own: OnceLock<String>,
}
