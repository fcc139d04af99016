//! Figures kept from one run to the next, so that benches run one by one make the same page as a whole run.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::figures::{Row, Told};
use crate::support::tool;

/// What one bench found.
#[derive(Serialize, Deserialize)]
struct Kept {
    seconds: u64,
    rows: Vec<Row>,
}

/// What all benches found that measured the present program.
pub struct Results {
    /// Their rows, in the order of the benches.
    pub rows: Vec<Row>,
    /// How long they took together, and which did not measure it yet.
    pub told: Told,
}

/// Keeps what a bench found.
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

/// Collects what is kept. What is older than the program measured another one.
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
