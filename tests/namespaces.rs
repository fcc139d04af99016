//! A namespace that is deleted with packages in it ends, and no package goes that shouldn't.

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

/// The controller looks at an ending namespace again after a pause that grows.
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
async fn a_namespace_whose_platform_is_elsewhere_empties_by_itself() {
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
    // Nothing can be created there any more, so an event is at most tried once for each object.
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

/// Deletes a namespace with Platform, Secrets and this many objects in it.
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
async fn a_namespace_that_takes_platform_and_secret_along_empties_by_itself() {
    // Slower than the Secret goes, so that the last good credentials have to serve.
    let platform = json!({"quota": {"calls": 20, "window": "1s"}});
    let rig = deleted_with_all("together", 200, platform).await;
    ended(&rig.namespace).await;
    assert_eq!(deleted(&rig).await, 200);
    let ledger = rig.simulator.ledger().await;
    let calls = ledger.iter().filter(|call| call["method"] == "DELETE");
    assert_eq!(calls.count(), 200, "each package once");
}

#[tokio::test]
async fn a_namespace_waits_in_the_hold_and_goes_on_after_its_release() {
    let platform = json!({
        "quota": {"calls": 100, "window": "1s"},
        "guard": {"maxDeletions": 10, "window": "10m", "gracePeriod": "3s"},
    });
    let rig = deleted_with_all("held", 20, platform).await;
    // A namespace takes its Secrets and its Platforms in any order: first it may say that the Secret is gone.
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
async fn a_namespace_in_mode_observe_keeps_its_platform_until_somebody_says_retain() {
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
