//! Events have two groups and one store: an event written in one group can be read in the other.

use serde_json::{Value, json};

use crate::kinds::Kind;
use crate::request::Call;

/// The names of a field in `events.k8s.io` and in the core group.
const NAMES: [(&str, &str); 7] = [
    ("note", "message"),
    ("regarding", "involvedObject"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

fn is_event(call: &Call) -> bool {
    call.plural == "events" && ["", "events.k8s.io"].contains(&&*call.group)
}

/// The apiVersion under which the path of a call shows an object.
pub(crate) fn version(kind: &Kind, call: &Call) -> String {
    if is_event(call) && call.group.is_empty() {
        "v1".to_owned()
    } else {
        kind.api_version()
    }
}

/// An object in the form that the path of a call shows.
pub(crate) fn shown(mut object: Value, call: &Call) -> Value {
    if !is_event(call) {
        return object;
    }
    object["deprecatedSource"] = object.get("deprecatedSource").cloned().unwrap_or(json!({}));
    for absent in ["deprecatedFirstTimestamp", "deprecatedLastTimestamp"] {
        object[absent] = object.get(absent).cloned().unwrap_or_default();
    }
    if call.group.is_empty() {
        rename(&mut object, |(new, old)| (new, old));
        object["apiVersion"] = json!("v1");
    }
    object
}

/// Converts an object to the form in which it is stored.
pub(crate) fn kept(object: &mut Value, call: &Call) {
    if is_event(call) && call.group.is_empty() {
        rename(object, |(new, old)| (old, new));
        object["apiVersion"] = json!("events.k8s.io/v1");
    }
}

fn rename(
    object: &mut Value,
    names: fn((&'static str, &'static str)) -> (&'static str, &'static str),
) {
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    for (from, to) in NAMES.map(names) {
        if let Some(value) = fields.remove(from) {
            fields.insert(to.to_owned(), value);
        }
    }
}
