//! What a GET has shown of a Platform before the watch did: it counts for everybody, as if the watch had.
//!
//! Otherwise whoever is about to call would be stopped by the GET and, looking again, sent on by the cache,
//! over and over until the watch speaks.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use super::Directory;
use super::directory::View;
use super::object::Object;
use crate::api::names::ObjectKey;

/// A watch that hasn't shown what a GET has may not show the end of it either: so long until the next GET.
const PAUSE: Duration = Duration::from_secs(5);

/// Reads that are newer than what is known.
#[derive(Default)]
pub(super) struct Overtaken {
    reads: Mutex<HashMap<ObjectKey, Arc<Object>>>,
    added: Notify,
}

impl Directory {
    /// Hands a read on to the keeper where it is newer than what is known of the same Platform.
    pub(super) fn overtake(&self, read: &Arc<Object>) {
        if !self.view().is_overtaken_by(read) {
            return;
        }
        self.overtaken
            .lock()
            .insert(read.key.clone(), Arc::clone(read));
        self.overtaken.added.notify_one();
    }

    /// Waits for such reads.
    pub(super) async fn newer(&self) -> Vec<Object> {
        loop {
            let reads = std::mem::take(&mut *self.overtaken.lock());
            if !reads.is_empty() {
                return reads.into_values().map(Arc::unwrap_or_clone).collect();
            }
            self.overtaken.added.notified().await;
        }
    }

    /// Reads each Platform again and again of which the watch has not shown yet what a GET has.
    pub(super) async fn follow_overtaken(&self) -> ! {
        loop {
            sleep(PAUSE).await;
            let behind: Vec<ObjectKey> = self.view().overtaken.iter().cloned().collect();
            for key in behind {
                // One that fails or is gone says nothing new; whoever is about to call is told.
                if let Ok(Some(read)) = self.reads.platform(&key).await {
                    self.overtake(&read);
                }
            }
        }
    }
}

impl Overtaken {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ObjectKey, Arc<Object>>> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl View {
    /// Whether `read` is of a known Platform and newer.
    pub(super) fn is_overtaken_by(&self, read: &Object) -> bool {
        self.compare(read) == Some(Ordering::Less)
    }

    /// Whether `shown` is of a known Platform and older.
    pub(super) fn is_newer_than(&self, shown: &Object) -> bool {
        self.compare(shown) == Some(Ordering::Greater)
    }

    /// With each change of its spec, and with its deletion, the generation of an object grows.
    fn compare(&self, other: &Object) -> Option<Ordering> {
        let known = &self.platforms.get(&other.key)?.object;
        (known.uid == other.uid).then(|| known.generation.cmp(&other.generation))
    }
}
