//! `docs/threat-model.md` names tests that exist, in the files that it names.

use std::path::Path;

use crate::read;

const THREATS: &str = "docs/threat-model.md";
/// What stands in the last cell of a row that no test shows.
const NO_TEST: &str = "no test";

/// The links of a line to tests, as name and file from the root: ``[`name`](../tests/file.rs)``.
fn tests_in(line: &str) -> Vec<(String, String)> {
    let links = line.split("[`").skip(1);
    let links = links.filter_map(|rest| {
        let (name, rest) = rest.split_once("`](../")?;
        let (file, _) = rest.split_once(')')?;
        let is_code = Path::new(file).extension().is_some_and(|end| end == "rs");
        is_code.then(|| (name.to_owned(), file.to_owned()))
    });
    links.collect()
}

/// Whether a source text has a test function of this name.
fn has_test(source: &str, name: &str) -> bool {
    let mut lines = source.lines().map(str::trim);
    let function = format!("fn {name}(");
    while let Some(line) = lines.next() {
        let is_test = line == "#[test]" || line.starts_with("#[tokio::test");
        // Other attributes may stand between the two.
        if is_test
            && lines
                .find(|line| line.contains("fn "))
                .is_some_and(|line| line.contains(&function))
        {
            return true;
        }
    }
    false
}

#[test]
fn each_test_that_the_threat_model_names_is_a_test_of_that_file() {
    let page = read(THREATS);
    let named: Vec<_> = page.lines().flat_map(tests_in).collect();
    assert!(named.len() > 30, "{}", named.len());
    let missing = named
        .iter()
        .filter(|(name, file)| !has_test(&read(file), name));
    let missing: Vec<_> = missing.collect();
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
}

#[test]
fn each_row_of_the_threat_model_names_a_test_or_says_that_there_is_none() {
    let page = read(THREATS);
    let mut rows = 0;
    let mut within = false;
    for line in page.lines() {
        if !line.starts_with('|') {
            within = false;
        } else if line.ends_with("| shown by |") {
            within = true;
        } else if within && !line.starts_with("|---") {
            rows += 1;
            let last = line.trim_end_matches(" |").rsplit(" | ").next().unwrap();
            let shown = !tests_in(last).is_empty() || last.starts_with(NO_TEST);
            assert!(shown, "{THREATS} names no test in the row: {line}");
        }
    }
    assert!(rows > 20, "{rows}");
}

#[test]
fn a_function_that_is_no_test_is_not_taken_for_one() {
    let source = "#[tokio::test(start_paused = true)]\n#[ignore]\nasync fn one() {}\n\nfn two() {}\n#[test]\nfn three() {}\n";
    assert!(has_test(source, "one") && has_test(source, "three"));
    assert!(!has_test(source, "two") && !has_test(source, "on"));
}
