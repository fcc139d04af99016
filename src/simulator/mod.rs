//! A faithful stand-in of the platform. The vendor's own clients are the measure: the simulator gives no answer that
//! these clients fail on.
//!
//! ```text
//! TLS -> request -> route -> proxy faults -> gateway (quota, token) -> service -> answer -> ledger
//! ```
//!
//! Everything between the sockets is pure and lives in one [`world::World`]: time and chance are arguments. Each
//! question that the documentation of the platform leaves open is a switch or is named in `docs/simulator.md`.

pub mod admin;
pub mod answer;
pub mod application;
pub mod faults;
pub mod gateway;
pub mod ledger;
pub mod out_of_range;
pub mod packages;
pub mod quota;
pub mod refusals;
pub mod route;
pub mod server;
pub mod service;
pub mod settings;
pub mod shared;
pub mod storage;
pub mod tasks;
pub mod tls;
pub mod world;
