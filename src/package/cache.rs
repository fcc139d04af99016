//! The cache of all objects and their claims. When a new list ends, it replaces all contents of the cache at once.

pub mod watch;
pub mod packed;
pub mod intake;
pub mod managed;
mod shown;
mod list_under_way;
mod wakes;
mod wishes;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

use self::list_under_way::ListUnderWay;
use self::shown::ShownObjects;
pub use self::wakes::Wakes;
pub use self::wishes::{Asking, Wish};
use super::claims::Claimant;
use crate::api::names::{FileId, ObjectKey};
use crate::api::platform::PackageCounts;
use crate::api::reason::Phase;
use crate::object::Object;
use crate::package::cache::packed::Packed;

/// One event of the watch.
#[derive(Debug)]
pub enum Event {
    /// A list begins. Its objects are kept aside until it ends.
    ListBegins,
    /// One object of the list.
    Listed(Packed),
    /// The list is complete, and the cache shows it from now on.
    ListEnds,
    /// An object was created or changed.
    Applied(Packed),
    /// An object was deleted.
    Deleted(Packed),
}

/// The changes that an event made.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Objects to look at again.
    pub wakes: Wakes,
    /// Uids of the objects that were removed for good.
    pub gone: Vec<String>,
    /// Whether a list was completed.
    pub listed: bool,
}

/// Cache of all `VersionPackage`s of the cluster, as of one moment in the order of their changes.
#[derive(Default)]
pub struct Cache {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    shown: ShownObjects,
    /// The list that is coming in, if any; not shown before it is complete.
    listing: Option<ListUnderWay>,
    complete: bool,
}

/// One object and all others that name the same package, read at one moment.
pub struct Look {
    /// The object.
    pub object: Arc<Object>,
    /// All other live objects of the same `fileId`, of any Platform, by name. Empty unless the object is to go, or its
    /// retirement may be due by now.
    pub others: Vec<Claimant>,
    /// When this process first saw the object.
    pub since: Instant,
}

impl Cache {
    /// Whether the cache shows the object `key` with this uid.
    pub fn has(&self, key: &ObjectKey, uid: &str) -> bool {
        let state = self.state.lock();
        let shown = state.shown.objects.get(key);
        shown.is_some_and(|object| *object.uid == *uid)
    }

    /// Applies one event of the watch, and returns what it has changed.
    pub fn apply(&self, event: Event) -> Changes {
        let mut state = self.state.lock();
        match event {
            Event::ListBegins => {
                state.listing = Some(ListUnderWay::default());
                Changes::default()
            }
            Event::Listed(object) => {
                let State { shown, listing, .. } = &mut *state;
                let listing = listing.get_or_insert_default();
                match shown.objects.get(&object.key) {
                    Some(known) if known.is_same(&object) => {
                        listing.seen.insert(known.key.clone());
                    }
                    Some(_) | None => {
                        listing.seen.insert(object.key.clone());
                        listing.differing.push(object);
                    }
                }
                Changes::default()
            }
            Event::ListEnds => {
                let listing = state.listing.take().unwrap_or_default();
                state.complete = true;
                state.shown.replace(listing)
            }
            Event::Applied(object) => {
                let key = object.key.clone();
                let before = state.shown.claim(&key);
                let gone = state.shown.put(object);
                let after = state.shown.claim(&key);
                Changes {
                    wakes: state.shown.woken(&key, before, after),
                    gone: gone.into_iter().collect(),
                    listed: false,
                }
            }
            Event::Deleted(object) => {
                let before = state.shown.claim(&object.key);
                let removed = state.shown.remove(&object.key);
                Changes {
                    wakes: state.shown.woken(&object.key, before, None),
                    gone: vec![removed.map_or(object.uid, |old| old.uid).to_string()],
                    listed: false,
                }
            }
        }
    }

    /// The object `key` with the claimants of its package; `None` if there is no such object.
    pub fn look(&self, key: &ObjectKey) -> Option<Look> {
        let state = self.state.lock();
        let object = state.shown.objects.get(key)?.clone();
        let others = if object.may_go() {
            let living = state.shown.living(object.file_id.as_ref());
            let others = living.filter(|other| other.key != *key);
            others.filter_map(Packed::claimant).collect()
        } else {
            Vec::new()
        };
        // The snapshot is unpacked after the lock is released.
        drop(state);
        Some(Look {
            object: Arc::new(object.unpack()),
            others,
            since: object.since,
        })
    }

    /// All objects that name the package `file`.
    pub fn objects_of(&self, file: &FileId) -> Vec<Object> {
        let state = self.state.lock();
        let keys = state.shown.of_file(Some(file));
        let packed: Vec<Box<Packed>> = keys
            .filter_map(|key| state.shown.objects.get(key).cloned())
            .collect();
        drop(state);
        packed.iter().map(|object| object.unpack()).collect()
    }

    /// Uid of the object `key`, if there is one.
    pub fn uid_of(&self, key: &ObjectKey) -> Option<Arc<str>> {
        let state = self.state.lock();
        Some(Arc::clone(&state.shown.objects.get(key)?.uid))
    }

    /// Platform that the object `key` names.
    pub fn platform_of(&self, key: &ObjectKey) -> Option<ObjectKey> {
        self.state.lock().shown.objects.get(key)?.platform.clone()
    }

    /// Keys of all objects, in order.
    pub fn keys(&self) -> Vec<ObjectKey> {
        self.state.lock().shown.keys()
    }

    /// Keys of the objects that name the package `file`.
    pub fn of_file(&self, file: &FileId) -> Vec<ObjectKey> {
        let state = self.state.lock();
        state.shown.of_file(Some(file)).cloned().collect()
    }

    /// Whether the first list was completed.
    pub fn is_complete(&self) -> bool {
        self.state.lock().complete
    }

    /// Number of objects of `platform`, by their state.
    pub fn counts(&self, platform: &ObjectKey) -> PackageCounts {
        let state = self.state.lock();
        let members = state.shown.by_platform.get(platform);
        members.map_or_else(PackageCounts::default, |members| members.counts.clone())
    }

    /// Number of objects in each phase, and number of objects that can't be decoded.
    pub fn phases(&self) -> (HashMap<Phase, usize>, usize) {
        let state = self.state.lock();
        (state.shown.phases.clone(), state.shown.undecodable)
    }
}

#[cfg(test)]
mod tests;
