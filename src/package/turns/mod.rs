//! Whose turn it is to be looked at: the work queue of object keys, and the passes that take from it.

pub mod workqueue;
pub mod fair_line;
pub mod slow;
pub mod api_slots;
pub mod runner;
