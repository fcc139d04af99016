//! The definitions under `crds/`, and the chart's copy of them, match the types.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use version_package_operator::api::crds;

#[test]
fn the_definitions_in_the_repository_match_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    let mut expected = BTreeSet::new();
    let mut stream = String::new();
    for definition in crds::definitions() {
        let file = format!("{}.yaml", definition.metadata.name.as_deref().unwrap());
        let text = std::fs::read_to_string(folder.join(&file))
            .unwrap_or_else(|error| panic!("crds/{file}: {error}; run `make generate`"));
        stream.extend(["---\n", &text]);
        expected.insert(file);
    }
    let found: BTreeSet<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(found, expected, "files under crds/");
    let copy = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/version-package-operator/crds");
    for file in &found {
        let copied = std::fs::read(copy.join(file)).unwrap_or_default();
        let same = copied == std::fs::read(folder.join(file)).unwrap();
        assert!(same, "the chart's {file} differs: run `make generate`");
    }
    assert_eq!(std::fs::read_dir(&copy).unwrap().count(), found.len());

    let printed = Command::new(env!("CARGO_BIN_EXE_vpo"))
        .arg("crds")
        .output()
        .unwrap();
    assert!(
        String::from_utf8_lossy(&printed.stdout) == stream,
        "crds/ differs from the types: run `make generate`"
    );
}

/// Each field below `schema` that may be left out says in its description what holds then.
fn assert_tells_defaults(schema: &Value, place: &str) {
    let none = Vec::new();
    let required = schema["required"].as_array().unwrap_or(&none);
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let place = format!("{place}.{name}");
        let told = field["description"].as_str().unwrap_or_default();
        if !required.iter().any(|one| one == name) {
            let default = match &field["default"] {
                Value::String(text) => format!("Default: {text}."),
                Value::Number(number) => format!("Default: {number}."),
                _ => "Default: ".to_owned(),
            };
            assert!(told.contains(&default), "{place} lacks {default:?}: {told}");
        }
        // The fields of a label selector are Kubernetes' own.
        if name != "selector" {
            assert_tells_defaults(field, &place);
        }
    }
}

#[test]
fn kubectl_explain_shows_the_default_of_every_field_that_may_be_left_out() {
    for definition in crds::definitions() {
        for version in &definition.spec.versions {
            let schema = serde_json::to_value(&version.schema).unwrap();
            let spec = &schema["openAPIV3Schema"]["properties"]["spec"];
            assert!(spec["properties"].is_object());
            assert_tells_defaults(spec, &definition.spec.names.kind);
        }
    }
}
