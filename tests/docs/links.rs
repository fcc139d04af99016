//! Nothing that the pages point to is missing: files, anchors, words.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::pages::{self, Page};
use crate::root;

/// The folders whose files are named in the pages by their paths from the root.
const FOLDERS: [&str; 8] = [
    "benches/",
    "charts/",
    "crds/",
    "demo/",
    "docs/",
    "manifests/",
    "src/",
    "tests/",
];

/// `target` as seen from `page`, from the root; `None` for what is elsewhere.
fn file_of(page: &Page, target: &str) -> Option<PathBuf> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    if target.is_empty() {
        return Some(page.path.clone());
    }
    let mut path = page.path.parent().unwrap_or(Path::new("")).to_owned();
    for part in Path::new(target).components() {
        match part {
            Component::ParentDir => assert!(path.pop(), "{target} leads out of the repository"),
            Component::CurDir => {}
            part => path.push(part),
        }
    }
    Some(path)
}

/// What is wrong with each link of `pages` that leads nowhere.
fn dead_links(pages: &[Page]) -> Vec<String> {
    let anchors: BTreeMap<_, _> = pages
        .iter()
        .map(|page| (&page.path, page.anchors()))
        .collect();
    let mut dead = Vec::new();
    for page in pages {
        for link in page.links() {
            let (target, anchor) = link.split_once('#').unwrap_or((link, ""));
            let Some(path) = file_of(page, target) else {
                continue;
            };
            let known = anchors.get(&path);
            if !root().join(&path).exists() {
                dead.push(format!("{}: no file {link}", page.path.display()));
            } else if !anchor.is_empty()
                && !known.is_some_and(|all| all.iter().any(|a| a == anchor))
            {
                dead.push(format!("{}: no anchor {link}", page.path.display()));
            }
        }
    }
    dead
}

#[test]
fn no_link_is_dead() {
    let pages = pages::all(&root());
    assert!(pages.len() > 10);
    let links: usize = pages.iter().map(|page| page.links().len()).sum();
    assert!(links > 100, "{links}");
    assert_eq!(dead_links(&pages), Vec::<String>::new());
}

#[test]
fn a_dead_link_is_found() {
    let page = |text: &str| Page {
        path: PathBuf::from("docs/testing.md"),
        lines: text.lines().map(str::to_owned).collect(),
    };
    let good =
        "# One two\n[a](#one-two) [b](../README.md) [c](https://example.com/x#y) [d](argocd)\n";
    assert_eq!(dead_links(&[page(good)]), Vec::<String>::new());
    for bad in [
        "[a](#two)",
        "[b](README.md)",
        "[c](../README.md#no-such-heading)",
    ] {
        assert_eq!(dead_links(&[page(bad)]).len(), 1, "{bad}");
    }
}

#[test]
fn every_path_that_a_page_names_exists() {
    for page in pages::all(&root()) {
        let paths = page.code().filter(|code| {
            let is_path = FOLDERS.iter().any(|folder| code.starts_with(folder));
            is_path && !code.contains([' ', '*']) && !code.contains("NAME")
        });
        for path in paths {
            assert!(
                root().join(path).exists(),
                "{}: no file {path}",
                page.path.display()
            );
        }
    }
}

/// A row of the glossary: the word, and the file that defines it, from the root.
fn words() -> Vec<(String, PathBuf)> {
    let pages = pages::all(&root());
    let mut glossaries = pages
        .iter()
        .filter(|page| page.path.ends_with("glossary.md"));
    let glossary = glossaries.next().unwrap();
    let rows = glossary
        .lines
        .iter()
        .filter(|line| line.starts_with("| **"));
    rows.map(|row| {
        let word = row.split("**").nth(1).unwrap();
        let link = row.rsplit("](").next().unwrap();
        let (target, _) = link.split_once(')').unwrap();
        (word.to_owned(), file_of(glossary, target).unwrap())
    })
    .collect()
}

#[test]
fn each_word_of_the_glossary_stands_in_the_file_that_defines_it() {
    let words = words();
    assert!((30..=42).contains(&words.len()), "{}", words.len());
    for (word, file) in &words {
        let text = fs::read_to_string(root().join(file)).unwrap_or_default();
        assert!(
            text.to_lowercase().contains(&word.to_lowercase()),
            "{word} isn't in {}",
            file.display()
        );
    }
    assert!(words.is_sorted_by_key(|(word, _)| word.to_lowercase()));
}
