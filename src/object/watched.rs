//! The wire form of a VersionPackage: accepts any object of the kind, including objects that don't match the schema.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Resource;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::api::names::FIELD_MANAGER;
use crate::api::version_package::VersionPackage;
use crate::object::Object;
use crate::raw::Fields;
use crate::sight::{Lineage, lineage};

/// One VersionPackage as the API server sends it.
#[derive(Debug, Clone)]
pub struct Watched {
    pub(crate) metadata: ObjectMeta,
    /// The first unreadable field of the metadata, and the reason.
    pub(crate) unreadable: Option<String>,
    /// The fields that may be lost, because the object was written while its definition lacked fields; `None` if no
    /// field may be lost.
    pub(crate) lost: Option<String>,
    /// The field manager that last wrote the spec, taken from the managed fields.
    pub(crate) actor: Option<String>,
    pub(crate) spec: Value,
    pub(crate) status: Value,
}

impl<'de> Deserialize<'de> for Watched {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let object = Fields::of(text.get());
        let (mut metadata, unreadable) = object.metadata();
        metadata.labels = None;
        Ok(Self {
            metadata,
            unreadable,
            lost: None,
            actor: actor(&object.inner("metadata").items("managedFields")),
            spec: object.value("spec"),
            status: object.value("status"),
        })
    }
}

impl Watched {
    /// The versions and confirmations that tell whether a person has looked at the object since its fields may have
    /// been lost.
    pub(crate) fn lineage(&self) -> Lineage {
        lineage(&self.metadata, &self.status)
    }

    /// The object, with a note of the fields that may be lost.
    pub(crate) fn doubted(self, lost: Option<String>) -> Self {
        Self { lost, ..self }
    }
}

/// The field manager that last wrote the spec, except this operator. The name is the writer's own choice.
fn actor(entries: &[Fields<'_>]) -> Option<String> {
    let wrote_spec = |entry: &&Fields<'_>| {
        entry.get::<String>("subresource").is_none() && entry.inner("fieldsV1").has("f:spec")
    };
    entries
        .iter()
        .filter(wrote_spec)
        .filter_map(|entry| {
            let manager: String = entry.get("manager")?;
            // An unreadable time counts as older than any other.
            let time = entry.get::<Time>("time").map(|time| time.0);
            (manager != FIELD_MANAGER).then_some((time, manager))
        })
        .max_by_key(|(time, _)| *time)
        .map(|(_, manager)| manager)
}

impl Resource for Watched {
    type DynamicType = ();
    type Scope = <VersionPackage as Resource>::Scope;

    fn kind((): &()) -> std::borrow::Cow<'_, str> {
        VersionPackage::kind(&())
    }

    fn group((): &()) -> std::borrow::Cow<'_, str> {
        VersionPackage::group(&())
    }

    fn version((): &()) -> std::borrow::Cow<'_, str> {
        VersionPackage::version(&())
    }

    fn plural((): &()) -> std::borrow::Cow<'_, str> {
        VersionPackage::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl From<Watched> for Object {
    fn from(watched: Watched) -> Self {
        let object = Self {
            actor: watched.actor,
            ..Self::read(watched.metadata, watched.spec, watched.status)
        };
        object.believed(watched.unreadable, watched.lost)
    }
}

/// An object with the defaults of the API server filled in.
#[cfg(test)]
pub(crate) fn served(mut object: Value) -> Value {
    if let Some(spec) = object["spec"].as_object_mut() {
        for (field, value) in [("lifecycle", "Active"), ("deletionPolicy", "Delete")] {
            spec.entry(field).or_insert_with(|| value.into());
        }
    }
    object
}

/// The parsed form of an object, with the defaults of the API server filled in.
#[cfg(test)]
pub(crate) fn read(object: Value) -> Object {
    serde_json::from_value::<Watched>(served(object))
        .unwrap()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn odd_metadata_of_other_writers_hides_no_field() {
        let object = read(json!({
            "metadata": {
                "namespace": "fleet", "name": "a", "uid": "u",
                "managedFields": [
                    {"manager": "odd", "time": "9999-12-31T23:59:59Z", "fieldsV1": {"f:spec": {}}},
                    {"manager": "flux", "time": "2026-11-23T12:00:00Z", "fieldsV1": {"f:spec": {}}},
                ],
            },
            "spec": {"fileId": "f-1", "platformRef": {"name": "p"}},
        }));
        assert!(object.spec.is_ok());
        assert_eq!(object.actor.as_deref(), Some("flux"));
        let object = read(json!({
            "metadata": {"name": "a", "deletionTimestamp": "9999-12-31T23:59:59Z"},
            "spec": {"fileId": "f-1", "platformRef": {"name": "p"}},
        }));
        let error = object.spec.unwrap_err().error;
        assert!(error.contains("deletionTimestamp"), "{error}");
    }

    #[test]
    fn the_actor_is_the_last_writer_of_the_spec_except_this_operator() {
        let entry = |manager: &str, time: &str, fields: Value| json!({"manager": manager, "operation": "Apply", "time": time, "fieldsV1": fields});
        let spec = || json!({"f:spec": {"f:lifecycle": {}}});
        let mut of_status = entry("operator", "2026-11-23T15:00:00Z", spec());
        of_status["subresource"] = json!("status");
        let fields = json!([
            entry("flux", "2026-11-23T12:00:00Z", spec()),
            entry("kubectl-edit", "2026-11-23T13:00:00Z", spec()),
            entry("argocd", "2026-11-23T11:00:00Z", spec()),
            entry(
                "labeller",
                "2026-11-23T14:00:00Z",
                json!({"f:metadata": {}})
            ),
            entry(FIELD_MANAGER, "2026-11-23T16:00:00Z", spec()),
            of_status,
        ]);
        let object = read(json!({"metadata": {"name": "a", "managedFields": fields}}));
        assert_eq!(object.actor.as_deref(), Some("kubectl-edit"));
        assert_eq!(read(json!({"metadata": {"name": "a"}})).actor, None);
    }
}
