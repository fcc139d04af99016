//! Two applications, each shared with another client, compared with a client that only backs off.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join3;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::bare_loop::Platform;
use crate::figures::{Row, Rows, number};
use crate::neighbour::Neighbour;
use crate::stage::{Setting, Stage};
use crate::support::pace::{self, Call};
use crate::support::{Fleet, Rig, Simulator, SimulatorOptions};
use version_package_operator::remote::answer::Answer;

const CALLS: usize = 100;
/// The window, ten times shorter.
const WINDOW: Duration = Duration::from_secs(6);
/// How long the other client is active before the bench starts.
const BEFORE: Duration = Duration::from_secs(12);
/// The number of deletions of the backing-off client, each repeated independently.
const OBJECTS: usize = 300;
/// The limit of its in-flight calls, equal to the operator's.
const IN_FLIGHT: usize = 20;
/// Its first and its longest pause: 1 s and 1,000 s, ten times shorter.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(100));

/// Runs a constant half load that stops in the end, and one that alternates between zero and nine tenths every three
/// minutes.
pub async fn run(quick: bool) -> Vec<Row> {
    // Whole periods of the alternating load, and time to recover from the last.
    let turns = if quick { 1 } else { 4 };
    let swing = WINDOW * 3;
    let length = swing * 2 * turns + WINDOW * 3;
    let half = Neighbour {
        calls: 50,
        window: WINDOW,
        swing: None,
        stops: length.saturating_sub(WINDOW * 5),
    };
    let swinging = Neighbour {
        calls: 90,
        window: WINDOW,
        swing: Some(swing),
        stops: Duration::MAX,
    };
    // More objects than can be deleted meanwhile, for either load.
    let objects = length.as_secs_f64() / WINDOW.as_secs_f64() * 75.0 + 300.0;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few thousand"
    )]
    let objects = objects as usize;
    let stage = Stage::start().await;
    let setting = Setting {
        objects,
        calls: CALLS,
        seconds: WINDOW.as_secs(),
    };
    // The loads run one after the other: both at once would exceed the API server's core.
    let mut rows = Vec::new();
    for (bench, neighbour) in [("shared-half", half), ("shared-swinging", swinging)] {
        let rig = stage.rig("shared", &setting).await;
        rows.extend(scene(bench, &rig, objects, neighbour, length).await);
    }
    rows
}

/// Runs both clients beside one other client for `length`.
async fn scene(
    bench: &'static str,
    rig: &Rig<'_>,
    objects: usize,
    neighbour: Neighbour,
    length: Duration,
) -> Vec<Row> {
    let fleet = Fleet::create(rig, 2..objects + 2).await;
    fleet.warm_up(WINDOW).await;
    let backoff = Simulator::start(SimulatorOptions {
        packages: CALLS * 1000,
        ..SimulatorOptions::default()
    })
    .await;
    fleet.rest(WINDOW).await;
    let platforms = [&rig.simulator, &backoff].map(|at| at.admin_url("/neighbour"));
    let ours = async {
        tokio::time::sleep(BEFORE).await;
        feed(&fleet, length).await;
    };
    let theirs = async {
        tokio::time::sleep(BEFORE).await;
        back_off(&backoff, length).await
    };
    let (told, (), refused) = join3(neighbour.call(&platforms, BEFORE, length), ours, theirs).await;
    let (began, taken) = told;

    let end = began + length;
    let calls = fleet.calls(began).await;
    let calls: Vec<&Call> = calls.iter().filter(|call| call.arrived < end).collect();
    let (ours_refused, admitted): (Vec<&Call>, Vec<&Call>) = calls
        .into_iter()
        .partition(|call| call.verdict == "throttled");
    let (count, taken) = (ours_refused.len(), taken[0]);
    let all = number(count + admitted.len());
    let left = length.as_secs_f64() / WINDOW.as_secs_f64() * number(CALLS) - number(taken);
    let admitted: Vec<Duration> = admitted
        .iter()
        .map(|call| call.arrived.saturating_sub(began))
        .collect();
    let recovery = neighbour.goes(length).into_iter().map(|gone| {
        let full = full_window(&admitted, gone);
        full.unwrap_or(length * 2).saturating_sub(gone)
    });
    let recovery = recovery.max().unwrap_or_default();

    let mut rows = Rows::of(bench);
    rows.know("length", length.as_secs_f64(), "s");
    rows.know("calls that the neighbour got", number(taken), "");
    rows.know("calls that we got", number(admitted.len()), "");
    let share = number(count) / all * 100.0;
    rows.at_most("share of our calls that were refused", share, "%", 5.0);
    let share = number(admitted.len()) / left * 100.0;
    rows.at_least("share used of what was left", share, "%", 90.0);
    let windows = recovery.as_secs_f64() / WINDOW.as_secs_f64();
    let figure = "windows until full use after the neighbour went, at most";
    rows.at_most(figure, windows, "", 3.0);
    rows.know("refused calls of ours", number(count), "");
    rows.know(
        "refused calls of a client that backs off",
        number(refused),
        "",
    );
    let fewer = (1.0 - number(count) / number(refused.max(1))) * 100.0;
    rows.at_least("fewer refused calls than those", fewer, "%", 90.0);
    rows.done()
}

/// Keeps enough deletions waiting for `length`. Requesting all at once would keep the API server busy with status
/// writes during the first windows.
async fn feed(fleet: &Fleet<'_>, length: Duration) {
    let begun = pace::now();
    let mut asked = 0;
    while pace::now() < begun + length {
        let made = fleet.calls(begun).await.len();
        let next = (made + 2 * CALLS).min(fleet.len());
        fleet.ask_for_deletion(asked..next.max(asked)).await;
        asked = next.max(asked);
        tokio::time::sleep(WINDOW / 6).await;
    }
}

/// The first time after `gone` at which the previous window held 95 of 100 calls.
fn full_window(admitted: &[Duration], gone: Duration) -> Option<Duration> {
    let calls = CALLS * 95 / 100;
    let after = admitted.partition_point(|at| *at < gone);
    let full = (after..admitted.len()).find(|last| {
        let first = (last + 1).checked_sub(calls);
        first.is_some_and(|first| admitted[first] + WINDOW > admitted[*last])
    });
    full.map(|last| admitted[last])
}

/// Deletes packages for `length`, each repeated independently after a pause that doubles: no deletion learns of
/// another's refusal. The number of packages stays constant. Returns the number of refused calls.
async fn back_off(simulator: &Simulator, length: Duration) -> usize {
    let platform = Arc::new(Platform::of(simulator).await);
    let end = Instant::now() + length;
    let mut due: BinaryHeap<_> = (1..=OBJECTS)
        .map(|number| Reverse((Instant::now(), 0, number)))
        .collect();
    let (mut next_number, mut refused) = (OBJECTS, 0);
    let mut out = JoinSet::new();
    loop {
        let now = Instant::now();
        while out.len() < IN_FLIGHT
            && due.peek().is_some_and(|first| first.0.0 <= now)
            && let Some(Reverse((_, tries, number))) = due.pop()
        {
            let platform = platform.clone();
            out.spawn(async move {
                let answer = platform.delete(&format!("package-{number:05}")).await;
                (answer, tries, number)
            });
        }
        let wake = due.peek().filter(|_| out.len() < IN_FLIGHT);
        let wake = wake.map_or(end, |first| first.0.0.min(end));
        tokio::select! {
            Some(ended) = out.join_next() => {
                let (answer, tries, number) = ended.expect("a call ends");
                let now = Instant::now();
                if matches!(answer, Answer::Throttled(_)) {
                    refused += 1;
                    let pause = PAUSE.0 * (1 << tries.min(16));
                    due.push(Reverse((now + pause.min(PAUSE.1), tries + 1, number)));
                } else {
                    next_number += 1;
                    due.push(Reverse((now, 0, next_number)));
                }
            }
            () = tokio::time::sleep_until(wake) => {}
        }
        if Instant::now() >= end {
            return refused;
        }
    }
}
