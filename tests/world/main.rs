//! The whole operator in one process and in simulated time: an API server in memory, a platform without sockets, and
//! any number of operators that use both through their ports. A seed always gives the same history.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod api_server;
mod around;
mod at_once;
mod audit;
mod chance;
mod determinism;
mod every_fault;
mod faults;
mod history;
mod hunt;
mod judge;
mod keep;
mod life;
mod main_job;
mod objects;
mod people;
mod platform;
mod process;
mod random;
mod record;
mod scenes;
mod shrink;
mod soak;
mod stage;
mod story;
mod trace;
mod wishes;
mod world;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
