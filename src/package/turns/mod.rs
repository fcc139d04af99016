//! Whose turn it is to be looked at: the work queue of object keys, and the passes that take from it.

pub mod workqueue;
pub mod line;
pub mod slow;
pub mod slot;
pub mod passes;
