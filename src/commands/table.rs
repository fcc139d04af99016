//! How reports that a person reads are laid out.

use std::fmt::{self, Write as _};

/// Writes rows of cells, each column as wide as its widest cell.
pub(super) fn write_columns<const N: usize>(
    text: &mut String,
    head: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> fmt::Result {
    let rows: Vec<_> = std::iter::once(head.map(str::to_owned))
        .chain(rows)
        .collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in &rows {
        let mut line = " ".to_owned();
        for (cell, width) in row.iter().zip(widths) {
            write!(line, " {cell:width$} ")?;
        }
        writeln!(text, "{}", line.trim_end())?;
    }
    Ok(())
}

/// What is said of applications that nothing is told of.
pub(super) fn write_unusable(text: &mut String, platforms: &[String]) -> fmt::Result {
    if platforms.is_empty() {
        return Ok(());
    }
    let names = platforms.join(", ");
    writeln!(
        text,
        "\nNo call can be made for {names}: `kubectl get platform -A` says why."
    )
}
