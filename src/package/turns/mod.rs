//! Scheduling of passes: the work queue of object keys, and the runner that takes keys from it.

pub mod workqueue;
pub mod fair_line;
pub mod slow;
pub mod api_slots;
pub mod runner;
