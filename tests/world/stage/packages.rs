//! Actions of people and Git on packages.

use std::time::Duration;

use serde_json::{Value, json};
use version_package_operator::api::names::{FINALIZER, PAUSED_ANNOTATION, REQUESTED_AT_ANNOTATION};

use super::{FLEET, PACKAGES, Stage, application, key};
use crate::objects::package;
use crate::people::PEOPLE;
use crate::record::Event;
use crate::wishes::{Fate, Key, Wish};

impl Stage<'_> {
    /// Creates an object, in the namespace [`FLEET`] unless the name is `namespace/name`.
    pub async fn create(&self, name: &str, platform: &str, file: &str, more: &Value) {
        let key = key(name);
        let object = package(&key.name, platform, file, more);
        self.world
            .people
            .create(PACKAGES, &key.namespace, &object)
            .await;
        let fate = match more["lifecycle"].as_str() {
            Some("Retired") => Fate::Retired,
            _ => Fate::Stay,
        };
        let wish = Wish {
            platform: platform.to_owned(),
            application: application(platform).to_owned(),
            file: file.to_owned(),
            fate,
            retain: more["deletionPolicy"] == "Retain",
            paused: false,
            mistaken: more["expect"]["version"] == "mistaken",
        };
        self.say(key, Some(wish));
    }

    /// Creates a plain object, and waits until it is accepted.
    pub async fn wish_on(&self, platform: &str, name: &str, file: &str) {
        self.create(name, platform, file, &json!({})).await;
        self.comes_to(name, "Active").await;
    }

    /// Creates a plain object on `production`, and waits until it is accepted.
    pub async fn wish(&self, name: &str, file: &str) {
        self.wish_on("production", name, file).await;
    }

    /// Creates the objects `a`, `b` and `c` for the first three packages.
    pub async fn wish_three(&self) {
        for (name, file) in [
            ("a", "package-00001"),
            ("b", "package-00002"),
            ("c", "package-00003"),
        ] {
            self.wish(name, file).await;
        }
    }

    /// Deletes an object.
    pub async fn delete(&self, name: &str) {
        let key = key(name);
        let people = &self.world.people;
        let object = self.world.package(&key.namespace, &key.name);
        let code = people.delete(PACKAGES, &key.namespace, &key.name).await;
        if code == 200 {
            self.is_deleted(&key, object.is_some_and(|object| has_ours(&object)));
        }
    }

    pub async fn retire(&self, name: &str) {
        self.set_lifecycle(name, "Retired", [Fate::Stay, Fate::Retired])
            .await;
    }

    /// Takes a retirement back.
    pub async fn revive(&self, name: &str) {
        self.set_lifecycle(name, "Active", [Fate::Retired, Fate::Stay])
            .await;
    }

    /// Sets the retirement time of an object to `time` from now.
    pub async fn retires_in(&self, name: &str, time: Duration) {
        let at = (self.world.wall() + time)
            .round(jiff::Unit::Second)
            .unwrap();
        let spec = json!({"retireAfter": at.to_string()});
        self.edit(name, spec, |_| {}).await;
    }

    /// Records that the retirement time of an object has come.
    pub fn is_due(&self, name: &str) {
        self.change(&key(name), |wish| {
            if wish.fate == Fate::Stay {
                wish.fate = Fate::Retired;
            }
        });
    }

    /// The wish, which is what people want, changes only if the API server stores the field: an incomplete definition
    /// drops the field.
    async fn set_lifecycle(&self, name: &str, lifecycle: &str, [from, to]: [Fate; 2]) {
        self.edit(name, json!({"lifecycle": lifecycle}), |_| {})
            .await;
        let object = self.object(name);
        if object.is_some_and(|object| object["spec"]["lifecycle"] == lifecycle) {
            self.change(&key(name), |wish| {
                if wish.fate == from {
                    wish.fate = to;
                }
            });
        }
    }

    pub async fn retain(&self, name: &str) {
        self.edit(name, json!({"deletionPolicy": "Retain"}), |wish| {
            wish.retain = true;
        })
        .await;
    }

    /// Sets the deletion policy of an object back to `Delete`.
    pub async fn let_go(&self, name: &str) {
        self.edit(name, json!({"deletionPolicy": "Delete"}), |wish| {
            wish.retain = false;
        })
        .await;
    }

    /// Sets `spec.expect` to data that the package doesn't have (`mistaken`), or removes `spec.expect`.
    pub async fn expect(&self, name: &str, mistaken: bool) {
        let expect = if mistaken {
            json!({"version": "mistaken"})
        } else {
            Value::Null
        };
        self.edit(name, json!({"expect": expect}), |wish| {
            wish.mistaken = mistaken;
        })
        .await;
    }

    /// Requests a retry for an object.
    pub async fn ask_again(&self, name: &str, word: &str) {
        let change = json!({"metadata": {"annotations": {REQUESTED_AT_ANNOTATION: word}}});
        self.patch(name, &change, |_| {}).await;
    }

    /// Sets `Retain` again on all objects for which people want `Retain`: a definition may have dropped the field.
    pub async fn say_retain_again(&self) {
        let wishes = self.wishes.borrow().clone();
        for (key, _) in wishes.iter().filter(|(_, wish)| wish.retain) {
            self.retain(&key.to_string()).await;
        }
    }

    pub async fn pause(&self, name: &str, paused: bool) {
        let value = if paused { json!("true") } else { Value::Null };
        let change = json!({"metadata": {"annotations": {PAUSED_ANNOTATION: value}}});
        self.patch(name, &change, |wish| wish.paused = paused).await;
    }

    /// Removes our finalizer by hand.
    pub async fn force(&self, name: &str) {
        let key = key(name);
        let Some(object) = self.world.package(&key.namespace, &key.name) else {
            return;
        };
        let finalizers = object["metadata"]["finalizers"].as_array();
        let others = finalizers.into_iter().flatten();
        let others: Vec<_> = others
            .filter(|finalizer| **finalizer != FINALIZER)
            .collect();
        let change = json!({"metadata": {"finalizers": others}});
        let people = &self.world.people;
        people
            .patch(PACKAGES, &key.namespace, &key.name, &change)
            .await;
        if self.world.package(&key.namespace, &key.name).is_none() {
            self.say(key, None);
        }
    }

    /// Whether an object of this name exists.
    pub fn is_there(&self, name: &str) -> bool {
        self.object(name).is_some()
    }

    /// The wish for an object.
    pub fn wished(&self, name: &str) -> Option<Wish> {
        self.wishes.borrow().get(&key(name)).cloned()
    }

    /// All names that people have used, as `namespace/name`.
    pub fn names(&self) -> Vec<String> {
        let wishes = self.wishes.borrow();
        wishes.keys().map(ToString::to_string).collect()
    }

    pub(super) async fn edit(&self, name: &str, spec: Value, change: impl FnOnce(&mut Wish)) {
        self.patch(name, &json!({"spec": spec}), change).await;
    }

    pub(super) async fn patch(&self, name: &str, patch: &Value, change: impl FnOnce(&mut Wish)) {
        let key = key(name);
        let people = &self.world.people;
        let code = people
            .patch(PACKAGES, &key.namespace, &key.name, patch)
            .await;
        if code == 200 {
            self.change(&key, change);
        }
    }

    pub(super) fn change(&self, key: &Key, change: impl FnOnce(&mut Wish)) {
        let wish = self.wishes.borrow().get(key).cloned();
        if let Some(mut wish) = wish {
            change(&mut wish);
            self.say(key.clone(), Some(wish));
        }
    }

    pub(super) fn say(&self, key: Key, wish: Option<Wish>) {
        let mut wishes = self.wishes.borrow_mut();
        match &wish {
            Some(wish) => wishes.insert(key.clone(), wish.clone()),
            None => wishes.remove(&key),
        };
        self.world.record.add(Event::Said(key, wish));
    }

    /// Deletes the namespace [`FLEET`] with everything in it, and waits until it is gone.
    pub async fn end_fleet(&self) {
        self.delete_fleet().await;
        self.world.end_namespaces().await;
    }

    /// Deletes the namespace [`FLEET`], whose objects are deleted at once.
    pub async fn delete_fleet(&self) {
        let world = self.world;
        let names: Vec<_> = self.wishes.borrow().keys().cloned().collect();
        let mut accepted = Vec::new();
        for key in names.iter().filter(|key| key.namespace == FLEET) {
            if let Some(object) = world.package(FLEET, &key.name) {
                accepted.push((key, has_ours(&object)));
            }
        }
        world.people.delete_namespace(FLEET).await;
        world.cluster.end_namespaces();
        world.record.take_changes(PEOPLE);
        for (key, accepted) in accepted {
            self.is_deleted(key, accepted);
        }
    }

    /// Records the deletion of an object; `accepted` tells whether it had our finalizer.
    fn is_deleted(&self, key: &Key, accepted: bool) {
        if accepted {
            self.change(key, |wish| wish.fate = Fate::Deleted);
        } else {
            // The object went before the operator could add its finalizer: a limit that `docs/limits.md` names.
            self.say(key.clone(), None);
        }
    }
}

/// Whether an object has our finalizer.
pub fn has_ours(object: &Value) -> bool {
    let finalizers = object["metadata"]["finalizers"].as_array();
    finalizers.is_some_and(|all| all.contains(&json!(FINALIZER)))
}
