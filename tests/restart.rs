//! Work interrupted by a stop, a crash or a downtime is completed after the next start: no package is deleted by
//! mistake, none is forgotten, and none costs more than two calls.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod support;

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use support::{
    ApiProxy, Layout, OPERATOR, Operator, Rig, SOON, alone, ready, start_operator, wait_for,
};

/// The time limit of a clean stop.
const STOP: Duration = Duration::from_secs(10);

/// A ready operator.
async fn started(rig: &Rig<'_>) -> Operator {
    let mut operator = start_operator(rig.plane, &[]);
    operator.ready().await;
    operator
}

/// Waits until the platform has received the DELETE of a package; its answer may still be in transit.
async fn under_way(rig: &Rig<'_>, file_id: &str) {
    wait_for(&format!("a DELETE of {file_id}"), SOON, async || {
        (!rig.deletes(file_id).await.is_empty()).then_some(())
    })
    .await;
}

/// The verdicts on the calls for one package.
async fn verdicts(rig: &Rig<'_>, file_id: &str) -> Vec<String> {
    let calls = rig.deletes(file_id).await.into_iter();
    calls
        .map(|call| call["verdict"].as_str().unwrap().to_owned())
        .collect()
}

/// The outcomes in an operator's audit lines for one package.
fn audited(operator: &Operator, file_id: &str) -> Vec<String> {
    operator
        .log()
        .iter()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["kind"] == "PackageDeletion" && line["fileId"] == file_id)
        .map(|line| line["outcome"].as_str().unwrap().to_owned())
        .collect()
}

async fn has_finalizer(rig: &Rig<'_>, name: &str) -> bool {
    let object = rig.get(name).await.expect("the object is still there");
    object["metadata"]["finalizers"] == json!(["iodm.dev/package"])
}

#[tokio::test]
async fn deletions_requested_during_a_downtime_are_made_once_after_the_start() {
    let (_turn, plane) = alone().await;
    let rig = Rig::on(plane, "down", Layout::default()).await;
    let mut operator = started(&rig).await;
    let kept = rig.manifest(
        "kept",
        "package-00003",
        &json!({"deletionPolicy": "Retain"}),
    );
    plane.apply(&kept.to_string()).expect_ok();
    rig.active(&[("deleted", "package-00001"), ("retired", "package-00002")])
        .await;
    rig.reason("kept", "Active").await;
    assert_eq!(operator.terminate().await.code(), Some(0));

    rig.delete_all(&["deleted", "kept"]);
    rig.retire("retired");
    assert!(has_finalizer(&rig, "deleted").await);

    let mut operator = started(&rig).await;
    rig.gone("deleted").await;
    rig.gone("kept").await;
    rig.reason("retired", "Deleted").await;
    assert_eq!(verdicts(&rig, "package-00001").await, ["deleted"]);
    assert_eq!(verdicts(&rig, "package-00002").await, ["deleted"]);
    assert!(rig.simulator.has("package-00003").await);

    // The outcome is in the status, so a later start makes no further call, not even to release the object.
    operator.kill().await;
    let _operator = started(&rig).await;
    rig.reason("retired", "Deleted").await;
    rig.delete("retired");
    rig.gone("retired").await;
    assert_eq!(verdicts(&rig, "package-00002").await, ["deleted"]);
    assert!(rig.deletes("package-00003").await.is_empty());
}

#[tokio::test]
async fn a_crash_during_a_call_costs_one_more_call_and_orphans_nothing() {
    let (_turn, plane) = alone().await;
    let rig = Rig::on(plane, "crash", Layout::default()).await;
    let mut operator = started(&rig).await;
    rig.active(&[("a", "package-00001")]).await;
    rig.simulator
        .fault("package-00001", &json!({"delay": {"ms": 2000}}), &json!(1))
        .await;
    rig.delete("a");
    under_way(&rig, "package-00001").await;
    operator.kill().await;
    // The package is deleted, and the operator doesn't know.
    assert!(!rig.simulator.has("package-00001").await);
    assert!(has_finalizer(&rig, "a").await);

    let operator = started(&rig).await;
    rig.gone("a").await;
    assert_eq!(
        verdicts(&rig, "package-00001").await,
        ["deleted", "not-found"]
    );
    assert_eq!(audited(&operator, "package-00001"), ["AlreadyGone"]);
}

#[tokio::test]
async fn a_crash_before_the_proving_look_up_releases_nothing_without_a_proof() {
    let (_turn, plane) = alone().await;
    let rig = Rig::on(plane, "look-up", Layout::default()).await;
    let mut operator = started(&rig).await;
    rig.active(&[("gone", "package-00001"), ("kept", "package-00002")])
        .await;
    let body = json!({"status": 200, "body": "{\"success\":true}"});
    for (file, kind) in [
        ("package-00001", "answer-after"),
        ("package-00002", "status"),
    ] {
        rig.simulator
            .fault(file, &json!({kind: body}), &json!(1))
            .await;
    }
    rig.simulator.fault_all("GET", &json!("hang")).await;
    rig.delete_all(&["gone", "kept"]);
    for file in ["package-00001", "package-00002"] {
        under_way(&rig, file).await;
    }
    wait_for("the look-ups", SOON, async || {
        let ledger = rig.simulator.ledger().await;
        let shown = |row: &&Value| {
            let path = row["path"].as_str().unwrap_or_default();
            row["method"] == "GET" && path.contains("/category/package-")
        };
        (ledger.iter().filter(shown).count() == 2).then_some(())
    })
    .await;
    operator.kill().await;
    assert!(!rig.simulator.has("package-00001").await);
    for name in ["gone", "kept"] {
        assert!(has_finalizer(&rig, name).await, "{name}");
    }
    rig.simulator
        .admin(reqwest::Method::DELETE, "/faults", &Value::Null)
        .await;

    let operator = started(&rig).await;
    rig.gone("gone").await;
    rig.gone("kept").await;
    assert_eq!(audited(&operator, "package-00001"), ["AlreadyGone"]);
    assert_eq!(audited(&operator, "package-00002"), ["Deleted"]);
    assert!(!rig.simulator.has("package-00002").await);
}

#[tokio::test]
async fn a_crash_between_the_answer_and_the_release_costs_one_more_call_and_orphans_nothing() {
    let (_turn, plane) = alone().await;
    let rig = Rig::on(plane, "release", Layout::default()).await;
    let proxy = ApiProxy::start(plane, &plane.kubeconfig_for(OPERATOR, OPERATOR));
    let mut operator = Operator::start(proxy.kubeconfig(), OPERATOR, &[]);
    operator.ready().await;
    rig.active(&[("a", "package-00001")]).await;
    rig.simulator
        .fault("package-00001", &json!({"delay": {"ms": 1000}}), &json!(1))
        .await;
    rig.delete("a");
    under_way(&rig, "package-00001").await;
    proxy.cut();
    // The operator knew the outcome and logged it before it released anything.
    wait_for("the answer, and no way to release", SOON, async || {
        let log = operator.log();
        let mut lines = log.iter();
        let waits = lines.any(|line| line.contains("a write was not taken, and is tried again"));
        (waits && audited(&operator, "package-00001") == ["Deleted"]).then_some(())
    })
    .await;
    operator.kill().await;
    proxy.mend();
    assert!(has_finalizer(&rig, "a").await);

    let operator = started(&rig).await;
    rig.gone("a").await;
    assert_eq!(
        verdicts(&rig, "package-00001").await,
        ["deleted", "not-found"]
    );
    assert_eq!(audited(&operator, "package-00001"), ["AlreadyGone"]);
}

#[tokio::test]
async fn a_crash_before_the_platform_acted_costs_one_more_call_and_releases_nothing_early() {
    let (_turn, plane) = alone().await;
    let rig = Rig::on(plane, "early", Layout::default()).await;
    let mut operator = started(&rig).await;
    rig.active(&[("a", "package-00001")]).await;
    rig.simulator
        .fault("package-00001", &json!("hang"), &json!(1))
        .await;
    rig.delete("a");
    under_way(&rig, "package-00001").await;
    operator.kill().await;
    assert!(rig.simulator.has("package-00001").await);
    assert!(has_finalizer(&rig, "a").await);

    let operator = started(&rig).await;
    rig.gone("a").await;
    assert_eq!(verdicts(&rig, "package-00001").await, ["fault", "deleted"]);
    assert_eq!(audited(&operator, "package-00001"), ["Deleted"]);
}

#[tokio::test]
async fn a_stop_sends_nothing_new_waits_for_the_pending_answer_and_releases_its_object() {
    let (_turn, plane) = alone().await;
    let rig = Rig::on(plane, "stop", Layout::default()).await;
    let mut operator = started(&rig).await;
    rig.active(&[("first", "package-00001"), ("second", "package-00002")])
        .await;
    rig.simulator
        .fault("package-00001", &json!({"delay": {"ms": 4000}}), &json!(1))
        .await;
    rig.delete("first");
    under_way(&rig, "package-00001").await;
    let began = Instant::now();
    operator.ask_to_stop();
    wait_for("the stop to begin", SOON, async || {
        let log = operator.log();
        log.iter()
            .any(|line| line.contains("nothing new is sent"))
            .then_some(())
    })
    .await;
    // The quota is free again, but too late.
    rig.delete("second");
    let ended = operator.ended(Duration::from_secs(10)).await;
    assert_eq!(ended.code(), Some(0), "{:#?}", operator.log());
    assert!(began.elapsed() < STOP);
    rig.gone("first").await;
    assert_eq!(verdicts(&rig, "package-00001").await, ["deleted"]);
    assert_eq!(audited(&operator, "package-00001"), ["Deleted"]);
    assert!(rig.deletes("package-00002").await.is_empty());
    assert!(has_finalizer(&rig, "second").await);

    let _operator = started(&rig).await;
    rig.gone("second").await;
    assert_eq!(verdicts(&rig, "package-00002").await, ["deleted"]);
}

#[tokio::test]
async fn a_stop_without_an_answer_ends_in_time_and_leaves_the_object_to_the_next_start() {
    let (_turn, plane) = alone().await;
    let rig = Rig::on(plane, "silent", Layout::default()).await;
    let mut operator = started(&rig).await;
    rig.active(&[("a", "package-00001")]).await;
    rig.simulator
        .fault("package-00001", &json!("hang"), &json!(1))
        .await;
    rig.delete("a");
    under_way(&rig, "package-00001").await;
    let began = Instant::now();
    let ended = operator.terminate().await;
    assert_eq!(ended.code(), Some(0), "{:#?}", operator.log());
    assert!(began.elapsed() < STOP, "{:?}", began.elapsed());
    assert!(has_finalizer(&rig, "a").await);

    let _operator = started(&rig).await;
    rig.gone("a").await;
    assert_eq!(verdicts(&rig, "package-00001").await, ["fault", "deleted"]);
}

#[tokio::test]
async fn a_start_without_the_secret_reports_lost_credentials_and_both_ways_out_work() {
    let (_turn, plane) = alone().await;
    let rig = Rig::on(plane, "lost", Layout::default()).await;
    let mut operator = started(&rig).await;
    rig.active(&[
        ("deleted", "package-00001"),
        ("given-up", "package-00002"),
        ("retired", "package-00003"),
    ])
    .await;
    assert_eq!(operator.terminate().await.code(), Some(0));
    rig.delete_all(&["deleted", "given-up"]);
    rig.retire("retired");
    rig.kubectl(&["delete", "secret", "production-app"])
        .expect_ok();

    let _operator = started(&rig).await;
    for name in ["deleted", "given-up", "retired"] {
        let held = rig.reason(name, "CredentialsLost").await;
        assert_eq!(held["status"]["phase"], "Held");
        let message = ready(&held)["message"].to_string();
        for way_out in ["production-app", "create that Secret again", "Retain"] {
            assert!(message.contains(way_out), "{message}");
        }
    }
    rig.patch(
        "vp/given-up",
        &json!({"spec": {"deletionPolicy": "Retain"}}),
    );
    rig.gone("given-up").await;
    assert!(rig.simulator.has("package-00002").await);

    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"namespace": rig.namespace, "name": "production-app"},
        "stringData": {"appId": rig.namespace, "secret": "correct-horse-battery"},
    });
    plane.apply(&secret.to_string()).expect_ok();
    rig.gone("deleted").await;
    rig.reason("retired", "Deleted").await;
    for file_id in ["package-00001", "package-00003"] {
        assert_eq!(verdicts(&rig, file_id).await, ["deleted"]);
    }
    assert!(rig.deletes("package-00002").await.is_empty());
}

#[tokio::test]
async fn a_retirement_time_survives_a_restart_and_a_missed_one_is_made_up_for() {
    let (_turn, plane) = alone().await;
    let rig = Rig::on(plane, "scheduled", Layout::default()).await;
    let mut operator = started(&rig).await;
    let now = Timestamp::now().round(jiff::Unit::Second).unwrap();
    let missed = now + SignedDuration::from_secs(5);
    let kept = now + SignedDuration::from_secs(15);
    for (name, file_id, due) in [
        ("missed", "package-00001", missed),
        ("kept", "package-00002", kept),
    ] {
        let spec = json!({"retireAfter": due.to_string()});
        plane
            .apply(&rig.manifest(name, file_id, &spec).to_string())
            .expect_ok();
        rig.reason(name, "Scheduled").await;
    }
    operator.kill().await;
    wait_for("the time to be missed", SOON, async || {
        (Timestamp::now() > missed).then_some(())
    })
    .await;
    assert!(rig.deletes("package-00001").await.is_empty());

    let _operator = started(&rig).await;
    rig.reason("missed", "Deleted").await;
    rig.reason("kept", "Deleted").await;
    assert_eq!(verdicts(&rig, "package-00001").await, ["deleted"]);
    let calls = rig.deletes("package-00002").await;
    assert_eq!(calls.len(), 1);
    let called: Timestamp = calls[0]["time"].as_str().unwrap().parse().unwrap();
    let late = called.duration_since(kept);
    assert!(
        !late.is_negative() && late < SignedDuration::from_secs(2),
        "{late}"
    );
}

#[tokio::test]
async fn a_clean_restart_takes_nothing_from_the_limit_of_a_small_application() {
    let (_turn, plane) = alone().await;
    let layout = Layout {
        platform: json!({
            "quota": {"calls": 100, "window": "1s"},
            "guard": {"maxPercent": 20, "window": "10m", "gracePeriod": "0s"},
        }),
        ..Layout::default()
    };
    let rig = Rig::on(plane, "share", layout).await;
    let mut operator = started(&rig).await;
    let names: Vec<String> = (1..=10).map(|n| format!("package-{n:05}")).collect();
    let pairs: Vec<(&str, &str)> = names.iter().map(|name| (&**name, &**name)).collect();
    rig.active(&pairs).await;
    assert_eq!(operator.terminate().await.code(), Some(0));

    let _operator = started(&rig).await;
    for name in &names[..2] {
        rig.delete(name);
        rig.gone(name).await;
        assert_eq!(verdicts(&rig, name).await, ["deleted"]);
    }
    // A fifth of ten is two.
    rig.delete(&names[2]);
    rig.reason(&names[2], "MassDeletionHeld").await;
    let platform = rig.platform_reason("production", "MassDeletionHeld").await;
    let reason = platform["status"]["hold"]["reason"].as_str().unwrap();
    assert!(reason.contains("2 of them sent"), "{reason}");
    assert!(rig.deletes(&names[2]).await.is_empty());
}

/// Waits until the Platform counts `wanted` deletions as sent.
async fn sent(rig: &Rig<'_>, wanted: i64) {
    let what = format!("{wanted} to count as sent");
    rig.platform_becomes("production", &what, |platform| {
        let sent = platform["status"]["guard"]["sent"].as_array();
        let sent = sent.into_iter().flatten();
        let count: i64 = sent.filter_map(|sent| sent["count"].as_i64()).sum();
        count == wanted && platform["status"]["guard"]["reserved"] == 2
    })
    .await;
}

#[tokio::test]
async fn a_clean_stop_counts_nothing_of_its_reservation_and_a_crash_all_of_it() {
    let (_turn, plane) = alone().await;
    let layout = Layout {
        platform: json!({
            "quota": {"calls": 100, "window": "1s"},
            "guard": {"maxDeletions": 40, "window": "10m", "gracePeriod": "0s"},
        }),
        ..Layout::default()
    };
    let rig = Rig::on(plane, "reserved", layout).await;
    let mut operator = started(&rig).await;
    rig.active(&[("one", "package-00001"), ("two", "package-00002")])
        .await;
    rig.delete("one");
    rig.gone("one").await;
    assert_eq!(operator.terminate().await.code(), Some(0));

    // One of the two reserved deletions was sent.
    let mut operator = started(&rig).await;
    sent(&rig, 1).await;
    assert_eq!(operator.terminate().await.code(), Some(0));
    let mut operator = started(&rig).await;
    sent(&rig, 1).await;
    rig.delete("two");
    rig.gone("two").await;
    operator.kill().await;
    // The rest of the reservation counts as sent after a crash.
    let _operator = started(&rig).await;
    sent(&rig, 3).await;
}
