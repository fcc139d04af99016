//! The work of controllers: ending namespaces and garbage collection. They act only when a test calls them, so that the
//! seed determines the order.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::delete::{FOREGROUND, ORPHAN};
use crate::meta;
use crate::state::State;
use crate::store::{Kept, Key};

impl State {
    /// Adds one of the namespaces that every cluster has.
    pub(crate) fn add_namespace(&mut self, name: &str) {
        let object = json!({
            "metadata": {
                "name": name, "uid": self.uid(), "creationTimestamp": self.now(),
                "labels": {"kubernetes.io/metadata.name": name},
            },
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
        });
        self.store.put(Key::new("namespaces", None, name), object);
    }

    /// Deletes the content of ending namespaces, and the namespaces once they are empty.
    pub(crate) fn end_namespaces(&mut self) {
        let all = self.store.at(self.store.version(), "namespaces");
        for (key, _) in all
            .into_iter()
            .filter(|(_, kept)| meta::is_going(&kept.object))
        {
            let inside: Vec<Key> = self
                .store
                .keys()
                .filter(|inside| inside.is_in(Some(&key.path)))
                .cloned()
                .collect();
            for inside in &inside {
                self.let_go(inside);
            }
            let left = self
                .store
                .keys()
                .any(|inside| inside.is_in(Some(&key.path)));
            if !left {
                self.store.remove(&key);
            }
        }
        self.wake();
    }

    /// Deletes an object in the background, as a controller does.
    fn let_go(&mut self, key: &Key) {
        let Some(kept) = self.store.get(key).cloned() else {
            return;
        };
        if meta::finalizers(&kept.object).is_empty() {
            self.take_out(key);
        } else if !meta::is_going(&kept.object) {
            let mut object = (*kept.object).clone();
            let metadata = &mut object["metadata"];
            metadata["deletionTimestamp"] = json!(self.now());
            metadata["deletionGracePeriodSeconds"] = json!(0);
            if let Some(generation) = metadata["generation"].as_u64() {
                metadata["generation"] = json!(generation + 1);
            }
            self.store.put(key.clone(), object);
        }
    }

    /// Runs one round of the garbage collector. Returns whether it changed anything.
    pub(crate) fn collect_garbage(&mut self) -> bool {
        let version = self.store.version();
        let all: Vec<(Key, Kept)> = self
            .kinds
            .all()
            .map(|kind| kind.resource())
            .collect::<Vec<_>>()
            .iter()
            .flat_map(|resource| self.store.at(version, resource))
            .collect();
        let uids: BTreeSet<&str> = all
            .iter()
            .map(|(_, kept)| meta::text(&kept.object, "uid"))
            .collect();
        for (key, kept) in &all {
            let owners = owners(&kept.object);
            if !owners.is_empty() && owners.iter().all(|uid| !uids.contains(uid)) {
                self.let_go(key);
            }
            if meta::is_going(&kept.object) {
                self.release(key, &kept.object, &all);
            }
        }
        self.wake();
        self.store.version() != version
    }

    /// Removes the garbage collector's finalizers once its work for an object is done.
    fn release(&mut self, key: &Key, object: &Value, all: &[(Key, Kept)]) {
        let uid = meta::text(object, "uid");
        let finalizers = meta::finalizers(object);
        let owned: Vec<&(Key, Kept)> = all
            .iter()
            .filter(|(_, kept)| owners(&kept.object).contains(&uid))
            .collect();
        let mut kept: Vec<&str> = finalizers.clone();
        if finalizers.contains(&ORPHAN) {
            for (key, owned) in owned {
                let mut orphan = (*owned.object).clone();
                if let Some(owners) = orphan["metadata"]["ownerReferences"].as_array_mut() {
                    owners.retain(|owner| owner["uid"] != uid);
                }
                self.store.put(key.clone(), orphan);
            }
            kept.retain(|one| *one != ORPHAN);
        } else if finalizers.contains(&FOREGROUND) {
            let blocks = owned.iter().any(|(key, _)| self.store.get(key).is_some());
            for (key, _) in owned {
                self.let_go(key);
            }
            if blocks {
                return;
            }
            kept.retain(|one| *one != FOREGROUND);
        } else {
            return;
        }
        if kept.is_empty() {
            self.take_out(key);
        } else {
            let mut object = object.clone();
            object["metadata"]["finalizers"] = json!(kept);
            self.store.put(key.clone(), object);
        }
    }
}

fn owners(object: &Value) -> Vec<&str> {
    let all = object["metadata"]["ownerReferences"].as_array();
    all.into_iter()
        .flatten()
        .filter_map(|owner| owner["uid"].as_str())
        .collect()
}
