//! The rules for the metadata of every object.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::kinds::Kind;
use crate::refusal::Cause;

const NAME: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_NAME: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const KEY: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// The immutable metadata fields.
const IMMUTABLE: [&str; 6] = [
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];

/// A string of the metadata; empty where it is absent.
pub(crate) fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object["metadata"][name].as_str().unwrap_or_default()
}

pub(crate) fn finalizers(object: &Value) -> Vec<&str> {
    let all = object["metadata"]["finalizers"].as_array();
    all.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

pub(crate) fn is_going(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// The type error in the metadata; `None` where there is none.
pub(crate) fn misread(object: &Value) -> Option<String> {
    let metadata = match &object["metadata"] {
        Value::Null => return None,
        Value::Object(fields) => fields,
        other => {
            let kind = go_kind(other);
            return Some(format!(
                "json: cannot unmarshal {kind} into Go value of type v1.ObjectMeta"
            ));
        }
    };
    for (name, value) in metadata {
        let maps = ["labels", "annotations"].contains(&&**name);
        let lists = ["finalizers", "ownerReferences", "managedFields"].contains(&&**name);
        let texts = [
            "name",
            "namespace",
            "uid",
            "resourceVersion",
            "generateName",
        ]
        .contains(&&**name);
        let why = |value: &Value, of: &str| {
            let kind = go_kind(value);
            Some(format!(
                "json: cannot unmarshal {kind} into Go struct field ObjectMeta.{name} of type {of}"
            ))
        };
        match value {
            Value::Null => {}
            Value::Object(fields) if maps => {
                let odd = fields
                    .values()
                    .find(|value| !value.is_string() && !value.is_null());
                if let Some(odd) = odd {
                    return why(odd, "string");
                }
            }
            other if maps => return why(other, "map[string]string"),
            other if texts && !other.is_string() => return why(other, "string"),
            Value::Array(items) if name == "finalizers" => {
                if let Some(odd) = items.iter().find(|item| !item.is_string()) {
                    return why(odd, "string");
                }
            }
            other if lists && !other.is_array() => return why(other, "[]string"),
            _ => {}
        }
    }
    None
}

fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Removes empty values, as a decode and encode of the metadata does.
pub(crate) fn tidy(object: &mut Value) {
    let known = &crate::shapes::METADATA;
    let Some(metadata) = object["metadata"].as_object_mut() else {
        return;
    };
    for name in ["labels", "annotations"] {
        for (_, value) in metadata
            .get_mut(name)
            .and_then(Value::as_object_mut)
            .into_iter()
            .flatten()
        {
            if value.is_null() {
                *value = json!("");
            }
        }
    }
    metadata.retain(|name, value| {
        let empty = match value {
            Value::Null => true,
            Value::Object(fields) => fields.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::String(text) => text.is_empty(),
            Value::Number(number) => number.as_i64() == Some(0) && name == "generation",
            Value::Bool(_) => false,
        };
        !empty && known.properties.contains_key(name)
    });
}

/// The names of unknown metadata fields.
pub(crate) fn unknown(object: &Value) -> Vec<String> {
    let known = &crate::shapes::METADATA.properties;
    let names = object["metadata"].as_object().into_iter().flatten();
    let odd = names.filter(|(name, _)| !known.contains_key(*name));
    odd.map(|(name, _)| format!("metadata.{name}")).collect()
}

/// Removes the metadata that only the API server sets.
pub(crate) fn wipe(object: &mut Value) {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for name in [
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "selfLink",
        ] {
            metadata.remove(name);
        }
    }
}

/// The causes for which the metadata of a new object is invalid.
pub(crate) fn check(object: &Value, kind: &Kind) -> Vec<Cause> {
    let mut causes = Vec::new();
    let name = text(object, "name");
    let label = kind.plural == "namespaces";
    if name.is_empty() {
        let why = "name or generateName is required";
        causes.push(Cause::required("metadata.name", why));
    } else if !is_name(name, label) {
        let why = if label { LABEL_NAME } else { NAME };
        causes.push(Cause::invalid("metadata.name", &name.into(), why));
    }
    causes.extend(labels(object));
    causes
}

fn is_name(name: &str, label: bool) -> bool {
    let plain = |part: &str| {
        let ends =
            |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        ends(part.chars().next()) && ends(part.chars().last()) && part.chars().all(inner)
    };
    let most = if label { 63 } else { 253 };
    name.len() <= most && (!label || !name.contains('.')) && name.split('.').all(plain)
}

fn labels(object: &Value) -> Vec<Cause> {
    let fields = |name: &str| {
        object["metadata"][name]
            .as_object()
            .cloned()
            .unwrap_or_default()
    };
    let mut causes = Vec::new();
    for (key, value) in fields("labels") {
        if !is_key(&key) {
            causes.push(Cause::invalid("metadata.labels", &key.into(), KEY));
        }
        let text = value.as_str().unwrap_or_default();
        if !text.is_empty() && !is_part(text) {
            causes.push(Cause::invalid("metadata.labels", &value, LABEL));
        }
    }
    for (key, _) in fields("annotations") {
        if !is_key(&key.to_lowercase()) {
            causes.push(Cause::invalid("metadata.annotations", &key.into(), KEY));
        }
    }
    causes
}

fn is_key(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => is_name(prefix, false) && is_part(name),
        None => is_part(key),
    }
}

fn is_part(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    text.len() <= 63
        && ends(text.chars().next())
        && ends(text.chars().last())
        && text.chars().all(inner)
}

/// The causes for which an update of the metadata is invalid.
pub(crate) fn check_update(new: &Value, old: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let going = is_going(old);
    let known = finalizers(old);
    let added: BTreeSet<&str> = finalizers(new)
        .into_iter()
        .filter(|one| !known.contains(one))
        .collect();
    if going && !added.is_empty() {
        let list: Vec<String> = added.iter().map(|one| format!("{one:?}")).collect();
        let why = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            list.join(", ")
        );
        causes.push(Cause::forbidden("metadata.finalizers", &why));
    }
    for name in IMMUTABLE {
        let (new, old) = (&new["metadata"][name], &old["metadata"][name]);
        if new != old {
            let field = format!("metadata.{name}");
            causes.push(Cause::invalid(field, new, "field is immutable"));
        }
    }
    causes.extend(labels(new));
    causes
}
