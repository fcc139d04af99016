//! The policies on a real API server: what they refuse, in which words, and what still goes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod support;

use serde_json::{Value, json};

use support::{Plane, SOON, Said, wait_for};

const APPROVED: &str = "iodm.dev/deletion-approved";
const PACKAGES: &str = "versionpackages.iodm.dev";
const PLATFORMS: &str = "platforms.iodm.dev";

/// Applies a policy and waits until the API server refuses what it should refuse.
async fn enforce(plane: &Plane, folder: &str, refused: &[&str]) {
    let said = plane.kubectl(&["apply", "-k", folder]);
    assert!(said.ok, "{}", said.stderr);
    assert_eq!(said.stderr, "");
    wait_for("the policy to be enforced", SOON, async || {
        let tried = plane.kubectl(&[&["delete", "--dry-run=server"], refused].concat());
        tried
            .stderr
            .contains("ValidatingAdmissionPolicy")
            .then_some(())
    })
    .await;
}

fn uid(plane: &Plane, crd: &str) -> String {
    plane
        .kubectl(&["get", "crd", crd, "-o", "jsonpath={.metadata.uid}"])
        .expect_ok()
}

fn approve(plane: &Plane, crd: &str, value: &str) {
    let annotation = format!("{APPROVED}={value}");
    plane
        .kubectl(&["annotate", "crd", crd, "--overwrite", &annotation])
        .expect_ok();
}

/// A definition of somebody else.
fn foreign() -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {"group": "example.com", "scope": "Cluster", "names": {"kind": "Thing", "plural": "things"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}]}})
}

#[tokio::test]
async fn a_definition_goes_only_with_its_own_uid_in_the_annotation() {
    let plane = Plane::start();
    plane.install_crds();
    plane.apply(&foreign().to_string()).expect_ok();
    enforce(&plane, "manifests/policies/crds", &["crd", PACKAGES]).await;

    let uids = [PACKAGES, PLATFORMS].map(|crd| uid(&plane, crd));
    let all = [
        "delete",
        "--raw",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    ];
    let refused = |arguments: &[&str]| {
        let said = plane.kubectl(arguments).expect_refused();
        assert!(said.contains(APPROVED), "{arguments:?}: {said}");
        said
    };
    let said = refused(&["delete", "crd", PACKAGES]);
    let line = format!(
        "kubectl annotate crd {PACKAGES} --overwrite {APPROVED}={}",
        uids[0]
    );
    assert!(said.contains(&line), "{said}");
    refused(&["delete", "crd", PLATFORMS]);
    refused(&["delete", "-f", "crds"]);
    // Nor with another value: an empty one, one of a definition that was there before, the uid of the other definition.
    for value in [
        "",
        "true",
        "00000000-0000-0000-0000-000000000000",
        uids[1].as_str(),
    ] {
        approve(&plane, PACKAGES, value);
        refused(&["delete", "crd", PACKAGES]);
    }
    // A request for the whole collection has no name.
    refused(&all);
    refused(&["delete", "crd", "--all"]);
    let left = plane.kubectl(&["get", "crds", "-o", "jsonpath={.items[*].metadata.name}"]);
    assert_eq!(left.expect_ok(), format!("{PLATFORMS} {PACKAGES}"));
    assert_eq!([PACKAGES, PLATFORMS].map(|crd| uid(&plane, crd)), uids);

    approve(&plane, PACKAGES, &uids[0]);
    plane.kubectl(&["delete", "crd", PACKAGES]).expect_ok();
    refused(&["delete", "crd", PLATFORMS]);
}

/// A package with a value of the annotation, or without it.
fn package(namespace: &str, name: &str, protected: Option<&str>, policy: &str) -> Value {
    let annotations = protected.map(|value| json!({"iodm.dev/protected": value}));
    json!({"apiVersion": "iodm.dev/v1alpha1", "kind": "VersionPackage",
        "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
        "spec": {"platformRef": {"name": "production"}, "fileId": name, "deletionPolicy": policy}})
}

/// The names of the packages that are left, and none of them is being deleted.
fn left(plane: &Plane, namespace: &str) -> String {
    let list = plane
        .kubectl(&["get", "vp", "-n", namespace, "-o", "json"])
        .expect_ok();
    let list: Value = serde_json::from_str(&list).unwrap();
    let names = list["items"].as_array().unwrap().iter().map(|object| {
        assert_eq!(object["metadata"]["deletionTimestamp"], Value::Null);
        object["metadata"]["name"].as_str().unwrap()
    });
    names.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_protected_package_goes_only_with_retain() {
    let plane = Plane::shared();
    plane.install_crds();
    let namespace = plane.namespace("fleet");
    let packages = [
        package(&namespace, "marked", Some("true"), "Delete"),
        package(&namespace, "empty", Some(""), "Delete"),
        package(&namespace, "not", Some("false"), "Delete"),
        package(&namespace, "plain", None, "Delete"),
        package(&namespace, "other", None, "Delete"),
        package(&namespace, "kept", Some("true"), "Retain"),
    ];
    let list = json!({"apiVersion": "v1", "kind": "List", "items": packages});
    plane.apply(&list.to_string()).expect_ok();
    let marked = ["vp", "marked", "-n", &namespace];
    enforce(plane, "manifests/policies/protected-packages", &marked).await;

    let delete =
        |what: &[&str]| -> Said { plane.kubectl(&[&["delete", "-n", &namespace], what].concat()) };
    let said = delete(&["vp", "marked"]).expect_refused();
    assert!(
        said.contains(&format!("VersionPackage {namespace}/marked is protected")),
        "{said}"
    );
    delete(&["vp", "empty"]).expect_refused();
    for free in ["not", "plain", "kept"] {
        delete(&["vp", free]).expect_ok();
    }
    // The unprotected ones of a collection go.
    delete(&["vp", "--all"]).expect_refused();
    assert_eq!(left(plane, &namespace), "empty marked");
    let all = format!("/apis/iodm.dev/v1alpha1/namespaces/{namespace}/versionpackages");
    plane.kubectl(&["delete", "--raw", &all]).expect_refused();
    assert_eq!(left(plane, &namespace), "empty marked");

    for name in ["a-late", "z-late"] {
        let late = package(&namespace, name, None, "Delete").to_string();
        plane.apply(&late).expect_ok();
    }
    plane
        .kubectl(&["delete", "namespace", &namespace, "--wait=false"])
        .expect_ok();
    let condition =
        r#"jsonpath={.status.conditions[?(@.type=="NamespaceDeletionContentFailure")].message}"#;
    wait_for("the namespace to say why it stays", SOON, async || {
        let said = plane
            .kubectl(&["get", "namespace", &namespace, "-o", condition])
            .expect_ok();
        said.contains("is protected").then_some(())
    })
    .await;
    // Whatever the order of the names, the marked ones stay.
    let names = left(plane, &namespace);
    assert!(names.contains("empty marked"), "{names}");
    // Without the annotation, or with Retain, it goes on by itself.
    plane
        .kubectl(&[
            "annotate",
            "vp",
            "marked",
            "-n",
            &namespace,
            "iodm.dev/protected-",
        ])
        .expect_ok();
    let retain = json!({"spec": {"deletionPolicy": "Retain"}}).to_string();
    plane
        .kubectl(&[
            "patch",
            "vp",
            "empty",
            "-n",
            &namespace,
            "--type=merge",
            "-p",
            &retain,
        ])
        .expect_ok();
    wait_for("the namespace to go", SOON, async || {
        let gone = plane.kubectl(&[
            "get",
            "namespace",
            &namespace,
            "--ignore-not-found",
            "-o",
            "name",
        ]);
        gone.expect_ok().is_empty().then_some(())
    })
    .await;
}
