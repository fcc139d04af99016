//! Blocked sessions, one of them with a thousand waiting deletions, cost the objects of other sessions nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod support;

use std::time::Duration;

use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::time::Instant;
use version_package_operator::api::platform::Platform;

use support::{
    Fleet, Layout, Operator, Plane, Rig, SimulatorOptions, alone, start_operator, wait_for,
};

/// The objects that wait for the hanging session.
const PARKED: usize = 1_000;
/// The objects created meanwhile.
const NEW: usize = 100;
/// How many of the new objects are deleted again.
const DELETED: usize = 10;
/// The time from its creation until the operator has first written a new object (99th percentile): far more than an
/// idle machine needs, far less than any pause of the blocked sessions.
const FIRST_LOOK: Duration = Duration::from_secs(10);
/// The pause between two changes that wake all waiting objects.
const WAKING: Duration = Duration::from_secs(1);

const PASSES: &str = "vpo_passes_total{";
const WAITING: &str = "vpo_objects{phase=\"Waiting\"}";

/// Creates a platform that answers `calls` calls in `window`, for a Platform with a quota of a hundred.
async fn rig<'a>(plane: &'a Plane, subject: &str, calls: usize, window: &str) -> Rig<'a> {
    let layout = Layout {
        simulator: SimulatorOptions {
            packages: NEW,
            quota_calls: calls,
            quota_window: window,
            ..SimulatorOptions::default()
        },
        ..Layout::default()
    };
    Rig::on(plane, subject, layout).await
}

/// The sum of the metrics lines that begin with `name`.
async fn metric(operator: &Operator, name: &str) -> usize {
    let page = operator.admin_page("/metrics").await.unwrap();
    let lines = page.lines().filter(|line| line.starts_with(name));
    let values = lines.filter_map(|line| line.rsplit(' ').next());
    values.map(|value| value.parse::<usize>().unwrap()).sum()
}

/// Runs `doing` while all objects of a rig are woken repeatedly: a change of a Platform wakes all objects that name it.
async fn beside<T>(rig: &Rig<'_>, doing: impl Future<Output = T>) -> T {
    let platforms = Api::<Platform>::namespaced(rig.plane.client().await, &rig.namespace);
    let wake = async |round: u32| {
        let annotations = json!({"iodm.dev/requested-at": round.to_string()});
        let change = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
        let params = PatchParams::default();
        let changed = platforms.patch("production", &params, &change).await;
        changed.unwrap();
    };
    wake(0).await;
    let waking = async {
        for round in 1.. {
            tokio::time::sleep(WAKING).await;
            wake(round).await;
        }
    };
    tokio::select! {
        done = doing => done,
        () = waking => unreachable!("it goes on for ever"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_constantly_woken_objects_delay_no_new_object_and_no_deletion() {
    let (_turn, plane) = alone().await;
    let begun = Instant::now();
    let hanging = rig(plane, "hanging", 100, "1s").await;
    hanging.simulator.fault_all("DELETE", &json!("hang")).await;
    // The login is the only call that the quota allows.
    let throttled = rig(plane, "throttled", 1, "1h").await;
    let alive = rig(plane, "alive", 100, "1s").await;
    let waiting = Fleet::retired(&hanging, 1..PARKED + 1).await;
    let refused = Fleet::retired(&throttled, 1..NEW + 1).await;
    println!("all are there after {:?}", begun.elapsed());
    let flags = ["--connect-timeout", "1s", "--call-timeout", "3s"];
    let mut operator = start_operator(plane, &flags);
    operator.ready().await;
    // Repeated lists of thousands of objects would be a load of their own.
    wait_for("all to wait", Duration::from_secs(600), async || {
        (metric(&operator, WAITING).await == PARKED + NEW).then_some(())
    })
    .await;
    println!("all wait after {:?}", begun.elapsed());
    hanging
        .platform_reason("production", "PlatformUnavailable")
        .await;
    throttled.platform_reason("production", "Throttled").await;

    let before = metric(&operator, PASSES).await;
    let names: Vec<String> = (1..=NEW).map(|n| format!("package-{n:05}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let fleet = beside(&hanging, async {
        let fleet = Fleet::create(&alive, 1..NEW + 1).await;
        println!("{NEW} births ended after {:?}", begun.elapsed());
        let asked = Instant::now();
        alive.delete_all(&names[..DELETED]);
        for name in &names[..DELETED] {
            alive.gone(name).await;
        }
        println!("{DELETED} deletions took {:?}", asked.elapsed());
        // Even on a fast machine the waiting objects are woken during and after the test.
        wait_for("the waking", Duration::from_secs(60), async || {
            (metric(&operator, PASSES).await - before >= 20 * NEW).then_some(())
        })
        .await;
        fleet
    })
    .await;
    let woken = metric(&operator, PASSES).await - before;
    let mut first = wait_for("the audit log", Duration::from_secs(10), async || {
        Some(fleet.first_writes()).filter(|first| first.len() == NEW)
    })
    .await;
    first.sort_unstable();
    let p99 = first[NEW * 99 / 100 - 1];
    println!("first written after {p99:?} (p99), {woken} passes meanwhile");
    // Far more passes than the new objects need for themselves.
    assert!(woken >= 20 * NEW, "those that wait were not woken");
    assert!(p99 <= FIRST_LOOK, "first written after {p99:?} (p99)");

    assert_eq!(
        (waiting.count().await, refused.count().await),
        (PARKED, NEW)
    );
    for rig in [&hanging, &throttled] {
        let ledger = rig.simulator.ledger().await;
        assert!(ledger.iter().all(|call| call["verdict"] != "deleted"));
    }
}
