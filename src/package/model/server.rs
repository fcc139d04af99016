//! The API server of the model: one object a name, every change with a version, a watch that may lag.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::names::FINALIZER;
use crate::package::cache::Event;
use crate::package::object::Object;
use crate::package::packed::Packed;
use crate::package::watched::Watched;

/// One change, as a watch tells it.
#[derive(Clone)]
pub struct Change {
    pub object: Value,
    pub gone: bool,
}

/// All objects, and the changes that led to them.
#[derive(Default)]
pub struct Server {
    pub objects: BTreeMap<String, Value>,
    /// The same, read once.
    read: BTreeMap<String, Arc<Object>>,
    pub changes: Vec<Change>,
    version: u64,
    uids: u64,
}

impl Server {
    /// A user creates an object; nothing where the name is taken.
    pub fn create(&mut self, name: &str, spec: &Value) {
        if self.objects.contains_key(name) {
            return;
        }
        self.uids += 1;
        let object = json!({
            "metadata": {
                "namespace": "fleet", "name": name, "uid": format!("uid-{}", self.uids), "generation": 1,
                "annotations": {},
            },
            "spec": spec,
            "status": {"observedGeneration": -1},
        });
        self.put(name, object);
    }

    /// A user changes an object.
    pub fn edit(&mut self, name: &str, change: impl FnOnce(&mut Value)) {
        let Some(mut object) = self.objects.get(name).cloned() else {
            return;
        };
        let before = object["spec"].clone();
        change(&mut object);
        if object["spec"] != before {
            bump(&mut object);
        }
        self.put(name, object);
    }

    /// A user deletes an object: it goes, or is marked where finalizers keep it.
    pub fn delete(&mut self, name: &str, now: Timestamp) {
        let Some(mut object) = self.objects.get(name).cloned() else {
            return;
        };
        if !object["metadata"]["deletionTimestamp"].is_null() {
            return;
        }
        // The API server keeps times to the second.
        let now = Timestamp::from_second(now.as_second()).unwrap();
        object["metadata"]["deletionTimestamp"] = json!(now);
        bump(&mut object);
        self.put(name, object);
    }

    /// A user takes all finalizers off an object that is being deleted, and it goes.
    pub fn strip(&mut self, name: &str) {
        let going = |object: &Value| !object["metadata"]["deletionTimestamp"].is_null();
        if self.objects.get(name).is_some_and(going) {
            self.edit(name, |object| object["metadata"]["finalizers"] = json!([]));
        }
    }

    /// A merge patch of an object, of its status where that is what is written; it tells the version that came of it.
    ///
    /// # Errors
    /// As the API server answers: a uid is looked at in a patch of the object only.
    pub fn patch(&mut self, name: &str, body: &Value, of_status: bool) -> Result<String, u16> {
        let mut object = self.objects.get(name).cloned().ok_or(404_u16)?;
        let metadata = &body["metadata"];
        if metadata["resourceVersion"] != object["metadata"]["resourceVersion"] {
            return Err(409);
        }
        if of_status {
            json_patch::merge(&mut object["status"], &body["status"]);
        } else {
            if metadata["uid"] != object["metadata"]["uid"] {
                return Err(422);
            }
            json_patch::merge(&mut object, body);
        }
        if self.objects[name] != object {
            self.put(name, object.clone());
            let version = self.changes.last().unwrap();
            object = version.object.clone();
        }
        let version = object["metadata"]["resourceVersion"].as_str();
        Ok(version.unwrap().to_owned())
    }

    /// A backup tool creates an object with the status of an earlier one of its name.
    pub fn restore(&mut self, name: &str, spec: &Value, status: Value) {
        self.create(name, spec);
        self.edit(name, |object| object["status"] = status);
    }

    /// An object as it is now.
    pub fn get(&self, name: &str) -> Option<Arc<Object>> {
        self.read.get(name).cloned()
    }

    /// All objects as they are now.
    pub fn all(&self) -> impl Iterator<Item = &Object> {
        self.read.values().map(|object| &**object)
    }

    fn put(&mut self, name: &str, mut object: Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let kept = object["metadata"]["finalizers"]
            .as_array()
            .is_some_and(|all| !all.is_empty());
        let gone = !object["metadata"]["deletionTimestamp"].is_null() && !kept;
        if gone {
            self.objects.remove(name);
            self.read.remove(name);
        } else {
            let read = Arc::new(read(&object).into());
            self.read.insert(name.to_owned(), read);
            self.objects.insert(name.to_owned(), object.clone());
        }
        self.changes.push(Change { object, gone });
    }
}

impl Change {
    /// What the watch makes of it now.
    pub fn event(&self, now: Timestamp) -> Event {
        let object = Packed::read(read(&self.object), now);
        if self.gone {
            Event::Deleted(object)
        } else {
            Event::Applied(object)
        }
    }
}

/// A package of the Platform of the model.
pub fn spec(file: &str) -> Value {
    json!({
        "fileId": file, "platformRef": {"name": "production"},
        "lifecycle": "Active", "deletionPolicy": "Delete",
    })
}

/// An object as it comes over the wire.
pub fn read(object: &Value) -> Watched {
    serde_json::from_value(object.clone()).unwrap()
}

/// Whether an object is accepted, lives and wants its package.
pub fn claims(object: &Object, now: Timestamp) -> bool {
    let accepted =
        object.application().is_some() && object.finalizers.iter().any(|f| f == FINALIZER);
    accepted && object.deleted_at.is_none() && !object.is_retired(now)
}

fn bump(object: &mut Value) {
    let generation = object["metadata"]["generation"].as_i64().unwrap();
    object["metadata"]["generation"] = json!(generation + 1);
}
