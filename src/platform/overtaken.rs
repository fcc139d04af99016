//! A GET that shows a newer version than the watch updates the directory for all objects.
//!
//! Otherwise an object would be looked at again and again until the watch catches up: the GET stops the object before
//! its call, the object is looked at again, and the stale cache lets the object go on to the next GET.
//!
//! The overtaken Platform or Namespace is read again every 5 s until the watch has caught up. Versions of a Platform
//! are compared by generation, versions of a Namespace by resource version.

use std::cmp::Ordering;
use std::time::Duration;

use tokio::time::sleep;

use super::Directory;
use super::directory::DirectoryView;
use super::namespace::Namespace;
use super::object::PlatformObject;
use super::reads::{NewerRead, PlatformRead, ReadSubject};
use crate::api::names::ObjectKey;

/// Interval between two GETs of an overtaken object. The watch may miss the end of the object too, so that only a GET
/// shows it.
const PAUSE: Duration = Duration::from_secs(5);

impl Directory {
    /// Hands a read on to the keeper if the read is newer than the directory's version of the object.
    pub(super) fn overtake(&self, read: NewerRead) {
        if !self.view().is_overtaken_by(&read) {
            return;
        }
        self.overtaken.add(read);
    }

    /// Waits for reads that are newer than the directory, and takes them.
    pub(super) async fn newer(&self) -> Vec<NewerRead> {
        self.overtaken.taken().await
    }

    /// Reads the overtaken objects every 5 s, until the watch has caught up with each.
    pub(super) async fn follow_overtaken(&self) -> ! {
        loop {
            sleep(PAUSE).await;
            let behind: Vec<ReadSubject> = self.view().overtaken.iter().cloned().collect();
            for subject in behind {
                // A failed read changes nothing here. The pass that is about to make a call gets the error from its own
                // read.
                match subject {
                    ReadSubject::Platform(key) => drop(self.read_platform(&key).await),
                    ReadSubject::Namespace(name) => drop(self.read_namespace(&name).await),
                }
            }
        }
    }
}

impl DirectoryView {
    /// Whether `read` is newer than the directory's version of the same object.
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

    /// Whether the directory holds a newer version of this Platform than `shown`.
    pub(super) fn knows_newer(&self, shown: &PlatformObject) -> bool {
        self.compare_platform(shown) == Some(Ordering::Greater)
    }

    /// Whether the directory holds a newer version of this Namespace than `shown`.
    pub(super) fn knows_newer_namespace(&self, name: &str, shown: &Namespace) -> bool {
        self.compare_namespace(name, shown) == Some(Ordering::Greater)
    }

    /// The uid of the Platform of this key in the directory.
    pub(super) fn uid(&self, key: &ObjectKey) -> Option<&str> {
        Some(&self.platforms.get(key)?.object.uid)
    }

    /// Compares generations: the generation grows with each change of the spec, and with the deletion.
    fn compare_platform(&self, other: &PlatformObject) -> Option<Ordering> {
        let known = &self.platforms.get(&other.key)?.object;
        (known.uid == other.uid).then(|| known.generation.cmp(&other.generation))
    }

    /// Compares resource versions: a Namespace has no generation, but its resource versions grow (KEP-5504).
    fn compare_namespace(&self, name: &str, other: &Namespace) -> Option<Ordering> {
        Some(self.namespaces.get(name)?.version?.cmp(&other.version?))
    }
}
