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
//! Rooms, and whom each may use: [`api`] nobody; [`remote`] only `api`; [`session`] only `remote` and
//! `api`; [`leader`] tells `session` until when it may send; `package` and `platform` meet through
//! `session` and the shared caches, and write to the API server through [`writes`]; [`simulator`] shares
//! the wire types of `remote` and nothing else.

pub mod admin;
pub mod api;
pub mod api_server;
pub mod clock;
pub mod commands;
pub mod follow;
pub mod leader;
pub mod operator;
pub mod package;
pub mod plain;
pub mod platform;
pub mod raw;
pub mod remote;
pub mod schemas;
pub mod session;
pub mod sight;
pub mod simulator;
pub mod telemetry;
pub mod watch_backoff;
pub mod writes;
