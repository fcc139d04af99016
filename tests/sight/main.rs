//! The operator's view of the cluster, and its behaviour without a reliable one: odd objects, definitions that lose
//! fields, a restored store, failing watches.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

#[path = "../support/mod.rs"]
mod support;

mod failing;
mod lost;
mod odd;
mod restored;
