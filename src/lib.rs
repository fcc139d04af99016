//! The VersionPackage operator: when a `VersionPackage` is deleted or retired, it deletes the package from an
//! OceanConnect platform, once, within the platform's quota, and only after checks that the deletion is meant.
//!
//! ```text
//! watch -> observe -> decide (pure) -> act (one effect) -> conclude (pure) -> report -> next wake-up
//! ```
//!
//! [`operator`] wires the modules together. Its ports are parameters: the API server, the platforms
//! ([`remote::exchange`]), the wall clock ([`clock`]) and the audit log.
//!
//! The modules stand in reading order. `docs/architecture.md` lists which module uses which, and a test compares the
//! list with the source.

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
