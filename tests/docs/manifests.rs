//! Manifests and samples: what is shipped and what the README applies.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Namespace, Secret};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use version_package_operator::api::crds;
use version_package_operator::api::platform::Platform;
use version_package_operator::api::version_package::VersionPackage;

use crate::{read, root};

fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(yaml_files(&path));
        } else if path.extension().is_some_and(|e| e == "yaml") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn documents(path: &Path) -> Vec<Value> {
    serde_saphyr::from_multiple(&read(path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The objects that the commands of the README apply.
fn readme_samples() -> Vec<Value> {
    read("README.md")
        .split("<<'EOF'\n")
        .skip(1)
        .filter_map(|rest| rest.split_once("\nEOF\n"))
        .flat_map(|(block, _)| serde_saphyr::from_multiple::<Value>(block).unwrap())
        .collect()
}

/// All sample objects, including those of the README.
fn samples() -> Vec<Value> {
    yaml_files(&root().join("manifests/samples"))
        .iter()
        .filter(|path| !path.ends_with("kustomization.yaml"))
        .flat_map(|path| documents(path))
        .chain(readme_samples())
        .collect()
}

/// Fails where `written` has a value that `understood` lacks: a field that the type dropped.
fn assert_within(written: &Value, understood: &Value, place: &str) {
    match (written, understood) {
        (Value::Object(fields), Value::Object(known)) => {
            for (name, value) in fields {
                let place = format!("{place}.{name}");
                let other = known
                    .get(name)
                    .unwrap_or_else(|| panic!("{place} is no field of the type"));
                assert_within(value, other, &place);
            }
        }
        _ => assert_eq!(written, understood, "{place}"),
    }
}

fn assert_reads_whole<T: DeserializeOwned + Serialize>(sample: &Value) {
    let place = format!("{} {}", sample["kind"], sample["metadata"]["name"]);
    let object: T =
        serde_json::from_value(sample.clone()).unwrap_or_else(|e| panic!("{place}: {e}"));
    assert_within(sample, &serde_json::to_value(object).unwrap(), &place);
}

#[test]
fn every_field_of_every_sample_is_a_field_of_its_type() {
    let samples = samples();
    for sample in &samples {
        match sample["kind"].as_str().unwrap() {
            "VersionPackage" => assert_reads_whole::<VersionPackage>(sample),
            "Platform" => assert_reads_whole::<Platform>(sample),
            "Secret" => assert_reads_whole::<Secret>(sample),
            "Namespace" => assert_reads_whole::<Namespace>(sample),
            other => panic!("a sample of kind {other} that no test reads"),
        }
    }
    for kind in ["VersionPackage", "Platform", "Secret", "Namespace"] {
        assert!(samples.iter().any(|s| s["kind"] == kind), "no {kind}");
    }
    assert_eq!(readme_samples().len(), 3);
}

#[test]
fn every_sample_package_names_a_sample_platform_and_a_file_id_of_its_own() {
    let samples = samples();
    let of = |kind: &str| {
        samples
            .iter()
            .filter(|s| s["kind"] == kind)
            .collect::<Vec<_>>()
    };
    let platforms: BTreeSet<(&str, &str)> = of("Platform")
        .iter()
        .map(|p| {
            (
                p["metadata"]["namespace"].as_str().unwrap(),
                p["metadata"]["name"].as_str().unwrap(),
            )
        })
        .collect();
    let mut ids = BTreeSet::new();
    for package in of("VersionPackage") {
        let reference = &package["spec"]["platformRef"];
        let namespace = reference["namespace"]
            .as_str()
            .or(package["metadata"]["namespace"].as_str());
        let key = (namespace.unwrap(), reference["name"].as_str().unwrap());
        assert!(platforms.contains(&key), "no Platform {key:?}");
        assert!(
            ids.insert(package["spec"]["fileId"].as_str().unwrap()),
            "{package}"
        );
    }
}

#[test]
fn every_manifest_is_listed_in_the_kustomization_of_its_folder() {
    for folder in [
        "manifests/install",
        "manifests/platform-access",
        "manifests/policies/crds",
        "manifests/policies/protected-packages",
        "manifests/samples",
        "manifests/samples/prefixed",
    ] {
        let folder = root().join(folder);
        let kustomization = &documents(&folder.join("kustomization.yaml"))[0];
        let listed: BTreeSet<&str> = kustomization["resources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r.as_str().unwrap())
            .collect();
        for entry in fs::read_dir(&folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(
                name == "kustomization.yaml" || listed.contains(name.as_str()),
                "{}/{name} is not listed",
                folder.display()
            );
        }
    }
}

#[test]
fn no_rule_has_a_wildcard_and_secrets_are_read_only_by_name() {
    let mut rules = 0;
    for path in yaml_files(&root().join("manifests")) {
        for document in documents(&path) {
            for rule in document["rules"].as_array().into_iter().flatten() {
                rules += 1;
                assert!(!rule.to_string().contains('*'), "{rule}");
                if rule["resources"].to_string().contains("secrets") {
                    assert_eq!(document["kind"], "Role");
                    assert!(rule["resourceNames"].is_array(), "{rule}");
                    assert_eq!(rule["verbs"], serde_json::json!(["list", "watch"]));
                }
            }
        }
    }
    assert!(rules > 5);
}

#[test]
fn the_installation_does_not_contain_the_definitions() {
    for path in yaml_files(&root().join("manifests")) {
        for document in documents(&path) {
            assert_ne!(
                document["kind"],
                "CustomResourceDefinition",
                "{}",
                path.display()
            );
            let resources = document["resources"].to_string();
            assert!(!resources.contains("crds"), "{}", path.display());
        }
    }
}

#[test]
fn the_operator_may_read_the_definitions_that_it_compares_at_start() {
    let rbac = documents(&root().join("manifests/install/rbac.yaml"));
    let rule = rbac[0]["rules"]
        .as_array()
        .unwrap()
        .iter()
        .find(|r| r["apiGroups"][0] == "apiextensions.k8s.io")
        .unwrap();
    let names: Vec<_> = crds::definitions()
        .iter()
        .map(|d| d.metadata.name.as_deref())
        .collect();
    assert_eq!(rule["resourceNames"], serde_json::json!(names));
}

#[test]
fn the_commands_to_install_in_the_readme_fit_the_manifests() {
    let readme = read("README.md");
    let install = &documents(&root().join("manifests/install/kustomization.yaml"))[0];
    let image = &install["images"][0];
    let (name, tag) = (image["name"].as_str(), image["newTag"].as_str());
    let pushed = format!("IMAGE=$REGISTRY/{}:{}\n", name.unwrap(), tag.unwrap());
    assert!(readme.contains(&pushed), "README.md doesn't say {pushed}");
    let samples = readme_samples();
    let secret = samples.iter().find(|s| s["kind"] == "Secret").unwrap();
    let (namespace, name) = (
        &secret["metadata"]["namespace"],
        &secret["metadata"]["name"],
    );
    let overlay = "manifests/samples/platform-access";
    assert!(readme.contains(&format!("kubectl apply -k {overlay}")));
    let overlay = &documents(&root().join(overlay).join("kustomization.yaml"))[0];
    assert_eq!(overlay["namespace"], *namespace);
    let patch = overlay["patches"][0]["patch"].as_str().unwrap();
    let patch: Value = serde_saphyr::from_str(patch).unwrap();
    let names = patch[0]["value"].as_array().unwrap();
    assert!(names.contains(name), "{names:?}");
    let created = format!("kubectl create namespace {}", namespace.as_str().unwrap());
    assert!(readme.contains(&created));
}
