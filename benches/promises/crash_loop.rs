//! A crash every 20 s: the Lease's call log suffices to keep the quota and to use it.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::figures::{Row, Rows, number};
use crate::stage::{Setting, Stage};
use crate::support::{Fleet, pace};

/// The platform's own quota.
const SETTING: Setting = Setting {
    objects: 500,
    calls: 100,
    seconds: 60,
};
/// The time between two crashes.
const LIFE: Duration = Duration::from_secs(20);
/// The number of crashes.
const CRASHES: u32 = 9;

pub async fn run(bench: &'static str) -> Vec<Row> {
    let Setting { objects, calls, .. } = SETTING;
    let window = SETTING.window();
    let stage = Stage::start().await;
    let rig = stage.rig("crash-loop", &SETTING).await;
    let fleet = Fleet::create(&rig, 2..objects + 2).await;
    fleet.warm_up(window).await;
    fleet.rest(window).await;
    let begun = fleet.delete_all().await;
    let clock = Instant::now();
    let mut restarts = Vec::new();
    for crash in 1..=CRASHES {
        sleep_until(clock + LIFE * crash).await;
        restarts.push(stage.crash_operator().await);
    }
    let ends = begun + LIFE * CRASHES;
    let mut made = fleet.calls(begun).await;
    made.retain(|call| call.arrived < ends);
    let of = |verdict: &str| made.iter().filter(|call| call.verdict == verdict).count();

    // An ideal client needs no login and never crashes; its answers take the average time of these.
    let latencies: Duration = made
        .iter()
        .map(|call| call.answered.saturating_sub(call.arrived))
        .sum();
    let latency = latencies / u32::try_from(made.len().max(1)).expect("a number of calls");
    let ideal = pace::ideal(
        &vec![begun; objects],
        &vec![latency; objects],
        calls,
        window,
    );
    let possible = ideal.iter().filter(|arrival| **arrival < ends).count();
    let mut rows = Rows::of(bench);
    let longest = restarts.iter().max().copied().unwrap_or_default();
    rows.know(
        "longest time from a crash until ready again",
        longest.as_secs_f64(),
        "s",
    );
    rows.know("possible calls", number(possible), "");
    rows.know("logins", number(of("logged-in")), "");
    let pace = number(made.len() - of("logged-in")) / number(possible);
    rows.at_least("deletes / possible calls", pace, "", 0.8);
    let densest = number(pace::most_in_window(&made, window));
    rows.at_most("most calls in one window", densest, "", number(calls));
    rows.exactly("calls refused", number(of("throttled")), "", 0.0);
    rows.done()
}
