//! Many edits that change nothing for the operator.

use std::time::Duration;

use futures::{StreamExt, stream};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::figures::{Row, Rows, number};
use crate::stage::Stage;
use crate::support::{Fleet, pace};

const BENCH: &str = "storm";
/// The number of edits per second.
const RATE: u32 = 200;
/// The limit of concurrent edits.
const EDITORS: usize = 64;
/// How long the consequences of the last edit may take.
const SETTLE: Duration = Duration::from_secs(15);

/// Edits labels for `length`, and measures the operator's reaction.
pub async fn run(stage: &Stage, fleet: &Fleet<'_>, window: Duration, length: Duration) -> Vec<Row> {
    fleet.settle(window).await;
    let (mark, cpu, idle) = (
        stage.plane().audit_end(),
        stage.cpu_time().await,
        stage.memory().await,
    );
    let before = Buckets::read(&stage.metrics().await);
    stage.reset_peak_memory().await;

    let begun = pace::now();
    let mut tick = interval(Duration::from_secs(1) / RATE);
    // A late edit doesn't delay the next ones.
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let ticks = stream::unfold(tick, async |mut tick| {
        tick.tick().await;
        Some(((), tick))
    });
    let edits = ticks
        // With a slower API server there are fewer edits, not a longer storm.
        .take_until(sleep(length))
        .enumerate()
        // The last objects: the first ones may be deleted by now.
        .map(|(edit, ())| fleet.relabel(fleet.len() - 1 - edit % (fleet.len() / 2), edit))
        .buffer_unordered(EDITORS)
        .count()
        .await;
    let took = pace::now().saturating_sub(begun).as_secs_f64();
    let cpu = stage.cpu_time().await.saturating_sub(cpu).as_secs_f64();
    let peak = stage.peak_memory().await;
    sleep(SETTLE).await;

    let passes = Buckets::read(&stage.metrics().await).since(&before);
    let (writes, _) = stage.operator_writes(mark);
    let calls = number(fleet.calls(begun).await.len());
    let mut rows = Rows::of(BENCH);
    rows.know("objects", number(fleet.len()), "");
    rows.know("length", took, "s");
    // Slower edits would prove less.
    let rate = number(edits) / took;
    rows.at_least("edits in a second", rate, "", 0.98 * f64::from(RATE));
    rows.know("passes", passes.count(), "");
    let (middle, slowest) = (passes.bound(0.5), passes.bound(0.99));
    rows.know("edit to end of its pass, p50 below", middle, "s");
    rows.at_most("edit to end of its pass, p99 below", slowest, "s", 1.0);
    rows.exactly("platform calls", calls, "", 0.0);
    rows.exactly("writes, the Lease's apart", number(writes), "", 0.0);
    rows.know("share of a core", cpu / took * 100.0, "%");
    rows.know("memory before", idle, "MiB");
    rows.at_most("peak memory / memory before", peak / idle, "", 1.1);
    let after = stage.memory().await / idle;
    rows.at_most("memory after / memory before", after, "", 1.1);
    rows.done()
}

/// The number of passes up to each duration in seconds; the last limit is infinite.
struct Buckets(Vec<(f64, f64)>);

impl Buckets {
    fn read(metrics: &str) -> Self {
        let lines = metrics.lines();
        let buckets = lines.filter_map(|line| {
            let line = line.strip_prefix("vpo_reconcile_seconds_bucket{le=\"")?;
            let (bound, count) = line.split_once("\"} ")?;
            // Rust parses the format's +Inf as well.
            Some((bound.parse().ok()?, count.parse().ok()?))
        });
        Self(buckets.collect())
    }

    fn since(self, before: &Self) -> Self {
        let both = self.0.iter().zip(&before.0);
        Self(both.map(|(now, then)| (now.0, now.1 - then.1)).collect())
    }

    fn count(&self) -> f64 {
        self.0.last().expect("a histogram has buckets").1
    }

    /// The least bucket limit that covers this share of the passes.
    fn bound(&self, share: f64) -> f64 {
        let enough = self.count() * share;
        let within = self.0.iter().find(|(_, count)| *count >= enough);
        within.expect("the last bound is infinite").0
    }
}
