//! A `VersionPackage` as the operator reads it. Parsing is tolerant: an undecodable object keeps its name, its package
//! and its deletion policy, and never affects other objects.

mod annotations;
pub mod asking;
pub mod watched;

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use self::annotations::{Pause, uids};
use crate::api::names::{
    ACCEPT_ANNOTATION, AppId, DISREGARD_ANNOTATION, FINALIZER, FileId, ObjectKey,
    PAUSED_ANNOTATION, requested_at,
};
use crate::api::outcome::Outcome;
use crate::api::status::{self, Bearer, Beside, ReadStatus};
use crate::api::version_package::{
    DeletionPolicy, Lifecycle, VersionPackageSpec, VersionPackageStatus,
};
use crate::writes::Target;

/// A `VersionPackage`, reduced to the fields that decisions use.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Namespace and name.
    pub key: ObjectKey,
    /// The uid, which differs between objects of the same name.
    pub uid: String,
    /// The resourceVersion in the cache.
    pub resource_version: String,
    /// The generation: it grows with each change of the spec and when the object is marked for deletion.
    pub generation: i64,
    /// The deletionTimestamp.
    pub deleted_at: Option<Timestamp>,
    /// All finalizers, in their order.
    pub finalizers: Vec<String>,
    /// Whether `iodm.dev/paused` is set to any value but `"false"`.
    pub paused: bool,
    /// The beginning of the value of `iodm.dev/paused`, if the value is neither `"true"` nor `"false"`.
    pub odd_pause: Option<String>,
    /// The value of `iodm.dev/requested-at`.
    pub requested_at: Option<String>,
    /// The uids in `iodm.dev/disregard`: the unclear claims that a person overrules.
    pub disregard: BTreeSet<String>,
    /// The value of `iodm.dev/accept`: the application that the object is to be accepted for.
    pub accept: Option<String>,
    /// The field manager that last wrote the spec, except this operator.
    pub actor: Option<String>,
    /// The spec, or why it can't be read.
    pub spec: Result<VersionPackageSpec, Undecodable>,
    /// The readable part of the status, with only our own conditions.
    pub status: VersionPackageStatus,
    /// The rest of the status.
    pub beside: Beside,
}

/// The readable part of an object with an undecodable spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecodable {
    /// The error, with the field.
    pub error: String,
    /// Whether the spec can be parsed, but was written while its definition lacked the fields in `error`.
    pub lost: bool,
    /// The package that the object may claim.
    pub file_id: Option<FileId>,
    /// The named Platform: its namespace, `None` for the object's own, and its name.
    pub platform: Option<(Option<String>, String)>,
    /// Whether `deletionPolicy` can be read and is `Retain`.
    pub retain: bool,
}

impl Object {
    /// Whether our finalizer is set. No call is ever made for an object without it.
    pub fn has_finalizer(&self) -> bool {
        self.finalizers.iter().any(|f| f == FINALIZER)
    }

    /// Whether finalizers of others keep the object once ours is removed.
    pub fn is_kept_by_others(&self) -> bool {
        self.finalizers.iter().any(|name| name != FINALIZER)
    }

    /// The outcome of the deletion in the status.
    pub fn outcome(&self) -> Option<Outcome> {
        self.status.deletion.as_ref()?.outcome
    }

    /// The object and version that a write is meant for.
    pub fn target(&self) -> Target<'_> {
        Target {
            key: &self.key,
            uid: &self.uid,
            version: &self.resource_version,
        }
    }

    /// The `fileId`, where it can be read.
    pub fn file_id(&self) -> Option<&FileId> {
        match &self.spec {
            Ok(spec) => Some(&spec.file_id),
            Err(undecodable) => undecodable.file_id.as_ref(),
        }
    }

    /// The Platform that the spec names; `None` for an undecodable spec.
    pub fn platform(&self) -> Option<ObjectKey> {
        let reference = &self.spec.as_ref().ok()?.platform_ref;
        let own = &self.key.namespace;
        let namespace = reference.namespace.as_ref();
        let namespace = namespace.map_or_else(|| own.clone(), |name| name.as_str().into());
        Some(ObjectKey::new(namespace, reference.name.as_str()))
    }

    /// The Platform that the object names, also where the rest of the spec is undecodable.
    pub fn named_platform(&self) -> Option<ObjectKey> {
        match &self.spec {
            Ok(_) => self.platform(),
            Err(undecodable) => {
                let (namespace, name) = undecodable.platform.clone()?;
                let own = || self.key.namespace.clone();
                let namespace = namespace.map_or_else(own, Into::into);
                Some(ObjectKey::new(namespace, name))
            }
        }
    }

    /// Whether an annotation asks that the object be accepted for `application`. Only an object that is neither deleted
    /// nor retired can be accepted this way.
    pub fn accepts_anew(&self, application: &AppId, now: Timestamp) -> bool {
        let named = self.accept.as_deref() == Some(application.as_str());
        named && self.deleted_at.is_none() && !self.is_retired(now)
    }

    /// Whether the object is retired at `now`, by its lifecycle or its `retireAfter`.
    pub fn is_retired(&self, now: Timestamp) -> bool {
        self.spec.as_ref().is_ok_and(|spec| {
            spec.lifecycle == Lifecycle::Retired
                || spec.retire_after.as_ref().is_some_and(|at| at.0 <= now)
        })
    }

    /// Whether a person requests a retry that the status hasn't acknowledged yet.
    pub fn asks_for_a_try(&self) -> bool {
        self.requested_at.is_some() && self.requested_at != self.status.last_handled_requested_at
    }

    /// Whether the deletion of the object leaves the package in place.
    pub fn is_retained(&self) -> bool {
        match &self.spec {
            Ok(spec) => spec.deletion_policy == DeletionPolicy::Retain,
            Err(undecodable) => undecodable.retain,
        }
    }

    /// The application that the object was accepted for.
    pub fn application(&self) -> Option<&AppId> {
        self.status.application.as_ref()
    }

    /// The object. If fields are `unreadable` or may be `lost`, its spec is marked as undecodable.
    pub(crate) fn believed(mut self, unreadable: Option<String>, lost: Option<String>) -> Self {
        let is_lost = unreadable.is_none() && lost.is_some();
        if let Some(error) = unreadable.or(lost) {
            self.spec = Err(Undecodable {
                error,
                lost: is_lost,
                file_id: self.file_id().cloned(),
                platform: self
                    .platform()
                    .map(|key| (Some(key.namespace.to_string()), key.name.to_string())),
                retain: self.is_retained(),
            });
        }
        self
    }

    pub(crate) fn read(metadata: ObjectMeta, spec: Value, status: Value) -> Self {
        let mut annotations = metadata.annotations.unwrap_or_default();
        let pause = Pause::read(annotations.remove(PAUSED_ANNOTATION));
        let uid = metadata.uid.unwrap_or_default();
        let bearer = Bearer {
            uid: &uid,
            created: metadata.creation_timestamp.map(|time| time.0),
        };
        let ReadStatus { status, beside } = status::read::<VersionPackageStatus>(status, &bearer);
        let text = |field: &str| spec.get(field).and_then(Value::as_str).map(str::to_owned);
        let (file_id, policy) = (text("fileId"), text("deletionPolicy"));
        let platform = platform_in(&spec["platformRef"]);
        let lacking = DEFAULTED.iter().find(|field| spec.get(field).is_none());
        let spec = serde_path_to_error::deserialize(spec).map_err(|e| format!("spec.{e}"));
        let spec = match (spec, lacking) {
            (Ok(_), Some(field)) => Err(format!("spec.{field} is missing. {LACKING}")),
            (spec, _) => spec,
        };
        let spec = match (spec, beside.error.clone()) {
            (Ok(spec), None) => Ok(spec),
            (Err(error), _) | (Ok(_), Some(error)) => Err(Undecodable {
                error,
                lost: false,
                file_id: file_id.and_then(|id| FileId::try_from(id).ok()),
                platform,
                retain: policy.as_deref() == Some("Retain"),
            }),
        };
        Self {
            key: ObjectKey::new(
                metadata.namespace.unwrap_or_default(),
                metadata.name.unwrap_or_default(),
            ),
            resource_version: metadata.resource_version.unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
            deleted_at: metadata.deletion_timestamp.map(|time| time.0),
            finalizers: metadata.finalizers.unwrap_or_default(),
            disregard: uids(annotations.remove(DISREGARD_ANNOTATION)),
            accept: annotations.remove(ACCEPT_ANNOTATION),
            paused: pause.holds,
            odd_pause: pause.odd,
            requested_at: requested_at(&mut annotations),
            actor: None,
            spec,
            status,
            beside,
            uid,
        }
    }
}

/// The Platform that `platformRef` names, where it can be read.
fn platform_in(reference: &Value) -> Option<(Option<String>, String)> {
    let name = reference["name"].as_str()?.to_owned();
    let namespace = match &reference["namespace"] {
        Value::Null => None,
        namespace => Some(namespace.as_str()?.to_owned()),
    };
    Some((namespace, name))
}

/// The spec fields with a default. An object without them was read or written under a definition that lacks them, so
/// their values may be lost.
pub(crate) const DEFAULTED: [&str; 2] = ["lifecycle", "deletionPolicy"];
/// The explanation for an object that lacks a field of [`DEFAULTED`].
const LACKING: &str = "The API server fills it in, unless the CustomResourceDefinition lacks it: apply the definitions of this version";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::api::crds;
    use crate::api::names::REQUESTED_AT_ANNOTATION;
    use crate::object::watched::Watched;
    use crate::object::watched::{read, served};
    use serde_json::json;

    #[test]
    fn an_object_without_a_defaulted_field_is_undecodable() {
        for field in DEFAULTED {
            let mut object = served(json!({
                "metadata": {"name": "a"},
                "spec": {"fileId": "f", "platformRef": {"name": "p"}},
            }));
            object["spec"].as_object_mut().unwrap().remove(field);
            let object: Object = serde_json::from_value::<Watched>(object).unwrap().into();
            let error = object.spec.unwrap_err().error;
            assert!(error.contains(&format!("spec.{field}")), "{error}");
        }
    }

    #[test]
    fn the_defaulted_fields_are_those_of_the_definition() {
        let [definition, _] = crds::definitions();
        let mut ours = DEFAULTED.map(|field| format!("/{field}"));
        ours.sort();
        assert_eq!(crds::defaulted(definition), ours);
    }

    #[test]
    fn an_undecodable_object_keeps_its_package_and_its_deletion_policy() {
        let object = read(json!({
            "metadata": {"namespace": "fleet", "name": "a", "uid": "u", "finalizers": [FINALIZER]},
            "spec": {"fileId": "f-1", "platformRef": 7, "deletionPolicy": "Retain"},
        }));
        assert!(object.has_finalizer() && object.is_retained());
        assert_eq!(object.file_id().unwrap().as_str(), "f-1");
        let error = object.spec.unwrap_err().error;
        assert!(
            error.contains("spec") && error.contains("platformRef")
                || error.contains("invalid type"),
            "{error}"
        );
    }

    #[test]
    fn a_retry_request_too_long_for_the_status_is_cut() {
        let object = read(json!({
            "metadata": {"name": "a", "annotations": {REQUESTED_AT_ANNOTATION: "ü".repeat(300)}},
        }));
        assert_eq!(object.requested_at, Some("ü".repeat(256)));
    }

    #[test]
    fn an_unreadable_status_field_that_calls_depend_on_holds_the_object() {
        let with = |status: Value| {
            read(json!({
                "metadata": {"name": "a", "uid": "u"},
                "spec": {"fileId": "f-1", "platformRef": {"name": "p"}},
                "status": status,
            }))
        };
        let told = with(json!({"uid": "u", "phase": "Dancing", "application": "app-1"}));
        assert!(told.spec.is_ok() && told.application().is_some());
        let ended = json!({"outcome": "Dissolved", "hold": "h-1", "attempts": 2});
        let held = with(json!({"uid": "u", "application": "app-1", "deletion": ended}));
        let error = held.spec.as_ref().unwrap_err().error.clone();
        assert!(error.starts_with("status.deletion.outcome"), "{error}");
        assert_eq!(held.application().unwrap().as_str(), "app-1");
        let deletion = held.status.deletion.unwrap();
        assert_eq!(deletion.hold.as_deref(), Some("h-1"));
        let of_another = with(json!({"uid": "v", "deletion": ended, "application": "app-1"}));
        assert!(of_another.spec.is_ok() && of_another.application().is_none());
        assert!(read(json!({"metadata": {}})).spec.is_err());
    }

    #[test]
    fn an_active_object_is_retired_from_its_retire_after_time_on() {
        let object = read(json!({
            "metadata": {"name": "a", "namespace": "n"},
            "spec": {"fileId": "f", "platformRef": {"name": "p"}, "retireAfter": "2026-12-24T00:00:00Z"},
        }));
        let at: Timestamp = "2026-12-24T00:00:00Z".parse().unwrap();
        assert!(!object.is_retired(at - Duration::from_secs(1)) && object.is_retired(at));
        assert_eq!(object.platform().unwrap(), ObjectKey::new("n", "p"));
    }
}
