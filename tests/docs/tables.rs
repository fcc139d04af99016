//! Tables and words of the pages against the enums, flags and commands of the code.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use version_package_operator::api::platform::PlatformReason;
use version_package_operator::api::reason::{Phase, Progress, Reason};

use crate::cli::{commands, help};
use crate::page::{assert_page, with_block};
use crate::{pages, read, root};

const REASONS: &str = "docs/reasons.md";
const OPERATIONS: &str = "docs/operations.md";

fn conditions(progress: Progress) -> &'static str {
    match progress {
        Progress::Done => "`Ready=True`",
        Progress::Reconciling => "`Ready=False`, `Reconciling=True`",
        Progress::Stalled => "`Ready=False`, `Stalled=True`",
    }
}

fn package_reasons() -> String {
    let mut table =
        "| Phase | Reason | What it means | What to do |\n|---|---|---|---|\n".to_owned();
    for phase in Phase::ALL {
        for reason in Reason::ALL.iter().filter(|r| r.phase() == phase) {
            let (meaning, todo) = (reason.meaning(), reason.what_to_do());
            writeln!(
                table,
                "| {phase} | `{}` | {meaning} | {todo} |",
                reason.as_str()
            )
            .unwrap();
        }
    }
    table
}

fn platform_reasons() -> String {
    let mut table =
        "| Reason | Conditions | What it means | What to do |\n|---|---|---|---|\n".to_owned();
    for reason in PlatformReason::ALL {
        let (meaning, todo) = (reason.meaning(), reason.what_to_do());
        let conditions = conditions(reason.progress());
        writeln!(
            table,
            "| `{}` | {conditions} | {meaning} | {todo} |",
            reason.as_str()
        )
        .unwrap();
    }
    table
}

#[test]
fn the_tables_of_reasons_are_those_of_the_enums() {
    let page = read(REASONS);
    let wanted = with_block(REASONS, &page, "reasons", &package_reasons());
    let wanted = with_block(REASONS, &wanted, "platform-reasons", &platform_reasons());
    assert_page(REASONS, &wanted, "src/api");
}

#[test]
fn the_readme_has_a_row_for_each_phase_with_its_conditions() {
    let readme = read("README.md");
    for phase in Phase::ALL {
        let row = format!("| {phase} | {} |", conditions(phase.progress()));
        assert!(
            readme.contains(&row),
            "README.md has no row beginning with {row}"
        );
    }
}

#[test]
fn the_operations_guide_speaks_of_every_reason_that_waits_for_a_person() {
    let guide = read(OPERATIONS);
    let packages = Reason::ALL
        .iter()
        .filter(|r| r.phase().progress() == Progress::Stalled)
        .map(|r| r.as_str());
    let platforms = PlatformReason::ALL
        .iter()
        .filter(|r| r.progress() == Progress::Stalled)
        .map(|r| r.as_str());
    for reason in packages.chain(platforms) {
        assert!(
            guide.contains(&format!("`{reason}`")),
            "{OPERATIONS} doesn't mention {reason}"
        );
    }
}

/// The flags in the first column of the tables of a page.
fn flags_in(page: &str) -> BTreeSet<String> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `--"));
    let cells = rows.filter_map(|row| row.split_once(" |"));
    let flags = cells.flat_map(|(cell, _)| cell.split("`, `--"));
    flags
        .map(|flag| format!("--{}", flag.trim_end_matches('`')))
        .collect()
}

#[test]
fn the_table_of_settings_has_each_flag_of_vpo_run() {
    let help = help(&["run"]);
    let flags = help
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("--"))
        .map(|line| format!("--{}", line.split([' ', '=']).next().unwrap_or_default()));
    let flags: BTreeSet<String> = flags.collect();
    assert!(flags.len() > 5, "{flags:?}");
    assert_eq!(flags_in(&read("docs/install.md")), flags);
}

#[test]
fn each_command_of_vpo_is_spoken_of_in_a_page() {
    let help = help(&[]);
    let commands = commands(&help);
    assert!(commands.contains(&"hold"), "{commands:?}");
    let pages = pages::all(&root());
    for command in commands {
        let named = format!("vpo {command}");
        let told = pages.iter().any(|page| read(&page.path).contains(&named));
        assert!(told, "no page speaks of {named}");
    }
}
