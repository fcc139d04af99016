//! The README and the manifests say what the code says: tables equal to the enums, samples in the types' own words.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy.toml allows them in test functions, not in what those call"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Namespace, Secret};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use version_package_operator::api::crds;
use version_package_operator::api::platform::{Platform, PlatformReason};
use version_package_operator::api::reason::{Phase, Progress, Reason};
use version_package_operator::api::version_package::VersionPackage;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn conditions(progress: Progress) -> &'static str {
    match progress {
        Progress::Done => "`Ready=True`",
        Progress::Reconciling => "`Ready=False`, `Reconciling=True`",
        Progress::Stalled => "`Ready=False`, `Stalled=True`",
    }
}

fn package_reasons() -> String {
    let mut table =
        "| Phase | Reason | What it means | What to do |\n|---|---|---|---|\n".to_owned();
    for phase in Phase::ALL {
        for reason in Reason::ALL.iter().filter(|r| r.phase() == phase) {
            let (meaning, todo) = (reason.meaning(), reason.what_to_do());
            writeln!(
                table,
                "| {phase} | `{}` | {meaning} | {todo} |",
                reason.as_str()
            )
            .unwrap();
        }
    }
    table
}

fn platform_reasons() -> String {
    let mut table =
        "| Reason | Conditions | What it means | What to do |\n|---|---|---|---|\n".to_owned();
    for reason in PlatformReason::ALL {
        let (meaning, todo) = (reason.meaning(), reason.what_to_do());
        let conditions = conditions(reason.progress());
        writeln!(
            table,
            "| `{}` | {conditions} | {meaning} | {todo} |",
            reason.as_str()
        )
        .unwrap();
    }
    table
}

/// The README with the block between the markers of `name` replaced.
fn with_block(readme: &str, name: &str, block: &str) -> String {
    let (begin, end) = (
        format!("<!-- {name}:begin -->\n"),
        format!("<!-- {name}:end -->"),
    );
    let (before, rest) = readme.split_once(&begin).unwrap_or_else(|| {
        panic!("README.md has no line {begin}");
    });
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| {
        panic!("README.md has no line {end}");
    });
    format!("{before}{begin}{block}{end}{after}")
}

#[test]
fn the_tables_of_reasons_in_the_readme_are_those_of_the_enums() {
    let path = root().join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let wanted = with_block(&readme, "reasons", &package_reasons());
    let wanted = with_block(&wanted, "platform-reasons", &platform_reasons());
    if readme != wanted {
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(&path, wanted).unwrap();
            return;
        }
        let line = readme
            .lines()
            .zip(wanted.lines())
            .find(|(a, b)| a != b)
            .map_or("its length", |(_, wanted)| wanted);
        panic!(
            "README.md differs from src/api, first in: {line}\nrun UPDATE_DOCS=1 cargo test --test docs"
        );
    }
}

#[test]
fn the_readme_has_a_row_for_each_phase_with_its_conditions() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for phase in Phase::ALL {
        let row = format!("| {phase} | {} |", conditions(phase.progress()));
        assert!(
            readme.contains(&row),
            "README.md has no row beginning with {row}"
        );
    }
}

#[test]
fn the_operations_guide_speaks_of_every_reason_that_waits_for_a_person() {
    let guide = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let packages = Reason::ALL
        .iter()
        .filter(|r| r.phase().progress() == Progress::Stalled)
        .map(|r| r.as_str());
    let platforms = PlatformReason::ALL
        .iter()
        .filter(|r| r.progress() == Progress::Stalled)
        .map(|r| r.as_str());
    for reason in packages.chain(platforms) {
        assert!(
            guide.contains(&format!("`{reason}`")),
            "docs/operations.md doesn't mention {reason}"
        );
    }
}

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
    let text = fs::read_to_string(path).unwrap();
    serde_saphyr::from_multiple(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The objects in the README's blocks of YAML.
fn readme_samples() -> Vec<Value> {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    readme
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split_once("```"))
        .flat_map(|(block, _)| serde_saphyr::from_multiple::<Value>(block).unwrap())
        .collect()
}

/// Every document of the samples that is an object of the cluster, those of the README included.
fn samples() -> Vec<Value> {
    yaml_files(&root().join("manifests/samples"))
        .iter()
        .filter(|path| !path.ends_with("kustomization.yaml"))
        .flat_map(|path| documents(path))
        .chain(readme_samples())
        .collect()
}

/// Fails where `written` says something that is not in `understood`: a field that the type dropped.
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
        "manifests/samples",
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
fn no_right_is_a_wildcard_and_secrets_are_only_read_by_name() {
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
fn the_install_leaves_the_definitions_alone_that_every_object_hangs_on() {
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
