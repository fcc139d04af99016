//! The pages and the manifests say what the code says: tables equal to the enums, samples in the types' own words, no dead link.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy.toml allows them in test functions, not in what those call"
)]

mod pages;
mod links;
mod tables;
mod messages;
mod manifests;
mod api;
mod cli;
mod needs;
mod threats;
#[path = "../support/page.rs"]
mod page;

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a file, from the root of the repository.
fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A text as it is written into a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
        .replace('<', "&lt;")
        .replace('\n', " ")
}
