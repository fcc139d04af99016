//! The Helm chart installs what the manifests install, its values change what they name, and no value, upgrade or removal deletes
//! a definition.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

#[path = "../support/mod.rs"]
mod support;

mod helm;
mod equal;
mod schema;
mod values;
mod pages;
#[path = "../support/page.rs"]
mod page;
mod lifecycle;
