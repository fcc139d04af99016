//! What this operator sees of the cluster, and what it does while it doesn't: odd objects, definitions that lose fields, a
//! store that was restored, watches that fail.

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
