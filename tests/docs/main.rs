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

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a file, from the root of the repository.
fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Fails where the text of a page differs from `wanted`, which was made from `source`. With `UPDATE_DOCS` in the
/// environment it writes the page instead.
fn assert_page(path: &str, wanted: &str, source: &str) {
    let page = std::fs::read_to_string(root().join(path)).unwrap_or_default();
    if page == wanted {
        return;
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(root().join(path), wanted).unwrap();
        return;
    }
    let differs = page.lines().zip(wanted.lines()).find(|(a, b)| a != b);
    let line = differs.map_or("its length", |(_, wanted)| wanted);
    panic!(
        "{path} differs from {source}, first in: {line}\nrun UPDATE_DOCS=1 cargo test --test docs"
    );
}

/// `page` with the lines between the markers of `name` replaced by `block`. `path` is for the message of the panic.
fn with_block(path: &str, page: &str, name: &str, block: &str) -> String {
    let (begin, end) = (
        format!("<!-- {name}:begin -->\n"),
        format!("<!-- {name}:end -->"),
    );
    let (before, rest) = page
        .split_once(&begin)
        .unwrap_or_else(|| panic!("{path} has no line {begin}"));
    let (_, after) = rest
        .split_once(&end)
        .unwrap_or_else(|| panic!("{path} has no line {end}"));
    format!("{before}{begin}{block}{end}{after}")
}

/// A text as it is written into a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
        .replace('<', "&lt;")
        .replace('\n', " ")
}
