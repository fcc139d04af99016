//! A status counts only for the object that it was written for, not for another one of its name.

use super::*;
use crate::support::{SOON, ready, wait_for};

#[tokio::test]
async fn a_late_answer_is_written_to_no_new_object_of_the_same_name() {
    let rig = Rig::shared("late-answer", at_once()).await;
    rig.active(&[("meter-fw", "package-00001")]).await;
    let slow = json!({"delay": {"ms": 2500}});
    rig.simulator.fault("package-00001", &slow, &json!(1)).await;
    rig.retire("meter-fw");
    rig.reason("meter-fw", "Deleting").await;
    let manifest = rig.manifest("meter-fw", "package-00002", &json!({}));
    // The call is in flight from here on.
    tokio::time::sleep(Duration::from_millis(500)).await;
    replace(&rig, "meter-fw", &manifest).await;
    let anew = rig.reason("meter-fw", "Active").await;
    a_while().await;
    let anew_later = rig.get("meter-fw").await.unwrap();
    assert_eq!(uid(&anew), uid(&anew_later));
    assert_eq!(ready(&anew_later)["reason"], "Active");
    assert!(anew_later["status"]["deletion"].is_null(), "{anew_later}");
    rig.delete("meter-fw");
    rig.gone("meter-fw").await;
    assert_eq!(rig.deletes("package-00002").await.len(), 1);
    assert!(!rig.simulator.has("package-00002").await);
}

#[tokio::test]
async fn an_object_restored_with_its_old_status_is_still_deleted_by_a_call() {
    let rig = Rig::shared("restored", at_once()).await;
    rig.active(&[("meter-fw", "package-00001")]).await;
    rig.retire("meter-fw");
    let gone = rig.reason("meter-fw", "Deleted").await;
    let manifest = rig.manifest("meter-fw", "package-00002", &json!({}));
    replace(&rig, "meter-fw", &manifest).await;
    let old = gone["status"].clone();
    update_status(rig.packages(), "meter-fw", |status| *status = old.clone()).await;
    rig.reason("meter-fw", "Active").await;
    let status = rig.get("meter-fw").await.unwrap()["status"].clone();
    assert!(status["deletion"].is_null(), "{status}");
    rig.delete("meter-fw");
    rig.gone("meter-fw").await;
    assert_eq!(rig.deletes("package-00002").await.len(), 1);
}

#[tokio::test]
async fn a_restored_request_skips_no_grace_period() {
    let platform = json!({
        "quota": {"calls": 100, "window": "1s"},
        "guard": {"maxDeletions": 1000, "window": "10m", "gracePeriod": "120s"},
    });
    let layout = Layout {
        platform,
        ..Layout::default()
    };
    let rig = Rig::shared("restored-request", layout).await;
    rig.active(&[("meter-fw", "package-00001")]).await;
    let uid_before = uid(&rig.get("meter-fw").await.unwrap()).to_owned();
    let long_ago = jiff::Timestamp::now() - Duration::from_secs(600);
    let asked = jiff::Timestamp::from_second(long_ago.as_second()).unwrap();
    for stale in [json!(uid_before), json!(null)] {
        let manifest = rig.manifest(
            "meter-fw",
            "package-00001",
            &json!({"lifecycle": "Retired"}),
        );
        replace(&rig, "meter-fw", &manifest).await;
        update_status(rig.packages(), "meter-fw", |status| {
            *status = json!({
                "observedGeneration": 1, "phase": "Waiting", "application": rig.namespace,
                "uid": stale, "deletion": {"requestedAt": asked},
            });
        })
        .await;
        rig.reason("meter-fw", "GracePeriod").await;
        a_while().await;
        let object = rig.reason("meter-fw", "GracePeriod").await;
        let stored = object["status"]["deletion"]["requestedAt"]
            .as_str()
            .unwrap();
        assert!(stored.parse::<jiff::Timestamp>().unwrap() > asked);
        assert!(rig.deletes("package-00001").await.is_empty());
    }
}

#[tokio::test]
async fn fields_of_a_newer_version_are_kept_and_hold_the_object() {
    let rig = Rig::shared("newer-words", at_once()).await;
    rig.active(&[("meter-fw", "package-00001")]).await;
    let own = uid(&rig.get("meter-fw").await.unwrap()).to_owned();
    // The schema accepts the value; this version can't parse it as an application.
    update_status(rig.packages(), "meter-fw", |status| {
        status["application"] = json!("app of the future");
        status["endpoint"] = json!("endpoint of the future");
        status["deletion"] = json!({"hold": "h-9", "attempts": 3});
    })
    .await;
    rig.delete("meter-fw");
    let held = rig.reason("meter-fw", "Undecodable").await;
    assert_eq!(held["status"]["uid"], json!(own));
    assert_eq!(held["status"]["application"], "app of the future");
    assert_eq!(held["status"]["endpoint"], "endpoint of the future");
    assert_eq!(
        held["status"]["deletion"],
        json!({"hold": "h-9", "attempts": 3})
    );
    assert!(rig.deletes("package-00001").await.is_empty());
    rig.patch(
        "vp/meter-fw",
        &json!({"spec": {"deletionPolicy": "Retain"}}),
    );
    rig.gone("meter-fw").await;
}

#[tokio::test]
async fn a_restored_platform_keeps_its_sent_deletions_and_loses_its_releases() {
    let guard = json!({"maxDeletions": 3, "window": "10m", "gracePeriod": "0s"});
    let platform = json!({"quota": {"calls": 100, "window": "1s"}, "guard": guard});
    let plane = crate::support::Plane::start();
    plane.install();
    let mut operator = crate::support::start_operator(&plane, &[]);
    operator.ready().await;
    let layout = || Layout {
        platform: platform.clone(),
        ..Layout::default()
    };
    let rig = Rig::on(&plane, "restored-platform", layout()).await;
    let other = Rig::on(&plane, "unreadable-record", layout()).await;
    other
        .active(&[("p-1", "package-00001"), ("p-2", "package-00002")])
        .await;
    other.delete("p-1");
    other.gone("p-1").await;
    let names: Vec<(String, String)> = (1..=6)
        .map(|n| (format!("p-{n}"), format!("package-{n:05}")))
        .collect();
    let pairs: Vec<(&str, &str)> = names.iter().map(|(n, f)| (&**n, &**f)).collect();
    rig.active(&pairs).await;
    rig.delete_all(&["p-1", "p-2", "p-3"]);
    for name in ["p-1", "p-2", "p-3"] {
        rig.gone(name).await;
    }
    operator.terminate().await;
    // The status is given to another Platform of the same name, with a release that was for other objects.
    let said = rig.kubectl(&["get", "platform", "production", "-o", "json"]);
    let before: Value = serde_json::from_str(&said.expect_ok()).unwrap();
    let mut status = before["status"].clone();
    status["uid"] = json!("7c0f6a1e-0000-4000-8000-000000000000");
    status["guard"]["released"] =
        json!([{"id": "h-1", "time": "2026-01-01T00:00:00Z", "count": 9}]);
    rig.patch_status("platform/production", &json!({"status": status}));
    // The sent deletions of another record are unreadable, so they count as the whole limit, sent just now.
    let never = "9999-12-31T23:59:59Z";
    let sent = json!([{"number": 1, "from": never, "until": never, "count": 1}]);
    let unreadable = json!({"status": {"guard": {"sent": sent}}});
    other.patch_status("platform/production", &unreadable);
    let mut operator = crate::support::start_operator(&plane, &[]);
    operator.ready().await;
    other.delete("p-2");
    other.reason("p-2", "MassDeletionHeld").await;
    assert!(other.deletes("package-00002").await.is_empty());
    rig.delete_all(&["p-4"]);
    rig.reason("p-4", "MassDeletionHeld").await;
    let own = uid(&before).to_owned();
    let healed = wait_for("the Platform to say whose status it is", SOON, async || {
        let said = rig.kubectl(&["get", "platform", "production", "-o", "json"]);
        let object: Value = serde_json::from_str(&said.expect_ok()).ok()?;
        (object["status"]["uid"] == json!(own)).then_some(object)
    })
    .await;
    let released = &healed["status"]["guard"]["released"];
    assert!(released.as_array().is_none_or(Vec::is_empty), "{released}");
}
