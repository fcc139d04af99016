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
use support::{Layout, OPERATOR, Rig, ready, shared, wait_for};

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

#[tokio::test]
async fn a_namespace_that_takes_its_platform_along_holds_its_objects_until_somebody_says_retain() {
    // In mode Observe no call is made before the Platform is gone.
    let layout = Layout {
        platform: json!({"mode": "Observe"}),
        ..Layout::default()
    };
    let rig = Rig::shared("together", layout).await;
    let packages = [("a", "package-00001"), ("b", "package-00002")];
    rig.active(&packages).await;

    delete_namespace(&rig, &rig.namespace);
    for (name, _) in packages {
        let object = rig.reason(name, "PlatformNotFound").await;
        assert_eq!(object["status"]["phase"], "Held");
        let message = ready(&object)["message"].to_string();
        assert!(message.contains("deletionPolicy: Retain"), "{message}");
    }
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
