//! Three thousand objects are pruned at once: the hold appears at once, nothing is sent, and other deletions continue.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod support;

use std::time::{Duration, Instant};

use serde_json::json;
use support::{
    Fleet, Layout, OPERATOR, Operator, Rig, SHORT_LEASE_FLAGS, SOON, SimulatorOptions, alone, pace,
    ready, start_operator, wait_for,
};

const PRUNED: usize = 3000;
/// How soon the Platform shows the hold.
const STANDS: Duration = Duration::from_secs(5);

#[tokio::test]
async fn three_thousand_pruned_objects_are_held_with_two_writes_each() {
    let (_turn, plane) = alone().await;
    let mut operator = start_operator(plane, &[]);
    operator.ready().await;
    let layout = Layout {
        simulator: SimulatorOptions {
            packages: PRUNED + 1,
            quota_window: "1s",
            ..SimulatorOptions::default()
        },
        platform: json!({
            "quota": {"calls": 100, "window": "1s"},
            "guard": {"maxDeletions": 50, "window": "10m", "gracePeriod": "30s"},
        }),
    };
    let rig = Rig::on(plane, "pruned", layout).await;
    let other = Rig::on(plane, "other", Layout::default()).await;
    other
        .active(&[("a", "package-00001"), ("b", "package-00002")])
        .await;
    let fleet = Fleet::create(&rig, 1..PRUNED + 1).await;

    let since = pace::now();
    let asked = Instant::now();
    fleet.ask_for_deletion(0..PRUNED).await;
    let took = asked.elapsed();
    let what = "the hold to stand";
    rig.platform_becomes("production", what, |platform| {
        ready(platform)["reason"] == "MassDeletionHeld"
    })
    .await;
    assert!(asked.elapsed() < took + STANDS, "{:?}", asked.elapsed());
    // Other deletions continue meanwhile.
    other.delete_all(&["a", "b"]);
    other.gone("a").await;
    other.gone("b").await;
    fleet.held().await;
    rig.platform_becomes("production", "all to be counted", |platform| {
        platform["status"]["hold"]["count"] == PRUNED
    })
    .await;
    let ledger = rig.simulator.ledger().await;
    assert!(ledger.iter().all(|call| call["method"] != "DELETE"));
    let writes = fleet.writes(since, pace::now());
    let most = writes.values().max().copied().unwrap_or(0);
    assert!(most <= 2, "{most} writes to one object");

    wait_for("the API server to answer at once", SOON, async || {
        let begun = Instant::now();
        rig.kubectl(&["get", "platform", "production"]).expect_ok();
        (begun.elapsed() < Duration::from_secs(2)).then_some(())
    })
    .await;
    operator.terminate().await;
}

/// Waits until the object belongs to a hold; returns the id of the hold.
async fn held(rig: &Rig<'_>, name: &str) -> String {
    let object = rig.reason(name, "MassDeletionHeld").await;
    let id = &object["status"]["deletion"]["hold"];
    id.as_str().unwrap().to_owned()
}

async fn deletes(rig: &Rig<'_>) -> usize {
    let ledger = rig.simulator.ledger().await;
    let deletes = ledger.iter().filter(|call| call["method"] == "DELETE");
    deletes.count()
}

#[tokio::test]
async fn a_hold_and_the_sent_deletions_survive_a_restart_and_a_change_of_the_leader() {
    let (_turn, plane) = alone().await;
    let layout = Layout {
        platform: json!({
            "quota": {"calls": 100, "window": "1s"},
            "guard": {"maxDeletions": 5, "window": "10m", "gracePeriod": "0s"},
        }),
        ..Layout::default()
    };
    let rig = Rig::on(plane, "restarted", layout).await;
    let mut operator = start_operator(plane, &[]);
    operator.ready().await;
    let (names, files): (Vec<_>, Vec<_>) = (1..=8)
        .map(|n| (format!("p-{n}"), format!("package-{n:05}")))
        .unzip();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let files = files.iter().map(String::as_str);
    let pairs: Vec<(&str, &str)> = names.iter().copied().zip(files).collect();
    rig.active(&pairs).await;
    // Three deletions are sent before the crash.
    rig.delete_all(&names[..3]);
    for name in &names[..3] {
        rig.gone(name).await;
    }
    operator.kill().await;
    // While no operator runs, more deletions are requested than the limit has left.
    rig.delete_all(&names[3..]);
    let (kubeconfig, flags) = (plane.kubeconfig_for(OPERATOR, OPERATOR), SHORT_LEASE_FLAGS);
    let mut operator = start_operator(plane, &flags);
    operator.ready().await;
    let mut standby = Operator::start_pod("standby", &kubeconfig, OPERATOR, &flags);
    standby.ready().await;
    let mut first = String::new();
    for name in &names[3..] {
        first = held(&rig, name).await;
    }
    operator.kill().await;
    // The new limit is too low for the held deletions, and is found by a leader that knows no object yet.
    let guard = json!({"spec": {"guard": {"maxDeletions": 7}}});
    rig.patch("platform/production", &guard);
    let vp = format!("vp/{}", names[3]);
    rig.annotate(&vp, "requested-at", Some("again"));
    rig.becomes(names[3], "looked at again", SOON, |o| {
        o["status"]["lastHandledRequestedAt"] == "again"
    })
    .await;
    assert_eq!(held(&rig, names[3]).await, first);
    assert_eq!(deletes(&rig).await, 3);
    rig.annotate("platform/production", "release-hold", Some(&first));
    for name in &names[3..] {
        rig.gone(name).await;
    }
    assert_eq!(deletes(&rig).await, 8);
    standby.terminate().await;
}

#[tokio::test]
async fn a_restart_during_look_ups_holds_no_retired_object_without_a_package() {
    let (_turn, plane) = alone().await;
    let layout = Layout {
        platform: json!({
            "quota": {"calls": 100, "window": "1s"},
            "guard": {"maxDeletions": 3, "window": "10m", "gracePeriod": "3s"},
        }),
        ..Layout::default()
    };
    let rig = Rig::on(plane, "rebuilt", layout).await;
    let mut operator = start_operator(plane, &[]);
    operator.ready().await;
    rig.active(&[("wanted", "package-00020")]).await;
    rig.simulator.fault_all("GET", &json!("hang")).await;
    let records: Vec<String> = (1..=8).map(|n| format!("r-{n}")).collect();
    let retired = json!({"lifecycle": "Retired"});
    let items: Vec<_> = records
        .iter()
        .map(|name| rig.manifest(name, &format!("long-gone-{name}"), &retired))
        .chain([rig.manifest("there", "package-00001", &retired)])
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    plane.apply(&list.to_string()).expect_ok();
    // Each object was accepted, and no look-up was answered.
    for name in records.iter().map(String::as_str).chain(["there"]) {
        let accepted = |o: &serde_json::Value| o["status"]["application"].is_string();
        let object = rig.becomes(name, "accepted", SOON, accepted).await;
        assert!(
            object["status"]["deletion"]["requestedAt"].is_null(),
            "{object}"
        );
    }
    operator.kill().await;
    let faults = "/faults";
    let nothing = serde_json::Value::Null;
    let admin = rig
        .simulator
        .admin(reqwest::Method::DELETE, faults, &nothing);
    admin.await;
    rig.delete("wanted");
    let mut operator = start_operator(plane, &[]);
    operator.ready().await;
    for name in &records {
        rig.reason(name, "AlreadyGone").await;
    }
    rig.gone("wanted").await;
    rig.reason("there", "Deleted").await;
    assert_eq!(deletes(&rig).await, 2);
    rig.platform_reason("production", "Available").await;
    operator.terminate().await;
}
