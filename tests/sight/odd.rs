//! Objects with unexpected times, which any writer of an object can set.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    Layout, OPERATOR, Plane, Rig, SHORT_LEASE, SHORT_LEASE_FLAGS, SOON, ready, start_operator,
    wait_for,
};

const OURS: &str = "iodm.dev/v1alpha1";

/// Gives an object a managed field with the last second of the year 9999, and a deeply nested one.
fn mark(plane: &Plane, namespace: &str, object: &str, api_version: &str) {
    let deep = (0..200).fold(json!({}), |inner, _| json!({"f:a": inner}));
    let entry = json!({
        "manager": "odd", "operation": "Update", "apiVersion": api_version, "time": "9999-12-31T23:59:59Z",
        "fieldsType": "FieldsV1", "fieldsV1": {"f:metadata": {"f:labels": {"f:odd": {}}}, "f:data": deep},
    });
    let change = json!({"metadata": {"labels": {"odd": "yes"}, "managedFields": [entry]}});
    let change = change.to_string();
    let patch = [
        "-n",
        namespace,
        "patch",
        object,
        "--type=merge",
        "-p",
        &change,
    ];
    plane.kubectl(&patch).expect_ok();
    let get = [
        "-n",
        namespace,
        "get",
        object,
        "-o",
        "json",
        "--show-managed-fields",
    ];
    let read = plane.kubectl(&get).expect_ok();
    assert!(read.contains("9999-12-31T23:59:59Z"), "{read}");
}

/// Waits until an object has `reason`, by kubectl: the client of the tests can't decode it.
async fn says(rig: &Rig<'_>, object: &str, reason: &str) {
    let what = format!("{object} to say {reason}");
    wait_for(&what, SOON, async || {
        let read = rig.kubectl(&["get", object, "-o", "json"]).expect_ok();
        let object: Value = serde_json::from_str(&read).unwrap();
        (ready(&object)["reason"] == reason).then_some(())
    })
    .await;
}

/// Waits until the object is gone.
async fn gone(rig: &Rig<'_>, object: &str) {
    wait_for(&format!("{object} to go"), SOON, async || {
        let said = rig.kubectl(&["get", object]);
        said.stderr.contains("NotFound").then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_odd_time_in_any_object_hides_no_object_and_stops_no_other() {
    let plane = Plane::start();
    plane.install();
    let rig = Rig::on(&plane, "odd", Layout::default()).await;
    let namespace = rig.namespace.clone();
    let mut operator = start_operator(&plane, &SHORT_LEASE_FLAGS);
    operator.ready().await;
    rig.active(&[
        ("wanted", "package-00001"),
        ("other", "package-00002"),
        ("second", "package-00003"),
    ])
    .await;

    // A running watch delivers odd objects: the claim of one counts.
    let claimant = rig.manifest("claimant", "package-00001", &json!({}));
    plane.apply(&claimant.to_string()).expect_ok();
    rig.reason("claimant", "Active").await;
    mark(&plane, &namespace, "vp/claimant", OURS);
    mark(&plane, &namespace, "platform/production", OURS);
    mark(&plane, &namespace, "secret/production-app", "v1");
    mark(&plane, &namespace, &format!("namespace/{namespace}"), "v1");
    let lease = "lease/version-package-operator";
    mark(&plane, OPERATOR, lease, "coordination.k8s.io/v1");
    rig.delete("wanted");
    rig.gone("wanted").await;
    assert!(rig.deletes("package-00001").await.is_empty());
    // The answer to a write is parsed as well.
    mark(&plane, &namespace, "vp/other", OURS);
    rig.retire("other");
    says(&rig, "vp/other", "Deleted").await;
    assert_eq!(rig.deletes("package-00002").await.len(), 1);
    rig.patch("platform/production", &json!({"spec": {"mode": "Observe"}}));
    rig.platform_reason("production", "Observing").await;
    tokio::time::sleep(SHORT_LEASE + Duration::from_secs(1)).await;
    assert!(operator.is_running(), "it keeps its Lease");

    let binding = "clusterrolebinding/version-package-operator";
    mark(&plane, &namespace, binding, "rbac.authorization.k8s.io/v1");
    // A starting process lists all of them.
    for definition in ["versionpackages.iodm.dev", "platforms.iodm.dev"] {
        let definition = format!("crd/{definition}");
        mark(&plane, &namespace, &definition, "apiextensions.k8s.io/v1");
    }
    operator.terminate().await;
    let mut operator = start_operator(&plane, &SHORT_LEASE_FLAGS);
    operator.ready().await;
    mark(&plane, &namespace, "vp/second", OURS);
    rig.patch("platform/production", &json!({"spec": {"mode": "Enforce"}}));
    rig.delete("second");
    gone(&rig, "vp/second").await;
    assert_eq!(rig.deletes("package-00003").await.len(), 1);
    says(&rig, "vp/claimant", "Active").await;
    let log = operator.log().join("\n");
    assert!(!log.contains("made anew"), "{log}");
}
