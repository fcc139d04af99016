//! `vpo queue` shows the waiting objects in the order of their later calls.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod support;

use std::process::Command;

use jiff::Timestamp;
use serde_json::{Value, json};
use support::{
    Layout, OPERATOR, Operator, Plane, Rig, SOON, Said, shared_operator, tool, wait_for,
};

/// Runs `vpo queue` against the admin port of an operator.
fn queue(operator: &Operator, arguments: &[&str]) -> Said {
    queue_at(operator.admin_url("").as_str(), arguments)
}

fn queue_at(admin: &str, arguments: &[&str]) -> Said {
    let output = Command::new(tool::vpo())
        .args(["queue", "--admin", admin])
        .args(arguments)
        // A non-existent proxy, which must not be used for a port of this machine.
        .env("HTTP_PROXY", "http://127.0.0.1:1")
        .env("http_proxy", "http://127.0.0.1:1")
        .output()
        .expect("vpo can be run");
    Said::from(output)
}

/// The only application in a JSON report.
fn application(operator: &Operator, arguments: &[&str]) -> Value {
    let all: Vec<&str> = [arguments, &["--output", "json"]].concat();
    let report: Value = serde_json::from_str(&queue(operator, &all).expect_ok()).unwrap();
    assert_eq!(report["applications"].as_array().unwrap().len(), 1);
    report["applications"][0].clone()
}

fn names(application: &Value) -> Vec<String> {
    let waiting = application["waiting"].as_array().unwrap();
    let name = |one: &Value| one["name"].as_str().unwrap().to_owned();
    waiting.iter().map(name).collect()
}

fn refused(said: &Said, part: &str) {
    assert!(!said.ok, "{}", said.stdout);
    assert!(said.stderr.contains(part), "{}", said.stderr);
    assert_eq!(said.stdout, "");
}

/// The first object is retired, the others are deleted.
const PACKAGES: [&str; 5] = ["r1", "d1", "d2", "d3", "d4"];

fn files() -> Vec<String> {
    (1..=PACKAGES.len())
        .map(|n| format!("package-{n:05}"))
        .collect()
}

/// Requests a retirement and four deletions; returns the names in the order of their turns.
async fn park(rig: &Rig<'_>) -> Vec<String> {
    let files = files();
    let pairs = PACKAGES
        .iter()
        .copied()
        .zip(files.iter().map(String::as_str));
    rig.active(&pairs.collect::<Vec<_>>()).await;
    rig.retire("r1");
    rig.reason("r1", "Queued").await;
    for name in &PACKAGES[1..] {
        rig.delete(name);
    }
    let mut deleted = Vec::new();
    for name in &PACKAGES[1..] {
        let object = rig.reason(name, "Queued").await;
        let meta = &object["metadata"];
        let text = |field: &str| meta[field].as_str().unwrap().to_owned();
        deleted.push((text("deletionTimestamp"), text("uid"), text("name")));
    }
    deleted.sort();
    let mut order: Vec<_> = deleted.into_iter().map(|(_, _, name)| name).collect();
    order.push("r1".to_owned());
    order
}

/// The report on each single object agrees with the report on all.
fn agrees_with_each(rig: &Rig<'_>, operator: &Operator, shown: &Value) {
    for (one, position) in shown["waiting"].as_array().unwrap().iter().zip(1..) {
        assert_eq!(one["position"], position);
        assert_eq!(one["namespace"], rig.namespace);
        assert_eq!(one["call"], "Delete");
        let retired = one["name"] == "r1";
        assert_eq!(
            one["priority"],
            ["Deletion", "Retirement"][usize::from(retired)]
        );
        let estimated = one["estimatedSeconds"].as_u64().unwrap();
        assert_eq!(estimated.div_ceil(3600), position, "one call an hour");
        let key = format!("{}/{}", rig.namespace, one["name"].as_str().unwrap());
        let alone = application(operator, &["--object", &key]);
        assert_eq!(alone["waiting"][0]["position"], position);
        assert_eq!(alone["waiting"][0]["since"], one["since"]);
    }
}

/// A Platform whose login uses the only call of a window, so every object waits.
async fn used_up(subject: &str) -> Rig<'static> {
    let layout = Layout {
        platform: json!({"quota": {"calls": 1, "window": "50m"}}),
        ..Layout::default()
    };
    Rig::shared(subject, layout).await
}

/// From now on one call a second is allowed, so the calls follow each other.
fn open_up(rig: &Rig<'_>) {
    let quota = json!({"spec": {"quota": {"window": "1s"}}});
    rig.patch("platform/production", &quota);
}

/// The objects that the platform was called for, in the order of the calls.
async fn called(rig: &Rig<'_>) -> Vec<String> {
    let ledger = rig.simulator.ledger().await;
    let deletes = ledger.iter().filter(|call| call["method"] == "DELETE");
    deletes
        .map(|call| {
            let (_, file) = call["path"].as_str().unwrap().rsplit_once('/').unwrap();
            let index = files().iter().position(|known| known == file).unwrap();
            PACKAGES[index].to_owned()
        })
        .collect()
}

#[tokio::test]
async fn waiting_objects_are_listed_in_the_order_of_their_calls() {
    let rig = used_up("queue").await;
    let operator = shared_operator().await;
    let order = park(&rig).await;

    let platform = format!("{}/production", rig.namespace);
    let shown = application(operator, &[&platform]);
    assert_eq!(names(&shown), order, "deletions first, the oldest first");
    agrees_with_each(&rig, operator, &shown);
    assert_eq!(
        (&shown["appId"], &shown["state"], &shown["length"]),
        (&json!(rig.namespace), &json!("Open"), &json!(5))
    );
    assert_eq!(
        (&shown["callsInWindow"], &shown["limit"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(shown["platforms"], json!([platform]));

    // The Platform's status shows the same queue, rounded and later.
    wait_for("the Platform to tell its queue", SOON, async || {
        let status = rig.kubectl(&[
            "get",
            "platform",
            "production",
            "-o",
            "jsonpath={.status.queue}",
        ]);
        (status.expect_ok() == r#"{"estimatedTime":"5h","length":5}"#).then_some(())
    })
    .await;

    let table = queue(operator, &[&platform, "--limit", "2"]).expect_ok();
    for part in [
        format!(
            "Application {} at {}",
            rig.namespace,
            rig.simulator.endpoint()
        ),
        format!(
            "  1         {}/{}  Delete  Deletion",
            rig.namespace, order[0]
        ),
        format!(
            "  2         {}/{}  Delete  Deletion",
            rig.namespace, order[1]
        ),
        "  and 3 more\n".to_owned(),
    ] {
        assert!(table.contains(&part), "{part} is not in\n{table}");
    }
    let all = queue(operator, &["--limit", "0"]).expect_ok();
    assert!(
        all.contains(&format!("Application {} at", rig.namespace)),
        "{all}"
    );

    open_up(&rig);
    rig.reason("r1", "Deleted").await;
    assert_eq!(called(&rig).await, order);

    let key = format!("{}/r1", rig.namespace);
    refused(
        &queue(operator, &["--object", &key]),
        &format!("{key} waits for no call: Deleted"),
    );
    let shown = application(operator, &[&platform]);
    assert_eq!(
        (&shown["length"], &shown["waiting"]),
        (&json!(0), &json!([]))
    );
}

#[tokio::test]
async fn a_paused_or_retained_object_leaves_the_queue_at_once_and_returns_to_its_place_after_the_pause()
 {
    let rig = used_up("leaving").await;
    let operator = shared_operator().await;
    let platform = format!("{}/production", rig.namespace);
    let order = park(&rig).await;
    // Both objects wait behind one object and before another.
    let (paused, kept) = (order[1].as_str(), order[2].as_str());
    let without = |left: &[&str]| -> Vec<String> {
        let stay = order.iter().filter(|name| !left.contains(&name.as_str()));
        stay.cloned().collect()
    };
    let waits = async |wanted: Vec<String>| {
        wait_for(&format!("{wanted:?} to wait"), SOON, async || {
            let shown = application(operator, &[&platform]);
            let told = names(&shown) == wanted && shown["length"] == wanted.len();
            told.then_some(())
        })
        .await;
    };
    let pause = |value| rig.annotate(&format!("vp/{paused}"), "paused", value);
    waits(order.clone()).await;

    pause(Some("true"));
    let retain = json!({"spec": {"deletionPolicy": "Retain"}});
    rig.patch(&format!("vp/{kept}"), &retain);
    waits(without(&[paused, kept])).await;
    rig.gone(kept).await;
    rig.reason(paused, "Paused").await;
    let key = format!("{}/{paused}", rig.namespace);
    refused(
        &queue(operator, &["--object", &key]),
        &format!("{key} waits for no call: Paused"),
    );

    pause(None);
    waits(without(&[kept])).await;

    // Neither object is called for when all others are.
    pause(Some("true"));
    waits(without(&[paused, kept])).await;
    open_up(&rig);
    rig.reason("r1", "Deleted").await;
    assert_eq!(called(&rig).await, without(&[paused, kept]));
    pause(None);
    rig.gone(paused).await;
    let last = called(&rig).await.pop();
    assert_eq!(last.as_deref(), Some(paused));
    assert_eq!(called(&rig).await.len(), order.len() - 1, "none for {kept}");
}

#[tokio::test]
async fn a_deletion_behind_a_retirement_of_the_same_package_has_the_estimate_of_one_call() {
    let rig = used_up("behind").await;
    let operator = shared_operator().await;
    let platform = format!("{}/production", rig.namespace);
    let (older, shared) = ("package-00006", "package-00007");
    rig.active(&[("older", older), ("one", shared), ("two", shared)])
        .await;
    rig.retire("older");
    let first = rig.reason("older", "Queued").await;
    let asked = first["status"]["deletion"]["requestedAt"].as_str().unwrap();
    let asked: Timestamp = asked.parse().unwrap();
    // Ages are in whole seconds.
    wait_for("the next second", SOON, async || {
        (Timestamp::now().as_second() > asked.as_second()).then_some(())
    })
    .await;
    rig.retire("one");
    rig.reason("one", "StillClaimed").await;
    rig.retire("two");
    rig.reason("one", "Queued").await;
    rig.reason("two", "Queued").await;
    let shown = names(&application(operator, &[&platform]));
    assert_eq!((&*shown[0], shown.len()), ("older", 2), "{shown:?}");
    let leader = shown[1].clone();
    let other = if leader == "one" { "two" } else { "one" };

    rig.delete(other);
    wait_for("the deletion to come first", SOON, async || {
        let shown = application(operator, &[&platform]);
        (names(&shown) == [leader.as_str(), "older"]).then_some(())
    })
    .await;
    open_up(&rig);
    rig.gone(other).await;
    rig.reason("older", "Deleted").await;
    rig.reason(&leader, "Deleted").await;
    let ledger = rig.simulator.ledger().await;
    let deletes = ledger.iter().filter(|call| call["method"] == "DELETE");
    let called: Vec<_> = deletes
        .map(|call| call["path"].as_str().unwrap().rsplit_once('/').unwrap().1)
        .collect();
    assert_eq!(called, [shared, older]);
}

#[tokio::test]
async fn a_refused_report_explains_what_to_do() {
    let rig = Rig::shared("asked", Layout::default()).await;
    let operator = shared_operator().await;
    let known = format!("{}/production", rig.namespace);
    wait_for("the Platform to be usable", SOON, async || {
        queue(operator, &[&known]).ok.then_some(())
    })
    .await;
    let unknown = queue(operator, &["iot/nowhere"]);
    refused(&unknown, "there is no Platform iot/nowhere; there are ");
    refused(&unknown, &known);
    refused(&queue(operator, &["nowhere"]), "NAMESPACE/NAME");
    refused(
        &queue(operator, &["--object", "iot/nothing"]),
        "there is no VersionPackage iot/nothing",
    );
    refused(
        &queue_at("http://127.0.0.1:1", &[]),
        "version-package-operator port-forward pod/$(kubectl ",
    );
    refused(
        &queue_at(&rig.simulator.admin_url(""), &[]),
        "it is not an operator, or it is an operator of another version",
    );

    let platform = rig.simulator.platform(&rig.namespace, "broken", &json!({}));
    rig.plane.apply(&platform).expect_ok();
    rig.platform_reason("broken", "SecretForbidden").await;
    let broken = format!("{}/broken", rig.namespace);
    refused(&queue(operator, &[&broken]), "has no queue");
    assert!(queue(operator, &[]).expect_ok().contains(&broken));

    // The standby names the leader.
    let kubeconfig = Plane::shared().kubeconfig_for(OPERATOR, OPERATOR);
    let mut standby = Operator::start_pod("the-other-one", &kubeconfig, OPERATOR, &[]);
    standby.ready().await;
    let said = queue(&standby, &[]);
    refused(&said, "this replica doesn't lead");
    refused(&said, "port-forward pod/version-package-operator-0 8080");
}
