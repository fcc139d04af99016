//! Package ids that are unique for each test although all tests write `package-00001`: an object holds every deletion
//! of its `fileId` in the cluster until it is known to be of another application.

use serde_json::Value;

/// The character around the namespace in the prefix of an id.
const MARK: char = '~';

/// The prefix of the package ids of a namespace.
pub fn prefix(namespace: &str) -> String {
    format!("{MARK}{namespace}{MARK}")
}

/// A text with all prefixes removed.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(MARK) {
        plain.push_str(before);
        let name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        match after.split_once(MARK) {
            Some((namespace, after)) if !namespace.is_empty() && namespace.chars().all(name) => {
                rest = after;
            }
            Some(_) | None => {
                plain.push(MARK);
                rest = after;
            }
        }
    }
    plain + rest
}

/// A value with the prefixes removed from all strings.
pub fn plain_value(value: &Value) -> Value {
    serde_json::from_str(&plain(&value.to_string())).expect("it is JSON as before")
}

/// Adds `prefix` to every `fileId` in a value.
pub fn with_prefix(value: &mut Value, prefix: &str) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(id) if name == "fileId" => *id = format!("{prefix}{id}"),
                    field => with_prefix(field, prefix),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| with_prefix(item, prefix)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
