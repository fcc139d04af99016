//! Admission policies that deny writes: the object quotes them, and no other object is affected.

mod platform;

use std::time::Instant;

use super::*;
use crate::support::{OPERATOR, Plane, SOON, ready, wait_for};

/// An admission policy in force.
struct Policy {
    name: String,
    /// The kinds of the policy and of its binding, as kubectl takes them.
    kinds: [String; 2],
}

/// Creates a policy for updates of a resource in one namespace. `which` is `Validating` or `Mutating`. The fields of
/// `spec` and `binding` are added to the spec of the policy and to the spec of its binding.
fn enforce(rig: &Rig<'_>, which: &str, resource: &str, spec: &Value, binding: &Value) -> Policy {
    let name = format!(
        "{}-{}-{}",
        which.to_lowercase(),
        rig.namespace,
        resource.replace('/', "-")
    );
    let kinds = ["", "Binding"].map(|part| format!("{which}AdmissionPolicy{part}"));
    let rules = json!({
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [{
            "apiGroups": ["iodm.dev"], "apiVersions": ["v1alpha1"], "operations": ["UPDATE"], "resources": [resource],
        }]},
    });
    let place = json!({
        "policyName": name,
        "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": rig.namespace}}},
    });
    for ((kind, mut general), own) in kinds.iter().zip([rules, place]).zip([spec, binding]) {
        let own = own.as_object().unwrap().clone();
        general.as_object_mut().unwrap().extend(own);
        let manifest = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "spec": general,
        });
        rig.plane.apply(&manifest.to_string()).expect_ok();
    }
    Policy { name, kinds }
}

/// A policy that denies the operator's writes in one namespace; `reason` is that of the answer, `Invalid` (422) by
/// default.
fn deny(rig: &Rig<'_>, resource: &str, expression: &str, reason: &str) -> Policy {
    let operator =
        format!("request.userInfo.username != 'system:serviceaccount:{OPERATOR}:{OPERATOR}'");
    let spec = json!({
        "validations": [{"expression": format!("{operator} || {expression}"), "message": "the auditors say no", "reason": reason}],
    });
    let binding = json!({"validationActions": ["Deny"]});
    enforce(rig, "Validating", resource, &spec, &binding)
}

/// A policy that removes the finalizer of this object whenever it is added.
fn strip(rig: &Rig<'_>, name: &str) -> Policy {
    let spec = json!({
        "reinvocationPolicy": "Never",
        "matchConditions": [{"name": "one", "expression": format!("object.metadata.name == '{name}' && has(object.metadata.finalizers)")}],
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {
            "expression": "[JSONPatch{op: 'remove', path: '/metadata/finalizers'}]",
        }}],
    });
    enforce(rig, "Mutating", "versionpackages", &spec, &json!({}))
}

impl Policy {
    fn lift(self, plane: &Plane) {
        for kind in self.kinds.iter().rev() {
            plane.kubectl(&["delete", kind, &self.name]).expect_ok();
        }
    }
}

/// Waits until a new policy is in force, which takes a moment.
async fn in_force() {
    tokio::time::sleep(Duration::from_secs(5)).await;
}

pub fn finalizers(object: &Value) -> usize {
    object["metadata"]["finalizers"]
        .as_array()
        .map_or(0, Vec::len)
}

/// The number of patches that the operator made to an object.
fn patches(rig: &Rig<'_>, from: u64, name: &str, subresource: &str) -> usize {
    let events = rig.plane.audit_events_from(from);
    let of_this = events.iter().filter(|event| {
        event.verb == "patch"
            && event.name == name
            && event.subresource == subresource
            && event.namespace == rig.namespace
            && event.user.ends_with(OPERATOR)
    });
    of_this.count()
}

/// Whether an event with this reason contains these words.
pub fn events_say(rig: &Rig<'_>, reason: &str, words: &str) -> bool {
    let said = rig.kubectl(&["get", "events", "-o", "json"]).expect_ok();
    let list: Value = serde_json::from_str(&said).unwrap();
    let events = list["items"].as_array().unwrap();
    let says = |event: &Value| {
        event["reason"] == reason && event["message"].as_str().is_some_and(|m| m.contains(words))
    };
    events.iter().any(says)
}

/// Waits for an event that quotes the policy.
async fn event(rig: &Rig<'_>, reason: &str) {
    wait_for(&format!("an event {reason}"), SOON, async || {
        events_say(rig, reason, "the auditors say no").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_refused_finalizer_is_reported_on_the_object_and_added_once_allowed() {
    let rig = Rig::shared("deny-add", at_once()).await;
    rig.platform_reason("production", "Available").await;
    let policy = deny(
        &rig,
        "versionpackages",
        "!has(object.metadata.finalizers)",
        "Invalid",
    );
    in_force().await;
    let manifest = rig.manifest("meter-fw", "package-00001", &json!({}));
    rig.plane.apply(&manifest.to_string()).expect_ok();
    let refused = rig.reason("meter-fw", "FinalizerRefused").await;
    let message = ready(&refused)["message"].clone();
    assert!(
        message.as_str().unwrap().contains("the auditors say no"),
        "{message}"
    );
    assert_eq!(finalizers(&refused), 0);
    event(&rig, "FinalizerRefused").await;
    policy.lift(rig.plane);
    let active = rig.reason("meter-fw", "Active").await;
    assert_eq!(finalizers(&active), 1);
}

#[tokio::test]
async fn a_refused_removal_of_the_finalizer_is_reported_and_retried_with_pauses() {
    let rig = Rig::shared("deny-removal", at_once()).await;
    rig.active(&[("meter-fw", "package-00001")]).await;
    let policy = deny(
        &rig,
        "versionpackages",
        "has(object.metadata.finalizers)",
        "Forbidden",
    );
    in_force().await;
    let from = rig.plane.audit_end();
    let begun = Instant::now();
    rig.delete("meter-fw");
    let refused = rig.reason("meter-fw", "FinalizerRefused").await;
    let message = ready(&refused)["message"].clone();
    assert!(
        message.as_str().unwrap().contains("the auditors say no"),
        "{message}"
    );
    assert_eq!(refused["status"]["deletion"]["outcome"], "Deleted");
    tokio::time::sleep(Duration::from_secs(20)).await;
    let tried = patches(&rig, from, "meter-fw", "");
    println!("{tried} patches within {:?}", begun.elapsed());
    assert!((1..=8).contains(&tried), "{tried} patches");
    assert_eq!(rig.deletes("package-00001").await.len(), 1);
    policy.lift(rig.plane);
    rig.gone("meter-fw").await;
    assert_eq!(rig.deletes("package-00001").await.len(), 1);
}

/// Adds a Platform `second` with the spec of `production`.
pub fn add_second_platform(rig: &Rig<'_>) {
    let said = rig.kubectl(&["get", "platform", "production", "-o", "json"]);
    let first: Value = serde_json::from_str(&said.expect_ok()).unwrap();
    let second = json!({
        "apiVersion": "iodm.dev/v1alpha1", "kind": "Platform",
        "metadata": {"namespace": rig.namespace, "name": "second"}, "spec": first["spec"],
    });
    rig.plane.apply(&second.to_string()).expect_ok();
}

#[tokio::test]
async fn a_platform_whose_finalizer_is_refused_is_not_available() {
    let rig = Rig::shared("deny-platform", at_once()).await;
    rig.platform_reason("production", "Available").await;
    let policy = deny(
        &rig,
        "platforms",
        "!has(object.metadata.finalizers)",
        "Invalid",
    );
    in_force().await;
    add_second_platform(&rig);
    let refused = rig.platform_reason("second", "FinalizerRefused").await;
    let message = ready(&refused)["message"].clone();
    assert!(
        message.as_str().unwrap().contains("the auditors say no"),
        "{message}"
    );
    let spec = json!({"platformRef": {"name": "second"}});
    let manifest = rig.manifest("meter-fw", "package-00001", &spec);
    rig.plane.apply(&manifest.to_string()).expect_ok();
    let held = rig.reason("meter-fw", "CredentialsMissing").await;
    let message = ready(&held)["message"].clone();
    assert!(
        message.as_str().unwrap().contains("the auditors say no"),
        "{message}"
    );
    event(&rig, "FinalizerRefused").await;
    policy.lift(rig.plane);
    rig.reason("meter-fw", "Active").await;
}

#[tokio::test]
async fn without_a_writable_status_nothing_is_deleted_and_an_event_and_a_metric_report_it() {
    let rig = Rig::shared("deny-status", at_once()).await;
    rig.active(&[("meter-fw", "package-00001")]).await;
    let policy = deny(&rig, "versionpackages/status", "false", "Invalid");
    in_force().await;
    let from = rig.plane.audit_end();
    rig.delete("meter-fw");
    event(&rig, "StatusRefused").await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert!(rig.deletes("package-00001").await.is_empty());
    // Patches of the status, and of the conditions that report the refusal.
    let tried = patches(&rig, from, "meter-fw", "status");
    assert!((1..=12).contains(&tried), "{tried} patches");
    let metrics = crate::support::shared_operator()
        .await
        .admin_page("/metrics")
        .await
        .unwrap();
    assert!(
        metrics.contains("vpo_refused_writes_total{part=\"status\"}"),
        "{metrics}"
    );
    policy.lift(rig.plane);
    rig.gone("meter-fw").await;
    assert_eq!(rig.deletes("package-00001").await.len(), 1);
}

/// Deletes an object under a policy that denies what `expression` doesn't allow, and checks that the status reports it.
async fn says_what_it_cannot_write(subject: &str, expression: &str, calls: usize) {
    let rig = Rig::shared(subject, at_once()).await;
    rig.active(&[("meter-fw", "package-00001")]).await;
    let policy = deny(&rig, "versionpackages/status", expression, "Invalid");
    in_force().await;
    let from = rig.plane.audit_end();
    rig.retire("meter-fw");
    let refused = rig.reason("meter-fw", "StatusRefused").await;
    let message = ready(&refused)["message"].clone();
    assert!(
        message.as_str().unwrap().contains("the auditors say no"),
        "{message}"
    );
    assert_eq!(refused["status"]["phase"], "Stalled");
    event(&rig, "StatusRefused").await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    let still = rig.get("meter-fw").await.unwrap();
    assert_eq!(ready(&still)["message"], message);
    let tried = patches(&rig, from, "meter-fw", "status");
    println!("{tried} patches");
    assert!((2..=12).contains(&tried), "{tried} patches");
    assert_eq!(rig.deletes("package-00001").await.len(), calls);
    policy.lift(rig.plane);
    rig.reason("meter-fw", "Deleted").await;
    assert_eq!(rig.deletes("package-00001").await.len(), 1);
}

#[tokio::test]
async fn a_refused_intent_is_reported_and_the_call_made_once_it_is_allowed() {
    let without =
        "!has(object.status) || !has(object.status.phase) || object.status.phase != 'Deleting'";
    says_what_it_cannot_write("deny-intent", without, 0).await;
}

#[tokio::test]
async fn a_refused_outcome_is_reported_and_the_call_not_repeated() {
    let without = "!has(object.status) || !has(object.status.deletion) || !has(object.status.deletion.outcome)";
    says_what_it_cannot_write("deny-outcome", without, 1).await;
}

#[tokio::test]
async fn a_policy_that_removes_the_finalizer_disables_no_watch() {
    let rig = Rig::shared("stripped", at_once()).await;
    rig.active(&[("pump-fw", "package-00002")]).await;
    let policy = strip(&rig, "meter-fw");
    in_force().await;
    let manifest = rig.manifest("meter-fw", "package-00001", &json!({}));
    rig.plane.apply(&manifest.to_string()).expect_ok();
    let refused = rig.reason("meter-fw", "FinalizerRefused").await;
    let message = ready(&refused)["message"].clone();
    assert!(
        message.as_str().unwrap().contains("an admission policy"),
        "{message}"
    );
    tokio::time::sleep(Duration::from_secs(7)).await;
    rig.delete("pump-fw");
    rig.gone("pump-fw").await;
    assert_eq!(rig.deletes("package-00002").await.len(), 1);
    policy.lift(rig.plane);
    let active = rig.reason("meter-fw", "Active").await;
    assert_eq!(finalizers(&active), 1);
}
