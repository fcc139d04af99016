//! Validation of user input by the real API server and kubectl: every mistake is refused with a sentence that names the
//! field and the allowed values.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod mistakes;
mod statuses;
#[path = "../support/mod.rs"]
mod support;
mod values;

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};
use support::{Plane, kstatus, wait_for};
use version_package_operator::api::condition::{Statement, merge};
use version_package_operator::api::outcome::Outcome;
use version_package_operator::api::platform::PlatformReason;
use version_package_operator::api::reason::Reason;

/// A control plane that serves both kinds; applying them gave no warnings.
fn plane() -> &'static Plane {
    static SERVED: LazyLock<&Plane> = LazyLock::new(|| {
        let plane = Plane::shared();
        let said = plane.install_crds();
        assert_eq!(said.stderr, "", "a warning about the definitions");
        plane
    });
    &SERVED
}

fn version_package() -> Value {
    json!({
        "apiVersion": "iodm.dev/v1alpha1", "kind": "VersionPackage",
        "metadata": {"namespace": "default", "name": "meter-fw-1.1.10"},
        "spec": {"platformRef": {"name": "production"}, "fileId": "0a1b2c3d"},
    })
}

fn platform() -> Value {
    json!({
        "apiVersion": "iodm.dev/v1alpha1", "kind": "Platform",
        "metadata": {"namespace": "default", "name": "production"},
        "spec": {
            "endpoint": "https://iot.example.com:8743",
            "credentialsSecretRef": {"name": "iot-app"},
        },
    })
}

/// The marker of a field to be left out.
const ABSENT: &str = "(absent)";

/// The object with one field of its spec set, or removed with `ABSENT`.
fn with(mut object: Value, field: &str, value: &Value) -> Value {
    let (last, path) = field
        .rsplit_once('.')
        .map_or((field, ""), |(path, last)| (last, path));
    let mut place = &mut object["spec"];
    for step in path.split('.').filter(|step| !step.is_empty()) {
        place = &mut place[step];
    }
    if *value == json!(ABSENT) {
        place.as_object_mut().unwrap().remove(last);
    } else {
        place[last] = value.clone();
    }
    object
}

/// A dry run on the server, which stores nothing.
const CREATE: [&str; 4] = ["create", "--dry-run=server", "-f", "-"];

#[test]
fn every_valid_form_of_a_field_is_accepted() {
    let good = [
        ("fileId", json!("...")),
        ("fileId", json!("A-z_0.9~")),
        ("fileId", json!("x".repeat(256))),
        ("platformRef.namespace", json!("iot")),
        ("retireAfter", json!("2026-12-24T00:00:00Z")),
        ("retireAfter", json!("2026-12-24T00:00:00+01:00")),
        ("lifecycle", json!("Retired")),
        ("deletionPolicy", json!("Retain")),
        ("expect", json!({"name": "meter-fw", "version": "V1.1.10"})),
    ]
    .map(|(field, value)| with(version_package(), field, &value));
    let platforms = [
        ("endpoint", json!("https://iot.example.com")),
        ("endpoint", json!("https://10.0.0.1:8743/base/")),
        ("endpoint", json!("https://[::1]:8743")),
        ("quota.calls", json!(1)),
        ("quota.window", json!("1m30s")),
        ("quota.window", json!("1h")),
        ("mode", json!("Observe")),
        ("guard", json!({"maxDeletions": 0, "maxPercent": 20, "window": "24h", "gracePeriod": "0s"})),
        ("inventory", json!({"interval": "0s"})),
        ("tls", json!({"caSecretRef": {"name": "ca"}, "clientCertSecretRef": {"name": "me"}, "serverName": "iot"})),
        ("allowedNamespaces", json!({"from": "All"})),
        ("allowedNamespaces", json!({"from": "Selector", "selector": {
            "matchLabels": {"team": "fleet"},
            "matchExpressions": [
                {"key": "example.com/stage", "operator": "In", "values": ["live"]},
                {"key": "old", "operator": "DoesNotExist"},
            ],
        }})),
    ]
    .map(|(field, value)| with(platform(), field, &value));
    for object in good.into_iter().chain(platforms) {
        let object = named("default", "good", object).to_string();
        plane()
            .kubectl_with(plane().kubeconfig(), &CREATE, &object)
            .expect_ok();
    }
}

#[test]
fn missing_fields_get_the_documented_defaults() {
    let namespace = plane().namespace("defaults");
    let read = |kind: &str, name: &str| -> Value {
        let said = plane().kubectl(&["get", kind, name, "-n", &namespace, "-o", "json"]);
        serde_json::from_str(&said.expect_ok()).unwrap()
    };
    apply(&namespace, "a", version_package());
    let object = read("vp", "a");
    assert_eq!(object["spec"]["lifecycle"], "Active");
    assert_eq!(object["spec"]["deletionPolicy"], "Delete");
    // Without this default, Git tools take a new object for finished.
    assert_eq!(object["status"], json!({"observedGeneration": -1}));
    apply(&namespace, "p", platform());
    let platform = read("plat", "p");
    assert_eq!(
        platform["spec"]["quota"],
        json!({"calls": 100, "window": "60s"})
    );
    assert_eq!(platform["spec"]["mode"], "Enforce");
    assert_eq!(
        platform["spec"]["allowedNamespaces"],
        json!({"from": "Same"})
    );
    assert_eq!(platform["status"], json!({"observedGeneration": -1}));
    assert_eq!(kstatus(&[object, platform]), ["InProgress", "InProgress"]);
}

#[test]
fn the_package_that_an_object_names_cant_be_changed() {
    let namespace = plane().namespace("immutable");
    apply(&namespace, "a", version_package());
    for (patch, words) in [
        (
            json!({"spec": {"fileId": "other"}}),
            "fileId can't be changed: create a new object for another package",
        ),
        (
            json!({"spec": {"platformRef": {"name": "other"}}}),
            "platformRef can't be changed: delete this object with deletionPolicy Retain",
        ),
        (
            json!({"spec": {"platformRef": {"namespace": "other"}}}),
            "platformRef can't be changed",
        ),
    ] {
        let refusal = patch_spec(&namespace, &patch).expect_refused();
        assert!(refusal.contains(words), "{refusal}");
    }
    for patch in [
        json!({"spec": {"deletionPolicy": "Retain"}}),
        json!({"spec": {"lifecycle": "Retired"}}),
        json!({"spec": {"lifecycle": "Active"}}),
        json!({"spec": {"retireAfter": "2026-12-24T00:00:00Z"}}),
        json!({"spec": {"retireAfter": null}}),
    ] {
        patch_spec(&namespace, &patch).expect_ok();
    }
}

#[test]
fn a_retired_object_cant_go_back_once_its_package_is_gone() {
    let words = "can't go back to a wanted package: the package is gone from the platform; create a new object for a new package";
    let outcome = json!({"status": {"deletion": {"outcome": "Deleted"}}});

    let namespace = plane().namespace("retired");
    apply(
        &namespace,
        "a",
        with(version_package(), "lifecycle", &json!("Retired")),
    );
    patch_status(&namespace, "vp", "a", &outcome);
    let back = json!({"spec": {"lifecycle": "Active"}});
    let refusal = patch_spec(&namespace, &back).expect_refused();
    assert!(refusal.contains(words), "{refusal}");
    for allowed in [
        json!({"metadata": {"labels": {"team": "fleet"}}}),
        json!({"metadata": {"finalizers": ["iodm.dev/package"]}}),
        json!({"metadata": {"finalizers": null}}),
        json!({"spec": {"deletionPolicy": "Retain"}}),
    ] {
        patch_spec(&namespace, &allowed).expect_ok();
    }
    // The status itself stays writable, including the outcome.
    patch_status(
        &namespace,
        "vp",
        "a",
        &json!({"status": {"deletion": {"attempts": 2}}}),
    );

    let namespace = plane().namespace("scheduled");
    let at = |time: &str| json!({"spec": {"retireAfter": time}});
    apply(
        &namespace,
        "a",
        with(
            version_package(),
            "retireAfter",
            &json!("2026-01-02T00:00:00Z"),
        ),
    );
    patch_status(&namespace, "vp", "a", &outcome);
    for back in [
        at("2026-01-03T00:00:00Z"),
        json!({"spec": {"retireAfter": null}}),
    ] {
        let refusal = patch_spec(&namespace, &back).expect_refused();
        assert!(refusal.contains(words), "{refusal}");
    }
    patch_spec(
        &namespace,
        &json!({"metadata": {"labels": {"team": "fleet"}}}),
    )
    .expect_ok();
    patch_spec(&namespace, &at("2026-01-01T00:00:00Z")).expect_ok();
    patch_spec(
        &namespace,
        &json!({"spec": {"lifecycle": "Retired", "retireAfter": null}}),
    )
    .expect_ok();
}

#[test]
fn objects_are_found_by_package_and_by_phase() {
    let namespace = plane().namespace("selected");
    for (name, file_id) in [("a", "one"), ("b", "two"), ("c", "one")] {
        apply(
            &namespace,
            name,
            with(version_package(), "fileId", &json!(file_id)),
        );
    }
    patch_status(&namespace, "vp", "c", &json!({"status": {"phase": "Gone"}}));
    let selected = |selector: &str| {
        let said = plane().kubectl(&[
            "get",
            "vp",
            "-n",
            &namespace,
            "-o",
            "name",
            "--field-selector",
            selector,
        ]);
        said.expect_ok()
            .lines()
            .map(|line| line.rsplit('/').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(selected("spec.fileId=one"), ["a", "c"]);
    assert_eq!(selected("spec.fileId=one,status.phase=Gone"), ["c"]);
}

/// The time limit for the schema: the server publishes it some time after it serves the kind.
const PUBLISHED: Duration = Duration::from_secs(60);

fn named(namespace: &str, name: &str, mut object: Value) -> Value {
    object["metadata"] = json!({"namespace": namespace, "name": name});
    object
}

fn apply(namespace: &str, name: &str, object: Value) {
    plane()
        .apply(&named(namespace, name, object).to_string())
        .expect_ok();
}

/// Patches the object `a` as a user would.
fn patch_spec(namespace: &str, patch: &Value) -> support::Said {
    plane().kubectl(&[
        "patch",
        "vp",
        "a",
        "-n",
        namespace,
        "--type=merge",
        "-p",
        &patch.to_string(),
    ])
}

/// Patches a status as the operator would.
fn patch_status(namespace: &str, kind: &str, name: &str, patch: &Value) {
    plane()
        .kubectl(&[
            "patch",
            kind,
            name,
            "-n",
            namespace,
            "--subresource=status",
            "--type=merge",
            "-p",
            &patch.to_string(),
        ])
        .expect_ok();
}
