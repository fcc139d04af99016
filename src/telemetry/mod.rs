//! Logs, metrics and the audit trail.

pub mod audit;
pub mod events;
mod lines;
pub mod logs;
pub mod metrics;
