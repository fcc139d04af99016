//! Compares two answers whose uids, versions and times belong to different servers.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// The uids and versions of one side, mapped to those of the other.
#[derive(Debug, Default, Clone)]
pub struct Mapping {
    there: BTreeMap<String, String>,
    back: BTreeMap<String, String>,
}

/// Fields of which only the presence is compared.
const TIMES: [&str; 3] = ["creationTimestamp", "deletionTimestamp", "time"];

impl Mapping {
    /// Versions are assigned again after a restore of the store.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    fn is_same(&mut self, real: &str, memory: &str) -> bool {
        let there = self
            .there
            .entry(real.to_owned())
            .or_insert_with(|| memory.to_owned());
        let back = self
            .back
            .entry(memory.to_owned())
            .or_insert_with(|| real.to_owned());
        there == memory && back == real
    }

    /// All differences between two bodies.
    pub fn differences(&mut self, real: &Value, memory: &Value) -> Vec<String> {
        let mut found = Vec::new();
        let (real, mut memory) = (plain(real), plain(memory));
        if is_part(&real["message"], &memory["message"]) {
            memory["message"] = real["message"].clone();
        }
        self.walk(&real, &memory, "", &mut found);
        found
    }

    fn walk(&mut self, real: &Value, memory: &Value, path: &str, found: &mut Vec<String>) {
        let is_list = |value: &Value| {
            value["kind"]
                .as_str()
                .is_some_and(|kind| kind.ends_with("List"))
        };
        match (real, memory) {
            (Value::Object(a), Value::Object(b)) => {
                let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
                for name in names {
                    let at = format!("{path}.{name}");
                    let (Some(one), Some(other)) = (a.get(name), b.get(name)) else {
                        let shown = |side: &serde_json::Map<String, Value>| {
                            side.get(name)
                                .map_or_else(|| "absent".to_owned(), Value::to_string)
                        };
                        found.push(format!("{at}: {} and {}", shown(a), shown(b)));
                        continue;
                    };
                    // The version of a list is that of the whole store, which has more writes on the real side.
                    if name == "metadata" && is_list(real) {
                        let own = |metadata: &Value| {
                            let mut metadata = metadata.clone();
                            metadata["resourceVersion"] =
                                json!(metadata["resourceVersion"].is_string());
                            metadata
                        };
                        self.walk(&own(one), &own(other), &at, found);
                    } else {
                        self.field(name, one, other, &at, found);
                    }
                }
            }
            (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
                for (index, (one, other)) in a.iter().zip(b).enumerate() {
                    self.walk(one, other, &format!("{path}[{index}]"), found);
                }
            }
            _ if real != memory => found.push(format!("{path}: {real} and {memory}")),
            _ => {}
        }
    }

    fn field(
        &mut self,
        name: &str,
        real: &Value,
        memory: &Value,
        path: &str,
        found: &mut Vec<String>,
    ) {
        match (name, real, memory) {
            // Continue tokens differ between the sides.
            ("continue", Value::String(a), Value::String(b)) if a.is_empty() == b.is_empty() => {}
            ("uid" | "resourceVersion", Value::String(a), Value::String(b)) => {
                if !self.is_same(a, b) {
                    found.push(format!("{path}: {a} and {b} are not the same one"));
                }
            }
            (name, Value::String(_), Value::String(_)) if TIMES.contains(&name) => {}
            _ => self.walk(real, memory, path, found),
        }
    }
}

/// Whether both messages list schema errors: the real server stops at the first unknown field in random map order.
fn is_part(real: &Value, memory: &Value) -> bool {
    let misfits = |message: &Value| -> Option<BTreeSet<String>> {
        let (head, found) = message.as_str()?.split_once("): ")?;
        let found = found
            .trim_start_matches("errors:")
            .split('\n')
            .map(str::trim);
        let is_misfit = head.starts_with("failed to create typed patch object");
        is_misfit.then(|| {
            found
                .filter(|why| !why.is_empty())
                .map(str::to_owned)
                .collect()
        })
    };
    match (misfits(real), misfits(memory)) {
        (Some(real), Some(memory)) => !real.is_empty() && real.is_subset(&memory),
        _ => false,
    }
}

/// A normalised body: parts without a defined order are sorted.
fn plain(body: &Value) -> Value {
    let mut body = body.clone();
    if body["kind"] == "Status" && body["status"] == "Failure" {
        failure(&mut body);
    }
    let events = body["object"].is_object();
    if events {
        body["object"] = plain(&body["object"]);
    }
    for item in body["items"].as_array_mut().into_iter().flatten() {
        managed(item);
    }
    managed(&mut body);
    body
}

/// Sorts the managed fields by manager.
fn managed(object: &mut Value) {
    let Some(entries) = object
        .pointer("/metadata/managedFields")
        .and_then(Value::as_array)
    else {
        return;
    };
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let mut named = serde_json::Map::new();
    for entry in entries {
        let parts = ["manager", "operation", "subresource", "apiVersion"];
        let name = parts.map(|part| text(entry, part)).join(" ");
        named.insert(name, ownerless(&entry["fieldsV1"]));
    }
    object["metadata"]["managedFields"] = Value::Object(named);
}

/// Removes the uids from the names of owner fields.
fn ownerless(fields: &Value) -> Value {
    let Some(all) = fields.as_object() else {
        return fields.clone();
    };
    let plain = |name: &String| {
        let owner = name.starts_with("k:{\"uid\":");
        if owner {
            "k:{uid}".to_owned()
        } else {
            name.clone()
        }
    };
    Value::Object(
        all.iter()
            .map(|(name, below)| (plain(name), ownerless(below)))
            .collect(),
    )
}

/// Sorts the causes of a refusal, also in the message, and removes duplicates.
fn failure(status: &mut Value) {
    let mut message = status["message"].as_str().unwrap_or_default().to_owned();
    if let Some(causes) = status.pointer("/details/causes").and_then(Value::as_array) {
        let mut sorted: Vec<Value> = causes.clone();
        for cause in &mut sorted {
            if let Some(text) = cause["message"].as_str() {
                cause["message"] = json!(cut(text));
            }
        }
        sorted.sort_by_key(Value::to_string);
        sorted.dedup();
        for cause in causes {
            let (field, text) = (cause["field"].as_str(), cause["message"].as_str());
            let told = format!(
                "{}: {}",
                field.unwrap_or_default(),
                text.unwrap_or_default()
            );
            message = message.replace(&told, "");
        }
        message = message
            .replace(['[', ']', ','], " ")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        status["details"]["causes"] = json!(sorted);
    }
    status["message"] = json!(cut(&message));
}

/// Removes the parts that differ by nature: uid and version of a record, and a whole object in Go's notation.
fn cut(text: &str) -> String {
    let mut text = text.to_owned();
    if let (Some(start), Some(end)) = (text.find("Invalid value: \"{"), text.rfind("}\": ")) {
        text.replace_range(start..end, "Invalid value: ");
    }
    // The errors of an apply have no defined order, and hold values in Go's notation.
    let mut lines: Vec<&str> = text
        .split('\n')
        .map(|line| line.split(", got ").next().unwrap())
        .collect();
    lines[1..].sort_unstable();
    let text = lines.join("\n");
    let is_own = |word: &str| {
        let core = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
        let uuid = core.len() == 36 && core.split('-').all(digits);
        let version = word.starts_with('(') && core.bytes().all(|b| b.is_ascii_digit());
        uuid || version
    };
    let words: Vec<&str> = text
        .split(' ')
        .map(|word| if is_own(word) { "#" } else { word })
        .collect();
    words.join(" ")
}
