//! Deletions that nobody meant: the grace period of one deletion, the hold of too many, and the ways out of both.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod records;
mod shares;
#[path = "../support/mod.rs"]
mod support;
mod ways_out;

use jiff::Timestamp;
use serde_json::{Value, json};
use support::{Layout, Rig, SOON, SimulatorOptions, kstatus, ready, wait_for};

fn file(number: usize) -> String {
    format!("package-{number:05}")
}

fn name(number: usize) -> String {
    format!("p-{number:02}")
}

fn guard(most: usize, grace: &str) -> Value {
    json!({
        "quota": {"calls": 100, "window": "1s"},
        "guard": {"maxDeletions": most, "window": "10m", "gracePeriod": grace},
    })
}

/// Active objects `p-01` and so on behind a guard.
async fn fleet(subject: &str, count: usize, platform: Value) -> Rig<'static> {
    let layout = Layout {
        simulator: SimulatorOptions {
            packages: 40,
            quota_window: "1s",
            ..SimulatorOptions::default()
        },
        platform,
    };
    let rig = Rig::shared(subject, layout).await;
    activate(&rig, 1..=count).await;
    rig
}

async fn activate(rig: &Rig<'_>, numbers: std::ops::RangeInclusive<usize>) {
    if numbers.is_empty() {
        return;
    }
    let pairs: Vec<(String, String)> = numbers.map(|n| (name(n), file(n))).collect();
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(n, f)| (&**n, &**f)).collect();
    rig.active(&pairs).await;
}

fn delete(rig: &Rig<'_>, numbers: std::ops::RangeInclusive<usize>) {
    let names: Vec<String> = numbers.map(name).collect();
    rig.delete_all(&names.iter().map(String::as_str).collect::<Vec<_>>());
}

fn message(object: &Value) -> String {
    ready(object)["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

async fn held(rig: &Rig<'_>, number: usize) -> Value {
    rig.reason(&name(number), "MassDeletionHeld").await
}

/// Waits until the Platform shows a hold; returns it.
async fn hold(rig: &Rig<'_>) -> Value {
    let platform = rig.platform_reason("production", "MassDeletionHeld").await;
    platform["status"]["hold"].clone()
}

async fn deletes(rig: &Rig<'_>) -> usize {
    let ledger = rig.simulator.ledger().await;
    ledger
        .iter()
        .filter(|call| call["method"] == "DELETE")
        .count()
}

async fn goes(rig: &Rig<'_>, number: usize) {
    rig.gone(&name(number)).await;
    assert_eq!(rig.deletes(&file(number)).await.len(), 1);
}

#[tokio::test]
async fn a_mass_deletion_is_held_before_its_first_call_and_continues_after_its_release() {
    let rig = fleet("mass", 8, guard(5, "3s")).await;
    delete(&rig, 1..=8);
    let hold_status = hold(&rig).await;
    let id = hold_status["id"].as_str().unwrap().to_owned();
    for number in 1..=8 {
        let object = held(&rig, number).await;
        assert_eq!(object["status"]["phase"], "Held");
        assert_eq!(object["status"]["deletion"]["hold"], id);
        assert!(message(&object).contains(&id), "{}", message(&object));
        assert!(message(&object).contains("deletionPolicy: Retain"));
        assert_eq!(kstatus(&[object]), ["Terminating"]);
    }
    let platform = rig
        .platform_becomes("production", "all eight to be counted", |p| {
            p["status"]["hold"]["count"] == 8
        })
        .await;
    let words = message(&platform);
    for part in [
        "8 deletions",
        "maxDeletions 5",
        &id,
        "vpo hold release",
        "vpo hold retain",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    assert_eq!(kstatus(&[platform]), ["Failed"]);
    assert_eq!(deletes(&rig).await, 0);

    // Another id releases nothing, and the status says so.
    rig.annotate("platform/production", "release-hold", Some("h-other"));
    rig.platform_becomes("production", "the other id to be told", |p| {
        message(p).contains("h-other")
    })
    .await;
    assert_eq!(deletes(&rig).await, 0);

    rig.annotate("platform/production", "release-hold", Some(&id));
    for number in 1..=8 {
        goes(&rig, number).await;
    }
    rig.platform_reason("production", "Available").await;
    // The annotation that is still set releases no later hold.
    activate(&rig, 11..=18).await;
    delete(&rig, 11..=18);
    let next = hold(&rig).await;
    assert_ne!(next["id"], id);
    held(&rig, 11).await;
    assert_eq!(deletes(&rig).await, 8);
    assert!(rig.simulator.has(&file(11)).await);
}

#[tokio::test]
async fn an_annotation_that_releases_nothing_delays_no_deletion() {
    let rig = fleet("stale-release", 3, guard(20, "0s")).await;
    rig.annotate("platform/production", "release-hold", Some("h-long-ago"));
    for number in 1..=3 {
        rig.delete(&name(number));
        goes(&rig, number).await;
    }
}

#[tokio::test]
async fn at_most_the_limit_is_deleted_without_a_release_however_the_deletions_come() {
    let rig = fleet("bound", 9, guard(5, "0s")).await;
    for number in 1..=9 {
        rig.delete(&name(number));
    }
    hold(&rig).await;
    let left = wait_for("all to be gone or held", SOON, async || {
        let mut left = Vec::new();
        for number in 1..=9 {
            match rig.get(&name(number)).await {
                None => {}
                Some(object) if ready(&object)["reason"] == "MassDeletionHeld" => left.push(number),
                Some(_) => return None,
            }
        }
        Some(left)
    })
    .await;
    assert!(left.len() >= 4, "{left:?}");
    assert_eq!(deletes(&rig).await, 9 - left.len());
    for number in left {
        assert!(rig.simulator.has(&file(number)).await);
    }
}

#[tokio::test]
async fn deletions_after_the_release_are_held_under_another_id() {
    let rig = fleet("later", 8, guard(3, "0s")).await;
    rig.patch(
        "platform/production",
        &json!({"spec": {"guard": {"maxDeletions": 0}}}),
    );
    rig.platform_becomes("production", "the change to be taken in", |p| {
        p["status"]["observedGeneration"] == p["metadata"]["generation"]
    })
    .await;
    delete(&rig, 1..=4);
    let first = hold(&rig).await["id"].as_str().unwrap().to_owned();
    for number in 1..=4 {
        held(&rig, number).await;
    }
    rig.annotate("platform/production", "release-hold", Some(&first));
    for number in 1..=4 {
        goes(&rig, number).await;
    }
    delete(&rig, 5..=8);
    for number in 5..=8 {
        let object = held(&rig, number).await;
        assert_ne!(object["status"]["deletion"]["hold"], first);
    }
    assert_eq!(deletes(&rig).await, 4);
}

#[tokio::test]
async fn the_limit_of_any_platform_and_its_release_apply_to_the_whole_application() {
    let rig = fleet("shared", 2, guard(50, "0s")).await;
    rig.plane
        .grant_secrets(&rig.namespace, &["other-app", "other-ca"]);
    let other = rig
        .simulator
        .platform(&rig.namespace, "other", &guard(1, "2s"));
    rig.plane.apply(&other).expect_ok();
    rig.platform_reason("other", "Available").await;
    let of_other = json!({"platformRef": {"name": "other"}});
    let object = rig.manifest("theirs", &file(3), &of_other);
    rig.plane.apply(&object.to_string()).expect_ok();
    rig.reason("theirs", "Active").await;

    // Each Platform's own deletions are within its limit.
    delete(&rig, 1..=1);
    goes(&rig, 1).await;
    rig.delete("theirs");
    let named = rig.reason("theirs", "MassDeletionHeld").await;
    delete(&rig, 2..=2);
    held(&rig, 2).await;
    let id = named["status"]["deletion"]["hold"].as_str().unwrap();
    for platform in ["production", "other"] {
        let what = format!("{platform} to count both");
        let says = rig
            .platform_becomes(platform, &what, |p| {
                p["status"]["hold"]["id"] == id && p["status"]["hold"]["count"] == 2
            })
            .await;
        assert!(
            message(&says).contains("maxDeletions 1"),
            "{}",
            message(&says)
        );
    }
    assert_eq!(deletes(&rig).await, 1);

    rig.annotate("platform/production", "release-hold", Some(id));
    goes(&rig, 2).await;
    rig.gone("theirs").await;
    for platform in ["production", "other"] {
        rig.platform_reason(platform, "Available").await;
    }
    assert_eq!(deletes(&rig).await, 3);
}

#[tokio::test]
async fn nothing_is_sent_within_the_grace_period_and_each_way_to_call_off_works() {
    let rig = fleet("grace", 4, guard(50, "6s")).await;
    // The API server stores the time of the request in whole seconds.
    let asked = Timestamp::now();
    delete(&rig, 1..=3);
    rig.retire(&name(4));
    for number in 1..=4 {
        let object = rig.reason(&name(number), "GracePeriod").await;
        assert_eq!(object["status"]["phase"], "Waiting");
        let words = message(&object);
        assert!(words.contains("gracePeriod 6s"), "{words}");
        let undo = if number == 4 { "Active" } else { "Retain" };
        assert!(words.contains(undo), "{words}");
    }
    let policy = json!({"spec": {"deletionPolicy": "Retain"}});
    rig.patch(&format!("vp/{}", name(2)), &policy);
    rig.gone(&name(2)).await;
    rig.active(&[("elsewhere", &file(3))]).await;
    rig.gone(&name(3)).await;
    rig.patch(
        &format!("vp/{}", name(4)),
        &json!({"spec": {"lifecycle": "Active"}}),
    );
    let active = rig.reason(&name(4), "Active").await;
    assert!(active["status"].get("deletion").is_none(), "{active}");

    goes(&rig, 1).await;
    let call = &rig.deletes(&file(1)).await[0];
    let arrived: Timestamp = call["time"].as_str().unwrap().parse().unwrap();
    let after = arrived.duration_since(asked);
    assert!(after.as_millis() >= 6_000, "{after} {call}");
    for number in 2..=4 {
        assert!(rig.deletes(&file(number)).await.is_empty());
    }
}

#[tokio::test]
async fn an_expectation_is_compared_with_the_platform_just_before_the_call() {
    let rig = fleet("expect", 0, guard(50, "0s")).await;
    let known: Value = serde_json::from_str(
        &rig.simulator
            .admin(
                reqwest::Method::GET,
                &format!("/packages/{}", file(1)),
                &Value::Null,
            )
            .await,
    )
    .unwrap();
    let version = known["version"].as_str().unwrap();
    for (number, expected) in [(1, version), (2, "another"), (3, version)] {
        let spec = json!({"expect": {"version": expected}});
        let manifest = rig.manifest(&name(number), &file(number), &spec);
        rig.plane.apply(&manifest.to_string()).expect_ok();
        rig.reason(&name(number), "Active").await;
    }
    rig.simulator
        .admin(
            reqwest::Method::DELETE,
            &format!("/packages/{}", file(3)),
            &Value::Null,
        )
        .await;
    delete(&rig, 1..=3);
    goes(&rig, 1).await;
    rig.gone(&name(3)).await;
    assert!(rig.deletes(&file(3)).await.is_empty(), "it isn't there");
    let stalled = rig.reason(&name(2), "IdentityMismatch").await;
    assert_eq!(stalled["status"]["phase"], "Stalled");
    assert!(
        message(&stalled).contains("\"another\""),
        "{}",
        message(&stalled)
    );
    assert!(rig.deletes(&file(2)).await.is_empty());
    // The corrected object is reconciled again at once.
    let shown = stalled["status"]["package"]["version"].clone();
    rig.patch(
        &format!("vp/{}", name(2)),
        &json!({"spec": {"expect": {"version": shown}}}),
    );
    goes(&rig, 2).await;
}

#[tokio::test]
async fn a_paused_deletion_continues_within_a_second_after_the_pause() {
    let rig = fleet("paused", 1, guard(50, "0s")).await;
    rig.annotate(&format!("vp/{}", name(1)), "paused", Some("true"));
    delete(&rig, 1..=1);
    let object = rig.reason(&name(1), "Paused").await;
    assert!(
        message(&object).contains("Remove the annotation"),
        "{}",
        message(&object)
    );
    rig.annotate(&format!("vp/{}", name(1)), "paused", None);
    let resumed = Timestamp::now();
    goes(&rig, 1).await;
    let call = &rig.deletes(&file(1)).await[0];
    let arrived: Timestamp = call["time"].as_str().unwrap().parse().unwrap();
    assert!(arrived.duration_since(resumed).as_millis() < 1000, "{call}");
}

#[tokio::test]
async fn a_platform_in_use_stays_until_no_object_needs_it_and_names_those_objects() {
    let rig = fleet("in-use", 2, guard(50, "0s")).await;
    rig.kubectl(&["delete", "platform", "production", "--wait=false"])
        .expect_ok();
    let platform = rig.platform_reason("production", "InUse").await;
    let words = message(&platform);
    let first = format!("{}/{}", rig.namespace, name(1));
    for part in ["2 objects", &first, "Retain", "iodm.dev/abandon="] {
        assert!(words.contains(part), "{part}: {words}");
    }
    let late = rig.manifest("late", &file(9), &json!({}));
    rig.plane.apply(&late.to_string()).expect_ok();
    let refused = rig.reason("late", "PlatformNotFound").await;
    assert!(
        message(&refused).contains("being deleted"),
        "{}",
        message(&refused)
    );
    rig.delete("late");
    rig.gone("late").await;
    delete(&rig, 1..=2);
    goes(&rig, 1).await;
    goes(&rig, 2).await;
    wait_for("the Platform to go", SOON, async || {
        let said = rig.kubectl(&["get", "platform", "production"]);
        said.stderr.contains("NotFound").then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_abandoned_platform_leaves_its_objects_held_and_a_new_one_serves_them() {
    let rig = fleet("abandon", 1, guard(50, "0s")).await;
    rig.give_up_platform("production").await;
    rig.reason(&name(1), "PlatformNotFound").await;
    delete(&rig, 1..=1);
    rig.reason(&name(1), "PlatformNotFound").await;
    assert_eq!(deletes(&rig).await, 0);
    let manifests = rig
        .simulator
        .platform(&rig.namespace, "production", &guard(50, "0s"));
    rig.plane.apply(&manifests).expect_ok();
    goes(&rig, 1).await;
}
