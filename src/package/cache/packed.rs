//! A `VersionPackage` in compact form: one text instead of the thirty allocations of an [`Object`].
//!
//! A fleet has tens of thousands of objects, and hardly any of them is looked at. As a text, an object takes less than
//! half of the memory. An object that comes and goes as one text leaves no holes in the heap.
//!
//! The fields that an object's claim depends on are stored beside the text. A look at another object reads the claim
//! from these fields, without unpacking the text.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use crate::api::names::{
    ACCEPT_ANNOTATION, AppId, DISREGARD_ANNOTATION, FileId, ObjectKey, PAUSED_ANNOTATION,
    REQUESTED_AT_ANNOTATION,
};
use crate::api::reason::Phase;
use crate::api::version_package::Lifecycle;
use crate::guard::Asked;
use crate::object::Object;
use crate::object::asking::{asking, may_ask_later};
use crate::object::watched::Watched;
use crate::package::claims::Claimant;

/// Annotations that decisions depend on.
const KEPT_ANNOTATIONS: [&str; 4] = [
    PAUSED_ANNOTATION,
    REQUESTED_AT_ANNOTATION,
    DISREGARD_ANNOTATION,
    ACCEPT_ANNOTATION,
];

/// An object in the form in which the cache stores it.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Packed {
    /// Namespace and name of the object.
    pub key: ObjectKey,
    /// Uid, which distinguishes the object from earlier and later objects of the same name.
    pub uid: Arc<str>,
    /// Package that the object names, if that can be read.
    pub file_id: Option<FileId>,
    /// Platform that the object names, if that can be read.
    pub platform: Option<ObjectKey>,
    /// Phase in the object's status.
    pub phase: Option<Phase>,
    /// Whether the object can be decoded.
    pub decodable: bool,
    /// Application for which the object was accepted.
    pub application: Option<AppId>,
    /// Whether the object asked for the deletion of its package when it was read.
    pub asks: Asks,
    /// Whether the object is neither deleted nor retired by its lifecycle. The retirement time isn't considered here:
    /// the reader of this field compares that time with the present clock, since the clock may have been wrong when the
    /// object was packed.
    pub lives: bool,
    /// When the object retires, if a time is set.
    pub retires: Option<Timestamp>,
    /// Whether the object carries our finalizer.
    pub finalizer: bool,
    /// Whether there is nothing left to do for the package: the package is gone, or the object was released and stays
    /// for other finalizers.
    pub ended: bool,
    /// When this process first saw the object.
    pub since: Instant,
    text: Arc<str>,
}

/// Whether an object asks for the deletion of its package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asks {
    /// The object doesn't ask for it.
    No,
    /// The object asks for it.
    Yes(Box<Asked>),
    /// The object will ask for it when its retirement time has come.
    Later,
}

/// The stored text: the object as the API server sent it, without the fields that no decision depends on.
#[derive(Serialize, Deserialize)]
struct Text {
    metadata: ObjectMeta,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unreadable: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lost: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    spec: Value,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    status: Value,
    /// Whether the status names the uid of the object, which is stored beside the text already.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    own: bool,
}

#[cfg(test)]
impl From<Watched> for Packed {
    fn from(watched: Watched) -> Self {
        Self::read(watched, Timestamp::now())
    }
}

impl Packed {
    /// Packs an object that the API server sent. `now` decides whether a retirement is due.
    pub fn read(watched: Watched, now: Timestamp) -> Self {
        let Watched {
            mut metadata,
            unreadable,
            lost,
            actor,
            spec,
            mut status,
        } = watched;
        let known = |name: &String| KEPT_ANNOTATIONS.contains(&&**name);
        let annotations = metadata.annotations.map(|all| {
            let ours = all.into_iter().filter(|(name, _)| known(name));
            ours.collect()
        });
        metadata = ObjectMeta {
            namespace: metadata.namespace,
            name: metadata.name,
            uid: metadata.uid,
            resource_version: metadata.resource_version,
            generation: metadata.generation,
            // The creation time is needed only for a status of the first version, which has no uid.
            creation_timestamp: metadata
                .creation_timestamp
                .filter(|_| status.get("uid").is_none()),
            deletion_timestamp: metadata.deletion_timestamp,
            finalizers: metadata.finalizers,
            annotations,
            ..ObjectMeta::default()
        };
        // Namespace, name and uid are stored beside the text, so the text doesn't repeat them.
        let (namespace, name) = (metadata.namespace.take(), metadata.name.take());
        let key = ObjectKey::new(namespace.unwrap_or_default(), name.unwrap_or_default());
        let uid: Arc<str> = metadata.uid.take().unwrap_or_default().into();
        let own = status.get("uid").and_then(Value::as_str) == Some(&*uid);
        if own && let Some(fields) = status.as_object_mut() {
            fields.remove("uid");
        }
        let text = Text {
            metadata,
            unreadable,
            lost,
            actor,
            spec,
            status,
            own,
        };
        // An empty text is unpacked as an undecodable object, for which nothing is deleted.
        let packed = serde_json::to_string(&text).unwrap_or_default().into();
        let object = text.into_object(&key, &uid);
        let asks = match asking(&object, now) {
            Some(asked) => Asks::Yes(Box::new(asked)),
            None if may_ask_later(&object, now) => Asks::Later,
            None => Asks::No,
        };
        let deletion = object.status.deletion.as_ref();
        let let_go = object.deleted_at.is_some() && !object.has_finalizer();
        let ended = let_go || deletion.is_some_and(|deletion| deletion.outcome.is_some());
        let spec = object.spec.as_ref().ok();
        let retires = spec.and_then(|spec| spec.retire_after.as_ref());
        let is_retired = spec.is_some_and(|spec| spec.lifecycle == Lifecycle::Retired);
        Self {
            file_id: object.file_id().cloned(),
            platform: object.named_platform(),
            phase: object.status.phase,
            decodable: object.spec.is_ok(),
            application: object.application().cloned(),
            asks,
            lives: object.deleted_at.is_none() && !is_retired,
            retires: retires.map(|at| at.0),
            finalizer: object.has_finalizer(),
            ended,
            since: Instant::now(),
            key,
            uid,
            text: packed,
        }
    }

    /// Whether `other` is the same version of the same object, with the same request.
    pub fn is_same(&self, other: &Self) -> bool {
        // The other fields follow from the text; `asks` depends on the time of reading, too.
        self.asks == other.asks
            && self.key == other.key
            && self.uid == other.uid
            && self.text == other.text
    }

    /// If `earlier` is the same object, takes over its `since`, and shares the strings that are still equal.
    pub fn seen_before(&mut self, earlier: &Self) {
        if self.uid != earlier.uid {
            return;
        }
        self.since = self.since.min(earlier.since);
        self.uid = Arc::clone(&earlier.uid);
        self.key = earlier.key.clone();
        if self.file_id == earlier.file_id {
            self.file_id.clone_from(&earlier.file_id);
        }
    }

    /// The claim of the object; `None` if the object is deleted or retired by its lifecycle.
    pub fn claimant(&self) -> Option<Claimant> {
        self.lives.then(|| Claimant {
            key: self.key.clone(),
            uid: Arc::clone(&self.uid),
            platform: self.platform.clone(),
            application: self.application.clone(),
            readable: self.decodable,
            finalizer: self.finalizer,
            retires: self.retires,
        })
    }

    /// Whether claims of other objects can matter: the object is to go, or its retirement may be due by now.
    pub fn may_go(&self) -> bool {
        !self.lives || self.retires.is_some()
    }

    /// Unpacks the object, for a decision.
    pub fn unpack(&self) -> Object {
        let text = serde_json::from_str(&self.text).unwrap_or_else(|_| Text {
            metadata: ObjectMeta::default(),
            unreadable: None,
            lost: None,
            actor: None,
            spec: Value::Null,
            status: Value::Null,
            own: false,
        });
        text.into_object(&self.key, &self.uid)
    }
}

impl Text {
    fn into_object(mut self, key: &ObjectKey, uid: &str) -> Object {
        if self.own
            && let Some(fields) = self.status.as_object_mut()
        {
            fields.insert("uid".to_owned(), uid.into());
        }
        let metadata = ObjectMeta {
            uid: Some(uid.to_owned()),
            ..self.metadata
        };
        let object = Object {
            key: key.clone(),
            actor: self.actor,
            ..Object::read(metadata, self.spec, self.status)
        };
        object.believed(self.unreadable, self.lost)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::watched::served;

    fn packed(object: Value) -> Packed {
        serde_json::from_value::<Watched>(served(object))
            .unwrap()
            .into()
    }

    #[test]
    fn what_comes_out_is_what_the_api_server_sent() {
        let object = json!({
            "metadata": {
                "namespace": "fleet", "name": "a", "uid": "u", "resourceVersion": "9", "generation": 3,
                "deletionTimestamp": "2026-11-23T12:00:00Z", "finalizers": ["x", "iodm.dev/package"],
                "labels": {"dropped": "yes"},
                "managedFields": [{"manager": "flux", "fieldsV1": {"f:spec": {"f:dropped": {}}}}],
                "annotations": {"iodm.dev/paused": "true", "iodm.dev/requested-at": "now", "other": "dropped"},
            },
            "spec": {
                "fileId": "f-1", "platformRef": {"name": "p", "namespace": "iot"}, "lifecycle": "Retired",
                "retireAfter": "2026-12-24T00:00:00.75Z", "deletionPolicy": "Retain",
            },
            "status": {"uid": "u", "observedGeneration": 2, "phase": "Held", "application": "app-1"},
        });
        let watched: Watched = serde_json::from_value(served(object.clone())).unwrap();
        let packed = packed(object);
        assert_eq!(packed.unpack(), Object::from(watched));
        assert_eq!(packed.unpack().actor.as_deref(), Some("flux"));
        assert!(!packed.text.contains("dropped"));
        assert_eq!(packed.platform, Some(ObjectKey::new("iot", "p")));
        assert_eq!(packed.phase, Some(Phase::Held));
        assert_eq!(packed.file_id, Some("f-1".parse().unwrap()));
    }

    #[test]
    fn another_version_or_another_object_of_a_name_is_told_from_the_same_one() {
        let object = |uid: &str, version: &str| {
            packed(json!({
                "metadata": {"namespace": "fleet", "name": "a", "uid": uid, "resourceVersion": version},
                "spec": {"fileId": "f-1", "platformRef": {"name": "p"}},
            }))
        };
        let known = object("u", "1");
        let told = |mut read: Packed| {
            let same = known.is_same(&read);
            read.seen_before(&known);
            (same, Arc::ptr_eq(&read.key.name, &known.key.name))
        };
        assert_eq!(told(object("u", "1")), (true, true));
        assert_eq!(
            told(object("u", "2")),
            (false, true),
            "its names are shared"
        );
        assert_eq!(told(object("another", "1")), (false, false));
        let asks = Asks::Later;
        assert!(!known.is_same(&Packed {
            asks,
            ..known.clone()
        }));
    }

    #[test]
    fn a_time_of_retirement_that_a_wrong_clock_took_for_past_ends_no_claim() {
        let spec = json!({
            "fileId": "f-1", "platformRef": {"name": "p"}, "retireAfter": "2026-12-24T00:00:00Z",
        });
        let object = json!({"metadata": {"namespace": "fleet", "name": "a"}, "spec": spec});
        let watched: Watched = serde_json::from_value(served(object)).unwrap();
        let [ahead, now] = ["2027-01-01T00:00:00Z", "2026-12-01T00:00:00Z"];
        let packed = Packed::read(watched, ahead.parse().unwrap());
        let claimant = packed.claimant().unwrap();
        assert!(claimant.lives(now.parse().unwrap()));
        assert!(!claimant.lives(ahead.parse().unwrap()));
    }

    #[test]
    fn an_object_that_cannot_be_decoded_names_its_platform_as_far_as_that_can_be_read() {
        let named = |reference: Value| {
            let spec = json!({"fileId": "f-1", "platformRef": reference, "lifecycle": 7});
            let metadata = json!({"namespace": "fleet", "name": "a"});
            let packed = packed(json!({"metadata": metadata, "spec": spec}));
            assert!(!packed.decodable);
            packed.claimant().unwrap().platform
        };
        let key = ObjectKey::new;
        assert_eq!(named(json!({"name": "p"})), Some(key("fleet", "p")));
        let elsewhere = json!({"name": "p", "namespace": "iot", "more": 1});
        assert_eq!(named(elsewhere), Some(key("iot", "p")));
        for reference in [
            json!(7),
            json!({}),
            json!({"name": 7}),
            json!({"name": "p", "namespace": 7}),
        ] {
            assert_eq!(named(reference), None);
        }
    }

    #[test]
    fn an_object_that_cannot_be_decoded_says_the_same_after_it() {
        let object =
            json!({"metadata": {"name": "a"}, "spec": {"fileId": "f-1", "platformRef": 7}});
        let watched: Watched = serde_json::from_value(served(object.clone())).unwrap();
        let packed = packed(object);
        assert!(!packed.decodable && packed.file_id.is_some());
        assert_eq!(packed.unpack(), Object::from(watched));
    }
}
