//! Prepares an object for validation: removes fields that the schema lacks, and fills in defaults.

use serde_json::{Map, Value};

use crate::schema::{Schema, Type};

/// The top-level fields that are never removed.
const TOP: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Removes the fields that the schema lacks; returns their paths.
pub(crate) fn prune(object: &mut Value, schema: &Schema) -> Vec<String> {
    let mut gone = Vec::new();
    let Some(fields) = object.as_object_mut() else {
        return gone;
    };
    prune_fields(fields, schema, "", &mut gone, &TOP);
    gone
}

fn prune_fields(
    fields: &mut Map<String, Value>,
    schema: &Schema,
    path: &str,
    gone: &mut Vec<String>,
    kept: &[&str],
) {
    fields.retain(|name, value| {
        if kept.contains(&&**name) {
            return true;
        }
        let path = join(path, name);
        if let Some(of) = schema.field(name) {
            prune_value(value, of, &path, gone);
            return true;
        }
        if !schema.preserve {
            gone.push(path);
        }
        schema.preserve
    });
}

fn prune_value(value: &mut Value, schema: &Schema, path: &str, gone: &mut Vec<String>) {
    match value {
        Value::Object(fields) if schema.kind != Type::Any => {
            prune_fields(fields, schema, path, gone, &[]);
        }
        Value::Array(items) => {
            if let Some(of) = &schema.items {
                for (index, item) in items.iter_mut().enumerate() {
                    prune_value(item, of, &format!("{path}[{index}]"), gone);
                }
            }
        }
        _ => {}
    }
}

/// Removes each `null` that is neither nullable nor has a default.
pub(crate) fn drop_nulls(object: &mut Value, schema: &Schema) {
    each(object, schema, &mut |fields, schema| {
        fields.retain(|name, value| {
            let property = schema.properties.get(name);
            !value.is_null() || property.is_none_or(|of| of.nullable || of.default.is_some())
        });
    });
}

/// Fills in defaults. A `null` that isn't nullable counts as absent.
pub(crate) fn default(object: &mut Value, schema: &Schema) {
    each(object, schema, &mut |fields, schema| {
        for (name, of) in &schema.properties {
            if let Some(default) = &of.default {
                let present = fields.entry(name.clone()).or_insert(Value::Null);
                if present.is_null() && !of.nullable {
                    present.clone_from(default);
                }
            }
        }
    });
}

/// Calls `act` for the fields of each object, from the outside in.
fn each(value: &mut Value, schema: &Schema, act: &mut dyn FnMut(&mut Map<String, Value>, &Schema)) {
    match value {
        Value::Object(fields) => {
            act(fields, schema);
            for (name, value) in fields {
                if let Some(of) = schema.field(name) {
                    each(value, of, act);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                if let Some(of) = &schema.items {
                    each(item, of, act);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The path of the field `name` below `path`.
pub(crate) fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}
