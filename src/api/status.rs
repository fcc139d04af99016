//! Reads statuses and builds the patch of the next status. Pure, and shared by both kinds.
//!
//! Anybody with the right to write `/status` can leave anything in it: a backup tool restores the status of an object
//! that no longer exists, a newer version uses words that this one doesn't know, another controller keeps its own
//! conditions. So a status is read field by field, counts only for the object that it was written for, and is written
//! as a whole.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use kube::CustomResourceExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use serde_path_to_error::{Path, Segment};

use super::condition::{READY, RECONCILING, STALLED};

/// The schema's limit of the number of conditions.
const CONDITIONS_BOUND: usize = 16;
/// The assumed difference between the clocks of the operator and of the API server, in seconds.
const CLOCKS_DIFFER: i64 = 60;
/// How many unreadable fields are handled one by one; a status with more counts as empty.
const BROKEN_BOUND: usize = 64;

/// The status of one kind.
pub trait OwnStatus: Serialize + DeserializeOwned + Default {
    /// Informational fields: an unreadable one is overwritten. Other unreadable fields are kept.
    const TELLING: &'static [&'static str];
    /// The fields whose timestamps show when the status was written.
    const DATED: &'static [&'static str];

    /// The schema of the status in the kind's definition.
    fn schema() -> Option<&'static JSONSchemaProps>;
    /// The conditions of the status.
    fn conditions(&mut self) -> &mut Vec<Condition>;
    /// The names of the fields of which [`Self::of_another`] keeps at least a part.
    const OUTLIVING: &'static [&'static str];
    /// The part of the status that counts even if it was written for another object of the same name.
    #[must_use]
    fn of_another(self) -> Self;
}

/// A parsed status.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReadStatus<T> {
    /// The readable fields, with only our own conditions and without the uid.
    pub status: T,
    /// The rest of the status, which must be preserved.
    pub beside: Beside,
}

/// The parts of a status that this operator must not change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beside {
    /// The conditions of other controllers, as they were read.
    pub conditions: Vec<Value>,
    /// The paths of the unreadable fields that must be preserved. Each path begins at the top of the status.
    pub unreadable: Vec<Vec<String>>,
    /// Why the first unreadable field can't be read.
    pub error: Option<String>,
}

/// The object that holds a status.
#[derive(Debug, Clone, Copy)]
pub struct Bearer<'a> {
    /// The uid of the object.
    pub uid: &'a str,
    /// When the object was created.
    pub created: Option<Timestamp>,
}

/// Parses the status of the object `bearer`.
pub fn read<T: OwnStatus>(mut raw: Value, bearer: &Bearer<'_>) -> ReadStatus<T> {
    let Some(fields) = raw.as_object_mut() else {
        return ReadStatus::default();
    };
    let conditions = match fields.remove("conditions") {
        Some(Value::Array(conditions)) => conditions,
        Some(_) | None => Vec::new(),
    };
    let (ours, others): (Vec<Value>, Vec<Value>) = conditions.into_iter().partition(is_ours);
    let counts = match fields.remove("uid") {
        Some(Value::String(uid)) => uid == bearer.uid,
        Some(_) => false,
        None => is_recent::<T>(fields, &ours, bearer.created),
    };
    let (status, broken) = readable::<T>(raw);
    let mut read = ReadStatus {
        status,
        beside: Beside {
            conditions: others,
            ..Beside::default()
        },
    };
    if counts {
        let ours = ours
            .into_iter()
            .filter_map(|c| serde_json::from_value(c).ok());
        *read.status.conditions() = ours.collect();
    } else {
        read.status = read.status.of_another();
    }
    let telling = |path: &[String]| T::TELLING.contains(&path.join(".").as_str());
    for (path, error) in broken {
        // An unreadable part anywhere within an informational field is ignored.
        if (1..=path.len()).any(|depth| telling(&path[..depth])) {
            continue;
        }
        read.beside.error.get_or_insert(error);
        read.beside.unreadable.push(path);
    }
    if !counts {
        let outlives = |path: &Vec<String>| {
            let top = path.first().map(String::as_str);
            top.is_some_and(|top| T::OUTLIVING.contains(&top))
        };
        read.beside.unreadable.retain(outlives);
        read.beside.error = None;
    }
    read
}

/// The merge patch of the whole status of the object `uid`. It has every field of the schema (`null` if the field has
/// no value), and the conditions of other controllers as they were read. An unreadable
/// field is left out unless `status` has a value for it.
pub fn patch<T: OwnStatus>(status: &T, uid: &str, beside: &Beside) -> Value {
    let mut next = match serde_json::to_value(status) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) | Err(_) => Map::new(),
    };
    let ours = match next.remove("conditions") {
        Some(Value::Array(conditions)) => conditions,
        Some(_) | None => Vec::new(),
    };
    next.insert("uid".to_owned(), json!(uid));
    let conditions = ours.into_iter().chain(beside.conditions.iter().cloned());
    let conditions: Vec<Value> = conditions.take(CONDITIONS_BOUND).collect();
    next.insert("conditions".to_owned(), Value::Array(conditions));
    if let Some(schema) = T::schema() {
        fill(&mut next, schema);
    }
    for path in &beside.unreadable {
        leave_out(&mut next, path);
    }
    Value::Object(next)
}

/// The first of `fields` whose stored value differs from the sent one: an admission policy may change an accepted
/// write.
pub fn changed_on_the_way<'a>(sent: &Value, stored: &Value, fields: &[&'a str]) -> Option<&'a str> {
    let differs = |field: &&'a str| {
        let sent = sent.get(*field);
        sent.is_some_and(|sent| !same(sent, &stored[*field]))
    };
    fields.iter().copied().find(differs)
}

fn same(sent: &Value, stored: &Value) -> bool {
    match (sent, stored) {
        (Value::Object(sent), stored) => {
            sent.iter().all(|(name, value)| same(value, &stored[name]))
        }
        (sent, stored) => sent == stored,
    }
}

fn is_ours(condition: &Value) -> bool {
    let type_ = condition["type"].as_str();
    type_.is_some_and(|type_| [READY, RECONCILING, STALLED].contains(&type_))
}

/// Whether a status of the first version, which has no uid, may belong to the object created at `created`. A restored
/// status is older than its object.
fn is_recent<T: OwnStatus>(
    fields: &Map<String, Value>,
    ours: &[Value],
    created: Option<Timestamp>,
) -> bool {
    let dated = T::DATED.iter().filter_map(|field| fields.get(*field));
    let newest = dated.chain(ours).filter_map(newest_time).max();
    match (newest, created) {
        (Some(newest), Some(created)) => {
            newest.as_second().saturating_add(CLOCKS_DIFFER) >= created.as_second()
        }
        (newest, None) => newest.is_some(),
        (None, Some(_)) => false,
    }
}

fn newest_time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Array(values) => values.iter().filter_map(newest_time).max(),
        Value::Object(fields) => fields.values().filter_map(newest_time).max(),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// The readable part of a status, and the path of each unreadable field with the reason.
fn readable<T: OwnStatus>(mut raw: Value) -> (T, Vec<(Vec<String>, String)>) {
    let mut broken = Vec::new();
    while broken.len() < BROKEN_BOUND {
        let error = match serde_path_to_error::deserialize(&raw) {
            Ok(status) => return (status, broken),
            Err(error) => error,
        };
        let path = names(error.path());
        if !remove(&mut raw, error.path()) {
            break;
        }
        broken.push((path, format!("status.{error}")));
    }
    (T::default(), broken)
}

/// The field names on the way to a field. A list counts as one field.
fn names(path: &Path) -> Vec<String> {
    let names = path.iter().map_while(|segment| match segment {
        Segment::Map { key } => Some(key.clone()),
        Segment::Seq { .. } | Segment::Enum { .. } | Segment::Unknown => None,
    });
    names.collect()
}

/// Removes the value at `path`. Returns `false` if there is none.
fn remove(raw: &mut Value, path: &Path) -> bool {
    let names = names(path);
    let Some((last, way)) = names.split_last() else {
        return false;
    };
    let holder = way.iter().try_fold(raw, |value, name| value.get_mut(name));
    let fields = holder.and_then(Value::as_object_mut);
    fields.is_some_and(|fields| fields.remove(last).is_some())
}

/// Sets each field of the schema that is absent to `null`.
fn fill(fields: &mut Map<String, Value>, schema: &JSONSchemaProps) {
    for (name, schema) in schema.properties.iter().flatten() {
        let value = fields.entry(name.clone()).or_insert(Value::Null);
        if let Value::Object(inner) = value {
            fill(inner, schema);
        }
    }
}

/// Removes the first `null` on the way to `path`.
fn leave_out(fields: &mut Map<String, Value>, path: &[String]) {
    let Some((name, rest)) = path.split_first() else {
        return;
    };
    match fields.get_mut(name) {
        Some(Value::Null) => drop(fields.remove(name)),
        Some(Value::Object(inner)) => leave_out(inner, rest),
        Some(_) | None => {}
    }
}

/// The schema of the status in the definition of a kind.
pub(super) fn schema_of<Kind: CustomResourceExt>() -> Option<JSONSchemaProps> {
    let version = Kind::crd().spec.versions.into_iter().next()?;
    let schema = version.schema?.open_api_v3_schema?;
    schema.properties?.remove("status")
}

#[cfg(test)]
mod tests;
