//! Stores figures between runs, so that single benches together make the same page as a whole run.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::figures::{Row, Told};
use crate::support::tool;

/// The stored result of one bench.
#[derive(Serialize, Deserialize)]
struct Kept {
    seconds: u64,
    rows: Vec<Row>,
}

/// The results of all benches that measured the current program.
pub struct Results {
    /// The rows, in the order of the benches.
    pub rows: Vec<Row>,
    /// The total time, and the benches without a current result.
    pub told: Told,
}

/// Stores the result of a bench.
pub fn keep(bench: &str, rows: &[Row], took: Duration) {
    let kept = Kept {
        seconds: took.as_secs(),
        rows: rows.to_vec(),
    };
    let text = serde_json::to_string_pretty(&kept).expect("rows are JSON");
    let file = place(bench);
    fs::create_dir_all(file.parent().expect("a folder")).expect("a folder can be made");
    fs::write(file, text).expect("results can be written");
}

/// Collects the stored results. A result older than the program belongs to another program.
pub fn collect(benches: impl Iterator<Item = &'static str>) -> Results {
    let mut results = Results {
        rows: Vec::new(),
        told: Told {
            took: Duration::ZERO,
            missing: Vec::new(),
        },
    };
    for bench in benches {
        match read(bench) {
            Some(kept) => {
                results.rows.extend(kept.rows);
                results.told.took += Duration::from_secs(kept.seconds);
            }
            None => results.told.missing.push(bench),
        }
    }
    results
}

fn read(bench: &str) -> Option<Kept> {
    let file = place(bench);
    let changed = |path: &PathBuf| fs::metadata(path).and_then(|about| about.modified()).ok();
    if changed(&file)? < changed(&tool::vpo())? {
        return None;
    }
    serde_json::from_str(&fs::read_to_string(file).ok()?).ok()
}

fn place(bench: &str) -> PathBuf {
    tool::root()
        .join("target/bench/each")
        .join(format!("{bench}.json"))
}
