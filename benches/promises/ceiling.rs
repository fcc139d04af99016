//! How fast the operator is where no quota holds it back.

use std::time::Duration;

use crate::bare_loop::{BareLoop, Manner};
use crate::figures::{Row, Rows, number};
use crate::first_call;
use crate::stage::Stage;
use crate::support::{Fleet, pace};

/// About as many deletions as the operator has under way: 16 passes that begin, 16 that return, and 20 calls of a session.
const CONCURRENCY: usize = 52;
/// How long one round may take.
const PATIENCE: Duration = Duration::from_secs(280);

/// Deletes as many objects with the operator, and then as many others with a bare loop of the same API calls.
pub async fn run(bench: &'static str, quick: bool) -> Vec<Row> {
    let deletes = if quick { 500 } else { 5000 };
    let stage = Stage::start().await;
    let rig = stage
        .unpinned_rig("ceiling", &first_call::setting(2 * deletes))
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

    let theirs = Fleet::create(&rig, deletes + 2..2 * deletes + 2).await;
    stage.stop_operator().await;
    let manner = Manner {
        concurrency: CONCURRENCY,
        parked,
    };
    let mark = stage.plane().audit_end();
    let bare = BareLoop::start(&rig, manner).await;
    let bare_time = theirs.rush(PATIENCE).await;
    let bare_writes: usize = stage.writes_each(mark).iter().sum();
    drop(bare);

    let mut rows = Rows::of(bench);
    let rate = |time: Duration| number(deletes) / time.as_secs_f64();
    let of_each = |count: usize| number(count) / number(deletes);
    rows.know("deletes", number(deletes), "");
    rows.know("deletes in a second", rate(time), "");
    rows.know("deletes in a second of the bare loop", rate(bare_time), "");
    let ratio = rate(time) / rate(bare_time);
    rows.at_least("rate / rate of the bare loop", ratio, "", 0.7);
    rows.exactly("calls per delete", of_each(calls), "", 1.0);
    let (ours, theirs) = (of_each(writes.iter().sum()), of_each(bare_writes));
    rows.know("writes per delete, the event apart", ours, "");
    rows.know("the same of the bare loop", theirs, "");
    let share = cpu.as_secs_f64() / time.as_secs_f64() * 100.0;
    rows.know("share of a core", share, "%");
    rows.know("peak memory", peak, "MiB");
    rows.done()
}
