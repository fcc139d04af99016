//! The time from a delete to its call when nothing is in its way, compared with the least time of its API calls.

use std::time::Duration;

use crate::bare_loop::{BareLoop, Manner};
use crate::figures::{Row, Rows, percentile};
use crate::stage::{Setting, Stage};
use crate::support::Fleet;

/// A quota that is never reached.
pub const fn setting(objects: usize) -> Setting {
    Setting {
        objects,
        calls: 10_000,
        seconds: 1,
    }
}

/// The target of the first call, in ms.
pub const FIRST_CALL: f64 = 100.0;
/// The target under other load, as a multiple of the bare loop's time where that is longer: the same ratio as for the
/// rate of deletions.
const BESIDE: f64 = 1.0 / 0.7;
/// The target until the object is gone, in ms.
pub const GONE: f64 = 1000.0;

/// The latencies of deletes, in ms from before the request to the API server.
pub struct Latencies {
    /// Until the call reached the platform.
    pub first_call: Vec<f64>,
    /// Until the object was gone.
    pub gone: Vec<f64>,
}

impl Latencies {
    /// Deletes the objects of a fleet one after the other, at least `apart` from each other.
    pub async fn of(fleet: &Fleet<'_>, apart: Duration) -> Self {
        let ends = fleet.delete_each(apart).await;
        let calls = fleet.calls(ends[0].0).await;
        assert_eq!(calls.len(), ends.len(), "one call for each delete");
        let millis = |from: Duration, to: Duration| to.saturating_sub(from).as_secs_f64() * 1e3;
        let both = ends.iter().zip(&calls);
        Self {
            first_call: both
                .map(|(end, call)| millis(end.0, call.arrived))
                .collect(),
            gone: ends.iter().map(|end| millis(end.0, end.1)).collect(),
        }
    }

    /// Adds the rows of single deletes under another load, and of a bare loop's under the same.
    pub fn tell(mut self, mut bare: Self, rows: &mut Rows) {
        let median = percentile(&mut self.first_call, 50);
        rows.know("single delete to its call, p50", median, "ms");
        let least = percentile(&mut bare.first_call, 50);
        rows.know("the same of a bare loop beside it, p50", least, "ms");
        let worst = percentile(&mut self.first_call, 99);
        let least = percentile(&mut bare.first_call, 99);
        let most = FIRST_CALL.max(least * BESIDE);
        rows.at_most("single delete to its call, p99", worst, "ms", most);
        rows.know("the same of a bare loop beside it, p99", least, "ms");
        rows.know("p99 / p99 of the bare loop", worst / least, "");
        let worst = percentile(&mut self.gone, 99);
        rows.at_most("single delete to object gone, p99", worst, "ms", GONE);
        let least = percentile(&mut bare.gone, 99);
        rows.know("gone, p99 of the bare loop", least, "ms");
    }
}

/// Deletes one object after the other, with the operator and then with a bare loop of the same API calls.
pub async fn run(bench: &'static str, quick: bool) -> Vec<Row> {
    let samples = if quick { 100 } else { 500 };
    let setting = setting(2 * samples);
    let stage = Stage::start().await;
    let rig = stage.rig("first-call", &setting).await;
    let fleet = Fleet::create(&rig, 2..samples + 2).await;
    let other = Fleet::create(&rig, samples + 2..2 * samples + 2).await;
    fleet.warm_up(setting.window()).await;
    let mut ours = Latencies::of(&fleet, Duration::ZERO).await;

    stage.stop_operator().await;
    let bare_loop = BareLoop::start(&rig, Manner::ONE_BY_ONE).await;
    let mut bare = Latencies::of(&other, Duration::ZERO).await;
    drop(bare_loop);

    let mut rows = Rows::of(bench);
    let (mine, least) = (&mut ours.first_call, &mut bare.first_call);
    let (p50, p99) = (percentile(mine, 50), percentile(mine, 99));
    let (least_p50, least_p99) = (percentile(least, 50), percentile(least, 99));
    rows.know("delete asked for to its call, p50", p50, "ms");
    rows.know("the same of the bare loop, p50", least_p50, "ms");
    rows.know("p50 / p50 of the bare loop", p50 / least_p50, "");
    rows.at_most("delete asked for to its call, p99", p99, "ms", FIRST_CALL);
    rows.know("the same of the bare loop, p99", least_p99, "ms");
    rows.know("p99 / p99 of the bare loop", p99 / least_p99, "");
    let (mine, least) = (&mut ours.gone, &mut bare.gone);
    let (p50, p99) = (percentile(mine, 50), percentile(mine, 99));
    let (least_p50, least_p99) = (percentile(least, 50), percentile(least, 99));
    rows.know("delete asked for to object gone, p50", p50, "ms");
    rows.know("gone, p50 of the bare loop", least_p50, "ms");
    rows.at_most("delete asked for to object gone, p99", p99, "ms", GONE);
    rows.know("gone, p99 of the bare loop", least_p99, "ms");
    rows.know("gone, p99 / p99 of the bare loop", p99 / least_p99, "");
    rows.done()
}
