//! Many applications at the same time, one of them with a long queue and an invalid token: the cost of the long queue
//! alone, then of everything together.

use std::ops::Range;
use std::time::Duration;

use futures::future::{join_all, join3};
use serde_json::json;
use tokio::sync::Mutex;

use crate::bare_loop::BareLoop;
use crate::figures::{Row, Rows, number, percentile};
use crate::first_call::{self, Latencies};
use crate::stage::{Setting, Stage};
use crate::support::{Fleet, Rig, pace};
use crate::twin;

/// The size of a round.
struct Size {
    /// The number of applications with a backlog, and of the deletes in each.
    applications: usize,
    backlog: usize,
    /// The number of calls in one window of `seconds`.
    calls: usize,
    seconds: u64,
    /// The number of objects that wait for the application with the invalid token.
    waiting: usize,
    /// The number of deletes on the otherwise idle application, one after the other.
    samples: usize,
}

impl Size {
    fn of(quick: bool) -> Self {
        let (applications, seconds, waiting, samples) = if quick {
            (3, 6, 500, 50)
        } else {
            (9, 60, 10_000, 500)
        };
        Self {
            applications,
            backlog: 300,
            calls: 100,
            seconds,
            waiting,
            samples,
        }
    }

    /// A setting for packages with all numbers up to the end of `range`.
    fn setting(&self, range: &Range<usize>) -> Setting {
        Setting {
            objects: range.end - 2,
            calls: self.calls,
            seconds: self.seconds,
        }
    }
}

/// Drains all applications at the same time, while single objects of one more are deleted.
pub async fn run(bench: &'static str, quick: bool) -> Vec<Row> {
    let size = Size::of(quick);
    let window = Duration::from_secs(size.seconds);
    let stage = Stage::start().await;
    let begun = pace::now();
    // No two applications have a package with the same id, as on real platforms.
    let mut next = 2;
    let mut numbers = |count| {
        next += count;
        next - count..next
    };
    let (waiting, samples) = (numbers(size.waiting), numbers(size.samples));
    let before_samples = numbers(size.samples);
    let dead = stage.unpinned_rig("dead", &size.setting(&waiting)).await;
    let single = first_call::setting(before_samples.end - 2);
    let idle = stage.unpinned_rig("idle", &single).await;
    let mut busy = Vec::new();
    for _ in 0..size.applications {
        let backlog = numbers(size.backlog);
        let rig = stage.unpinned_rig("busy", &size.setting(&backlog)).await;
        busy.push((rig, backlog));
    }
    let stuck = Fleet::create(&dead, waiting).await;
    let one_by_one = Fleet::create(&idle, samples.clone()).await;
    let before_drains = Fleet::create(&idle, before_samples).await;
    let bare = stage.unpinned_rig("bare", &single).await;
    let twin = twin::serve(stage.plane()).await;
    let twins = Fleet::of_kind(&bare, samples, &twin).await;
    let mut fleets = Vec::new();
    for (rig, backlog) in &busy {
        fleets.push(Fleet::create(rig, backlog.clone()).await);
    }
    let born = pace::now().saturating_sub(begun);

    kill_token(&dead);
    stuck.ask_for_deletion(0..size.waiting).await;
    dead.platform_reason("production", "AuthenticationFailed")
        .await;
    stuck.parked().await;
    for rig in [&dead, &idle, &bare]
        .into_iter()
        .chain(busy.iter().map(|(rig, _)| rig))
    {
        stage.pin(rig).await;
    }
    one_by_one.warm_up(single.window()).await;
    // The cost of the waiting objects alone, before the drains load the API server.
    let beside_waiting = Latencies::of(&before_drains, Duration::ZERO).await;
    join_all(fleets.iter().map(|fleet| fleet.warm_up(window))).await;
    join_all(fleets.iter().map(|fleet| fleet.rest(window))).await;
    let refused = stuck.calls(Duration::ZERO).await.len();

    let before = stage.cpu_time().await;
    let windows = size.backlog.div_ceil(size.calls) - 1;
    let floor = window * u32::try_from(windows).expect("a number of windows");
    // One `deletecollection` after the other, as Git tools prune, with single deletes meanwhile.
    let turn = Mutex::default();
    let drains = fleets
        .iter()
        .map(|fleet| fleet.drain_unaudited(floor, &turn));
    let apart = floor / u32::try_from(size.samples).expect("a number of samples");
    let bare_loop = BareLoop::beside(&bare, &twin).await;
    let (drains, latencies, bare) = join3(
        join_all(drains),
        Latencies::of(&one_by_one, apart),
        Latencies::of(&twins, apart),
    )
    .await;
    drop(bare_loop);
    let cpu = stage.cpu_time().await.saturating_sub(before);

    let mut rows = Rows::of(bench);
    rows.know("applications with a backlog", number(drains.len()), "");
    rows.know("waiting for a dead token", number(size.waiting), "");
    rows.know("birth of all, on all cores", born.as_secs_f64(), "s");
    tell_beside_waiting(beside_waiting, &mut rows);
    let ratio = drains.iter().map(|drain| {
        let pace = drain.pace(size.calls, window);
        pace.time.as_secs_f64() / pace.floor.as_secs_f64()
    });
    let slowest = ratio.fold(0.0, f64::max);
    rows.at_most("time / own paced floor, the slowest", slowest, "", 1.05);
    let throttled = drains.iter().map(|drain| drain.verdicts("throttled"));
    rows.exactly("calls refused", number(throttled.sum()), "", 0.0);
    let most = drains
        .iter()
        .map(|drain| pace::most_in_window(&drain.calls, window));
    let most = number(most.max().unwrap_or(0));
    let calls = number(size.calls);
    rows.at_most("most calls in one window", most, "", calls);
    rows.know("single deletes during the drains", number(size.samples), "");
    latencies.tell(bare, &mut rows);
    let calls = stuck.calls(Duration::ZERO).await.len() - refused;
    rows.know("calls with the dead token meanwhile", number(calls), "");
    rows.know("CPU time of the operator", cpu.as_secs_f64(), "s");
    rows.know(
        "peak memory of the operator",
        stage.peak_memory().await,
        "MiB",
    );
    rows.done()
}

fn tell_beside_waiting(mut latencies: Latencies, rows: &mut Rows) {
    let median = percentile(&mut latencies.first_call, 50);
    rows.know("single delete beside them to its call, p50", median, "ms");
    let worst = percentile(&mut latencies.first_call, 99);
    let figure = "single delete beside them to its call, p99";
    rows.at_most(figure, worst, "ms", first_call::FIRST_CALL);
}

/// Replaces the login of the application by an invented token.
fn kill_token(rig: &Rig<'_>) {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"namespace": rig.namespace, "name": "production-app"},
        "stringData": {"appKey": rig.namespace, "accessToken": "0123456789abcdef"},
    });
    let replace = ["replace", "-f", "-"];
    rig.plane
        .kubectl_with(rig.plane.kubeconfig(), &replace, &secret.to_string())
        .expect_ok();
}
