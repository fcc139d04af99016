//! The schema of the values: every key is described, and no other key is taken.

use serde_json::{Value, json};

use crate::helm::{self, template};
use crate::support::tool;

/// Values that are sections: their own values are in the table, each by itself.
const SECTIONS: [&str; 4] = ["image", "auditLog", "networkPolicy", "policies"];
/// Places whose keys are Kubernetes' own, and checked by the API server.
const KUBERNETES: [&str; 8] = [
    "affinity.nodeAffinity",
    "affinity.podAffinity",
    "affinity.podAntiAffinity",
    "auditLog.volume",
    "extraEnv.valueFrom",
    "topologySpreadConstraints.labelSelector",
    // Helm's own: what a chart that contains this one hands to all.
    "global",
    "",
];

/// The schema of the values.
pub fn schema() -> Value {
    serde_json::from_str(&helm::file("values.schema.json")).unwrap()
}

/// The values of the table and what the schema says of them, such as `image.tag`.
pub fn documented() -> Vec<(String, Value)> {
    let schema = schema();
    let mut found = Vec::new();
    for (name, value) in schema["properties"].as_object().unwrap() {
        if SECTIONS.contains(&name.as_str()) {
            let inner = value["properties"].as_object().unwrap();
            found.extend(
                inner
                    .iter()
                    .map(|(inner, value)| (format!("{name}.{inner}"), value.clone())),
            );
        } else if name != "global" {
            found.push((name.clone(), value.clone()));
        }
    }
    found
}

/// The default of a value.
pub fn default(path: &str) -> Value {
    let values: Value = serde_saphyr::from_str(&helm::file("values.yaml")).unwrap();
    let found = values.pointer(&format!("/{}", path.replace('.', "/")));
    found
        .unwrap_or_else(|| panic!("values.yaml lacks {path}"))
        .clone()
}

fn assert_closed(schema: &Value, place: &str) {
    let properties = schema["properties"].as_object();
    if schema["type"] == "object" {
        let open = &schema["additionalProperties"];
        let closed = *open == json!(false) || open.is_object();
        assert!(
            closed || KUBERNETES.contains(&place),
            "{place} takes unknown keys"
        );
    }
    for (name, property) in properties.into_iter().flatten() {
        let place = if place.is_empty() {
            name.clone()
        } else {
            format!("{place}.{name}")
        };
        let told = property["description"].as_str().unwrap_or_default();
        assert!(
            told.ends_with('.'),
            "{place} isn't described in a sentence: {told:?}"
        );
        assert_closed(property, &place);
    }
    if schema["items"].is_object() {
        assert_closed(&schema["items"], place);
    }
}

#[test]
fn every_object_of_the_schema_is_closed_and_every_value_described() {
    let schema = schema();
    assert_eq!(schema["additionalProperties"], false);
    assert_closed(&schema, "");
    assert!(documented().len() > 20);
}

#[test]
fn the_values_and_the_schema_have_the_same_keys() {
    let values: Value = serde_saphyr::from_str(&helm::file("values.yaml")).unwrap();
    let keys =
        |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    let schema = schema();
    let mut known = schema["properties"].clone();
    known.as_object_mut().unwrap().remove("global");
    assert_eq!(keys(&values), keys(&known));
    for section in SECTIONS {
        assert_eq!(
            keys(&values[section]),
            keys(&known[section]["properties"]),
            "{section}"
        );
    }
}

#[test]
fn the_comments_of_the_values_are_the_descriptions() {
    let mut comment: Vec<&str> = Vec::new();
    let (text, mut section) = (helm::file("values.yaml"), String::new());
    let (schema, mut told) = (schema(), 0);
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        if let Some(words) = line.trim_start().strip_prefix("# ") {
            comment.push(words);
            continue;
        }
        let said = std::mem::take(&mut comment).join(" ");
        let Some((key, _)) = line.trim_start().split_once(':') else {
            continue;
        };
        let place = match indent {
            0 => format!("/properties/{key}"),
            2 if SECTIONS.contains(&section.as_str()) => {
                format!("/properties/{section}/properties/{key}")
            }
            _ => continue,
        };
        if indent == 0 {
            key.clone_into(&mut section);
        }
        assert_eq!(
            schema.pointer(&place).unwrap()["description"],
            *said,
            "{key}"
        );
        told += 1;
    }
    assert_eq!(told, documented().len() + SECTIONS.len());
}

#[test]
fn unknown_keys_and_wrong_types_are_refused_with_their_place() {
    for (value, complaint) in [
        ("replica=3", "additional properties 'replica' not allowed"),
        (
            "image.registry=\"r\"",
            "at '/image': additional properties 'registry' not allowed",
        ),
        (
            "policies.all=true",
            "at '/policies': additional properties 'all' not allowed",
        ),
        (
            "auditLog.path=\"x\"",
            "at '/auditLog': additional properties 'path' not allowed",
        ),
        (
            "networkPolicy.enabled=false",
            "at '/networkPolicy': additional properties 'enabled' not allowed",
        ),
        (
            "crds={\"keep\":false}",
            "additional properties 'crds' not allowed",
        ),
        (
            "resources.request={}",
            "at '/resources': additional properties 'request' not allowed",
        ),
        (
            "tolerations=[{\"keys\":\"a\"}]",
            "at '/tolerations/0': additional properties 'keys' not allowed",
        ),
        (
            "extraEnv=[{\"value\":\"a\"}]",
            "at '/extraEnv/0': missing property 'name'",
        ),
        ("replicas=\"2\"", "at '/replicas': got string, want integer"),
        ("replicas=-1", "at '/replicas': minimum: got -1, want 0"),
        (
            "image.digest=\"sha256:abc\"",
            "at '/image/digest': 'sha256:abc' does not match pattern",
        ),
        (
            "image.pullPolicy=\"Sometimes\"",
            "at '/image/pullPolicy': value must be one of",
        ),
        (
            "logFormat=\"xml\"",
            "at '/logFormat': value must be one of 'json', 'text'",
        ),
        (
            "podLabels={\"a\":1}",
            "at '/podLabels/a': got number, want string",
        ),
        (
            "networkPolicy.extraEgressPorts=[70000]",
            "at '/networkPolicy/extraEgressPorts/0': maximum",
        ),
        (
            "secretAccess=[{\"namespace\":\"iot\"}]",
            "at '/secretAccess/0': missing property 'secrets'",
        ),
        (
            "secretAccess=[{\"namespace\":\"iot\",\"secrets\":[]}]",
            "at '/secretAccess/0/secrets': minItems: got 0, want 1",
        ),
        (
            "secretAccess=[{\"namespace\":\"iot\",\"secrets\":[\"*\"]}]",
            "at '/secretAccess/0/secrets/0': '*' does not match pattern",
        ),
        (
            "policies.crds=\"no\"",
            "at '/policies/crds': got string, want boolean",
        ),
    ] {
        let said = template(&[value]).expect_refused();
        assert!(said.contains(complaint), "{value}: {said}");
    }
}

#[test]
fn the_chart_can_be_a_part_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let chart = tool::root().join(helm::CHART);
    let parent = json!({"apiVersion": "v2", "name": "parent", "version": "1.0.0", "dependencies": [
        {"name": "version-package-operator", "version": env!("CARGO_PKG_VERSION"), "repository": format!("file://{}", chart.display())}
    ]});
    std::fs::write(folder.path().join("Chart.yaml"), parent.to_string()).unwrap();
    let parent = folder.path().to_str().unwrap();
    helm::run(&["dependency", "update", parent], &[]).expect_ok();
    let set = [
        "--set",
        "global.team=iot",
        "--set",
        "version-package-operator.replicas=3",
    ];
    let said = helm::run(&[["template", "x", parent].as_slice(), &set].concat(), &[]).expect_ok();
    assert!(said.contains("replicas: 3"), "{said}");
}
