//! The references of Platforms and packages follow the names that kustomize changes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod support;

use std::process::Command;

use serde_json::{Value, json};
use support::{Plane, Said, tool};

/// The objects that kustomize makes of a folder.
fn built(folder: &str) -> Vec<Value> {
    let mut kubectl = Command::new(Plane::kubectl_path());
    let output = kubectl
        .args(["kustomize", folder])
        .current_dir(tool::root())
        .output();
    let text = Said::from(output.unwrap()).expect_ok();
    serde_saphyr::from_multiple(&text).unwrap()
}

#[test]
fn references_follow_prefixed_names_and_the_hash_of_a_generated_secret() {
    let objects = built("manifests/samples/prefixed");
    let of = |kind: &str| {
        objects
            .iter()
            .find(|object| object["kind"] == kind)
            .unwrap()
    };
    let secret = &of("Secret")["metadata"]["name"];
    assert!(
        secret.as_str().unwrap().starts_with("north-iot-north-"),
        "{secret}"
    );
    let platform = of("Platform");
    assert_eq!(platform["metadata"]["name"], "north-production");
    assert_eq!(platform["spec"]["credentialsSecretRef"]["name"], *secret);
    assert_eq!(of("Role")["rules"][0]["resourceNames"], json!([secret]));
    assert_eq!(
        of("VersionPackage")["spec"]["platformRef"],
        json!({"name": "north-production", "namespace": "iot"})
    );
}

#[test]
fn every_reference_is_renamed_and_none_to_another_namespace() {
    let folder = tempfile::tempdir().unwrap();
    let component = folder.path().join("name-references");
    std::fs::create_dir(&component).unwrap();
    for file in ["kustomization.yaml", "namereference.yaml"] {
        let shipped = tool::root().join("manifests/name-references");
        std::fs::copy(shipped.join(file), component.join(file)).unwrap();
    }
    let kind = |kind: &str, name: &str, spec: &Value| {
        json!({"apiVersion": "iodm.dev/v1alpha1", "kind": kind,
        "metadata": {"name": name, "namespace": "iot"}, "spec": spec})
    };
    let secret = |name: &str| json!({"name": name});
    let tls = json!({"caSecretRef": secret("ca"), "clientCertSecretRef": secret("client")});
    let mut objects = vec![
        kind(
            "Platform",
            "production",
            &json!({"credentialsSecretRef": secret("app"), "tls": tls}),
        ),
        kind(
            "VersionPackage",
            "own",
            &json!({"platformRef": {"name": "production"}}),
        ),
        kind(
            "VersionPackage",
            "foreign",
            &json!({"platformRef": {"name": "production", "namespace": "elsewhere"}}),
        ),
    ];
    objects.extend(["app", "ca", "client"].map(|name| {
        json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": name, "namespace": "iot"}})
    }));
    let objects: Vec<_> = objects.iter().map(ToString::to_string).collect();
    std::fs::write(folder.path().join("objects.yaml"), objects.join("\n---\n")).unwrap();
    let kustomization = json!({"nameSuffix": "-2", "resources": ["objects.yaml"], "components": ["name-references"]});
    std::fs::write(
        folder.path().join("kustomization.yaml"),
        kustomization.to_string(),
    )
    .unwrap();

    let objects = built(folder.path().to_str().unwrap());
    let spec = |name: &str| {
        &objects
            .iter()
            .find(|object| object["metadata"]["name"] == name)
            .unwrap()["spec"]
    };
    let tls = json!({"caSecretRef": secret("ca-2"), "clientCertSecretRef": secret("client-2")});
    assert_eq!(
        *spec("production-2"),
        json!({"credentialsSecretRef": secret("app-2"), "tls": tls})
    );
    assert_eq!(
        spec("own-2")["platformRef"],
        json!({"name": "production-2", "namespace": "iot"})
    );
    assert_eq!(
        spec("foreign-2")["platformRef"],
        json!({"name": "production", "namespace": "elsewhere"})
    );
}
