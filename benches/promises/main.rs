//! Measures the promised figures on the shipped program: `make bench`.
//!
//! Each bench is a file with a `run` that returns rows; words on the command line select benches by name. `QUICK=1`
//! skips the benches that take minutes. All rows are printed and written to `target/bench/results.json`, and to
//! `docs/benchmarks.md` once every bench has measured the current program.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench that can't go on has failed"
)]

mod bare_loop;
mod ceiling;
mod crash_loop;
mod drain;
mod figures;
mod first_call;
mod idle;
mod large_fleet;
mod machine;
mod many;
mod neighbour;
mod pruned;
mod results;
mod shared;
mod stage;
mod start;
mod storm;
#[path = "../../tests/support/mod.rs"]
mod support;
mod twin;

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use figures::Row;
use futures::FutureExt;
use pruned::Cores;

/// All benches in the order of the table, and whether each is part of a quick run.
const BENCHES: [(&str, bool); 18] = [
    ("program", true),
    ("drain-100", true),
    ("drain-500", true),
    ("drain-1000", false),
    ("drain-real-time", false),
    ("window-sliding", false),
    ("window-sliding-all-count", false),
    ("window-fixed", false),
    ("window-bucket", false),
    ("shared", true),
    ("many", true),
    ("pruned", true),
    ("pruned-shared-cores", false),
    ("large-fleet", true),
    ("idle-50000", false),
    ("ceiling", true),
    ("first-call", true),
    ("crash-loop", false),
];

#[tokio::main]
async fn main() {
    // cargo adds flags such as --bench.
    let chosen: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let all_names = BENCHES.map(|(bench, _)| bench);
    if let Some(word) = chosen
        .iter()
        .find(|word| !all_names.contains(&word.as_str()))
    {
        eprintln!(
            "there is no bench {word:?}; choose among {}",
            all_names.join(", ")
        );
        std::process::exit(2);
    }
    let quick = std::env::var("QUICK").is_ok_and(|value| !value.is_empty() && value != "0");
    let mut rows = Vec::new();
    for (bench, short) in BENCHES {
        let named = chosen.is_empty() || chosen.iter().any(|word| word == bench);
        if named && (short || !quick || !chosen.is_empty()) {
            eprintln!("bench: {bench} ...");
            let begun = Instant::now();
            // A bench that breaks off has missed its targets, and doesn't affect the others.
            let ended = AssertUnwindSafe(run(bench, quick)).catch_unwind().await;
            let found = ended.unwrap_or_else(|_| figures::broken_off(bench));
            if !quick {
                results::keep(bench, &found, begun.elapsed());
            }
            rows.extend(found);
        }
    }
    if quick {
        return figures::report(&rows, None);
    }
    let all = results::collect(all_names.into_iter());
    // Missed targets and benches that didn't run are reported on the page, so they don't fail the run.
    figures::report(&all.rows, Some(&all.told));
}

async fn run(bench: &'static str, quick: bool) -> Vec<Row> {
    match bench {
        "program" => vec![machine::program_size(bench)],
        "drain-100" => drain::run(bench, &drain::FEW).await,
        "drain-500" => drain::run(bench, &drain::SOME).await,
        "drain-1000" => drain::run(bench, &drain::MANY).await,
        "drain-real-time" => drain::run(bench, &drain::REAL_TIME).await,
        "window-sliding" => drain::run(bench, &drain::LOG).await,
        "window-sliding-all-count" => drain::run(bench, &drain::LOG_OF_ALL).await,
        "window-fixed" => drain::run(bench, &drain::FIXED).await,
        "window-bucket" => drain::run(bench, &drain::BUCKET).await,
        "shared" => shared::run(quick).await,
        "many" => many::run(bench, quick).await,
        "pruned" => pruned::run(bench, quick, Cores::Apart).await,
        "pruned-shared-cores" => pruned::run(bench, quick, Cores::Shared).await,
        "large-fleet" => large_fleet::run(quick).await,
        "ceiling" => ceiling::run(bench, quick).await,
        "idle-50000" => idle::alone(bench, &idle::HUGE).await,
        "first-call" => first_call::run(bench, quick).await,
        "crash-loop" => crash_loop::run(bench).await,
        unknown => panic!("there is no bench {unknown}"),
    }
}
