//! The shipped rights are exactly the used ones.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use support::{
    AuditEvent, Layout, OPERATOR, Plane, Rig, SOON, alone, ready, start_operator, wait_for,
};

/// One right: API group, resource with its subresource, verb.
type Right = (String, String, String);

/// The rules of all documents of a manifest.
fn rules(manifest: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(manifest).unwrap();
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    let rules = documents.iter().filter_map(|d| d["rules"].as_array());
    rules.flatten().cloned().collect()
}

fn granted() -> BTreeSet<Right> {
    let words = |rule: &Value, field: &str| -> Vec<String> {
        let words = rule[field].as_array().unwrap().iter();
        words
            .map(|word| word.as_str().unwrap().to_owned())
            .collect()
    };
    let mut granted = BTreeSet::new();
    for file in ["install/rbac.yaml", "platform-access/role.yaml"] {
        for rule in rules(&format!("manifests/{file}")) {
            for group in words(&rule, "apiGroups") {
                for resource in words(&rule, "resources") {
                    for verb in words(&rule, "verbs") {
                        let right = (group.clone(), resource.clone(), verb.clone());
                        assert!(granted.insert(right), "{verb} of {resource} is given twice");
                    }
                }
            }
        }
    }
    granted
}

/// The operator's requests to the API server.
fn asked(plane: &Plane) -> Vec<AuditEvent> {
    let user = format!("system:serviceaccount:{OPERATOR}:{OPERATOR}");
    let mut events = plane.audit_events();
    events.retain(|event| event.user == user);
    events
}

fn used(plane: &Plane) -> BTreeSet<Right> {
    let events = asked(plane).into_iter();
    events
        .map(|event| {
            let mut resource = event.resource;
            if !event.subresource.is_empty() {
                resource = format!("{resource}/{}", event.subresource);
            }
            (event.group, resource, event.verb)
        })
        .collect()
}

/// Removes one verb of a resource from the installed `ClusterRole`, and waits until the API server enforces it.
async fn take_away(plane: &Plane, resource: &str, verb: &str) {
    let said = plane.kubectl(&["get", "clusterrole", OPERATOR, "-o", "json"]);
    let mut role: Value = serde_json::from_str(&said.expect_ok()).unwrap();
    let mut rules = role["rules"].as_array_mut().unwrap().iter_mut();
    let of_resource = rules
        .find(|rule| rule["resources"] == json!([resource]))
        .unwrap();
    let verbs = of_resource["verbs"].as_array_mut().unwrap();
    verbs.retain(|other| other != verb);
    plane.apply(&role.to_string()).expect_ok();
    let named = format!("{resource}.iodm.dev");
    let who = format!("--as=system:serviceaccount:{OPERATOR}:{OPERATOR}");
    wait_for("the right to be gone", SOON, async || {
        let may = plane.kubectl(&["auth", "can-i", verb, &named, "-A", &who]);
        (may.stdout.trim() == "no").then_some(())
    })
    .await;
}

fn give_back(plane: &Plane) {
    plane
        .kubectl(&["apply", "-f", "manifests/install/rbac.yaml"])
        .expect_ok();
}

async fn refused(plane: &Plane, resource: &str, verb: &str) {
    let what = format!("a refused {verb} of {resource}");
    wait_for(&what, SOON, async || {
        let events = asked(plane);
        let refused = |event: &AuditEvent| {
            event.code == 403 && event.resource == resource && event.verb == verb
        };
        events.iter().any(refused).then_some(())
    })
    .await;
}

#[tokio::test]
async fn every_right_is_used_and_without_one_nothing_is_deleted_wrongly() {
    let (_turn, plane) = alone().await;
    // A selector, so that the operator reads the Namespace.
    let layout = Layout {
        platform: json!({
            "quota": {"calls": 100, "window": "1s"},
            "allowedNamespaces": {"from": "Selector", "selector": {"matchLabels": {"fleet": "yes"}}},
        }),
        ..Layout::default()
    };
    let rig = Rig::on(plane, "rights", layout).await;
    let fleet = plane.namespace("fleet");
    plane
        .kubectl(&["label", "namespace", &rig.namespace, &fleet, "fleet=yes"])
        .expect_ok();
    let mut operator = start_operator(plane, &[]);
    operator.ready().await;
    rig.active(&[
        ("a", "package-00001"),
        ("b", "package-00002"),
        ("c", "package-00003"),
    ])
    .await;
    let platform = json!({"name": "production", "namespace": rig.namespace});
    let mut elsewhere = rig.manifest(
        "elsewhere",
        "package-00004",
        &json!({"platformRef": platform, "lifecycle": "Retired"}),
    );
    elsewhere["metadata"]["namespace"] = json!(fleet);
    plane.apply(&elsewhere.to_string()).expect_ok();
    wait_for("a retirement from elsewhere", SOON, async || {
        (!rig.simulator.has("package-00004").await).then_some(())
    })
    .await;
    rig.delete("a");
    rig.gone("a").await;
    // An equal event: the second one is counted in the series of the first.
    rig.annotate("vp/b", "paused", Some("true"));
    rig.retire("b");
    rig.reason("b", "Paused").await;
    rig.patch("vp/b", &json!({"spec": {"lifecycle": "Active"}}));
    rig.reason("b", "Active").await;
    rig.retire("b");
    rig.reason("b", "Paused").await;

    let granted = granted();
    // The audit line of an answer may be written a moment after the answer.
    let all_used = wait_for("all rights to be used", SOON, async || {
        granted.is_subset(&used(plane)).then_some(())
    });
    let _ = tokio::time::timeout(SOON / 4, all_used).await;
    let unused: Vec<_> = granted.difference(&used(plane)).cloned().collect();
    assert_eq!(unused, [], "granted and never used");
    let foreign: Vec<_> = used(plane).difference(&granted).cloned().collect();
    assert_eq!(foreign, [], "asked for without a right");
    let refusals: Vec<_> = asked(plane)
        .into_iter()
        .filter(|event| event.code == 403)
        .collect();
    assert!(refusals.is_empty(), "{refusals:#?}");

    // Without the read before a call nothing is sent; with it everything continues.
    take_away(plane, "platforms", "get").await;
    // One read serves all calls of the next second.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    rig.delete("c");
    refused(plane, "platforms", "get").await;
    assert!(rig.deletes("package-00003").await.is_empty());
    says_what_is_in_the_way(plane, &rig, "c").await;
    give_back(plane);
    rig.gone("c").await;
    assert_eq!(rig.deletes("package-00003").await.len(), 1);

    // Without the right to remove the finalizer the object stays, and no second call is made for it.
    take_away(plane, "versionpackages", "patch").await;
    rig.annotate("vp/b", "paused", None);
    rig.delete("b");
    refused(plane, "versionpackages", "patch").await;
    assert!(rig.get("b").await.is_some());
    give_back(plane);
    rig.gone("b").await;
    assert_eq!(rig.deletes("package-00002").await.len(), 1);

    a_platform_without_its_finalizer_says_so_and_takes_on_no_object(plane).await;
}

/// Waits until an object reports why its turns pass unused. Each read costs at most two writes to the object, and
/// later retries cost none.
async fn says_what_is_in_the_way(plane: &Plane, rig: &Rig<'_>, name: &str) {
    let what = "to say that its Platform can't be read";
    rig.becomes(name, what, SOON, |object| {
        let message = ready(object)["message"].to_string();
        message.contains("Its turn had come, but Platform") && message.contains("forbidden")
    })
    .await;
    let of_this = |event: &&AuditEvent| event.name == name && event.subresource == "status";
    let so_far = || {
        let events = asked(plane);
        let looks = events.iter().filter(|event| event.code == 403).count();
        (looks, events.iter().filter(of_this).count())
    };
    let (looks, writes) = so_far();
    // The writes at its creation, the wait, and two for each read.
    assert!(writes <= 2 + 2 * looks, "{writes} writes, {looks} looks");
    let (_, later) = wait_for("two more looks", SOON, async || {
        let now = so_far();
        (now.0 >= looks + 2).then_some(now)
    })
    .await;
    assert_eq!(later, writes, "it has said so already");
}

async fn a_platform_without_its_finalizer_says_so_and_takes_on_no_object(plane: &Plane) {
    take_away(plane, "platforms", "patch").await;
    let rig = Rig::on(plane, "unkept", Layout::default()).await;
    let object = rig.manifest("a", "package-00001", &json!({}));
    plane.apply(&object.to_string()).expect_ok();
    // The Platform reports this once it has lasted for half a minute.
    let platform = wait_for("the Platform to say so", SOON * 3, async || {
        let said = rig.kubectl(&["get", "platform", "production", "-o", "json"]);
        let platform: Value = serde_json::from_str(&said.expect_ok()).unwrap();
        (ready(&platform)["reason"] == "FinalizerRefused").then_some(platform)
    })
    .await;
    let message = ready(&platform)["message"].to_string();
    assert!(
        message.contains("cannot patch resource") && !message.contains("ApiError"),
        "{message}"
    );
    let object = rig.reason("a", "CredentialsMissing").await;
    assert_eq!(ready(&object)["message"].to_string(), message);
    assert_eq!(object["status"]["application"], Value::Null);

    give_back(plane);
    rig.reason("a", "Active").await;
    rig.platform_reason("production", "Available").await;
}
