//! Logs, metrics and the audit trail.

pub mod audit;
pub mod events;
pub mod logs;
pub mod metrics;
