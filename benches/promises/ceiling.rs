//! The rate of the operator without the limit of a quota.

use std::time::Duration;

use crate::bare_loop::{BareLoop, Manner};
use crate::figures::{Row, Rows, number};
use crate::first_call;
use crate::stage::Stage;
use crate::support::{Fleet, pace};

/// About the number of the operator's concurrent deletions: 16 starting passes, 16 returning passes, and 20 calls of a
/// session.
const CONCURRENCY: usize = 52;
/// The time limit of one round.
const PATIENCE: Duration = Duration::from_secs(280);

/// Deletes objects with the operator, and then others with a bare loop of the same API calls: fewer, since its rate
/// stays the same.
pub async fn run(bench: &'static str, quick: bool) -> Vec<Row> {
    let (deletes, bare_deletes) = if quick { (500, 500) } else { (5000, 2000) };
    let stage = Stage::start().await;
    let rig = stage
        .unpinned_rig("ceiling", &first_call::setting(deletes + bare_deletes))
        .await;
    let ours = Fleet::create(&rig, 2..deletes + 2).await;
    ours.warm_up(Duration::from_secs(1)).await;
    stage.pin(&rig).await;
    let (begun, mark, cpu) = (
        pace::now(),
        stage.plane().audit_end(),
        stage.cpu_time().await,
    );
    let time = ours.rush(PATIENCE).await;
    let cpu = stage.cpu_time().await.saturating_sub(cpu);
    let calls = ours.calls(begun).await.len();
    let writes = stage.writes_each(mark);
    let peak = stage.peak_memory().await;
    let parked = writes.iter().filter(|count| **count > 2).count();

    stage.unpin(&[&rig]).await;
    let theirs = Fleet::create(&rig, deletes + 2..deletes + bare_deletes + 2).await;
    stage.pin(&rig).await;
    stage.stop_operator().await;
    let manner = Manner {
        concurrency: CONCURRENCY,
        parked: parked * bare_deletes / deletes,
    };
    let mark = stage.plane().audit_end();
    let bare = BareLoop::start(&rig, manner).await;
    let bare_time = theirs.rush(PATIENCE).await;
    let bare_writes: usize = stage.writes_each(mark).iter().sum();
    drop(bare);

    let mut rows = Rows::of(bench);
    let rate = number(deletes) / time.as_secs_f64();
    let bare_rate = number(bare_deletes) / bare_time.as_secs_f64();
    let of_each = |count: usize| number(count) / number(deletes);
    rows.know("deletes", number(deletes), "");
    rows.know("deletes in a second", rate, "");
    rows.know("deletes of the bare loop", number(bare_deletes), "");
    rows.know("deletes in a second of the bare loop", bare_rate, "");
    rows.at_least("rate / rate of the bare loop", rate / bare_rate, "", 0.7);
    rows.exactly("calls per delete", of_each(calls), "", 1.0);
    let ours = of_each(writes.iter().sum());
    let theirs = number(bare_writes) / number(bare_deletes);
    rows.know("writes per delete, the event apart", ours, "");
    rows.know("the same of the bare loop", theirs, "");
    let share = cpu.as_secs_f64() / time.as_secs_f64() * 100.0;
    rows.know("share of a core", share, "%");
    rows.know("peak memory", peak, "MiB");
    rows.done()
}
