//! What users of the model ask for, and since when.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::server;
use super::world::{FOREIGN, World};
use crate::package::object::Object;

impl World {
    /// A user sets the lifecycle.
    pub fn set_lifecycle(&mut self, name: &str, lifecycle: &str) {
        let Some(before) = self.server.get(name) else {
            return;
        };
        let deletion = before.status.deletion.as_ref();
        let ended = deletion.is_some_and(|deletion| deletion.outcome.is_some());
        // The schema refuses it.
        if ended && lifecycle == "Active" {
            return;
        }
        let truth = self.truths.entry(before.uid.clone()).or_default();
        if lifecycle == "Active" && deletion.is_none_or(|deletion| deletion.hold.is_none()) {
            // It has left a hold that nobody was told of.
            truth.held = false;
        }
        // Where it is retired already, nothing is asked for anew.
        if lifecycle == "Retired" && !before.is_retired(self.now) {
            self.retires(&before, self.now);
        }
        self.server.edit(name, |object| {
            object["spec"]["lifecycle"] = json!(lifecycle);
            object["spec"]["retireAfter"] = json!(null);
        });
    }

    /// A user deletes an object.
    pub fn delete(&mut self, name: &str) {
        let Some(before) = self.server.get(name) else {
            return;
        };
        if before.deleted_at.is_none() && !before.is_retired(self.now) {
            // Whatever it asked for before was called off.
            let truth = self.truths.entry(before.uid.clone()).or_default();
            (truth.held, truth.freed) = (false, false);
        }
        self.server.delete(name, self.now);
    }

    /// A user sets an annotation of ours.
    pub fn annotate(&mut self, name: &str, annotation: &str, value: &str) {
        self.server.edit(name, |object| {
            object["metadata"]["annotations"][format!("iodm.dev/{annotation}")] = json!(value);
        });
    }

    /// Somebody passes over whatever another object claims.
    pub fn disregard(&mut self, name: &str, other: &str) {
        if let Some(other) = self.server.get(other) {
            self.annotate(name, "disregard", &other.uid);
        }
    }

    /// Somebody else, with a Platform of their own, names a package.
    pub fn intrude(&mut self, name: &str, file: &str) {
        let mut spec = server::spec(file);
        spec["platformRef"]["name"] = json!(FOREIGN);
        self.server.create(name, &spec);
    }

    /// An object of somebody else goes, whatever it wants.
    pub fn leave_by_force(&mut self, name: &str) {
        let before = self.server.get(name);
        let files = before.iter().filter_map(|object| object.file_id());
        self.forced.extend(files.map(ToString::to_string));
        self.server.delete(name, self.now);
        self.server.strip(name);
    }

    /// A user sets a time for an object to retire.
    pub fn schedule(&mut self, name: &str, ahead: Duration) {
        let Some(before) = self.server.get(name) else {
            return;
        };
        if before.is_retired(self.now) {
            return;
        }
        // The API server keeps times to the second.
        let due = self.now.checked_add(ahead).unwrap();
        let due = Timestamp::from_second(due.as_second()).unwrap();
        self.retires(&before, due.max(self.now));
        self.server.edit(name, |object| {
            object["spec"]["retireAfter"] = json!(due);
        });
    }

    /// What is wanted retires at this time.
    pub(super) fn retires(&mut self, object: &Object, at: Timestamp) {
        let truth = self.truths.entry(object.uid.clone()).or_default();
        // A time that was taken back before it came is as if it had never been.
        let anew = truth.retired.is_none_or(|then| then > self.now) || truth.seen_active;
        if anew {
            truth.retired = Some(at);
            // What is being deleted has asked before, and stays in its hold or freed from it.
            if object.deleted_at.is_none() {
                (truth.held, truth.freed) = (false, false);
            }
        }
        truth.wanted = object.generation;
        truth.seen_active = false;
    }
}
