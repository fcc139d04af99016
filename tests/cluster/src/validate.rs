//! Validation of an object against its schema, with the messages of the API server.

use serde_json::Value;

use crate::coerce::join;
use crate::refusal::Cause;
use crate::rules;
use crate::schema::{List, Schema, Type};

/// The causes that prevent the evaluation of rules.
const BLOCKING: [&str; 5] = [
    "FieldValueRequired",
    "FieldValueTooLong",
    "FieldValueTooMany",
    "FieldValueTypeInvalid",
    "FieldValueNotSupported",
];

/// The causes for which `new` is invalid. Errors that `old` has as well are ignored. A write to the status is validated
/// only there, except for the rules.
pub(crate) fn validate(
    new: &Value,
    old: Option<&Value>,
    schema: &Schema,
    status: bool,
) -> Vec<Cause> {
    let mut causes = Vec::new();
    match (schema.field("status"), new.get("status")) {
        (Some(of), Some(new)) if status => {
            let old = old.and_then(|old| old.get("status"));
            value(new, old, of, "status", &mut causes);
        }
        _ if status => {}
        _ => value(new, old, schema, "", &mut causes),
    }
    if status {
        // The messages hold the path within the part.
        for cause in &mut causes {
            cause.message = cause
                .message
                .replace(": status.", ": ")
                .replace(" in status.", " in ");
            if cause.field == "<nil>" {
                "status".clone_into(&mut cause.field);
            }
        }
    }
    if causes.iter().any(|cause| BLOCKING.contains(&cause.reason)) {
        let why = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
        causes.push(Cause::invalid("<nil>", &Value::Null, why));
    } else {
        judge(new, old, schema, "", &mut causes);
    }
    causes
}

fn called(kind: Type) -> &'static str {
    match kind {
        Type::Object => "object",
        Type::Array => "array",
        Type::String => "string",
        Type::Integer => "integer",
        Type::Number => "number",
        Type::Boolean => "boolean",
        Type::Any => "",
    }
}

/// The type of a value in the API server's terms.
fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::Number(number) if whole(number).is_some() => "integer",
        Value::Number(_) => "number",
    }
}

/// The value of a number without a fraction.
fn whole(number: &serde_json::Number) -> Option<i64> {
    let float = || number.as_f64().filter(|float| float.fract() == 0.0);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "beyond it saturates, and is out of bounds"
    )]
    number
        .as_i64()
        .or_else(|| float().map(|float| float as i64))
}

fn is_of(value: &Value, schema: &Schema) -> bool {
    match (schema.kind, value) {
        (Type::Integer, Value::Number(number)) => whole(number).is_some(),
        (Type::Any, _)
        | (Type::Object, Value::Object(_))
        | (Type::Array, Value::Array(_))
        | (Type::String, Value::String(_))
        | (Type::Number, Value::Number(_))
        | (Type::Boolean, Value::Bool(_)) => true,
        (_, Value::Null) => schema.nullable,
        _ => false,
    }
}

fn value(new: &Value, old: Option<&Value>, schema: &Schema, path: &str, causes: &mut Vec<Cause>) {
    // An unchanged value isn't validated again.
    if old == Some(new) {
        return;
    }
    allowed(new, schema, path, causes);
    if !is_of(new, schema) {
        misplaced(new, schema, path, causes);
        return;
    }
    match new {
        Value::Object(fields) => {
            bound(
                fields.len(),
                None,
                schema.bounds.max_properties,
                path,
                causes,
                "properties",
            );
            for name in &schema.required {
                if !fields.contains_key(name) {
                    causes.push(Cause::required(join(path, name), ""));
                }
            }
            for (name, field) in fields {
                if let Some(of) = schema.field(name).filter(|_| !is_top(path, name)) {
                    let old = old.and_then(|old| old.get(name));
                    value(field, old, of, &join(path, name), causes);
                }
            }
        }
        Value::Array(items) => {
            let bounds = &schema.bounds;
            bound(
                items.len(),
                bounds.min_items,
                bounds.max_items,
                path,
                causes,
                "items",
            );
            for (index, item) in items.iter().enumerate() {
                if let Some(of) = &schema.items {
                    let old = correlated(item, index, old, schema);
                    value(item, old, of, &format!("{path}[{index}]"), causes);
                }
            }
            twice(items, schema, path, causes);
        }
        Value::String(text) => string(text, schema, path, causes),
        Value::Number(number) => numeric(number, schema, path, causes),
        Value::Bool(_) | Value::Null => {}
    }
}

/// Reports a value of the wrong type.
fn misplaced(new: &Value, schema: &Schema, path: &str, causes: &mut Vec<Cause>) {
    let numbers = schema.kind == Type::Integer && new.is_number();
    let (kind, is) = if numbers && !schema.format.is_empty() {
        unfit(schema, path, causes);
        (&*schema.format, "float64")
    } else {
        (called(schema.kind), found(new))
    };
    let why = format!("Invalid value: \"{is}\": {path} in body must be of type {kind}: \"{is}\"");
    causes.push(Cause::new("FieldValueTypeInvalid", path, why));
}

/// Reports a number that isn't an integer of the format. The API server reports this error for the whole validated
/// value, so the field is `<nil>`.
fn unfit(schema: &Schema, path: &str, causes: &mut Vec<Cause>) {
    let format = &schema.format;
    let why = format!(
        "Invalid value: \"\": Checked value must be of type integer with format {format} in {path}"
    );
    causes.push(Cause::new("FieldValueInvalid", "<nil>", why));
}

/// Whether a field is a top-level field outside of the schema.
fn is_top(path: &str, name: &str) -> bool {
    path.is_empty() && ["apiVersion", "kind", "metadata"].contains(&name)
}

/// The item of the old list that corresponds to an item.
fn correlated<'a>(
    item: &Value,
    index: usize,
    old: Option<&'a Value>,
    schema: &Schema,
) -> Option<&'a Value> {
    let old = old?.as_array()?;
    match &schema.list {
        List::Map(keys) => old
            .iter()
            .find(|old| keys.iter().all(|key| old.get(key) == item.get(key))),
        List::Set => old.iter().find(|old| *old == item),
        List::Atomic => old.get(index).filter(|old| *old == item),
    }
}

fn allowed(new: &Value, schema: &Schema, path: &str, causes: &mut Vec<Cause>) {
    if !schema.allowed.is_empty() && !schema.allowed.contains(new) {
        let list: Vec<String> = schema.allowed.iter().map(Value::to_string).collect();
        let list = list.join(", ");
        let why = format!("Unsupported value: {new}: supported values: {list}");
        causes.push(Cause::new("FieldValueNotSupported", path, why));
    }
}

fn bound(
    length: usize,
    least: Option<u64>,
    most: Option<u64>,
    path: &str,
    causes: &mut Vec<Cause>,
    what: &str,
) {
    let length = length as u64;
    if let Some(most) = most.filter(|most| length > *most) {
        let why = format!("Too many: {length}: must have at most {most} {what}");
        causes.push(Cause::new("FieldValueTooMany", path, why));
    }
    if let Some(least) = least.filter(|least| length < *least) {
        let why =
            format!("Invalid value: {length}: {path} in body should have at least {least} {what}");
        causes.push(Cause::new("FieldValueInvalid", path, why));
    }
}

fn twice(items: &[Value], schema: &Schema, path: &str, causes: &mut Vec<Cause>) {
    let List::Map(keys) = &schema.list else {
        return;
    };
    let key = |item: &Value| -> Vec<Value> {
        keys.iter()
            .map(|key| item.get(key).cloned().unwrap_or_default())
            .collect()
    };
    for (index, item) in items.iter().enumerate() {
        let is_twice = items[..index].iter().any(|other| key(other) == key(item));
        if is_twice {
            let told: serde_json::Map<String, Value> =
                keys.iter().cloned().zip(key(item)).collect();
            let why = format!("Duplicate value: {}", Value::Object(told));
            causes.push(Cause::new(
                "FieldValueDuplicate",
                format!("{path}[{index}]"),
                why,
            ));
        }
    }
}

fn string(text: &str, schema: &Schema, path: &str, causes: &mut Vec<Cause>) {
    let length = text.chars().count() as u64;
    if let Some(most) = schema.bounds.max_length.filter(|most| length > *most) {
        let why = format!("Too long: may not be more than {most} bytes");
        causes.push(Cause::new("FieldValueTooLong", path, why));
    }
    if let Some(least) = schema.bounds.min_length.filter(|least| length < *least) {
        let why = format!("{path} in body should be at least {least} chars long");
        causes.push(Cause::invalid(path, &text.into(), &why));
    }
    if schema.format == "date-time" && rules::time(text).is_none() {
        let value = Value::from(text);
        let why =
            format!("Invalid value: {value}: {path} in body must be of type date-time: {value}");
        causes.push(Cause::new("FieldValueTypeInvalid", path, why));
    }
}

fn numeric(number: &serde_json::Number, schema: &Schema, path: &str, causes: &mut Vec<Cause>) {
    let value = Value::Number(number.clone());
    let float = number.as_f64().unwrap_or_default();
    if let Some(least) = schema.bounds.minimum.filter(|least| float < *least) {
        let why = format!("{path} in body should be greater than or equal to {least}");
        causes.push(Cause::invalid(path, &value, &why));
    }
    if let Some(most) = schema.bounds.maximum.filter(|most| float > *most) {
        let why = format!("{path} in body should be less than or equal to {most}");
        causes.push(Cause::invalid(path, &value, &why));
    }
    let fits = whole(number).is_none_or(|whole| i32::try_from(whole).is_ok());
    if schema.format == "int32" && !fits {
        unfit(schema, path, causes);
    }
}

/// Evaluates the rules of a value, then those of its parts.
fn judge(new: &Value, old: Option<&Value>, schema: &Schema, path: &str, causes: &mut Vec<Cause>) {
    if new.is_null() {
        return;
    }
    for rule in &schema.rules {
        // A rule without a function is found by another test.
        let holds = rules::find(&rule.text).map(|rule| rule(new, old));
        if holds == Some(false) && old != Some(new) {
            let field = if path.is_empty() { "<nil>" } else { path };
            // A cause about an object or a list holds only the message.
            causes.push(if new.is_object() || new.is_array() {
                let why = format!("Invalid value: {}", rule.message);
                Cause::new("FieldValueInvalid", field, why)
            } else {
                Cause::invalid(field, new, &rule.message)
            });
        }
    }
    match new {
        Value::Object(fields) => {
            for (name, field) in fields {
                if let Some(of) = schema.field(name) {
                    let old = old.and_then(|old| old.get(name));
                    judge(field, old, of, &join(path, name), causes);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                if let Some(of) = &schema.items {
                    let old = correlated(item, index, old, schema);
                    judge(item, old, of, &format!("{path}[{index}]"), causes);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
