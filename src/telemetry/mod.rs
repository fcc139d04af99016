//! Logs, events, metrics and the audit log.

pub mod audit;
pub mod events;
mod lines;
pub mod logs;
pub mod metrics;
