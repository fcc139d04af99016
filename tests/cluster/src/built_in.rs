//! The behaviour of the built-in kinds, as far as the operator relies on it.

use serde_json::{Value, json};

use crate::kinds::Kind;
use crate::refusal::Cause;

/// Fills in the defaults of a built-in kind.
pub(crate) fn default(object: &mut Value, kind: &Kind) {
    match &*kind.plural {
        "secrets" => secret(object),
        "configmaps" => drop_nulls(object, "data"),
        "namespaces" => {
            let name = object["metadata"]["name"].clone();
            object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
        }
        "events" => {
            for absent in [
                "deprecatedSource",
                "deprecatedFirstTimestamp",
                "deprecatedLastTimestamp",
            ] {
                let empty = object[absent].is_null() || object[absent] == json!({});
                if let Some(fields) = object.as_object_mut().filter(|_| empty) {
                    fields.remove(absent);
                }
            }
        }
        _ => {}
    }
}

/// An object without any field set. Fields that aren't pointers in Go are always present.
pub(crate) fn empty(kind: &Kind) -> Value {
    match &*kind.plural {
        "leases" => json!({"spec": {}}),
        "namespaces" => json!({"spec": {}, "status": {}}),
        _ => json!({}),
    }
}

/// Adds the fields of a new object that no manager owns.
pub(crate) fn complete(object: &mut Value, kind: &Kind) {
    if kind.plural == "namespaces" {
        object["spec"]["finalizers"] = json!(["kubernetes"]);
        object["status"]["phase"] = json!("Active");
    }
}

/// Removes nulls from a map, and the map where it is empty.
fn drop_nulls(object: &mut Value, name: &str) {
    if let Some(data) = object[name].as_object_mut() {
        data.retain(|_, value| !value.is_null());
    }
    let empty = object[name].is_null() || object[name] == json!({});
    if let Some(fields) = object.as_object_mut().filter(|_| empty) {
        fields.remove(name);
    }
}

fn secret(object: &mut Value) {
    let plain = object
        .as_object_mut()
        .and_then(|fields| fields.remove("stringData"));
    for (key, value) in plain
        .as_ref()
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        if let Some(text) = value.as_str() {
            object["data"][key] = json!(base64(text.as_bytes()));
        }
    }
    drop_nulls(object, "data");
    if object["type"].is_null() {
        object["type"] = json!("Opaque");
    }
}

/// Encodes bytes as base64 with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let at = |n: usize| u32::from(chunk.get(n).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for n in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * n) & 63) as usize];
            text.push(if n <= chunk.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
    text
}

/// The causes for which an object of a built-in kind is invalid.
pub(crate) fn check(object: &Value, kind: &Kind) -> Vec<Cause> {
    let mut causes = Vec::new();
    match &*kind.plural {
        "events" if !object["eventTime"].is_string() => {
            causes.push(Cause::required("eventTime", ""));
        }
        "events" => {
            // An event about a cluster-wide object must be in one of these namespaces.
            let about = object["regarding"]["namespace"]
                .as_str()
                .unwrap_or_default();
            let own = object["metadata"]["namespace"].as_str().unwrap_or_default();
            if about.is_empty() && !["default", "kube-system"].contains(&own) {
                let field = "involvedObject.namespace";
                let why = "does not match event.namespace";
                causes.push(Cause::invalid(field, &about.into(), why));
            }
        }
        "leases" => {
            let duration = &object["spec"]["leaseDurationSeconds"];
            if duration.as_i64().is_some_and(|seconds| seconds <= 0) {
                let field = "spec.leaseDurationSeconds";
                causes.push(Cause::invalid(field, duration, "must be greater than 0"));
            }
        }
        _ => {}
    }
    causes
}

/// The group in the message of a refusal: events are judged as those of the core group.
pub(crate) fn group_of_refusal(kind: &Kind) -> &str {
    if kind.plural == "events" {
        ""
    } else {
        &kind.group
    }
}
