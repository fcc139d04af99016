//! `docs/cli.md` has the help text of `vpo` and of each of its commands.

use std::fmt::Write as _;
use std::process::Command;

use crate::page::assert_page;

const CLI: &str = "docs/cli.md";

/// The help text that `vpo` prints for a command, with a width and defaults that the environment of the test doesn't
/// change.
pub fn help(command: &[&str]) -> String {
    let mut vpo = Command::new(env!("CARGO_BIN_EXE_vpo"));
    let said = vpo
        .args(command)
        .arg("--help")
        .env_clear()
        .output()
        .unwrap();
    assert!(said.status.success(), "vpo {command:?} --help");
    String::from_utf8(said.stdout).unwrap()
}

/// The names of the commands in a help text, without `help` itself.
pub fn commands(help: &str) -> Vec<&str> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    // The description of a command may continue on a line that is indented further.
    let rows = lines
        .filter_map(|line| line.strip_prefix("  "))
        .filter(|line| !line.starts_with(' '));
    let names = rows.filter_map(|row| row.split_whitespace().next());
    names.filter(|name| *name != "help").collect()
}

/// Appends the help of `command` and of all commands below it.
fn append(command: &[&str], page: &mut String) {
    let help = help(command);
    let lines: Vec<_> = help.lines().map(str::trim_end).collect();
    let name = [&["vpo"], command].concat().join(" ");
    let _ = write!(
        page,
        "\n## {name}\n\n```text\n{}\n```\n",
        lines.join("\n").trim()
    );
    for below in commands(&help) {
        append(&[command, &[below]].concat(), page);
    }
}

#[test]
fn the_reference_of_the_commands_equals_their_help() {
    let mut page = String::from(
        "# The commands of `vpo`\n\n\
        This page has the help text of each command of `vpo`, the operator's program. [Install](install.md#the-program-vpo) says\n\
        how to get it. A flag with `[env: NAME=]` can also be set by the environment variable `NAME`; an empty variable counts as\n\
        unset. A command ends with code 0 if it succeeds, with 1 if it fails and with 2 if its arguments are wrong; the error goes\n\
        to standard error. The page is made from the program (`UPDATE_DOCS=1 cargo test --test docs`).\n",
    );
    append(&[], &mut page);
    for command in ["vpo run", "vpo hold release"] {
        assert!(page.contains(&format!("\n## {command}\n")), "no {command}");
    }
    assert_page(CLI, &page, "the help of vpo");
}
