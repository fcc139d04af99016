//! The figures of a bench, and their report.

use std::borrow::Cow;
use std::fmt;
use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::machine;
use crate::support::tool;

/// One figure.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// The bench.
    pub bench: Cow<'static, str>,
    /// The measured quantity.
    pub figure: Cow<'static, str>,
    /// The value.
    pub value: f64,
    /// The unit.
    pub unit: Cow<'static, str>,
    /// The target, as text.
    pub target: Option<String>,
    /// Whether the target is met.
    pub ok: Option<bool>,
}

/// The target of a figure.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// At most this value.
    AtMost(f64),
    /// At least this value.
    AtLeast(f64),
    /// Exactly this value, to three decimal places.
    Exactly(f64),
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(bound) => write!(out, "at most {bound}"),
            Self::AtLeast(bound) => write!(out, "at least {bound}"),
            Self::Exactly(value) => write!(out, "{value}"),
        }
    }
}

/// Collects the rows of one bench.
pub struct Rows {
    bench: &'static str,
    rows: Vec<Row>,
}

impl Rows {
    /// An empty collection.
    pub fn of(bench: &'static str) -> Self {
        Self {
            bench,
            rows: Vec::new(),
        }
    }

    /// Adds a figure with an upper limit.
    pub fn at_most(&mut self, figure: &'static str, value: f64, unit: &'static str, bound: f64) {
        let target = Target::AtMost(bound);
        self.add(figure, value, unit, Some(target), Some(value <= bound));
    }

    /// Adds a figure with a lower limit.
    pub fn at_least(&mut self, figure: &'static str, value: f64, unit: &'static str, bound: f64) {
        let target = Target::AtLeast(bound);
        self.add(figure, value, unit, Some(target), Some(value >= bound));
    }

    /// Adds a figure that must have this value, to three decimal places.
    pub fn exactly(&mut self, figure: &'static str, value: f64, unit: &'static str, wanted: f64) {
        let (target, ok) = (Target::Exactly(wanted), (value - wanted).abs() < 0.0005);
        self.add(figure, value, unit, Some(target), Some(ok));
    }

    /// Adds a figure without a target.
    pub fn know(&mut self, figure: &'static str, value: f64, unit: &'static str) {
        self.add(figure, value, unit, None, None);
    }

    /// All rows.
    pub fn done(self) -> Vec<Row> {
        self.rows
    }

    fn add(
        &mut self,
        figure: &'static str,
        value: f64,
        unit: &'static str,
        target: Option<Target>,
        ok: Option<bool>,
    ) {
        self.rows.push(Row {
            bench: self.bench.into(),
            figure: figure.into(),
            // With four decimal places, values that a target treats as different also differ on the page.
            value: (value * 1e4).round() / 1e4,
            unit: unit.into(),
            target: target.map(|target| target.to_string()),
            ok,
        });
    }
}

/// The row of a bench that broke off; its output gives the reason.
pub fn broken_off(bench: &'static str) -> Vec<Row> {
    let mut rows = Rows::of(bench);
    rows.exactly("runs to the end", 0.0, "", 1.0);
    rows.done()
}

/// The percentile: the smallest sample such that `percent` percent of all samples are equal to it or smaller.
pub fn percentile(samples: &mut [f64], percent: usize) -> f64 {
    samples.sort_by(f64::total_cmp);
    let rank = (samples.len() * percent).div_ceil(100);
    samples[rank.saturating_sub(1)]
}

/// A count as the value of a figure.
pub fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).expect("a count of a bench"))
}

/// The information on the page other than its rows: how the benches ran.
pub struct Told {
    /// The total time of the benches.
    pub took: Duration,
    /// The benches that didn't run with the current program.
    pub missing: Vec<&'static str>,
}

/// Prints the rows as a table and writes them to `target/bench/results.json`; with `told` also to `docs/benchmarks.md`.
pub fn report(rows: &[Row], told: Option<&Told>) {
    let table = table(rows);
    let machine = machine::line();
    println!("{machine}\n\n{table}");
    let folder = tool::root().join("target/bench");
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    let json = serde_json::to_string_pretty(rows).expect("rows are JSON");
    std::fs::write(folder.join("results.json"), json + "\n").expect("results can be written");
    if let Some(told) = told {
        let page = page(&machine, &table, told);
        std::fs::write(tool::root().join("docs/benchmarks.md"), page)
            .expect("the page can be written");
    }
    let targets = rows.iter().filter_map(|row| row.ok);
    let (met, missed): (Vec<bool>, Vec<bool>) = targets.partition(|ok| *ok);
    println!(
        "{} targets met, {} missed; rows in target/bench/results.json",
        met.len(),
        missed.len()
    );
}

/// A table that is both readable text and Markdown.
fn table(rows: &[Row]) -> String {
    let mut lines = vec![["bench", "figure", "value", "target", "met"].map(str::to_owned)];
    for row in rows {
        lines.push([
            row.bench.to_string(),
            row.figure.to_string(),
            format!("{} {}", row.value, row.unit),
            row.target.clone().unwrap_or_default(),
            match row.ok {
                Some(true) => "yes",
                Some(false) => "no",
                None => "",
            }
            .to_owned(),
        ]);
    }
    let mut widths = [0; 5];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    lines.insert(1, widths.map(|width| "-".repeat(width)));
    let mut table = String::new();
    for line in lines {
        for (cell, width) in line.iter().zip(widths) {
            write!(table, "| {cell:width$} ").expect("a text takes more text");
        }
        table.push_str("|\n");
    }
    table
}

fn page(machine: &str, table: &str, told: &Told) -> String {
    let missing = if told.missing.is_empty() {
        String::new()
    } else {
        let names = told.missing.join(", ");
        format!("Not measured with this program: {names}.\n\n")
    };
    format!(
        "# Benchmarks

What `make bench` printed last, in {} s beside the build. It runs the release program against a real API server and
the simulator, and writes this page and `target/bench/results.json`. `make bench BENCH=drain-100` runs one
and keeps the figures of the others as long as the program is the same; `QUICK=1` leaves out what takes minutes and doesn't touch this page.

{machine}

{missing}{table}
The **paced floor** is the time of an ideal client that needs no time of its own: its call *i* goes as soon as its delete was asked for and the
answer to its call *i* - 100 is one window old. Deletes are asked for with one `deletecollection`, and count from when a watch first shows them. A
run starts with a live token and an empty window. In **drain-100** to **drain-1000**, **window-** and **shared-** the window is compressed ten times, to 6 s, so that the milliseconds of
the API server weigh ten times as much; **drain-real-time** and **many** have the real one, of 60 s. `BENCH=shared` measures what is called shared-, and `BENCH=large-fleet` idle-10000, start and storm.

The **bare loop** is a small program that makes the same API calls for each deletion (intent, event, finalizer, and the call to the platform
once its intent is back through a watch), one after the other and nothing else. It runs on the operator's core with the operator stopped; in
**many** and **pruned** beside it, under the same load, for objects of a kind of its own with the same schema. **pruned-shared-cores** is the same
load with nothing bound to a core: where one core for the control plane is the limit, it shows what is left of it with two.
A first call beside a load may take 100 ms, or what the bare loop takes divided by 0.7, whichever is longer.

What is **left** beside a neighbour on the same application is the quota less what the neighbour got. **Full use** is 95 of 100 calls in one
window. The client that backs off has 300 deletions, repeats each by itself after 1 s and twice as long each time (compressed like the
window), and meets the same neighbour at the same times.

Platform calls come from the simulator's ledger, writes from the audit log of the API
server, CPU time and memory of the operator from the system.

**idle** and **storm** begin with a live token. Objects are born while every process runs on all cores, which is sooner over; everything after
that is bound. **start** begins cold, and once more behind a proxy that ends the watch of all objects with a 410, and with another as soon as the
next one stands; memory at rest is that of the same process before. How long the pass after an edit takes is the operator's own
`vpo_reconcile_seconds`, so it is known up to the bound of a bucket. **ceiling** asks for all deletes in parallel and counts from the first request to
the last object gone; the bare loop makes as many status writes of parked objects as the operator did.
",
        told.took.as_secs()
    )
}
