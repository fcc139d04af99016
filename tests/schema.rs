//! What users may write, as the real API server and kubectl see it: every mistake is refused with a sentence that names
//! the field and what is allowed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod support;

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};
use support::{Plane, kstatus, wait_for};
use version_package_operator::api::condition::{Verdict, merge};
use version_package_operator::api::platform::PlatformReason;
use version_package_operator::api::reason::Reason;
use version_package_operator::api::version_package::Outcome;

/// A control plane that serves both kinds, which said nothing when they were applied.
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

/// The object with one field of its spec set, or with `ABSENT` taken away.
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

/// Asks the server what it thinks of an object, and leaves nothing there.
const CREATE: [&str; 4] = ["create", "--dry-run=server", "-f", "-"];

/// Marks a field that is to be left out.
const ABSENT: &str = "(absent)";

/// Field, bad value, what the refusal must say beside the field.
type Mistakes = Vec<(&'static str, Value, &'static str)>;

fn version_package_mistakes() -> Mistakes {
    let name = "lower-case letters, digits, '-' or '.', with a letter or digit at both ends";
    let namespace = "lower-case letters, digits or '-', with a letter or digit at both ends";
    let file_id = "fileId must be letters, digits, '-', '.', '_' or '~', and neither '.' nor '..'";
    let lifecycle = r#"supported values: "Active", "Retired""#;
    vec![
        ("fileId", json!(ABSENT), "Required value"),
        ("fileId", json!(""), "at least 1 char"),
        (
            "fileId",
            json!("x".repeat(257)),
            "may not be more than 256 bytes",
        ),
        ("fileId", json!("a/b"), file_id),
        ("fileId", json!("a b"), file_id),
        ("fileId", json!("a%2Fb"), file_id),
        ("fileId", json!("a?b"), file_id),
        ("fileId", json!("zähler"), file_id),
        ("fileId", json!("a\n"), file_id),
        ("fileId", json!("."), file_id),
        ("fileId", json!(".."), file_id),
        ("fileId", json!(7), "must be of type string"),
        ("fileID", json!("a"), "unknown field"),
        ("platformRef", json!(ABSENT), "Required value"),
        ("platformRef", json!("production"), "must be of type object"),
        ("platformRef.name", json!(ABSENT), "Required value"),
        ("platformRef.name", json!(""), "at least 1 char"),
        ("platformRef.name", json!("Production"), name),
        (
            "platformRef.name",
            json!("a".repeat(254)),
            "may not be more than 253 bytes",
        ),
        ("platformRef.namespace", json!("a.b"), namespace),
        (
            "platformRef.namespace",
            json!("a".repeat(64)),
            "may not be more than 63 bytes",
        ),
        ("lifecycle", json!("Deleted"), lifecycle),
        ("lifecycle", json!("retired"), lifecycle),
        (
            "retireAfter",
            json!("tomorrow"),
            "must be of type date-time",
        ),
        (
            "retireAfter",
            json!("2026-12-24"),
            "must be of type date-time",
        ),
        (
            "deletionPolicy",
            json!("Orphan"),
            r#"supported values: "Delete", "Retain""#,
        ),
        ("expect.vendor", json!("ACME"), "unknown field"),
        (
            "expect",
            json!({}),
            "expect must name at least one of name, version, fileType, deviceType, model and manufacturerName",
        ),
        (
            "expect.version",
            json!(""),
            "should be at least 1 chars long",
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "one list, a line for each mistake")]
fn platform_mistakes() -> Mistakes {
    let endpoint = "endpoint must be an https URL such as https://iot.example.com:8743, without user, password, query or fragment";
    let window = "window must be from 1s to 1h, such as 60s";
    let secret = "the name of a Secret must be lower-case letters";
    let selector = "allowedNamespaces.selector must be given with from: Selector, and only then";
    let operators = "takes the operators In and NotIn with values, Exists and DoesNotExist without";
    let expression = |expression: Value| json!({"from": "Selector", "selector": {"matchExpressions": [expression]}});
    vec![
        ("endpoint", json!(ABSENT), "Required value"),
        ("endpoint", json!("http://iot.example.com:8743"), endpoint),
        ("endpoint", json!("iot.example.com:8743"), endpoint),
        ("endpoint", json!("https://"), endpoint),
        ("endpoint", json!("https:///iocm"), endpoint),
        (
            "endpoint",
            json!("https://user:password@iot.example.com"),
            endpoint,
        ),
        ("endpoint", json!("https://iot.example.com?a=b"), endpoint),
        ("endpoint", json!("https://iot.example.com#a"), endpoint),
        ("endpoint", json!("https://iot.example.com:99999"), endpoint),
        (
            "endpoint",
            json!(format!("https://{}", "h".repeat(1020))),
            "may not be more than 1024 bytes",
        ),
        ("credentialsSecretRef", json!(ABSENT), "Required value"),
        ("credentialsSecretRef.name", json!(ABSENT), "Required value"),
        ("credentialsSecretRef.name", json!("IoT_app"), secret),
        ("tls.caSecretRef", json!({"name": "-"}), secret),
        (
            "tls.clientCertSecretRef",
            json!("iot-client"),
            "must be of type object",
        ),
        (
            "tls.serverName",
            json!("https://iot"),
            "serverName must be a host name or an IP address, such as iot.example.com",
        ),
        ("tls.insecureSkipVerify", json!(true), "unknown field"),
        (
            "quota.calls",
            json!(0),
            "should be greater than or equal to 1",
        ),
        (
            "quota.calls",
            json!(10_001),
            "should be less than or equal to 10000",
        ),
        ("quota.calls", json!("100"), "must be of type integer"),
        ("quota.window", json!("60"), window),
        ("quota.window", json!("999ms"), window),
        ("quota.window", json!("0s"), window),
        ("quota.window", json!("61m"), window),
        ("quota.window", json!("99999999999h"), window),
        ("quota.window", json!(60), "must be of type string"),
        (
            "mode",
            json!("DryRun"),
            r#"supported values: "Enforce", "Observe""#,
        ),
        (
            "allowedNamespaces.from",
            json!("Some"),
            r#"supported values: "Same", "All", "Selector""#,
        ),
        ("allowedNamespaces", json!({"from": "Selector"}), selector),
        (
            "allowedNamespaces",
            json!({"from": "All", "selector": {}}),
            selector,
        ),
        (
            "allowedNamespaces",
            expression(json!({"key": "team", "operator": "Is"})),
            operators,
        ),
        (
            "allowedNamespaces",
            expression(json!({"key": "team", "operator": "In"})),
            operators,
        ),
        (
            "allowedNamespaces",
            expression(json!({"key": "a b", "operator": "DoesNotExist"})),
            "must be a label key, such as team or example.com/team",
        ),
        (
            "guard.maxDeletions",
            json!(-1),
            "should be greater than or equal to 0",
        ),
        (
            "guard.maxDeletions",
            json!(1_000_001),
            "should be less than or equal to 1000000",
        ),
        (
            "guard.maxPercent",
            json!(101),
            "should be less than or equal to 100",
        ),
        (
            "guard.window",
            json!("0s"),
            "window must be from 1s to 24h, such as 10m",
        ),
        (
            "guard.gracePeriod",
            json!("25h"),
            "gracePeriod must be from 0s to 24h, such as 30s",
        ),
        ("guard.gracePeriod", json!(30), "must be of type string"),
        ("guard.maxObjects", json!(1), "unknown field"),
        (
            "inventory.interval",
            json!("-1h"),
            "interval must be 0s, or from 1s to 24h, such as 1h",
        ),
    ]
}

fn refused(object: &Value, mistakes: Mistakes) {
    for (field, value, allowed) in mistakes {
        let bad = with(object.clone(), field, &value).to_string();
        let refusal = plane()
            .kubectl_with(plane().kubeconfig(), &CREATE, &bad)
            .expect_refused();
        let is_named = refusal
            .lines()
            .any(|line| line.contains(&format!("spec.{field}")) && line.contains(allowed));
        assert!(is_named, "{field} = {value} was refused with: {refusal}");
    }
}

#[test]
fn every_mistake_in_a_version_package_is_refused_with_its_field_and_what_is_allowed() {
    refused(&version_package(), version_package_mistakes());
}

#[test]
fn every_mistake_in_a_platform_is_refused_with_its_field_and_what_is_allowed() {
    refused(&platform(), platform_mistakes());
}

#[test]
fn every_good_form_of_a_field_is_accepted() {
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
fn what_is_left_out_gets_the_documented_default() {
    let namespace = plane().namespace("defaults");
    let read = |kind: &str, name: &str| -> Value {
        let said = plane().kubectl(&["get", kind, name, "-n", &namespace, "-o", "json"]);
        serde_json::from_str(&said.expect_ok()).unwrap()
    };
    apply(&namespace, "a", version_package());
    let object = read("vp", "a");
    assert_eq!(object["spec"]["lifecycle"], "Active");
    assert_eq!(object["spec"]["deletionPolicy"], "Delete");
    // Without it, Git tools take an object that nobody looked at for finished.
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
    // The status itself may be written on, the outcome included.
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

#[tokio::test]
async fn kubectl_explain_describes_every_field() {
    let document: Value = wait_for("the published schema", PUBLISHED, async || {
        let said = plane().kubectl(&["get", "--raw", "/openapi/v3/apis/iodm.dev/v1alpha1"]);
        serde_json::from_str(&said.stdout)
            .ok()
            .filter(|document: &Value| {
                SCHEMAS
                    .iter()
                    .all(|name| document["components"]["schemas"][name].is_object())
            })
    })
    .await;
    let schemas = &document["components"]["schemas"];
    let mut fields = 0;
    for kind in SCHEMAS {
        let schema = &schemas[kind];
        assert!(described(schema), "{kind} has no description");
        walk(kind, schema, &mut |path, field| {
            fields += 1;
            assert!(described(field), "{path} has no description");
        });
    }
    assert!(fields > 70, "only {fields} fields were found");
    for (path, words) in [
        ("vp.spec.fileId", "platform's id of the package"),
        ("vp.status.deletion.outcome", "How a deletion ended"),
        ("platform.spec.quota.window", "length of the window"),
    ] {
        wait_for(
            &format!("the words {words:?} for {path}"),
            PUBLISHED,
            async || {
                let text = plane().kubectl(&["explain", path]).stdout;
                // Its lines are wrapped.
                text.split_whitespace()
                    .collect::<Vec<_>>()
                    .join(" ")
                    .contains(words)
                    .then_some(())
            },
        )
        .await;
    }
}

/// The server publishes a schema some time after it serves the kind.
const PUBLISHED: Duration = Duration::from_secs(60);

const SCHEMAS: [&str; 2] = [
    "dev.iodm.v1alpha1.VersionPackage",
    "dev.iodm.v1alpha1.Platform",
];

fn described(schema: &Value) -> bool {
    schema["description"]
        .as_str()
        .is_some_and(|text| !text.trim().is_empty())
}

fn walk(path: &str, schema: &Value, look: &mut impl FnMut(&str, &Value)) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        look(&path, field);
        walk(&path, field, look);
    }
    if schema["items"].is_object() {
        walk(&format!("{path}[]"), &schema["items"], look);
    }
}

#[test]
fn every_status_that_can_be_written_is_accepted_and_its_tables_fit_120_columns() {
    let namespace = plane().namespace("tables");
    let thirty = |number: usize| format!("meter-firmware-europe-north-{number:02}");
    let now = "2026-11-23T08:00:00Z".parse().unwrap();
    let mut objects = Vec::new();
    for number in 0..Reason::ALL.len() {
        let object = with(
            version_package(),
            "fileId",
            &json!(format!("0a1b2c{number:02}")),
        );
        objects.push(named(&namespace, &thirty(number), object));
    }
    for number in 0..PlatformReason::ALL.len() {
        objects.push(named(&namespace, &thirty(number), platform()));
    }
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    plane().apply(&list.to_string()).expect_ok();

    for (number, reason) in Reason::ALL.iter().enumerate() {
        let verdict = Verdict {
            progress: reason.phase().progress(),
            reason: reason.as_str(),
            message: reason.meaning(),
            generation: 1,
        };
        let outcome = Outcome::ALL[number % Outcome::ALL.len()];
        patch_status(
            &namespace,
            "vp",
            &thirty(number),
            &json!({"status": {
                "observedGeneration": 1,
                "phase": reason.phase(),
                "conditions": merge(&[], &verdict, now),
                "package": {"version": "V1.1.10"},
                "deletion": {"outcome": outcome},
            }}),
        );
    }
    for (number, reason) in PlatformReason::ALL.iter().enumerate() {
        let verdict = Verdict {
            progress: reason.progress(),
            reason: reason.as_str(),
            message: reason.meaning(),
            generation: 1,
        };
        patch_status(
            &namespace,
            "platform",
            &thirty(number),
            &json!({"status": {
                "observedGeneration": 1,
                "conditions": merge(&[], &verdict, now),
                "session": {"appId": "app-1"},
                "queue": {"length": 10_000},
            }}),
        );
    }

    for arguments in [
        &["get", "vp"][..],
        &["get", "vp", "-o", "wide"],
        &["get", "platform"],
        &["get", "iodm"],
    ] {
        let table = plane()
            .kubectl(&[arguments, &["-n", &namespace]].concat())
            .expect_ok();
        println!("kubectl {}\n{table}", arguments.join(" "));
        let widest = table
            .lines()
            .map(|line| line.trim_end().chars().count())
            .max();
        assert!(widest <= Some(120), "{widest:?} columns");
    }
    let reasons: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    let table = plane()
        .kubectl(&["get", "vp", "-n", &namespace])
        .expect_ok();
    assert!(reasons.iter().all(|reason| table.contains(reason)));
}

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
