//! Changes of the cluster: policies, definitions and backups.

use std::time::Duration;

use cluster_in_memory::{Attempt, Policy};
use serde_json::{Value, json};
use tokio::time::sleep;
use version_package_operator::api::names::{CONFIRM_ANNOTATION, PAUSED_ANNOTATION};

use super::{PACKAGES, PLATFORMS, Stage, key};
use crate::faults::Fault;
use crate::keep::RESTART;
use crate::people::PEOPLE;
use crate::wishes::{Fate, Wish};
use crate::world::{OPERATOR, shipped_definition};

/// An object with its status, and the wish for it at the time of the backup.
#[derive(Debug, Clone)]
pub struct Backup {
    object: Value,
    wish: Wish,
}

impl Backup {
    /// The Platform that the object names.
    pub fn platform(&self) -> &str {
        &self.wish.platform
    }
}

impl Stage<'_> {
    /// Adds a policy that refuses some of the operator's writes.
    pub fn deny(&self, name: &str, denies: impl Fn(&Attempt<'_>) -> bool + Send + 'static) {
        self.world.cluster.add_policy(Policy {
            name: name.to_owned(),
            binding: name.to_owned(),
            message: "not here".to_owned(),
            denies: Box::new(move |attempt| attempt.user == OPERATOR && denies(attempt)),
        });
    }

    /// Removes a policy.
    pub fn allow(&self, name: &str) {
        self.world.cluster.remove_policy(name);
    }

    /// Removes a field of the spec from a definition.
    pub async fn lose_field(&self, plural: &str, field: &str) {
        let mut definition = shipped_definition(plural);
        let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
        let spec = definition.pointer_mut(spec).unwrap();
        spec["properties"].as_object_mut().unwrap().remove(field);
        // The rules that name the field are removed with it.
        if let Some(rules) = spec["x-kubernetes-validations"].as_array_mut() {
            rules.retain(|rule| !rule.to_string().contains(field));
        }
        self.world.people.define(&definition).await;
    }

    /// Restores both shipped definitions.
    pub async fn give_fields_back(&self) {
        for plural in [PACKAGES, PLATFORMS] {
            let definition = shipped_definition(plural);
            self.world.people.define(&definition).await;
        }
    }

    /// Waits until a process has seen what a definition lacks: what is written before is a limit that `docs/limits.md` names.
    pub async fn loss_is_seen(&self) {
        sleep(Duration::from_secs(2)).await;
        // A crashed process must have restarted.
        if self.has_met(Fault::CrashBefore) || self.has_met(Fault::CrashAfter) {
            sleep(RESTART * 2).await;
        }
    }

    /// Confirms an object as it is.
    pub async fn confirm(&self, name: &str) {
        if let Some(object) = self.object(name) {
            let uid = &object["metadata"]["uid"];
            // The current leader may not have seen an existing annotation, so it is removed and added again.
            for word in [&Value::Null, uid] {
                let change = json!({"metadata": {"annotations": {CONFIRM_ANNOTATION: word}}});
                self.patch(name, &change, |_| {}).await;
            }
        }
    }

    /// Checks everything that was written while a definition lacked fields: sets `Retain` again where it is wished, and
    /// confirms the rest.
    pub async fn confirm_all(&self) {
        // A process that ends just now ignores a confirmation, and one that detects the loss later needs it then.
        for _ in 0..3 {
            sleep(Duration::from_secs(60)).await;
            self.confirm_platforms().await;
            self.say_retain_again().await;
            for name in self.names() {
                self.confirm(&name).await;
            }
        }
    }

    /// A backup of an object; `None` where the object doesn't exist.
    pub fn back_up(&self, name: &str) -> Option<Backup> {
        let object = self.object(name)?;
        let wish = self.wishes.borrow().get(&key(name))?.clone();
        Some(Backup { object, wish })
    }

    /// Restores an object from a backup with its old status, for another package where `file` is given.
    pub async fn restore(&self, name: &str, backup: &Backup, file: Option<&str>) {
        self.restore_spec(name, backup, file).await;
        let key = key(name);
        let status = json!({"status": backup.object["status"]});
        let people = &self.world.people;
        people
            .patch_status(PACKAGES, &key.namespace, &key.name, &status)
            .await;
    }

    /// Restores an object from a backup, without its status.
    pub async fn restore_spec(&self, name: &str, backup: &Backup, file: Option<&str>) {
        let (key, people) = (key(name), &self.world.people);
        let mut object = backup.object.clone();
        object["metadata"]["name"] = json!(key.name);
        let mut wish = Wish {
            // The object is created anew, whatever the wish for the old one was.
            fate: match object["spec"]["lifecycle"].as_str() {
                Some("Retired") => Fate::Retired,
                _ => Fate::Stay,
            },
            retain: object["spec"]["deletionPolicy"] == "Retain",
            paused: object["metadata"]["annotations"][PAUSED_ANNOTATION] == "true",
            ..backup.wish.clone()
        };
        if let Some(file) = file {
            object["spec"]["fileId"] = json!(file);
            file.clone_into(&mut wish.file);
        }
        let metadata = object["metadata"].as_object_mut().unwrap();
        metadata
            .retain(|field, _| ["name", "labels", "annotations", "finalizers"].contains(&&**field));
        people.create(PACKAGES, &key.namespace, &object).await;
        self.say(key, Some(wish));
    }

    /// Restores the store, as after a restore of etcd; the wishes of people become those of that time.
    pub fn go_back(&self, saved: &cluster_in_memory::Saved) {
        self.world.cluster.restore(saved);
        self.world.record.take_changes(PEOPLE);
    }
}
