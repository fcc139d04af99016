//! Starts the real control plane, the operator and the simulator as separate processes, and waits for conditions. All
//! processes started here end with the test process, however it ends.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test binary uses its own part of this module"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod api_proxy;
mod audit;
mod drain;
mod fleet;
mod follow;
mod gitops;
mod history;
mod operator;
pub mod own;
pub mod pace;
mod plane;
mod process;
mod rig;
mod simulator;
pub mod tool;
mod turn;
mod wait;
pub mod webhook;

pub use api_proxy::ApiProxy;
pub use audit::AuditEvent;
pub use drain::{Drain, Pace};
pub use fleet::Fleet;
pub use gitops::{
    Flux, Health, Revision, argo_action, argo_actions, argo_health, flux_health, kstatus,
};
pub use history::History;
pub use operator::{Operator, SHORT_LEASE, SHORT_LEASE_FLAGS};
pub use plane::{Plane, Said, install_crypto};
pub use process::Process;
pub use rig::{Layout, OPERATOR, Rig, SOON, ready, shared, shared_operator, start_operator};
pub use simulator::{Simulator, SimulatorOptions};
pub use turn::alone;
pub use wait::wait_for;
