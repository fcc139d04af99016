//! Values with their schema, for server-side apply: sets of fields, comparison, merge and removal. Follows
//! sigs.k8s.io/structured-merge-diff, which the API server uses.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::fields::{Fields, Step};
use crate::schema::{List, Schema, Type};

/// How a value is merged.
enum Shape<'a> {
    Leaf,
    Map,
    List(&'a List),
}

fn shape<'a>(schema: Option<&'a Schema>, value: &Value) -> Shape<'a> {
    let kind = schema.map_or(Type::Any, |schema| schema.kind);
    let granular = !schema.is_some_and(|schema| schema.atomic);
    match (kind, value) {
        (Type::Object | Type::Any, Value::Object(_)) if granular => Shape::Map,
        (Type::Array, Value::Array(_)) => match schema.map(|schema| &schema.list) {
            None | Some(List::Atomic) => Shape::Leaf,
            Some(list) => Shape::List(list),
        },
        _ => Shape::Leaf,
    }
}

/// The step of a list item, or why the item has none.
fn step(list: &List, item: &Value) -> Result<Step, String> {
    let List::Map(keys) = list else {
        return Ok(Step::Value(item.to_string()));
    };
    let known: Map<String, Value> = keys
        .iter()
        .filter_map(|key| Some((key.clone(), item.get(key)?.clone())))
        .collect();
    if known.is_empty() {
        let quoted: Vec<String> = keys.iter().map(|key| format!("{key:?}")).collect();
        return Err(format!(
            "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values for any key fields)",
            quoted.join(" ")
        ));
    }
    Ok(Step::Keys(Value::Object(known).to_string()))
}

fn items_of(schema: Option<&Schema>) -> Option<&Schema> {
    schema.and_then(|schema| schema.items.as_deref())
}

fn steps(list: &List, items: &[Value]) -> Vec<Step> {
    let named = items.iter().map(|item| step(list, item));
    named
        .map(|step| step.unwrap_or(Step::Value(String::new())))
        .collect()
}

/// Why a value doesn't fit its schema: an apply is refused for this before anything is merged.
pub(crate) fn misfit(value: &Value, schema: &Schema) -> Option<String> {
    let mut found = Vec::new();
    fit(value, Some(schema), "", &mut found);
    match &found[..] {
        [] => None,
        [one] => Some(one.clone()),
        all => Some(format!("errors:\n  {}", all.join("\n  "))),
    }
}

/// Whether a stored value fits its schema. A stored list may contain an item twice.
pub(crate) fn fits(value: &Value, schema: &Schema) -> bool {
    let mut found = Vec::new();
    fit(value, Some(schema), "", &mut found);
    found.iter().all(|why| why.contains(TWICE))
}

const TWICE: &str = ": duplicate entries for key ";

fn fit(value: &Value, schema: Option<&Schema>, path: &str, found: &mut Vec<String>) {
    let Some(schema) = schema else { return };
    let expected = match (schema.kind, value) {
        (_, Value::Null)
        | (Type::Any, _)
        | (Type::String, Value::String(_))
        | (Type::Boolean, Value::Bool(_))
        | (Type::Integer | Type::Number, Value::Number(_)) => return,
        (Type::Object, Value::Object(fields)) => {
            for (name, value) in fields {
                let path = format!("{path}.{name}");
                match schema.field(name) {
                    Some(of) => fit(value, Some(of), &path, found),
                    None if schema.preserve || schema.atomic => {}
                    None => found.push(format!("{path}: field not declared in schema")),
                }
            }
            return;
        }
        (Type::Array, Value::Array(items)) => return fit_list(items, schema, path, found),
        (Type::String, _) => "string",
        (Type::Boolean, _) => "boolean",
        (Type::Integer | Type::Number, _) => "numeric (int or float)",
        (Type::Object, _) => "map",
        (Type::Array, _) => "list",
    };
    found.push(format!("{path}: expected {expected}, got {value}"));
}

fn fit_list(items: &[Value], schema: &Schema, path: &str, found: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let mut at = format!("{path}[{index}]");
        if schema.list != List::Atomic {
            match step(&schema.list, item) {
                Err(why) => {
                    found.push(format!("{path}: element {index}: {why}"));
                    return;
                }
                Ok(step) => {
                    let key = step.told();
                    at = format!("{path}{key}");
                    if !seen.insert(step) {
                        found.push(format!("{path}{TWICE}{key}"));
                    }
                }
            }
        }
        fit(item, schema.items.as_deref(), &at, found);
    }
}

/// The fields of a value, as its applier owns them.
pub(crate) fn fields(value: &Value, schema: &Schema) -> Fields {
    let mut all = Fields::default();
    collect(value, Some(schema), &mut Vec::new(), &mut all);
    all
}

fn collect(value: &Value, schema: Option<&Schema>, path: &mut Vec<Step>, all: &mut Fields) {
    match (shape(schema, value), value) {
        (Shape::Map, Value::Object(fields)) => {
            for (name, value) in fields {
                path.push(Step::Field(name.clone()));
                collect(value, schema.and_then(|s| s.field(name)), path, all);
                let named = schema.is_some_and(|s| s.properties.contains_key(name));
                let empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
                if empty || !named {
                    all.insert(path);
                }
                path.pop();
            }
        }
        (Shape::List(list), Value::Array(items)) => {
            for (item, step) in items.iter().zip(steps(list, items)) {
                path.push(step);
                collect(item, items_of(schema), path, all);
                all.insert(path);
                path.pop();
            }
        }
        (Shape::Leaf | Shape::Map | Shape::List(_), _) => {
            // A null in place of a map or list has no fields.
            let granular = schema.is_some_and(|s| {
                (s.kind == Type::Object && !s.atomic)
                    || (s.kind == Type::Array && s.list != List::Atomic)
            });
            if !(value.is_null() && granular) {
                all.insert(path);
            }
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// The differences between two values.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub added: Fields,
    pub modified: Fields,
    pub removed: Fields,
}

pub(crate) fn compare(old: &Value, new: &Value, schema: &Schema) -> Comparison {
    let mut found = Comparison::default();
    found.walk(Some(old), Some(new), Some(schema), &mut Vec::new());
    found
}

impl Comparison {
    /// The comparison without fields that nobody owns.
    pub fn without(&self, ignored: &Fields) -> Self {
        Self {
            added: self.added.without(ignored),
            modified: self.modified.without(ignored),
            removed: self.removed.without(ignored),
        }
    }

    fn walk(
        &mut self,
        old: Option<&Value>,
        new: Option<&Value>,
        schema: Option<&Schema>,
        path: &mut Vec<Step>,
    ) {
        // A shortcut, as most of an object is unchanged.
        if old == new {
            return;
        }
        let is_empty = |value: Option<&Value>| value.is_none_or(is_empty);
        let known = new.filter(|new| !new.is_null()).or(old);
        let granular = known.map_or(Shape::Leaf, |value| shape(schema, value));
        let leaf = match granular {
            Shape::Leaf => true,
            Shape::Map | Shape::List(_) => is_empty(old) && is_empty(new),
        };
        if leaf {
            match (old, new) {
                (None, Some(_)) => self.added.insert(path),
                (Some(_), None) => self.removed.insert(path),
                (Some(old), Some(new)) if old != new => self.modified.insert(path),
                (Some(_), Some(_)) | (None, None) => {}
            }
            return;
        }
        match granular {
            Shape::Map => {
                let none = Map::new();
                let a = old.and_then(Value::as_object).unwrap_or(&none);
                let b = new.and_then(Value::as_object).unwrap_or(&none);
                let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
                for name in names {
                    path.push(Step::Field(name.clone()));
                    let of = schema.and_then(|s| s.field(name));
                    self.walk(a.get(name), b.get(name), of, path);
                    path.pop();
                }
            }
            Shape::List(list) => {
                let (a, b) = (by_step(list, old), by_step(list, new));
                let all: BTreeSet<&Step> = a.keys().chain(b.keys()).collect();
                for step in all {
                    path.push(step.clone());
                    let first = |side: &BTreeMap<Step, Vec<Value>>| side.get(step).cloned();
                    match (first(&a).as_deref(), first(&b).as_deref()) {
                        (Some([old]), Some([new])) => {
                            self.walk(Some(old), Some(new), items_of(schema), path);
                        }
                        (Some([old]), None) => self.walk(Some(old), None, items_of(schema), path),
                        (None, Some([new])) => self.walk(None, Some(new), items_of(schema), path),
                        // Of an item that occurs twice only the whole is compared.
                        (Some(old), Some(new)) if old != new => self.modified.insert(path),
                        (None, Some(_)) => self.added.insert(path),
                        (Some(_), None) => self.removed.insert(path),
                        (Some(_), Some(_)) | (None, None) => {}
                    }
                    path.pop();
                }
            }
            Shape::Leaf => {}
        }
        match (old, new) {
            (None, Some(_)) => self.added.insert(path),
            (Some(_), None) => self.removed.insert(path),
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
}

fn by_step(list: &List, value: Option<&Value>) -> BTreeMap<Step, Vec<Value>> {
    let items = value.and_then(Value::as_array).cloned().unwrap_or_default();
    let mut found: BTreeMap<Step, Vec<Value>> = BTreeMap::new();
    for (step, item) in steps(list, &items).into_iter().zip(items) {
        found.entry(step).or_default().push(item);
    }
    found
}

/// The live value with the applied one merged over it.
pub(crate) fn merge(live: &Value, applied: &Value, schema: Option<&Schema>) -> Value {
    // A null applied over a map or a list changes nothing.
    let granular = !matches!(shape(schema, live), Shape::Leaf);
    if applied.is_null() && granular && !is_empty(live) {
        return live.clone();
    }
    match (shape(schema, applied), live, applied) {
        (Shape::Map, Value::Object(live), Value::Object(applied)) => {
            let mut merged = live.clone();
            for (name, value) in applied {
                let of = schema.and_then(|s| s.field(name));
                let value = live
                    .get(name)
                    .map_or_else(|| value.clone(), |l| merge(l, value, of));
                merged.insert(name.clone(), value);
            }
            Value::Object(merged)
        }
        (Shape::List(list), Value::Array(live), Value::Array(applied)) => {
            Value::Array(merge_lists(list, live, applied, items_of(schema)))
        }
        _ => applied.clone(),
    }
}

/// Merges two lists. Keeps the order of both as far as they agree, and that of the applied list where they don't.
fn merge_lists(list: &List, live: &[Value], applied: &[Value], of: Option<&Schema>) -> Vec<Value> {
    let (left, right) = (steps(list, live), steps(list, applied));
    let mut at: BTreeMap<&Step, Option<usize>> = BTreeMap::new();
    for (index, step) in left.iter().enumerate() {
        // An item that occurs twice is replaced.
        at.entry(step)
            .and_modify(|at| *at = None)
            .or_insert(Some(index));
    }
    let ours: BTreeMap<&Step, usize> = right.iter().zip(0..).collect();
    let mut shared = right.iter().filter(|step| at.contains_key(step));
    let mut next = shared.next();
    let mut taken: BTreeSet<&Step> = BTreeSet::new();
    let mut merged = Vec::new();
    let join = |step: &Step| {
        let applied = &applied[ours[step]];
        match at.get(step) {
            Some(Some(index)) => merge(&live[*index], applied, of),
            Some(None) | None => applied.clone(),
        }
    };
    let (mut l, mut r) = (0, 0);
    while l < left.len() || r < right.len() {
        if let (Some(one), Some(other)) = (left.get(l), right.get(r)) {
            if one == other {
                taken.insert(one);
                merged.push(join(one));
                (l, r, next) = (l + 1, r + 1, shared.next());
                continue;
            }
            if ours.contains_key(one) && next.is_some_and(|next| next != one) {
                l += 1;
                continue;
            }
        }
        if let Some(one) = left.get(l) {
            if !ours.contains_key(one) {
                merged.push(live[l].clone());
                l += 1;
                continue;
            }
            if taken.contains(one) {
                l += 1;
            }
        }
        if let Some(other) = right.get(r) {
            taken.insert(other);
            merged.push(join(other));
            r += 1;
            if next == Some(other) {
                next = shared.next();
            }
        }
    }
    merged
}

/// A value without the fields of a set. A container that becomes empty turns into null.
pub(crate) fn remove(value: &Value, gone: &Fields, schema: Option<&Schema>) -> Value {
    match (shape(schema, value), value) {
        (Shape::Map, Value::Object(fields)) => {
            let mut kept = Map::new();
            for (name, value) in fields {
                let step = Step::Field(name.clone());
                if gone.has(&step) {
                    continue;
                }
                let value = gone.below(&step).map_or_else(
                    || value.clone(),
                    |below| remove(value, below, schema.and_then(|s| s.field(name))),
                );
                kept.insert(name.clone(), value);
            }
            if kept.is_empty() {
                Value::Null
            } else {
                Value::Object(kept)
            }
        }
        (Shape::List(list), Value::Array(items)) => {
            let mut kept = Vec::new();
            for (item, step) in items.iter().zip(steps(list, items)) {
                if gone.has(&step) {
                    continue;
                }
                let below = gone.below(&step);
                kept.push(below.map_or_else(
                    || item.clone(),
                    |below| remove(item, below, items_of(schema)),
                ));
            }
            if kept.is_empty() {
                Value::Null
            } else {
                Value::Array(kept)
            }
        }
        _ => value.clone(),
    }
}
