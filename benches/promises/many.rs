//! Many applications at once, one of them with a long queue and a dead token.

use std::time::Duration;

use futures::future::{join, join_all};
use serde_json::json;

use crate::figures::{Row, Rows, number};
use crate::first_call::{self, Latencies};
use crate::stage::{Setting, Stage};
use crate::support::{Fleet, Rig, pace};

/// How large a round is.
struct Size {
    /// Applications with a backlog.
    applications: usize,
    setting: Setting,
    /// How many wait for the application with the dead token.
    waiting: usize,
    /// Deletes on the application with nothing else to do, one after the other.
    samples: usize,
}

impl Size {
    fn of(quick: bool) -> Self {
        let setting = |seconds| Setting {
            objects: 300,
            calls: 100,
            seconds,
        };
        if quick {
            Self {
                applications: 3,
                setting: setting(6),
                waiting: 500,
                samples: 50,
            }
        } else {
            Self {
                applications: 9,
                setting: setting(60),
                waiting: 10_000,
                samples: 500,
            }
        }
    }
}

/// Drains all at once while single objects are deleted on one more.
pub async fn run(bench: &'static str, quick: bool) -> Vec<Row> {
    let size = Size::of(quick);
    let window = size.setting.window();
    let stage = Stage::start().await;
    let begun = pace::now();
    let waiting = Setting {
        objects: size.waiting,
        ..size.setting
    };
    let dead = stage.rig("dead", &waiting).await;
    let single = first_call::setting(size.samples);
    let idle = stage.rig("idle", &single).await;
    let mut busy = Vec::new();
    for _ in 0..size.applications {
        busy.push(stage.rig("busy", &size.setting).await);
    }
    let stuck = Fleet::create(&dead, 2..size.waiting + 2).await;
    let one_by_one = Fleet::create(&idle, 2..size.samples + 2).await;
    let mut fleets = Vec::new();
    for rig in &busy {
        fleets.push(Fleet::create(rig, 2..size.setting.objects + 2).await);
    }
    let born = pace::now().saturating_sub(begun);

    kill_token(&dead);
    stuck.ask_for_deletion(0..size.waiting).await;
    dead.platform_reason("production", "AuthenticationFailed")
        .await;
    stuck.parked().await;
    one_by_one.warm_up(single.window()).await;
    join_all(fleets.iter().map(|fleet| fleet.warm_up(window))).await;
    join_all(fleets.iter().map(|fleet| fleet.rest(window))).await;
    let refused = stuck.calls(Duration::ZERO).await.len();

    let before = stage.cpu_time().await;
    let windows = size.setting.objects.div_ceil(size.setting.calls) - 1;
    let floor = window * u32::try_from(windows).expect("a number of windows");
    let drains = join_all(fleets.iter().map(|fleet| fleet.drain_unaudited(floor)));
    let (drains, latencies) = join(drains, Latencies::of(&one_by_one)).await;
    let cpu = stage.cpu_time().await.saturating_sub(before);

    let mut rows = Rows::of(bench);
    rows.know("applications with a backlog", number(drains.len()), "");
    rows.know("waiting for a dead token", number(size.waiting), "");
    rows.know("birth of all", born.as_secs_f64(), "s");
    let ratio = drains.iter().map(|drain| {
        let pace = drain.pace(size.setting.calls, window);
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
    let calls = number(size.setting.calls);
    rows.at_most("most calls in one window", most, "", calls);
    rows.know("single deletes meanwhile", number(size.samples), "");
    latencies.tell(&mut rows);
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

/// Gives the application a token that the platform never made, in place of its login.
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
