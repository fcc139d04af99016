//! Ten thousand objects with a retirement time each.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use support::{Fleet, Layout, Rig, SimulatorOptions, alone, pace, start_operator, wait_for};

/// The number of objects.
const OBJECTS: usize = 10_000;
/// The number of objects due during the test, and how many of them in each second.
const DUE: usize = 200;
const PER_SECOND: i64 = 10;
/// How long before the first retirement time the creation of the due objects begins.
const AHEAD: SignedDuration = SignedDuration::from_secs(15);
/// How late a call may arrive.
const LATE: Duration = Duration::from_secs(2);
/// How long a call and the write after it may be in progress.
const UNDER_WAY: Duration = Duration::from_millis(250);

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_retirement_times_are_kept_even_over_a_restart() {
    let (_turn, plane) = alone().await;
    let layout = Layout {
        simulator: SimulatorOptions {
            packages: OBJECTS,
            quota_calls: OBJECTS,
            quota_window: "1s",
            ..SimulatorOptions::default()
        },
        platform: json!({"quota": {"calls": OBJECTS, "window": "1s"}}),
    };
    let rig = Rig::on(plane, "calendar", layout).await;
    let (later, soon) = (DUE + 1..OBJECTS + 1, 1..DUE + 1);
    let century: Timestamp = "2100-01-01T00:00:00Z".parse().unwrap();
    let one_by_one =
        |number: usize| century + SignedDuration::from_secs(number.try_into().unwrap());
    let fleet = Fleet::scheduled(&rig, later, one_by_one).await;
    let mut operator = start_operator(plane, &[]);
    operator.ready().await;
    fleet.active().await;

    let first = Timestamp::now() + AHEAD;
    let due = |number: usize| {
        let number = i64::try_from(number).unwrap();
        first + SignedDuration::from_millis(number * 1_000 / PER_SECOND)
    };
    let due_soon = Fleet::scheduled(&rig, soon.clone(), due).await;
    due_soon.active().await;
    assert!(Timestamp::now() < first, "their creation took too long");

    // Half of the objects are due before the kill, and some during the downtime.
    let middle = due(DUE / 2);
    wait_for("the middle", Duration::from_secs(60), async || {
        (Timestamp::now() > middle).then_some(())
    })
    .await;
    operator.kill().await;
    let killed = pace::now();
    let mut operator = start_operator(plane, &[]);
    operator.ready().await;
    let back = pace::now();
    println!("back after {:?}", back.saturating_sub(killed));

    let calls = wait_for("the last call", Duration::from_secs(60), async || {
        let calls = rig.simulator.ledger().await;
        let deletes = calls.into_iter().filter(|call| call["method"] == "DELETE");
        let deletes: Vec<_> = deletes.collect();
        let packages: BTreeSet<_> = deletes.iter().map(|call| call["path"].as_str()).collect();
        (packages.len() >= DUE).then_some(deletes)
    })
    .await;
    let mut latest = Duration::ZERO;
    for number in soon {
        let file_id = format!("package-{number:05}");
        let of_this = |call: &&Value| call["path"].as_str().unwrap().ends_with(&file_id);
        let call: Vec<_> = calls.iter().filter(of_this).collect();
        let came = pace::since_epoch(call[0]["time"].as_str().unwrap().parse().unwrap());
        let due = pace::since_epoch(due(number));
        // The answer to an in-flight call was lost with the process.
        let under_way = came <= killed && killed <= came + UNDER_WAY;
        let most = if under_way { 2 } else { 1 };
        assert!(call.len() <= most, "{file_id}: {call:?}");
        assert!(came >= due, "{file_id} came early");
        // Objects due during the downtime are measured from its end.
        let from = if (killed.saturating_sub(LATE)..back).contains(&due) {
            back
        } else {
            due
        };
        let late = came.saturating_sub(from);
        assert!(late <= LATE, "{file_id} was {late:?} late");
        latest = latest.max(late);
    }
    println!("{latest:?} late at most");
    assert_eq!(fleet.count().await, OBJECTS);
}
