//! A namespace that is deleted with packages in it ends, and only the intended packages are deleted.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{Fleet, Layout, OPERATOR, Rig, SimulatorOptions, ready, shared, wait_for};

/// The time limit: the controller checks an ending namespace again after growing pauses.
const NAMESPACE_END: Duration = Duration::from_secs(60);

async fn ended(namespace: &str) {
    let plane = shared().await;
    let what = format!("the namespace {namespace} to end");
    wait_for(&what, NAMESPACE_END, async || {
        let said = plane.kubectl(&["get", "namespace", namespace]);
        said.stderr.contains("NotFound").then_some(())
    })
    .await;
}

fn delete_namespace(rig: &Rig<'_>, namespace: &str) {
    rig.plane
        .kubectl(&["delete", "namespace", namespace, "--wait=false"])
        .expect_ok();
}

#[tokio::test]
async fn a_deleted_namespace_with_its_platform_elsewhere_ends_by_itself() {
    let layout = Layout {
        platform: json!({
            "quota": {"calls": 100, "window": "1s"},
            "allowedNamespaces": {"from": "All"},
        }),
        ..Layout::default()
    };
    let rig = Rig::shared("platforms", layout).await;
    let fleet = rig.plane.namespace("fleet");
    let platform = json!({"name": "production", "namespace": rig.namespace});
    let packages = ["package-00001", "package-00002", "package-00003"];
    for file_id in packages {
        let mut object = rig.manifest(file_id, file_id, &json!({"platformRef": platform}));
        object["metadata"]["namespace"] = json!(fleet);
        rig.plane.apply(&object.to_string()).expect_ok();
    }
    wait_for("all to be Active", support::SOON, async || {
        let said = rig
            .plane
            .kubectl(&["get", "vp", "-n", &fleet, "-o", "json"]);
        let list: Value = serde_json::from_str(&said.stdout).ok()?;
        let items = list["items"].as_array()?;
        items
            .iter()
            .all(|object| ready(object)["reason"] == "Active")
            .then_some(())
    })
    .await;

    delete_namespace(&rig, &fleet);
    ended(&fleet).await;
    for file_id in packages {
        assert_eq!(rig.deletes(file_id).await.len(), 1, "{file_id}");
        assert!(!rig.simulator.has(file_id).await);
    }
    // An ending namespace accepts no new objects, so at most one event is tried for each object.
    let user = format!("system:serviceaccount:{OPERATOR}:{OPERATOR}");
    let refused = rig
        .plane
        .audit_events()
        .into_iter()
        .filter(|event| event.user == user && event.namespace == fleet && event.code == 403);
    let refused: Vec<_> = refused.collect();
    assert!(refused.len() <= packages.len(), "{refused:?}");
    assert!(
        refused.iter().all(|event| event.resource == "events"),
        "{refused:?}"
    );
}

/// Deletes a namespace with a Platform, its Secrets and this many objects.
async fn deleted_with_all(subject: &str, count: usize, platform: Value) -> Rig<'static> {
    let layout = Layout {
        simulator: SimulatorOptions {
            packages: count,
            quota_window: "1s",
            ..SimulatorOptions::default()
        },
        platform,
    };
    let rig = Rig::shared(subject, layout).await;
    let fleet = Fleet::create(&rig, 1..count + 1).await;
    assert_eq!(fleet.count().await, count);
    delete_namespace(&rig, &rig.namespace);
    rig
}

async fn deleted(rig: &Rig<'_>) -> usize {
    let ledger = rig.simulator.ledger().await;
    let deleted = ledger.iter().filter(|call| call["verdict"] == "deleted");
    deleted.count()
}

#[tokio::test]
async fn a_deleted_namespace_with_its_platform_and_secret_ends_by_itself() {
    // The deletions last longer than the Secret, so the last valid credentials must serve.
    let platform = json!({"quota": {"calls": 20, "window": "1s"}});
    let rig = deleted_with_all("together", 200, platform).await;
    ended(&rig.namespace).await;
    assert_eq!(deleted(&rig).await, 200);
    let ledger = rig.simulator.ledger().await;
    let calls = ledger.iter().filter(|call| call["method"] == "DELETE");
    assert_eq!(calls.count(), 200, "each package once");
}

#[tokio::test]
async fn a_deleted_namespace_waits_for_the_release_of_its_hold() {
    let platform = json!({
        "quota": {"calls": 100, "window": "1s"},
        "guard": {"maxDeletions": 10, "window": "10m", "gracePeriod": "3s"},
    });
    let rig = deleted_with_all("held", 20, platform).await;
    // The Secrets and the Platform are deleted in any order, so the Platform may first report that the Secret is
    // missing.
    let what = "the Platform to hold all, and to stay for them";
    let platform = rig
        .platform_becomes("production", what, |platform| {
            platform["status"]["hold"]["count"] == 20 && ready(platform)["reason"] == "InUse"
        })
        .await;
    assert_eq!(deleted(&rig).await, 0);
    let id = platform["status"]["hold"]["id"].as_str();
    rig.annotate("platform/production", "release-hold", id);
    ended(&rig.namespace).await;
    assert_eq!(deleted(&rig).await, 20);
}

#[tokio::test]
async fn a_deleted_namespace_in_mode_observe_keeps_its_platform_until_retain_is_set() {
    let layout = Layout {
        platform: json!({"mode": "Observe"}),
        ..Layout::default()
    };
    let rig = Rig::shared("observed", layout).await;
    let packages = [("a", "package-00001"), ("b", "package-00002")];
    rig.active(&packages).await;

    delete_namespace(&rig, &rig.namespace);
    for (name, _) in packages {
        let object = rig.reason(name, "WouldDelete").await;
        assert_eq!(object["status"]["phase"], "Held");
    }
    let platform = rig.platform_reason("production", "InUse").await;
    assert!(
        ready(&platform)["message"]
            .to_string()
            .contains("2 objects")
    );
    for (name, _) in packages {
        let retain = json!({"spec": {"deletionPolicy": "Retain"}});
        rig.patch(&format!("vp/{name}"), &retain);
        rig.gone(name).await;
    }
    ended(&rig.namespace).await;
    for (_, file_id) in packages {
        assert!(rig.deletes(file_id).await.is_empty());
        assert!(rig.simulator.has(file_id).await);
    }
}
