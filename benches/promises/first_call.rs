//! How soon a delete reaches the platform when nothing is in its way.

use crate::figures::{Row, Rows, percentile};
use crate::stage::{Setting, Stage};
use crate::support::Fleet;

/// A quota that is never reached.
const SETTING: Setting = Setting {
    objects: 100,
    calls: 10_000,
    seconds: 1,
};

/// Deletes one object after the other; times count from before the request to the API server.
pub async fn run(bench: &'static str) -> Vec<Row> {
    let stage = Stage::start().await;
    let rig = stage.rig("first-call", &SETTING).await;
    let fleet = Fleet::create(&rig, 2..SETTING.objects + 2).await;
    fleet.warm_up(SETTING.window()).await;
    let ends = fleet.delete_each().await;
    let calls = fleet.calls(ends[0].0).await;
    assert_eq!(calls.len(), ends.len(), "one call for each delete");
    let millis = |from: std::time::Duration, to: std::time::Duration| {
        to.saturating_sub(from).as_secs_f64() * 1e3
    };
    let mut first: Vec<f64> = ends
        .iter()
        .zip(&calls)
        .map(|((asked, _), call)| millis(*asked, call.arrived))
        .collect();
    let mut gone: Vec<f64> = ends
        .iter()
        .map(|(asked, gone)| millis(*asked, *gone))
        .collect();
    let mut rows = Rows::of(bench);
    rows.know(
        "delete asked for to its call, p50",
        percentile(&mut first, 50),
        "ms",
    );
    let worst = percentile(&mut first, 99);
    rows.at_most("delete asked for to its call, p99", worst, "ms", 100.0);
    rows.know(
        "delete asked for to object gone, p50",
        percentile(&mut gone, 50),
        "ms",
    );
    let worst = percentile(&mut gone, 99);
    rows.at_most("delete asked for to object gone, p99", worst, "ms", 1000.0);
    rows.done()
}
