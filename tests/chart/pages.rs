//! What the chart says of itself: its metadata for catalogues, and its README.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;
use version_package_operator::api::crds;
use version_package_operator::api::platform::Platform;
use version_package_operator::api::version_package::VersionPackage;

use crate::helm::{self, CHART};
use crate::page::{assert_page, with_block};
use crate::schema::{default, documented};

/// The table of the values, from the schema and the defaults.
fn table() -> String {
    let mut table = "| value | default | |\n|---|---|---|\n".to_owned();
    for (path, schema) in documented() {
        let told = schema["description"].as_str().unwrap();
        writeln!(table, "| `{path}` | `{}` | {told} |", default(&path)).unwrap();
    }
    table
}

#[test]
fn the_readme_has_the_table_of_the_values() {
    let readme = helm::file("README.md");
    let path = format!("{CHART}/README.md");
    let wanted = with_block(&path, &readme, "values", &table());
    assert_page(&path, &wanted, "values.schema.json and values.yaml");
}

fn chart() -> Value {
    serde_saphyr::from_str(&helm::file("Chart.yaml")).unwrap()
}

/// An annotation for Artifact Hub, read as YAML.
fn catalogue(name: &str) -> Value {
    let chart = chart();
    let text = &chart["annotations"][format!("artifacthub.io/{name}")];
    serde_saphyr::from_str(text.as_str().unwrap_or_else(|| panic!("no {name}"))).unwrap()
}

#[test]
fn the_chart_has_the_version_of_the_program() {
    let chart = chart();
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    assert!(
        chart["annotations"]
            .as_object()
            .unwrap()
            .values()
            .all(Value::is_string)
    );
    let image = format!(
        "registry.example.com/version-package-operator:{}",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(catalogue("images")[0]["image"], image);
    let deployments = helm::rendered(&[]);
    let deployment = &deployments["Deployment/version-package-operator/version-package-operator"];
    assert_eq!(
        deployment["spec"]["template"]["spec"]["containers"][0]["image"],
        image
    );
    let changes = catalogue("changes");
    assert!(
        changes
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["description"].is_string())
    );
}

#[test]
fn the_catalogue_knows_the_definitions_and_an_example_of_each() {
    let names = |listed: &Value| -> BTreeSet<String> {
        let one = |listed: &Value| listed["name"].as_str().unwrap().to_owned();
        listed.as_array().unwrap().iter().map(one).collect()
    };
    let defined: BTreeSet<_> = crds::definitions()
        .iter()
        .filter_map(|crd| crd.metadata.name.clone())
        .collect();
    assert_eq!(names(&catalogue("crds")), defined);
    let examples = catalogue("crdsExamples");
    let [platform, package] = examples.as_array().unwrap().as_slice() else {
        panic!("two examples: {examples:#}");
    };
    let platform: Platform = serde_json::from_value(platform.clone()).unwrap();
    let package: VersionPackage = serde_json::from_value(package.clone()).unwrap();
    assert_eq!(
        platform.metadata.name.as_deref(),
        Some(package.spec.platform_ref.name.as_str())
    );
}
