//! With its default values the chart is what kustomize makes of the manifests, and it is packaged whole.

use std::path::Path;

use serde_json::{Value, json};

use crate::helm::{self, CHART, Objects, by_name, kustomized, rendered};
use crate::support::tool;

/// Takes the annotation off that tells Helm to leave an object. Fails where it isn't there.
fn without_keep(object: &mut Value) {
    let annotations = object["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("annotations");
    assert_eq!(
        annotations,
        Some(json!({"helm.sh/resource-policy": "keep"}))
    );
}

/// Compares object by object, so that a difference is shown with its name.
fn assert_equal(found: &Objects, expected: &Objects) {
    let names = |objects: &Objects| objects.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected));
    for (name, object) in found {
        assert_eq!(*object, expected[name], "{name}");
    }
}

#[test]
fn by_default_the_chart_is_the_installation_and_the_policy_for_the_definitions() {
    let mut expected = kustomized("manifests/install");
    // Helm makes the namespace of a release itself, or finds it.
    assert!(
        expected
            .remove("Namespace/version-package-operator")
            .is_some()
    );
    expected.extend(kustomized("manifests/policies/crds"));
    let mut found = rendered(&[]);
    for (name, object) in &mut found {
        if name.starts_with("ValidatingAdmissionPolicy") {
            without_keep(object);
        }
    }
    assert_equal(&found, &expected);
}

#[test]
fn the_policy_for_protected_packages_is_that_of_the_manifests() {
    let mut found = rendered(&["policies.protectedPackages=true", "policies.crds=false"]);
    let policies = found.split_off("ValidatingAdmissionPolicy");
    assert_equal(
        &policies,
        &kustomized("manifests/policies/protected-packages"),
    );
}

#[test]
fn access_to_secrets_is_that_of_the_overlay_for_a_namespace() {
    let shipped = kustomized("manifests/samples/platform-access");
    let names = &shipped["Role/iot/version-package-operator-secrets"]["rules"][0]["resourceNames"];
    let value = json!([{"namespace": "iot", "secrets": names}]);
    let mut found = rendered(&[&format!("secretAccess={value}")]);
    found.retain(|name, _| name.contains("/iot/"));
    assert_equal(&found, &shipped);
}

#[test]
fn the_chart_is_linted_and_packaged_with_the_definitions() {
    helm::run(&["lint", "--strict", CHART], &[]).expect_ok();
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().to_str().unwrap();
    helm::run(&["package", CHART, "--destination", target], &[]).expect_ok();
    let package = folder.path().join(format!(
        "version-package-operator-{}.tgz",
        env!("CARGO_PKG_VERSION")
    ));
    let package = package.to_str().unwrap();
    let packaged = by_name(&helm::run(&["show", "crds", package], &[]).expect_ok());
    assert_equal(&packaged, &definitions("crds"));
    assert_equal(
        &definitions("charts/version-package-operator/crds"),
        &definitions("crds"),
    );
    let template = [
        "template",
        "vpo",
        package,
        "--namespace",
        "version-package-operator",
    ];
    assert_equal(
        &by_name(&helm::run(&template, &[]).expect_ok()),
        &rendered(&[]),
    );
}

/// The definitions in a folder.
fn definitions(folder: &str) -> Objects {
    let files = std::fs::read_dir(tool::root().join(Path::new(folder))).unwrap();
    let files = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let texts: Vec<_> = files.collect();
    by_name(&texts.join("\n---\n"))
}
