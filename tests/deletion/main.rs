//! Deletion and retirement: which packages are deleted, which stay, and what holds a deletion.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod events;
mod kept;
mod pauses;
mod phases;
mod platforms;
mod replaced;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use support::{Layout, Rig, SOON, SimulatorOptions, kstatus, ready, wait_for};

/// How soon a change of the Platform or of the object takes effect.
const HEALED: Duration = Duration::from_secs(5);

const FIRST: &str = "package-00001";
const SECOND: &str = "package-00002";

/// A platform with Active objects for its packages.
async fn laid_out(subject: &str, packages: &[(&str, &str)]) -> Rig<'static> {
    let rig = Rig::shared(subject, Layout::default()).await;
    rig.active(packages).await;
    rig
}

fn message(object: &Value) -> String {
    ready(object)["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

async fn says(rig: &Rig<'_>, name: &str, reason: &str) -> Value {
    let what = format!("to say {reason}");
    rig.becomes(name, &what, HEALED, |o| ready(o)["reason"] == reason)
        .await
}

/// Waits until the object is gone within the time limit of a change.
async fn goes(rig: &Rig<'_>, name: &str) {
    wait_for(&format!("{name} to go"), HEALED, async || {
        rig.get(name).await.is_none().then_some(())
    })
    .await;
}

/// Completes the deletion of another package: by then a call that was due before has been made.
async fn another_deletion(rig: &Rig<'_>) {
    let another = "package-00020";
    let before = rig.deletes(another).await.len();
    let manifest = rig.manifest("another", another, &json!({}));
    rig.plane.apply(&manifest.to_string()).expect_ok();
    // Where its package was deleted before, the object reports this, and its deletion still makes a call.
    rig.becomes("another", "accepted", HEALED, |o| {
        o["status"]["application"].is_string()
    })
    .await;
    rig.delete("another");
    rig.gone("another").await;
    assert_eq!(rig.deletes(another).await.len(), before + 1);
}

async fn assert_untouched(rig: &Rig<'_>, file_id: &str) {
    another_deletion(rig).await;
    assert!(
        rig.deletes(file_id).await.is_empty(),
        "{file_id} was called for"
    );
    assert!(rig.simulator.has(file_id).await);
}

#[tokio::test]
async fn retiring_and_then_deleting_makes_one_call_and_keeps_the_outcome() {
    let rig = laid_out("retire", &[("meter", FIRST)]).await;
    rig.retire("meter");
    let retired = rig.reason("meter", "Deleted").await;
    let finished = retired["status"]["deletion"]["finishedAt"].clone();
    assert!(finished.is_string());
    let back = json!({"spec": {"lifecycle": "Active"}}).to_string();
    let refused = rig.kubectl(&["patch", "vp/meter", "--type=merge", "-p", &back]);
    assert!(refused.expect_refused().contains("lifecycle"));
    rig.annotate("vp/meter", "requested-at", Some("again"));
    let echoed = |o: &Value| o["status"]["lastHandledRequestedAt"] == "again";
    let again = rig.becomes("meter", "echoed", HEALED, echoed).await;
    assert_eq!(again["status"]["deletion"]["outcome"], "Deleted");
    assert_eq!(again["status"]["deletion"]["finishedAt"], finished);
    rig.delete("meter");
    rig.gone("meter").await;
    assert_eq!(rig.deletes(FIRST).await.len(), 1);
}

#[tokio::test]
async fn a_scheduled_retirement_begins_within_two_seconds_of_its_time() {
    let rig = Rig::shared("scheduled", Layout::default()).await;
    let due = Timestamp::now() + SignedDuration::from_secs(4);
    let due = due.round(jiff::Unit::Second).unwrap();
    let spec = json!({"retireAfter": due.to_string()});
    rig.plane
        .apply(&rig.manifest("meter", FIRST, &spec).to_string())
        .expect_ok();
    rig.reason("meter", "Scheduled").await;
    rig.reason("meter", "Deleted").await;
    let calls = rig.deletes(FIRST).await;
    assert_eq!(calls.len(), 1);
    let called: Timestamp = calls[0]["time"].as_str().unwrap().parse().unwrap();
    let late = called.duration_since(due);
    assert!(
        !late.is_negative() && late < SignedDuration::from_secs(2),
        "{late}"
    );
}

#[tokio::test]
async fn an_object_set_active_before_the_call_drops_its_deletion() {
    let rig = laid_out("again", &[("meter", FIRST)]).await;
    rig.annotate("vp/meter", "paused", Some("true"));
    rig.retire("meter");
    let held = rig.reason("meter", "Paused").await;
    assert_eq!(held["status"]["phase"], "Held");
    assert!(held["status"]["deletion"]["requestedAt"].is_string());
    rig.patch("vp/meter", &json!({"spec": {"lifecycle": "Active"}}));
    let active = rig.reason("meter", "Active").await;
    assert_eq!(active["status"]["deletion"], Value::Null);
    rig.annotate("vp/meter", "paused", None);
    assert_untouched(&rig, FIRST).await;
    assert_eq!(ready(&rig.get("meter").await.unwrap())["reason"], "Active");
}

#[tokio::test]
async fn a_paused_deletion_waits_and_continues_soon_after_the_pause() {
    let rig = laid_out("paused", &[("deleted", FIRST), ("retired", SECOND)]).await;
    for name in ["deleted", "retired"] {
        rig.annotate(&format!("vp/{name}"), "paused", Some("true"));
    }
    rig.delete("deleted");
    rig.retire("retired");
    for name in ["deleted", "retired"] {
        let said = message(&rig.reason(name, "Paused").await);
        assert!(said.contains("iodm.dev/paused"), "{said}");
    }
    assert_untouched(&rig, FIRST).await;
    assert_untouched(&rig, SECOND).await;
    rig.annotate("vp/deleted", "paused", None);
    let freed = tokio::time::Instant::now();
    rig.gone("deleted").await;
    let took = freed.elapsed();
    assert!(took < Duration::from_millis(1500), "{took:?}");
    rig.annotate("vp/retired", "paused", None);
    rig.reason("retired", "Deleted").await;
}

#[tokio::test]
async fn retain_releases_an_object_without_a_call_even_a_paused_one() {
    let rig = Rig::shared("retain", Layout::default()).await;
    let retain = json!({"deletionPolicy": "Retain"});
    for (name, file_id) in [("plain", FIRST), ("paused", SECOND)] {
        let manifest = rig.manifest(name, file_id, &retain).to_string();
        rig.plane.apply(&manifest).expect_ok();
        rig.reason(name, "Active").await;
    }
    rig.annotate("vp/paused", "paused", Some("true"));
    rig.delete_all(&["plain", "paused"]);
    for (name, file_id) in [("plain", FIRST), ("paused", SECOND)] {
        goes(&rig, name).await;
        assert_untouched(&rig, file_id).await;
        let about = format!("involvedObject.name={name},reason=Retained");
        let event = ["get", "events", "--field-selector", &about, "-o", "name"];
        wait_for("the event", HEALED, async || {
            let events = rig.kubectl(&event).expect_ok();
            (events.lines().count() == 1).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_package_claimed_by_another_object_stays_until_no_object_wants_it() {
    let claimants = [("first", FIRST), ("second", FIRST), ("third", FIRST)];
    let rig = laid_out("claims", &claimants).await;
    rig.delete("first");
    rig.gone("first").await;
    assert_untouched(&rig, FIRST).await;
    let handed = [
        "get",
        "events",
        "--field-selector",
        "reason=HandedOver",
        "-o",
        "json",
    ];
    let handed = rig.kubectl(&handed).expect_ok();
    assert!(handed.contains("second"), "{handed}");

    rig.retire("second");
    let held = rig.reason("second", "StillClaimed").await;
    assert_eq!(held["status"]["phase"], "Held");
    let third = format!("{}/third", rig.namespace);
    assert!(message(&held).contains(&third), "{}", message(&held));
    assert_untouched(&rig, FIRST).await;
    rig.delete("third");
    rig.gone("third").await;
    says(&rig, "second", "Deleted").await;
    assert_eq!(rig.deletes(FIRST).await.len(), 1);
}

#[tokio::test]
async fn two_objects_of_one_package_deleted_together_make_one_call() {
    let mut packages = Vec::new();
    let names: Vec<(String, String)> = (1..=8)
        .flat_map(|n| ["a", "b"].map(|side| (format!("{side}-{n}"), format!("package-{n:05}"))))
        .collect();
    packages.extend(
        names
            .iter()
            .map(|(name, file)| (name.as_str(), file.as_str())),
    );
    let rig = laid_out("both", &packages).await;
    rig.delete_all(
        &names
            .iter()
            .map(|(name, _)| name.as_str())
            .collect::<Vec<_>>(),
    );
    for (name, file_id) in &names {
        rig.gone(name).await;
        assert_eq!(rig.deletes(file_id).await.len(), 1, "{file_id}");
        assert!(!rig.simulator.has(file_id).await);
    }
}

#[tokio::test]
async fn a_new_requested_at_retries_at_once_and_is_acknowledged() {
    let rig = laid_out("request", &[("stalled", FIRST), ("wanted", SECOND)]).await;
    rig.simulator
        .fault(FIRST, &json!("bare-404"), &json!(2))
        .await;
    rig.retire("stalled");
    rig.reason("stalled", "UnexpectedAnswer").await;
    rig.annotate("vp/stalled", "requested-at", Some("first"));
    wait_for("a second call", Duration::from_secs(2), async || {
        (rig.deletes(FIRST).await.len() == 2).then_some(())
    })
    .await;
    let echoed = |o: &Value| o["status"]["lastHandledRequestedAt"] == "first";
    rig.becomes("stalled", "echoed", HEALED, echoed).await;
    rig.annotate("vp/stalled", "requested-at", Some("second"));
    let gone = |o: &Value| ready(o)["reason"] == "Deleted";
    let gone = rig
        .becomes("stalled", "gone", Duration::from_secs(2), gone)
        .await;
    assert_eq!(gone["status"]["lastHandledRequestedAt"], "second");
    assert_eq!(gone["status"]["deletion"]["attempts"], 3);

    rig.annotate("vp/wanted", "requested-at", Some("look"));
    let echoed = |o: &Value| o["status"]["lastHandledRequestedAt"] == "look";
    rig.becomes("wanted", "echoed", HEALED, echoed).await;
}
