//! What is kept: objects by key, and every change since the last compaction.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use crate::kinds::Kind;

/// Where an object stands: its resource, then namespace and name as one text, in the order in which lists come.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub resource: String,
    pub path: String,
}

impl Key {
    pub fn new(resource: &str, namespace: Option<&str>, name: &str) -> Self {
        let path = namespace.map_or_else(|| name.to_owned(), |space| format!("{space}/{name}"));
        Self {
            resource: resource.to_owned(),
            path,
        }
    }

    /// Whether it is in a namespace; each is, where none is given.
    pub fn is_in(&self, namespace: Option<&str>) -> bool {
        namespace.is_none_or(|space| {
            let rest = self.path.strip_prefix(space);
            rest.is_some_and(|rest| rest.starts_with('/'))
        })
    }
}

impl Key {
    /// Whether it is of an object of that name.
    pub fn is_of(&self, name: &str) -> bool {
        self.path.rsplit('/').next() == Some(name)
    }
}

/// An object as it is kept, and its version.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub version: u64,
    pub object: Arc<Value>,
    /// As the first kind that it was read by shows it: reading costs most of what a request costs.
    pub shown: Arc<OnceLock<(Arc<Kind>, Value)>>,
}

/// One change.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub version: u64,
    pub key: Key,
    pub before: Option<Kept>,
    pub after: Option<Kept>,
}

/// Everything that is kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Store {
    objects: BTreeMap<Key, Kept>,
    changes: Vec<Change>,
    version: u64,
    compacted: u64,
}

impl Store {
    /// The newest version.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The version before which nothing is known any more.
    pub fn compacted(&self) -> u64 {
        self.compacted
    }

    pub fn get(&self, key: &Key) -> Option<&Kept> {
        self.objects.get(key)
    }

    /// Keeps an object; returns its version.
    pub fn put(&mut self, key: Key, object: Value) -> u64 {
        self.version += 1;
        let kept = Kept {
            version: self.version,
            object: Arc::new(object),
            shown: Arc::default(),
        };
        let before = self.objects.insert(key.clone(), kept.clone());
        self.changed(key, before, Some(kept));
        self.version
    }

    /// Takes an object out; returns the version of that.
    pub fn remove(&mut self, key: &Key) -> u64 {
        if let Some(before) = self.objects.remove(key) {
            self.version += 1;
            self.changed(key.clone(), Some(before), None);
        }
        self.version
    }

    fn changed(&mut self, key: Key, before: Option<Kept>, after: Option<Kept>) {
        self.changes.push(Change {
            version: self.version,
            key,
            before,
            after,
        });
    }

    /// The changes after a version.
    pub fn since(&self, version: u64) -> &[Change] {
        let start = self
            .changes
            .partition_point(|change| change.version <= version);
        &self.changes[start..]
    }

    /// The objects of a resource as they were at a version.
    pub fn at(&self, version: u64, resource: &str) -> BTreeMap<Key, Kept> {
        let of = self
            .objects
            .iter()
            .filter(|(key, _)| key.resource == resource);
        let mut objects: BTreeMap<Key, Kept> = of.map(|(k, v)| (k.clone(), v.clone())).collect();
        for change in self.since(version).iter().rev() {
            if change.key.resource != resource {
                continue;
            }
            match &change.before {
                Some(before) => objects.insert(change.key.clone(), before.clone()),
                None => objects.remove(&change.key),
            };
        }
        objects
    }

    /// Forgets all changes up to now.
    pub fn compact(&mut self) {
        self.changes.clear();
        self.compacted = self.version;
    }

    /// Every key of it.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.objects.keys()
    }
}
