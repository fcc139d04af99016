//! The text layout of reports.

use std::fmt::{self, Write as _};

use jiff::Timestamp;

use crate::admin::desk::DeskReport;

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

/// Formats a report: calls `write` for each application in turn.
pub(super) fn by_application<Application>(
    report: &DeskReport<Application>,
    write: impl Fn(&mut String, &Application, Timestamp) -> fmt::Result,
) -> String {
    let mut text = String::new();
    for application in &report.applications {
        if !text.is_empty() {
            text.push('\n');
        }
        // Writing into a String can't fail.
        let _ = write(&mut text, application, report.time);
    }
    if report.applications.is_empty() {
        text.push_str("There is no Platform for which calls can be made.\n");
    }
    if !report.unusable_platforms.is_empty() {
        let names = report.unusable_platforms.join(", ");
        let _ = writeln!(
            text,
            "\nNo call can be made for {names}: `kubectl get platform -A` says why."
        );
    }
    text
}
