//! The two `CustomResourceDefinition`s: the derived schemas, with additions that a derive can't express.

use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;
use serde_json::json;

use super::platform::Platform;
use super::version_package::VersionPackage;

/// The definitions of `VersionPackage` and `Platform`, in this order.
pub fn definitions() -> &'static [CustomResourceDefinition; 2] {
    static DEFINITIONS: LazyLock<[CustomResourceDefinition; 2]> =
        LazyLock::new(|| [VersionPackage::crd(), Platform::crd()].map(finished));
    &DEFINITIONS
}

fn finished(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        let Some(root) = version
            .schema
            .as_mut()
            .and_then(|s| s.open_api_v3_schema.as_mut())
        else {
            continue;
        };
        tidy("", root);
        // Without this default of the status, a new object has no observedGeneration, and kstatus takes it for
        // finished.
        if let Some(status) = root.properties.as_mut().and_then(|p| p.get_mut("status")) {
            status.default = Some(JSON(json!({"observedGeneration": -1})));
            status.description = Some("What the operator last found and did.".to_owned());
        }
    }
    crd
}

/// The maximum length of a text whose type sets no limit.
const TEXT: i64 = 316;
/// The maximum length of the `message` of a condition; it is Kubernetes' own limit.
const MESSAGE: i64 = 32_768;

/// Removes `nullable`, so that an absent field can be written in only one way. Adds limits to types that set none, such
/// as the types of other crates. `name` is the name of the field.
fn tidy(name: &str, schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    match schema.type_.as_deref() {
        Some("string")
            if schema.max_length.is_none() && schema.enum_.is_none() && schema.format.is_none() =>
        {
            let longest = if name == "message" { MESSAGE } else { TEXT };
            schema.max_length = Some(longest);
        }
        Some("array") => schema.max_items = schema.max_items.or(Some(64)),
        Some("object") if schema.additional_properties.is_some() => {
            schema.max_properties = schema.max_properties.or(Some(64));
        }
        _ => {}
    }
    for (name, property) in schema.properties.iter_mut().flatten() {
        tidy(name, property);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(item)) => tidy(name, item),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => {
            for item in items {
                tidy(name, item);
            }
        }
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(value)) = &mut schema.additional_properties {
        tidy(name, value);
    }
}

/// The paths of all fields of the spec that have a default in the schema, as JSON pointers in alphabetical order.
#[cfg(test)]
pub(crate) fn defaulted(definition: &CustomResourceDefinition) -> Vec<String> {
    fn walk(path: &str, schema: &JSONSchemaProps, found: &mut Vec<String>) {
        if schema.default.is_some() && schema.properties.is_none() {
            found.push(path.to_owned());
        }
        for (name, property) in schema.properties.iter().flatten() {
            walk(&format!("{path}/{name}"), property, found);
        }
    }
    let mut found = Vec::new();
    for version in &definition.spec.versions {
        let schema = version.schema.as_ref();
        let root = schema.and_then(|schema| schema.open_api_v3_schema.as_ref());
        let spec = root.and_then(|root| root.properties.as_ref()?.get("spec"));
        if let Some(spec) = spec {
            walk("", spec, &mut found);
        }
    }
    found.sort();
    found
}
