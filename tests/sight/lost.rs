//! Definitions that lose fields while the operator runs.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    Layout, OPERATOR, Operator, Plane, Rig, SOON, install_crypto, ready, start_operator, wait_for,
};

/// The path of the properties of spec and status in a definition.
const PROPERTIES: &str = "/spec/versions/0/schema/openAPIV3Schema/properties";

/// Serves a definition with a changed schema.
fn serve(plane: &Plane, definition: &str, change: impl Fn(&mut Value)) {
    let text = std::fs::read_to_string(format!("crds/{definition}.iodm.dev.yaml")).unwrap();
    let mut definition: Value = serde_saphyr::from_str(&text).unwrap();
    change(definition.pointer_mut(PROPERTIES).unwrap());
    let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    plane
        .kubectl_with(plane.kubeconfig(), &apply, &definition.to_string())
        .expect_ok();
}

/// Serves a definition without a field of `part`.
fn without(plane: &Plane, definition: &str, part: &str, field: &str) {
    serve(plane, definition, |properties| {
        let fields = &mut properties[part]["properties"];
        fields.as_object_mut().unwrap().remove(field).unwrap();
    });
}

fn whole(plane: &Plane, definition: &str) {
    serve(plane, definition, |_| {});
}

/// Waits until the operator is unready because of a field.
async fn unready(operator: &Operator, field: &str) {
    wait_for("the operator to be unready", SOON, async || {
        install_crypto();
        let answer = reqwest::get(operator.admin_url("/readyz")).await.ok()?;
        let unready = answer.status() == 503;
        let text = answer.text().await.ok()?;
        (unready && text.contains(field)).then_some(())
    })
    .await;
}

/// A Platform in mode Observe, which deletes nothing.
async fn observing(plane: &Plane) -> Rig<'_> {
    let layout = Layout {
        platform: json!({"quota": {"calls": 100, "window": "1s"}, "mode": "Observe"}),
        ..Layout::default()
    };
    Rig::on(plane, "observing", layout).await
}

/// Applies an object with `Retain`, and waits until it is accepted.
async fn retained(rig: &Rig<'_>, name: &str, file: &str) -> Value {
    let retained = rig.manifest(name, file, &json!({"deletionPolicy": "Retain"}));
    rig.plane.apply(&retained.to_string()).expect_ok();
    rig.reason(name, "Active").await
}

async fn calls(rig: &Rig<'_>) -> usize {
    let ledger = rig.simulator.ledger().await;
    ledger
        .iter()
        .filter(|call| call["method"] == "DELETE")
        .count()
}

#[tokio::test]
async fn a_package_stays_whose_retain_was_lost_while_the_operator_ran() {
    let plane = Plane::start();
    plane.install();
    let rig = Rig::on(&plane, "retain", Layout::default()).await;
    let mut operator = start_operator(&plane, &[]);
    operator.ready().await;
    let names = ["kept", "confirmed", "edited", "untouched"];
    let files = [
        "package-00001",
        "package-00002",
        "package-00003",
        "package-00004",
    ];
    for (name, file) in names.into_iter().zip(files) {
        retained(&rig, name, file).await;
    }

    without(&plane, "versionpackages", "spec", "deletionPolicy");
    // The deletion of the object stores the loss.
    rig.delete_all(&["kept", "confirmed", "edited"]);
    unready(&operator, ".spec.deletionPolicy").await;
    let page = operator.admin_page("/metrics").await.unwrap();
    assert!(page.contains("vpo_unfit_definitions 1"), "{page}");
    assert!(page.contains("vpo_hindered 1"), "{page}");
    let events = plane
        .kubectl(&["get", "events", "-A", "-o", "json"])
        .expect_ok();
    assert!(events.contains("FieldsMissing"), "{events}");
    let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
    let before = rig.get("kept").await.unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(calls(&rig).await, 0);
    let now = rig.get("kept").await.unwrap();
    assert_eq!(
        version(&before),
        version(&now),
        "nothing is written meanwhile"
    );

    whole(&plane, "versionpackages");
    let object = rig.reason("kept", "FieldsLost").await;
    let message = ready(&object)["message"].to_string();
    assert!(
        message.contains("iodm.dev/confirm") && message.contains(".spec.deletionPolicy"),
        "{message}"
    );
    operator.ready().await;
    // Neither a retry nor another process confirms anything.
    rig.annotate("vp/kept", "requested-at", Some("now"));
    for name in ["confirmed", "edited"] {
        rig.reason(name, "FieldsLost").await;
    }
    operator.kill().await;
    let mut operator = start_operator(&plane, &[]);
    operator.ready().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(calls(&rig).await, 0);
    rig.reason("kept", "FieldsLost").await;

    let uid = object["metadata"]["uid"].as_str().unwrap();
    rig.annotate("vp/confirmed", "confirm", Some(uid));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(calls(&rig).await, 0, "the uid of another");
    let object = rig.get("confirmed").await.unwrap();
    rig.annotate(
        "vp/confirmed",
        "confirm",
        object["metadata"]["uid"].as_str(),
    );
    rig.gone("confirmed").await;
    assert_eq!(rig.deletes("package-00002").await.len(), 1);
    rig.patch("vp/edited", &json!({"spec": {"deletionPolicy": "Retain"}}));
    rig.gone("edited").await;
    // An object that nobody wrote meanwhile keeps its fields.
    rig.delete("untouched");
    rig.gone("untouched").await;
    assert_eq!(calls(&rig).await, 1);
    rig.patch("vp/kept", &json!({"spec": {"deletionPolicy": "Retain"}}));
    rig.gone("kept").await;
    assert_eq!(calls(&rig).await, 1);
}

#[tokio::test]
async fn a_lost_expectation_and_a_lost_mode_delete_nothing() {
    let plane = Plane::start();
    plane.install();
    let rig = observing(&plane).await;
    let other = Rig::on(&plane, "enforcing", Layout::default()).await;
    let mut operator = start_operator(&plane, &[]);
    operator.ready().await;
    rig.active(&[("observed", "package-00001")]).await;
    rig.retire("observed");
    rig.reason("observed", "WouldDelete").await;
    let expects = json!({"expect": {"name": "not this one"}});
    let guarded = other.manifest("guarded", "package-00001", &expects);
    plane.apply(&guarded.to_string()).expect_ok();
    other.reason("guarded", "Active").await;
    other.active(&[("plain", "package-00002")]).await;

    // The store holds only the Platform's fields that the definition has.
    without(&plane, "platforms", "spec", "mode");
    unready(&operator, ".spec.mode").await;
    rig.annotate("platform/production", "note", Some("written meanwhile"));
    other.retire("guarded");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!((calls(&rig).await, calls(&other).await), (0, 0));
    whole(&plane, "platforms");
    operator.ready().await;
    let platform = rig.platform_reason("production", "FieldsLost").await;
    // The operator's own status write may have come just after the change of the definition.
    let get = [
        "get",
        "platform",
        "production",
        "-o",
        "jsonpath={.metadata.uid}",
    ];
    let uid = other.kubectl(&get).expect_ok();
    other.annotate("platform/production", "confirm", Some(&uid));
    other.reason("guarded", "IdentityMismatch").await;
    assert_eq!((calls(&rig).await, calls(&other).await), (0, 0));
    assert!(
        ready(&platform)["message"]
            .to_string()
            .contains(".spec.mode")
    );
    rig.patch("platform/production", &json!({"spec": {"mode": "Observe"}}));
    rig.platform_reason("production", "Observing").await;
    rig.reason("observed", "WouldDelete").await;

    // The field `expect` has no default, so nothing in the object shows that it is lost.
    other.patch("vp/guarded", &json!({"spec": {"lifecycle": "Active"}}));
    other.reason("guarded", "Active").await;
    without(&plane, "versionpackages", "spec", "expect");
    other.retire("guarded");
    unready(&operator, ".spec.expect").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(calls(&other).await, 0);
    whole(&plane, "versionpackages");
    other.reason("guarded", "FieldsLost").await;
    assert_eq!(calls(&other).await, 0);

    // A field of the status.
    without(&plane, "versionpackages", "status", "application");
    unready(&operator, ".status.application").await;
    other.delete("plain");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(calls(&other).await, 0);
    whole(&plane, "versionpackages");
    operator.ready().await;
    other.reason("plain", "FieldsLost").await;
    assert_eq!(calls(&other).await, 0);
    let uid = other.get("plain").await.unwrap()["metadata"]["uid"].clone();
    other.annotate("vp/plain", "confirm", uid.as_str());
    other.gone("plain").await;
    assert_eq!(calls(&other).await, 1);
}

#[tokio::test]
async fn objects_written_after_a_start_during_a_loss_stay_held_over_restarts() {
    let plane = Plane::start();
    plane.install();
    let rig = Rig::on(&plane, "late", Layout::default()).await;
    let observing = observing(&plane).await;
    let mut operator = start_operator(&plane, &[]);
    operator.ready().await;
    let object = retained(&rig, "kept", "package-00001").await;
    // A confirmation of an earlier loss that was left on the object.
    let uid = object["metadata"]["uid"].as_str();
    rig.annotate("vp/kept", "confirm", uid);
    observing.active(&[("observed", "package-00001")]).await;
    observing.retire("observed");
    observing.reason("observed", "WouldDelete").await;
    operator.kill().await;

    without(&plane, "versionpackages", "spec", "deletionPolicy");
    without(&plane, "platforms", "spec", "mode");
    let mut operator = start_operator(&plane, &[]);
    unready(&operator, ".spec.deletionPolicy").await;
    unready(&operator, ".spec.mode").await;
    rig.delete("kept");
    observing.annotate("platform/production", "note", Some("written meanwhile"));
    whole(&plane, "versionpackages");
    whole(&plane, "platforms");
    operator.ready().await;
    rig.reason("kept", "FieldsLost").await;
    observing.platform_reason("production", "FieldsLost").await;
    let delete = ["delete", "platform", "production", "--wait=false"];
    observing.kubectl(&delete).expect_ok();
    let says_both = |platform: &Value| {
        let ready = ready(platform);
        let message = ready["message"].to_string();
        ready["reason"] == "FieldsLost" && message.contains("This Platform is being deleted")
    };
    observing
        .platform_becomes("production", "FieldsLost, being deleted", says_both)
        .await;

    operator.kill().await;
    let mut operator = start_operator(&plane, &[]);
    operator.ready().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!((calls(&rig).await, calls(&observing).await), (0, 0));
    rig.reason("kept", "FieldsLost").await;
    observing.platform_reason("production", "FieldsLost").await;

    rig.annotate("vp/kept", "confirm", None);
    rig.annotate("vp/kept", "confirm", uid);
    rig.gone("kept").await;
    assert_eq!(calls(&rig).await, 1);
    observing.patch("platform/production", &json!({"spec": {"mode": "Observe"}}));
    observing.platform_reason("production", "InUse").await;
    observing.reason("observed", "WouldDelete").await;
    assert_eq!(calls(&observing).await, 0);
}

/// The record of definitions that lack fields, in the Lease.
fn recorded(plane: &Plane) -> String {
    let path = r"jsonpath={.metadata.annotations.iodm\.dev/fields-lost}";
    let lease = "lease/version-package-operator";
    let get = ["-n", OPERATOR, "get", lease, "-o", path];
    plane.kubectl(&get).expect_ok()
}

#[tokio::test]
async fn a_loss_that_ended_during_a_downtime_is_known_to_the_next_process() {
    let plane = Plane::start();
    plane.install();
    let rig = Rig::on(&plane, "between", Layout::default()).await;
    let observing = observing(&plane).await;
    let mut operator = start_operator(&plane, &[]);
    operator.ready().await;
    retained(&rig, "kept", "package-00001").await;
    rig.active(&[("untouched", "package-00002")]).await;
    observing.active(&[("observed", "package-00001")]).await;
    observing.retire("observed");
    observing.reason("observed", "WouldDelete").await;

    without(&plane, "versionpackages", "spec", "deletionPolicy");
    without(&plane, "platforms", "spec", "mode");
    wait_for("the losses to be recorded", SOON, async || {
        let recorded = recorded(&plane);
        let both = recorded.contains(".spec.deletionPolicy") && recorded.contains(".spec.mode");
        both.then_some(())
    })
    .await;
    rig.delete("kept");
    observing.annotate("platform/production", "note", Some("written meanwhile"));
    operator.kill().await;
    whole(&plane, "versionpackages");
    whole(&plane, "platforms");

    let mut operator = start_operator(&plane, &[]);
    operator.ready().await;
    let object = rig.reason("kept", "FieldsLost").await;
    let message = ready(&object)["message"].to_string();
    assert!(message.contains(".spec.deletionPolicy"), "{message}");
    observing.platform_reason("production", "FieldsLost").await;
    wait_for("the record to end", SOON, async || {
        recorded(&plane).is_empty().then_some(())
    })
    .await;
    assert_eq!((calls(&rig).await, calls(&observing).await), (0, 0));
    // Objects written before and after the loss keep their meaning.
    rig.active(&[("later", "package-00003")]).await;
    for name in ["untouched", "later"] {
        rig.delete(name);
        rig.gone(name).await;
    }
    assert_eq!(calls(&rig).await, 2);
    rig.reason("kept", "FieldsLost").await;
}

/// Adds a policy that denies status writes in a namespace.
fn mute(plane: &Plane, namespace: &str) {
    let space = "kubernetes.io/metadata.name";
    let manifests = json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "mute"},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [{
                    "apiGroups": ["iodm.dev"], "apiVersions": ["*"], "operations": ["UPDATE"], "resources": ["versionpackages/status"],
                }]},
                "validations": [{"expression": "false", "message": "not now"}],
            },
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "mute"},
            "spec": {
                "policyName": "mute", "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": {"matchLabels": {space: namespace}}},
            },
        },
    ]});
    plane.apply(&manifests.to_string()).expect_ok();
}

#[tokio::test]
async fn a_second_loss_keeps_the_doubts_of_the_first_over_a_restart() {
    let plane = Plane::start();
    plane.install();
    let rig = Rig::on(&plane, "twice", Layout::default()).await;
    let mut operator = start_operator(&plane, &[]);
    operator.ready().await;
    retained(&rig, "kept", "package-00001").await;
    mute(&plane, &rig.namespace);
    wait_for("the policy to deny", SOON, async || {
        let status = json!({"status": {"lastHandledRequestedAt": "x"}}).to_string();
        let patch = [
            "patch",
            "vp",
            "kept",
            "--subresource=status",
            "--dry-run=server",
        ];
        let patch = [&patch[..], &["--type=merge", "-p", &status]].concat();
        rig.kubectl(&patch).stderr.contains("not now").then_some(())
    })
    .await;

    // Under the first loss the store drops the Retain, and the operator can't report it on the object.
    without(&plane, "versionpackages", "spec", "deletionPolicy");
    unready(&operator, ".spec.deletionPolicy").await;
    rig.annotate("vp/kept", "note", Some("written meanwhile"));
    whole(&plane, "versionpackages");
    let record = async |part: &str| {
        wait_for("the Lease to say so", SOON, async || {
            recorded(&plane).contains(part).then_some(())
        })
        .await;
    };
    record("\"of\"").await;
    // Nothing is written under the second loss, which lasts longer than the process.
    without(&plane, "versionpackages", "spec", "deletionPolicy");
    unready(&operator, ".spec.deletionPolicy").await;
    operator.terminate().await;
    assert!(!recorded(&plane).contains("\"of\""), "{}", recorded(&plane));
    let mut operator = start_operator(&plane, &[]);
    unready(&operator, ".spec.deletionPolicy").await;
    whole(&plane, "versionpackages");
    operator.ready().await;
    for kind in [
        "validatingadmissionpolicybinding",
        "validatingadmissionpolicy",
    ] {
        plane.kubectl(&["delete", kind, "mute"]).expect_ok();
    }
    rig.reason("kept", "FieldsLost").await;
    rig.delete("kept");
    tokio::time::sleep(Duration::from_secs(3)).await;
    rig.reason("kept", "FieldsLost").await;
    assert_eq!(calls(&rig).await, 0);
}
