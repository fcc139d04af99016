//! The VersionPackage operator: it deletes version packages from an OceanConnect platform when
//! their objects are deleted or retired, once, at the platform's pace, and only when it was meant.
//!
//! ```text
//! watch -> observe -> decide (pure) -> act (one effect) -> conclude (pure) -> report -> next wake-up
//! ```
//!
//! [`operator`] wires the rooms, on ports that are handed in: the API server, the platforms ([`remote::exchange`]), the wall
//! clock ([`clock`]) and the audit log.
//!
//! The rooms below stand in reading order. Who uses whom is in `docs/architecture.md`, and tested.

pub mod plain;
pub mod clock;
pub mod reservation;
pub mod kube_error;
pub mod raw;
pub mod backoff;
pub mod api;
pub mod remote;
pub mod sight;
pub mod follow;
pub mod writes;
pub mod session;
pub mod telemetry;
pub mod schemas;
pub mod guard;
pub mod object;
pub mod platform;
pub mod inventory;
pub mod package;
pub mod leader;
pub mod admin;
pub mod operator;
pub mod api_server;
pub mod simulator;
pub mod commands;
