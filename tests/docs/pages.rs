//! The pages that people read, as Markdown: their headings, links and code.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// One page.
pub struct Page {
    /// Where it is, from the root of the repository.
    pub path: PathBuf,
    /// Its lines outside of blocks of code.
    pub lines: Vec<String>,
}

/// README, CONTRIBUTING, CHANGELOG, SECURITY, the chart's README and everything under `docs`.
pub fn all(root: &Path) -> Vec<Page> {
    let mut paths: Vec<PathBuf> = [
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "SECURITY.md",
        "charts/version-package-operator/README.md",
    ]
    .map(PathBuf::from)
    .to_vec();
    collect(root, Path::new("docs"), &mut paths);
    paths.into_iter().map(|path| page(root, path)).collect()
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root.join(folder)).unwrap() {
        let path = folder.join(entry.unwrap().file_name());
        if root.join(&path).is_dir() {
            collect(root, &path, found);
        } else if path.extension().is_some_and(|e| e == "md") {
            found.push(path);
        }
    }
}

fn page(root: &Path, path: PathBuf) -> Page {
    let text = fs::read_to_string(root.join(&path)).unwrap();
    Page {
        path,
        lines: prose(&text),
    }
}

/// The lines outside of fenced blocks.
fn prose(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            lines.push(line.to_owned());
        }
    }
    lines
}

impl Page {
    /// The anchors of its headings, as GitHub makes them.
    pub fn anchors(&self) -> Vec<String> {
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        let headings = self.lines.iter().filter(|line| line.starts_with('#'));
        headings
            .map(|line| {
                let anchor = slug(line.trim_start_matches('#').trim());
                let count = seen.entry(anchor.clone()).or_default();
                *count += 1;
                match *count {
                    1 => anchor,
                    again => format!("{anchor}-{}", again - 1),
                }
            })
            .collect()
    }

    /// The targets of its links.
    pub fn links(&self) -> Vec<&str> {
        let mut found = Vec::new();
        for line in &self.lines {
            for rest in line.split("](").skip(1) {
                found.extend(rest.split_once(')').map(|(target, _)| target));
            }
        }
        found
    }

    /// What stands between single backticks.
    pub fn code(&self) -> impl Iterator<Item = &str> {
        let lines = self.lines.iter();
        lines.flat_map(|line| line.split('`').skip(1).step_by(2))
    }
}

/// The anchor of a heading: small letters, digits, `-` and `_`, with `-` for each space.
fn slug(heading: &str) -> String {
    let kept = heading.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        _ if c.is_alphanumeric() => Some(c),
        _ => None,
    });
    kept.flat_map(char::to_lowercase).collect()
}

#[test]
fn anchors_are_made_as_github_makes_them() {
    let text = "# What `Queued` says\n```sh\n# no heading\n```\n## Held\n## Held\n## 2.5 Odd objects, and watches\n";
    let page = Page {
        path: PathBuf::new(),
        lines: prose(text),
    };
    let wanted = [
        "what-queued-says",
        "held",
        "held-1",
        "25-odd-objects-and-watches",
    ];
    assert_eq!(page.anchors(), wanted);
}
