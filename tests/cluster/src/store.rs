//! The store: objects by key, and every change since the last compaction.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use crate::kinds::Kind;

/// The key of an object: its resource, then namespace and name as one string, in the order of lists.
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

    /// Whether the key is in a namespace; true where none is given.
    pub fn is_in(&self, namespace: Option<&str>) -> bool {
        namespace.is_none_or(|space| {
            let rest = self.path.strip_prefix(space);
            rest.is_some_and(|rest| rest.starts_with('/'))
        })
    }
}

impl Key {
    /// Whether the key belongs to an object of this name.
    pub fn is_of(&self, name: &str) -> bool {
        self.path.rsplit('/').next() == Some(name)
    }
}

/// A stored object and its version.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub version: u64,
    pub object: Arc<Value>,
    /// The decoded object, cached with its kind: decoding is the main cost of a request.
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

/// The whole store.
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

    /// The version up to which changes are compacted.
    pub fn compacted(&self) -> u64 {
        self.compacted
    }

    pub fn get(&self, key: &Key) -> Option<&Kept> {
        self.objects.get(key)
    }

    /// Stores an object; returns its version.
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

    /// Removes an object; returns the version of the removal.
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

    /// The objects of a resource at a version.
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

    /// Forgets all changes so far.
    pub fn compact(&mut self) {
        self.changes.clear();
        self.compacted = self.version;
    }

    /// All keys.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.objects.keys()
    }
}
