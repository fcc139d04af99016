//! Pages that are made from the code: they are equal to it, or written anew.

use std::path::{Path, PathBuf};

/// The path of a page that is named from the root of the repository.
fn path_of(page: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(page)
}

/// Fails where the text of a page differs from `wanted`, which was made from `source`. With `UPDATE_DOCS` in the
/// environment it writes the page instead.
pub fn assert_page(path: &str, wanted: &str, source: &str) {
    let page = std::fs::read_to_string(path_of(path)).unwrap_or_default();
    if page == wanted {
        return;
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path_of(path), wanted).unwrap();
        return;
    }
    let differs = page.lines().zip(wanted.lines()).find(|(a, b)| a != b);
    let line = differs.map_or("its length", |(_, wanted)| wanted);
    let test = env!("CARGO_CRATE_NAME");
    panic!(
        "{path} differs from {source}, first in: {line}\nrun UPDATE_DOCS=1 cargo test --test {test}"
    );
}

/// `page` with the lines between the markers of `name` replaced by `block`. `path` is for the message of the panic.
pub fn with_block(path: &str, page: &str, name: &str, block: &str) -> String {
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
