//! A start with due work, and watches that expire.

use std::time::Duration;

use crate::figures::{Row, Rows, number};
use crate::stage::Stage;
use crate::support::{ApiProxy, Fleet, OPERATOR, Operator, pace, start_operator, wait_for};

const BENCH: &str = "start";
/// The number of deletes requested while no operator runs: less than a window allows.
const DUE: usize = 50;
/// The number of deletes after the watch was broken.
const AFTER: usize = 10;
/// How often the watch breaks, each time as soon as the previous break is repaired.
const BREAKS: usize = 2;
/// How long the operator must be idle before its memory counts as idle.
const SETTLE: Duration = Duration::from_secs(10);
/// How long its memory is observed after a break.
const PATIENCE: Duration = Duration::from_secs(90);

/// Runs both benches. Afterwards the operator is restarted without the proxy.
pub async fn run(stage: &Stage, fleet: &Fleet<'_>) -> Vec<Row> {
    let mut rows = Rows::of(BENCH);
    rows.know("objects", number(fleet.len()), "");
    cold(stage, fleet, &mut rows).await;
    broken(stage, fleet, &mut rows).await;
    rows.done()
}

/// A start with due work.
async fn cold(stage: &Stage, fleet: &Fleet<'_>, rows: &mut Rows) {
    stage.stop_operator().await;
    fleet.ask_for_deletion(0..DUE).await;
    let begun = pace::now();
    let operator = start_operator(stage.plane(), &[]);
    stage.start_operator(operator).await;
    let ready = pace::now().saturating_sub(begun);
    let due_gone = fleet.gone(0..DUE, PATIENCE).await;
    let last = pace::now().saturating_sub(begun);
    let calls = fleet.calls(begun).await;
    let first = calls
        .first()
        .map_or(PATIENCE, |call| call.arrived.saturating_sub(begun));
    let peak = stage.peak_memory().await;
    tokio::time::sleep(SETTLE).await;
    let idle = stage.memory().await;

    let seconds = |time: Duration| time.as_secs_f64();
    rows.know("process to readiness", seconds(ready), "s");
    rows.at_most("process to first platform call", seconds(first), "s", 3.0);
    rows.know("process to the end of all that was due", seconds(last), "s");
    let (due, all) = (number(due_gone), number(DUE));
    rows.exactly("deletes that were due and are done", due, "", all);
    rows.know("idle memory after that", idle, "MiB");
    rows.at_most("peak memory at the start / idle", peak / idle, "", 2.0);
}

/// A start behind a proxy that ends the watch of all objects.
async fn broken(stage: &Stage, fleet: &Fleet<'_>, rows: &mut Rows) {
    stage.stop_operator().await;
    let kubeconfig = stage.plane().kubeconfig_for(OPERATOR, OPERATOR);
    let proxy = ApiProxy::start(stage.plane(), &kubeconfig);
    let operator = Operator::start(proxy.kubeconfig(), OPERATOR, &[]);
    stage.start_operator(operator).await;
    tokio::time::sleep(SETTLE).await;
    let idle = stage.memory().await;
    stage.reset_peak_memory().await;
    for _ in 0..BREAKS {
        break_watch(stage, &proxy).await;
    }
    let back = back_within(stage, idle * 1.1).await;
    let peak = stage.peak_memory().await;
    let after = DUE..DUE + AFTER;
    fleet.ask_for_deletion(after.clone()).await;
    let after_gone = fleet.gone(after, PATIENCE).await;
    // The proxy still runs, so that the Lease can be released.
    stage.restart_operator().await;
    drop(proxy);

    rows.know("idle memory behind the proxy", idle, "MiB");
    rows.at_most("peak memory at the breaks / idle", peak / idle, "", 2.0);
    let back = back.as_secs_f64();
    rows.at_most("time until back at 1.1 x idle", back, "s", 60.0);
    let (done, all) = (number(after_gone), number(AFTER));
    rows.exactly("deletes after the breaks that are done", done, "", all);
}

/// Expires the watch of all objects, and waits until the operator has listed and watches again.
async fn break_watch(stage: &Stage, proxy: &ApiProxy) {
    let mark = stage.plane().audit_end();
    proxy.expire_watch("versionpackages");
    wait_for("a new watch", PATIENCE, async || {
        let events = stage.plane().audit_events_from(mark).into_iter();
        let verbs: Vec<String> = events
            .filter(|event| event.user.ends_with(OPERATOR) && event.resource == "versionpackages")
            .map(|event| event.verb)
            .collect();
        let said = |verb: &str| verbs.iter().any(|said| said == verb);
        (said("list") && said("watch")).then_some(())
    })
    .await;
}

/// Waits until the operator has at most `bound` MiB resident. Returns the time that this took, or the time limit.
async fn back_within(stage: &Stage, bound: f64) -> Duration {
    let begun = pace::now();
    loop {
        let passed = pace::now().saturating_sub(begun);
        if passed >= PATIENCE || stage.memory().await <= bound {
            return passed;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
