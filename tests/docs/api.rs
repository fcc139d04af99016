//! `docs/api.md` lists every field of both kinds as the definitions under `crds/` describe it.

use std::fmt::Write as _;

use serde_json::Value;

use version_package_operator::api::names;

use crate::page::assert_page;
use crate::{cell, read};

const API: &str = "docs/api.md";

/// The annotations: name, kind, value and meaning.
const ANNOTATIONS: [(&str, &str, &str, &str); 7] = [
    (
        names::PAUSED_ANNOTATION,
        "VersionPackage",
        "any value but `false`",
        "[holds](deletion.md#what-keeps-a-package) the deletion of this one package",
    ),
    (
        names::REQUESTED_AT_ANNOTATION,
        "both",
        "any new value, such as a time",
        "[tries again](operations.md#when-it-is-tried-again) at once what has failed; on a Platform, tries its credentials",
    ),
    (
        names::DISREGARD_ANNOTATION,
        "VersionPackage",
        "uids, separated by commas",
        "passes over the unclear claims of [these objects](guards.md#somebody-elses-object-that-is-in-the-way)",
    ),
    (
        names::ACCEPT_ANNOTATION,
        "VersionPackage",
        "the id of the application",
        "accepts the object anew for [the application of its Platform](guards.md#accepted-for-a-wrong-application)",
    ),
    (
        names::RELEASE_HOLD_ANNOTATION,
        "Platform",
        "the id of the hold",
        "[releases](guards.md#all-of-it-was-meant) a mass deletion that is held",
    ),
    (
        names::ABANDON_ANNOTATION,
        "Platform",
        "the uid of the Platform",
        "lets a deleted Platform go [although objects need it](guards.md#credentials-and-platforms-that-go-first)",
    ),
    (
        names::CONFIRM_ANNOTATION,
        "VersionPackage",
        "the uid of the object",
        "confirms the spec of an object that may have [lost fields](operations.md#fieldslost)",
    ),
];

/// The part of the page about annotations.
fn annotations() -> String {
    let mut part = String::from(
        "\n## Annotations\n\n\
        The operator reads these annotations and writes none of them. Two more belong to the policies:\n\
        [`iodm.dev/protected`](deletion.md#packages-that-nobody-may-delete) on a VersionPackage, and\n\
        [`iodm.dev/deletion-approved`](install.md#policies) on a definition.\n\n\
        | annotation | on | value | what it does |\n|---|---|---|---|\n",
    );
    for (name, kind, value, meaning) in ANNOTATIONS {
        let _ = writeln!(part, "| `{name}` | {kind} | {value} | {meaning} |");
    }
    part
}

#[test]
fn the_page_has_every_annotation_of_the_source() {
    let source = read("src/api/names.rs");
    assert_eq!(
        source.matches("_ANNOTATION: &str").count(),
        ANNOTATIONS.len()
    );
}

/// A field of a schema.
struct Field<'a> {
    path: String,
    required: bool,
    schema: &'a Value,
}

#[test]
fn the_reference_of_the_kinds_equals_the_definitions() {
    let mut page = String::from(
        "# The kinds and their fields\n\n\
        This page lists every field of a VersionPackage and of a Platform. You write the fields below `spec`; the operator writes\n\
        the fields below `status`. `[]` stands for each entry of a list, and `.*` for each key of a map. \"Required\" means: required\n\
        where the object that holds the field is given. The API server refuses a value that breaks a bound or a rule. What the\n\
        fields do together is in [deletion](deletion.md) and [guards](guards.md). [The annotations](#annotations) are at the end.\n\
        `kubectl explain vp.spec` shows the same texts in a terminal. The page is made from `crds/`\n\
        (`UPDATE_DOCS=1 cargo test --test docs`).\n",
    );
    for kind in ["versionpackages", "platforms"] {
        let text = read(format!("crds/{kind}.iodm.dev.yaml"));
        let definition: Value = serde_saphyr::from_str(&text).unwrap();
        page.push_str(&reference(&definition));
    }
    page.push_str(&annotations());
    assert_page(API, &page, "crds/");
}

/// The part of the page about one definition.
fn reference(definition: &Value) -> String {
    let spec = &definition["spec"];
    let [version] = spec["versions"].as_array().unwrap().as_slice() else {
        panic!("the page has room for one version of a kind");
    };
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let short = &spec["names"]["shortNames"].as_array().unwrap()[0];
    let kind = text(&spec["names"]["kind"]);
    let schema = &version["schema"]["openAPIV3Schema"];
    let mut part = format!(
        "\n## {kind}\n\n`apiVersion: {}/{}`, `kind: {kind}`, short name `{}`. {}\n",
        text(&spec["group"]),
        text(&version["name"]),
        text(short),
        text(&schema["properties"]["spec"]["description"]),
    );
    let selectable = version["selectableFields"].as_array().into_iter().flatten();
    let selectable: Vec<_> = selectable
        .map(|field| format!("`{}`", text(&field["jsonPath"]).trim_start_matches('.')))
        .collect();
    if !selectable.is_empty() {
        let _ = write!(
            part,
            "\nFields for `kubectl get --field-selector`: {}.\n",
            selectable.join(", ")
        );
    }
    let mut rules = Vec::new();
    collect_rules("", schema, &mut rules);
    for half in ["spec", "status"] {
        let mut fields = Vec::new();
        collect_fields(half, &schema["properties"][half], &mut fields);
        let _ = write!(part, "\n### The {half} of a {kind}\n\n{}", table(&fields));
    }
    let _ = write!(
        part,
        "\n### The rules of a {kind}\n\n\
        The API server evaluates these rules (CEL) at each write. The message is its answer to a value that breaks the rule.\n"
    );
    for (path, rule) in rules {
        let (message, cel) = (text(&rule["message"]), text(&rule["rule"]));
        let place = if path.is_empty() {
            "The object as a whole".to_owned()
        } else {
            format!("`{path}`")
        };
        let _ = write!(
            part,
            "\n- {place}: {}\n\n  ```text\n  {cel}\n  ```\n",
            cell(&message)
        );
    }
    part
}

/// All fields below `schema`, whose own path is `path`, in the order of their paths.
fn collect_fields<'a>(path: &str, schema: &'a Value, fields: &mut Vec<Field<'a>>) {
    let required = schema["required"].as_array();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        fields.push(Field {
            path: path.clone(),
            required: required.is_some_and(|all| all.iter().any(|one| one == name)),
            schema: field,
        });
        collect_fields(&path, field, fields);
    }
    if schema["items"].is_object() {
        collect_fields(&format!("{path}[]"), &schema["items"], fields);
    }
    if schema["additionalProperties"].is_object() {
        collect_fields(
            &format!("{path}.*"),
            &schema["additionalProperties"],
            fields,
        );
    }
}

/// All rules in `schema` and below, with the paths of their fields.
fn collect_rules<'a>(path: &str, schema: &'a Value, rules: &mut Vec<(String, &'a Value)>) {
    let own = schema["x-kubernetes-validations"].as_array();
    rules.extend(
        own.into_iter()
            .flatten()
            .map(|rule| (path.to_owned(), rule)),
    );
    let below = |name: &str| {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        collect_rules(&below(name), field, rules);
    }
    if schema["items"].is_object() {
        collect_rules(&format!("{path}[]"), &schema["items"], rules);
    }
    if schema["additionalProperties"].is_object() {
        collect_rules(&below("*"), &schema["additionalProperties"], rules);
    }
}

fn table(fields: &[Field<'_>]) -> String {
    let mut table =
        "| field | type | default | bounds | meaning |\n|---|---|---|---|---|\n".to_owned();
    for Field {
        path,
        required,
        schema,
    } in fields
    {
        let default = match &schema["default"] {
            Value::Null if *required => "required".to_owned(),
            Value::Null => "none".to_owned(),
            Value::String(text) => format!("`{text}`"),
            other => format!("`{other}`"),
        };
        let meaning = schema["description"]
            .as_str()
            .unwrap_or_else(|| panic!("{path} has no description"));
        let _ = writeln!(
            table,
            "| `{path}` | {} | {default} | {} | {} |",
            type_of(schema),
            bounds(schema),
            cell(meaning)
        );
    }
    table
}

/// The type of a field in words. Panics for a form of schema that the page has no words for.
fn type_of(schema: &Value) -> String {
    let entry = |key: &str| match schema[key]["type"].as_str() {
        Some("object") => "objects".to_owned(),
        Some(other) => format!("{other}s"),
        None => panic!("no type in {}", schema[key]),
    };
    match schema["type"].as_str() {
        Some("array") => format!("list of {}", entry("items")),
        Some("object") if schema["additionalProperties"].is_object() => {
            format!("map of {}", entry("additionalProperties"))
        }
        Some("string") if schema["format"] == "date-time" => "time (RFC 3339)".to_owned(),
        Some(known @ ("object" | "string" | "integer" | "boolean")) => known.to_owned(),
        other => panic!("no words for the type {other:?}: {schema}"),
    }
}

/// The keys of a schema that are shown in other columns, or that bound nothing.
const NO_BOUNDS: [&str; 10] = [
    "additionalProperties",
    "default",
    "description",
    "format",
    "items",
    "properties",
    "required",
    "type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
];

/// The keys of a schema that bound a number, a length or a count.
const RANGES: [&str; 8] = [
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
];

/// The bounds of a field. Panics for a keyword that the page has no words for.
fn bounds(schema: &Value) -> String {
    let mut bounds = Vec::new();
    let between = |low: &str, high: &str, unit: &str| {
        let number = |key: &str| schema[key].as_f64().map(|number| format!("{number}"));
        match (number(low), number(high)) {
            (Some(low), Some(high)) => Some(format!("{low} to {high}{unit}")),
            (Some(low), None) => Some(format!("at least {low}{unit}")),
            (None, Some(high)) => Some(format!("at most {high}{unit}")),
            (None, None) => None,
        }
    };
    bounds.extend(between("minimum", "maximum", ""));
    bounds.extend(between("minLength", "maxLength", " characters"));
    bounds.extend(between("minItems", "maxItems", " entries"));
    bounds.extend(between("minProperties", "maxProperties", " keys"));
    for key in schema.as_object().unwrap().keys() {
        match key.as_str() {
            "enum" => {
                let values = schema["enum"].as_array().unwrap().iter();
                let values: Vec<_> = values
                    .map(|value| format!("`{}`", value.as_str().unwrap()))
                    .collect();
                bounds.push(format!("one of {}", values.join(", ")));
            }
            "pattern" => bounds.push(format!(
                "the pattern `{}`",
                cell(schema["pattern"].as_str().unwrap())
            )),
            "x-kubernetes-validations" => {
                let rules = schema[key].as_array().unwrap().iter();
                let messages = rules.map(|rule| cell(rule["message"].as_str().unwrap()));
                bounds.push(format!(
                    "rule: {}",
                    messages.collect::<Vec<_>>().join("; rule: ")
                ));
            }
            other if NO_BOUNDS.contains(&other) || RANGES.contains(&other) => {}
            other => panic!("no words for {other} in {schema}"),
        }
    }
    bounds.join("; ")
}
