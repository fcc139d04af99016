//! Tolerant parsing of API objects: only the fields that are used are parsed, each by itself.
//!
//! Whoever may write an object may put values into it that no parser expects, such as a time of the year 9999 in its
//! managed fields. Such an object must not disappear, and must not break the list of all others.

use std::collections::HashMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::api::{Api, ApiResource};
use kube::core::DynamicResourceScope;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// The unparsed fields of a JSON object; empty for any other text.
#[derive(Default)]
pub struct Fields<'a>(HashMap<String, &'a RawValue>);

impl<'a> Fields<'a> {
    /// Splits a JSON object into its fields.
    pub fn of(text: &'a str) -> Self {
        Self(serde_json::from_str(text).unwrap_or_default())
    }

    /// The fields of the object in field `name`.
    #[must_use]
    pub fn inner(&self, name: &str) -> Self {
        self.0
            .get(name)
            .map_or_else(Self::default, |raw| Self::of(raw.get()))
    }

    /// The items of the list in field `name`.
    pub fn items(&self, name: &str) -> Vec<Self> {
        let raw = self.0.get(name).map(|raw| raw.get());
        let items: Vec<&RawValue> = raw
            .and_then(|raw| serde_json::from_str(raw).ok())
            .unwrap_or_default();
        items.into_iter().map(|item| Self::of(item.get())).collect()
    }

    /// Whether the field `name` exists, with any value.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The value of field `name`; `None` where it is absent or `null`.
    ///
    /// # Errors
    /// The value can't be parsed as a `T`.
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, serde_json::Error> {
        self.0
            .get(name)
            .map_or(Ok(None), |raw| serde_json::from_str(raw.get()))
    }

    /// The value of field `name`, where it exists and can be parsed as a `T`.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        self.read(name).ok().flatten()
    }

    /// The JSON value of field `name`; `null` where it is absent or nested too deep.
    pub fn value(&self, name: &str) -> Value {
        self.get(name).unwrap_or_default()
    }

    /// The used metadata of an object, and the first used metadata field that can't be read, with the reason.
    pub fn metadata(&self) -> (ObjectMeta, Option<String>) {
        let fields = self.inner("metadata");
        let mut unreadable = None;
        let metadata = ObjectMeta {
            name: read(&fields, "name", &mut unreadable),
            namespace: read(&fields, "namespace", &mut unreadable),
            uid: read(&fields, "uid", &mut unreadable),
            resource_version: read(&fields, "resourceVersion", &mut unreadable),
            generation: read(&fields, "generation", &mut unreadable),
            creation_timestamp: fields.get("creationTimestamp"),
            deletion_timestamp: read(&fields, "deletionTimestamp", &mut unreadable),
            finalizers: read(&fields, "finalizers", &mut unreadable),
            annotations: read(&fields, "annotations", &mut unreadable),
            labels: read(&fields, "labels", &mut unreadable),
            ..ObjectMeta::default()
        };
        (metadata, unreadable)
    }
}

fn read<T: DeserializeOwned>(
    fields: &Fields<'_>,
    name: &str,
    unreadable: &mut Option<String>,
) -> Option<T> {
    match fields.read(name) {
        Ok(value) => value,
        Err(error) => {
            unreadable.get_or_insert_with(|| format!("metadata.{name}: {error}"));
            None
        }
    }
}

/// An object of any kind.
#[derive(Debug, Clone, Default)]
pub struct Raw {
    /// The used metadata.
    pub metadata: ObjectMeta,
    /// The first used metadata field that can't be read, with the reason.
    pub unreadable: Option<String>,
    /// All other fields; an unreadable one is `null`.
    pub data: Value,
}

impl Raw {
    /// The API of all objects of `Kind`, in all namespaces. Each object is read as a `Raw`.
    pub fn all<Kind: Resource<DynamicType = ()>>(client: kube::Client) -> Api<Self> {
        Api::all_with(client, &ApiResource::erase::<Kind>(&()))
    }

    /// The API of the objects of `Kind` in one namespace. Each object is read as a `Raw`.
    pub fn namespaced<Kind>(client: kube::Client, namespace: &str) -> Api<Self>
    where
        Kind: Resource<DynamicType = ()>,
    {
        Api::namespaced_with(client, namespace, &ApiResource::erase::<Kind>(&()))
    }

    /// Reads an object from its JSON.
    pub fn of(text: &str) -> Self {
        let fields = Fields::of(text);
        let (metadata, unreadable) = fields.metadata();
        let others = fields.0.keys().filter(|name| *name != "metadata");
        let data = others
            .map(|name| (name.clone(), fields.value(name)))
            .collect();
        Self {
            metadata,
            unreadable,
            data: Value::Object(data),
        }
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self::of(text.get()))
    }
}

impl Resource for Raw {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(kind: &ApiResource) -> std::borrow::Cow<'_, str> {
        kind.kind.as_str().into()
    }

    fn group(kind: &ApiResource) -> std::borrow::Cow<'_, str> {
        kind.group.as_str().into()
    }

    fn version(kind: &ApiResource) -> std::borrow::Cow<'_, str> {
        kind.version.as_str().into()
    }

    fn api_version(kind: &ApiResource) -> std::borrow::Cow<'_, str> {
        kind.api_version.as_str().into()
    }

    fn plural(kind: &ApiResource) -> std::borrow::Cow<'_, str> {
        kind.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// An object of a known kind with only its used metadata; spec fields that can't be parsed are left out.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Lean<K>(pub K);

impl<'de, K: DeserializeOwned> Deserialize<'de> for Lean<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Raw::deserialize(deserializer)?;
        let mut object = raw.data;
        object["metadata"] = serde_json::to_value(raw.metadata).map_err(D::Error::custom)?;
        if let Ok(whole) = K::deserialize(&object) {
            return Ok(Self(whole));
        }
        let mut readable = object["spec"].take();
        if let Some(fields) = readable.as_object_mut() {
            fields.retain(|name, value| {
                object["spec"] = json!({name: value});
                K::deserialize(&object).is_ok()
            });
        }
        object["spec"] = readable;
        K::deserialize(&object).map(Self).map_err(D::Error::custom)
    }
}

impl<K: Resource> Resource for Lean<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(kind: &Self::DynamicType) -> std::borrow::Cow<'_, str> {
        K::kind(kind)
    }

    fn group(kind: &Self::DynamicType) -> std::borrow::Cow<'_, str> {
        K::group(kind)
    }

    fn version(kind: &Self::DynamicType) -> std::borrow::Cow<'_, str> {
        K::version(kind)
    }

    fn plural(kind: &Self::DynamicType) -> std::borrow::Cow<'_, str> {
        K::plural(kind)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.meta_mut()
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::coordination::v1::Lease;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn unused_fields_may_hold_anything() {
        let deep = format!("{}1{}", "{\"a\":".repeat(5000), "}".repeat(5000));
        let text = format!(
            r#"{{"metadata": {{"name": "a", "managedFields": [{{"time": "9999-12-31T23:59:59Z", "fieldsV1": {deep}}}],
            "creationTimestamp": 7, "ownerReferences": "x", "labels": {{"a": "b"}}}}, "spec": {{"x": 1}}, "odd": {deep}}}"#
        );
        let read: Raw = serde_json::from_str(&text).unwrap();
        assert_eq!(read.metadata.name.as_deref(), Some("a"));
        assert_eq!(read.unreadable, None);
        assert_eq!(read.data["spec"], json!({"x": 1}));
        assert_eq!(read.data["odd"], Value::Null);
    }

    #[test]
    fn an_unreadable_used_field_is_named() {
        let read = Raw::of(
            r#"{"metadata": {"name": "a", "deletionTimestamp": "9999-12-31T23:59:59Z", "uid": "u"}}"#,
        );
        assert_eq!(read.metadata.uid.as_deref(), Some("u"));
        let why = read.unreadable.unwrap();
        assert!(why.starts_with("metadata.deletionTimestamp: "), "{why}");
    }

    #[test]
    fn a_lease_keeps_its_readable_fields() {
        let text = r#"{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a", "resourceVersion": "7",
            "annotations": {"b": "c"}, "managedFields": [{"time": "9999-12-31T23:59:59Z"}]},
            "spec": {"holderIdentity": "me", "renewTime": "9999-12-31T23:59:59.999999Z", "leaseTransitions": 3}}"#;
        let Lean(lease) = serde_json::from_str::<Lean<Lease>>(text).unwrap();
        let spec = lease.spec.unwrap();
        assert_eq!(spec.holder_identity.as_deref(), Some("me"));
        assert_eq!((spec.renew_time, spec.lease_transitions), (None, Some(3)));
        assert_eq!(lease.metadata.resource_version.as_deref(), Some("7"));
        assert!(lease.metadata.annotations.is_some());
    }

    proptest! {
        #[test]
        fn parsing_any_json_never_fails(metadata in any_json(), data in any_json()) {
            for text in [json!({"metadata": metadata, "spec": data}).to_string(), data.to_string()] {
                prop_assert!(serde_json::from_str::<Raw>(&text).is_ok());
            }
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let name = prop::sample::select(vec!["name", "uid", "generation", "finalizers", "labels"]);
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(name.clone().prop_map(str::to_owned), inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }
}
