//! What a GET has shown before the watch did: it counts for everybody, as if the watch had.
//!
//! Otherwise whoever is about to call would be stopped by the GET and, looking again, sent on by the cache,
//! over and over until the watch speaks.
//!
//! The object is read again every 5 s until the watch has caught up. Generations tell which of the two is newer, and resource
//! versions in the case of a Namespace.

use std::cmp::Ordering;
use std::time::Duration;

use tokio::time::sleep;

use super::Directory;
use super::directory::DirectoryView;
use super::namespace::Namespace;
use super::object::PlatformObject;
use super::reads::{NewerRead, PlatformRead, ReadSubject};
use crate::api::names::ObjectKey;

/// A watch that hasn't shown what a GET has may not show the end of it either: so long until the next GET.
const PAUSE: Duration = Duration::from_secs(5);

impl Directory {
    /// Hands a read on to the keeper where it is newer than what is known of the same object.
    pub(super) fn overtake(&self, read: NewerRead) {
        if !self.view().is_overtaken_by(&read) {
            return;
        }
        self.overtaken.add(read);
    }

    /// Waits for such reads.
    pub(super) async fn newer(&self) -> Vec<NewerRead> {
        self.overtaken.taken().await
    }

    /// Reads again and again what a watch has not shown yet as a GET has.
    pub(super) async fn follow_overtaken(&self) -> ! {
        loop {
            sleep(PAUSE).await;
            let behind: Vec<ReadSubject> = self.view().overtaken.iter().cloned().collect();
            for subject in behind {
                // One that fails says nothing new; whoever is about to call is told.
                match subject {
                    ReadSubject::Platform(key) => drop(self.read_platform(&key).await),
                    ReadSubject::Namespace(name) => drop(self.read_namespace(&name).await),
                }
            }
        }
    }
}

impl DirectoryView {
    /// Whether `read` is newer than what is known of the same object.
    pub(super) fn is_overtaken_by(&self, read: &NewerRead) -> bool {
        match read {
            NewerRead::Platform(_, PlatformRead::Found(read)) => {
                self.compare_platform(read) == Some(Ordering::Less)
            }
            NewerRead::Platform(key, PlatformRead::Gone { uid }) => {
                uid.is_some() && self.uid(key) == uid.as_deref()
            }
            NewerRead::Namespace(name, read) => {
                self.compare_namespace(name, read) == Some(Ordering::Less)
            }
        }
    }

    /// Whether a newer version than `shown` is known of the same Platform.
    pub(super) fn knows_newer(&self, shown: &PlatformObject) -> bool {
        self.compare_platform(shown) == Some(Ordering::Greater)
    }

    /// The same for a Namespace.
    pub(super) fn knows_newer_namespace(&self, name: &str, shown: &Namespace) -> bool {
        self.compare_namespace(name, shown) == Some(Ordering::Greater)
    }

    /// The uid of the Platform that is known by this key.
    pub(super) fn uid(&self, key: &ObjectKey) -> Option<&str> {
        Some(&self.platforms.get(key)?.object.uid)
    }

    /// With each change of its spec, and with its deletion, the generation of an object grows.
    fn compare_platform(&self, other: &PlatformObject) -> Option<Ordering> {
        let known = &self.platforms.get(&other.key)?.object;
        (known.uid == other.uid).then(|| known.generation.cmp(&other.generation))
    }

    /// A Namespace has no generation, but its versions grow (KEP-5504).
    fn compare_namespace(&self, name: &str, other: &Namespace) -> Option<Ordering> {
        Some(self.namespaces.get(name)?.version?.cmp(&other.version?))
    }
}
