//! `docs/messages.md` lists every message in the source, with its reasons and its file.

mod read;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use self::read::{Consts, Found, Kind, consts, messages};
use crate::page::assert_page;
use crate::{cell, read, root};

const MESSAGES: &str = "docs/messages.md";

/// The parts of the page: heading, introduction, and the files whose messages stand there.
const PARTS: [(&str, &str, &[&str]); 8] = [
    (
        "Conditions and events of a VersionPackage",
        "Messages of the conditions `Ready`, `Reconciling` and `Stalled`, of events, and parts of them.",
        &["package", "object", "object.rs"],
    ),
    (
        "Conditions and events of a Platform",
        "Messages of the conditions of a `Platform`, of its events, and parts of them. A message of a package may quote them.",
        &["platform"],
    ),
    (
        "The guard",
        "Words of `status.hold` and `status.guard` of a `Platform`, and of the holds of objects.",
        &["guard", "reservation.rs"],
    ),
    (
        "Calls to the platform",
        "What became of a call: the brackets in other messages hold these words.",
        &["remote", "session", "inventory", "inventory.rs"],
    ),
    (
        "The API server and the watches",
        "What the API server, a watch or a definition lacks: other messages quote these words.",
        &[
            "api",
            "api_server.rs",
            "follow",
            "follow.rs",
            "kube_error.rs",
            "raw.rs",
            "schemas.rs",
            "sight",
            "sight.rs",
            "writes.rs",
        ],
    ),
    (
        "The Lease and the process",
        "Messages of events of the Pod, and errors with which the program ends.",
        &[
            "leader",
            "operator",
            "operator.rs",
            "telemetry",
            "backoff.rs",
            "clock.rs",
            "lib.rs",
            "main.rs",
            "plain.rs",
        ],
    ),
    (
        "The command line and the admin port",
        "What `vpo` prints, besides its help and its tables.",
        &["commands", "admin", "admin.rs"],
    ),
    (
        "Log lines",
        "The text of each log line, with its level. The fields beside the text name the object, the Platform, the application and the error.",
        &[],
    ),
];

#[test]
fn the_page_of_messages_equals_the_source() {
    assert_page(MESSAGES, &page_of_messages(), "the source");
}

fn page_of_messages() -> String {
    let files = sources();
    let mut known = Consts::default();
    for (_, file) in &files {
        consts(file, &mut known);
    }
    let mut parts: Vec<Vec<(String, Found)>> = vec![Vec::new(); PARTS.len()];
    for (path, file) in &files {
        for found in messages(file, &known) {
            let part = match found.kind {
                Kind::Log => PARTS.len() - 1,
                Kind::Text => part_of(path),
            };
            parts[part].push((path.clone(), found));
        }
    }
    let mut page = String::from(
        "# Messages\n\n\
        This page lists every message of the operator. To find a message, search for a few words of it. A word in braces, \n\
        such as `{platform}`, stands for a name, a number or a time. A text that begins with a small letter, a comma or a\n\
        semicolon is a part of a longer message. Beside a text stand the reasons of the conditions and events that use it\n\
        at that place; [reasons](reasons.md) says what each one means and what to do. The page is made from the source\n\
        (`UPDATE_DOCS=1 cargo test --test docs`).\n",
    );
    for ((heading, introduction, _), found) in PARTS.iter().zip(parts) {
        let _ = write!(page, "\n## {heading}\n\n{introduction}\n");
        page.push_str(&tables(found));
    }
    page
}

/// A table for each file. A text that stands in several places of a file has one row.
fn tables(found: Vec<(String, Found)>) -> String {
    let mut files: Vec<(String, Vec<Found>)> = Vec::new();
    for (path, found) in found {
        match files.last_mut() {
            Some((last, all)) if *last == path => all.push(found),
            _ => files.push((path, vec![found])),
        }
    }
    let mut tables = String::new();
    for (path, all) in files {
        let _ = write!(
            tables,
            "\n[{path}](../src/{path})\n\n| message | {} |\n|---|---|\n",
            all[0].kind.beside()
        );
        for Found { text, beside, .. } in merged(all) {
            let text = cell(&text);
            let beside: Vec<_> = beside.iter().map(|one| format!("`{one}`")).collect();
            let _ = writeln!(tables, "| {} | {} |", text.trim(), beside.join(", "));
        }
    }
    tables
}

/// Each text once, with all that stands beside it. A constant is left out where another message of the file holds it.
fn merged(all: Vec<Found>) -> Vec<Found> {
    let mut merged: Vec<Found> = Vec::new();
    for found in all {
        match merged.iter_mut().find(|other| other.text == found.text) {
            Some(other) => {
                let more = found.beside.into_iter();
                let more = more.filter(|one| !other.beside.contains(one));
                let more: Vec<_> = more.collect();
                other.beside.extend(more);
            }
            None => merged.push(found),
        }
    }
    let texts: Vec<String> = merged.iter().map(|found| found.text.clone()).collect();
    let held = |found: &Found| {
        let within = |text: &String| text.len() > found.text.len() && text.contains(&found.text);
        found.is_const && texts.iter().any(within)
    };
    merged.retain(|found| !held(found));
    merged
}

/// The number of the part that a file belongs to.
fn part_of(path: &str) -> usize {
    let room = path.split('/').next().unwrap();
    let part = PARTS.iter().position(|(_, _, files)| files.contains(&room));
    part.unwrap_or_else(|| panic!("src/{path} belongs to no part of {MESSAGES}: name it in PARTS"))
}

/// The parsed files of `src` without tests and without the simulator, which only tests and `make demo` run.
fn sources() -> Vec<(String, syn::File)> {
    let mut paths = Vec::new();
    walk("", &mut paths);
    paths.sort();
    let parsed = paths.into_iter().map(|path| {
        let text = read(format!("src/{path}"));
        let file = syn::parse_file(&text).unwrap_or_else(|e| panic!("{path}: {e}"));
        (path, file)
    });
    parsed.collect()
}

fn walk(folder: &str, paths: &mut Vec<String>) {
    for entry in fs::read_dir(root().join("src").join(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = if folder.is_empty() {
            name.clone()
        } else {
            format!("{folder}/{name}")
        };
        let is_test = ["tests", "tests.rs", "fixtures.rs"].contains(&&*name);
        // The help texts of metrics are no messages.
        if is_test || ["simulator", "telemetry/metrics.rs"].contains(&&*path) {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            walk(&path, paths);
        } else if Path::new(&path).extension().is_some_and(|end| end == "rs") {
            paths.push(path);
        }
    }
}
