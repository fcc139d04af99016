//! The cache of every `Platform` and Namespace, and its resolution for one object.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::{Notify, SetOnce};

use super::credentials::PlatformWord;
use super::namespace::Namespace;
use super::object::PlatformObject;
use super::reads::{Overtaken, ReadSubject, SharedReads};
use super::{Resolution, Usable};
use crate::api::names::ObjectKey;
use crate::remote::client::Connection;
use crate::session::{CredentialId, Session, SessionKey};
use crate::sight::Sight;

/// The cache of every `Platform`, Namespace and named Secret.
///
/// [`super::run`] fills the directory from its watches; all other tasks only read it.
pub struct Directory {
    pub(super) reads: SharedReads,
    pub(super) sight: Arc<Sight>,
    pub(super) overtaken: Overtaken,
    view: RwLock<DirectoryView>,
    listed: SetOnce<()>,
    /// Notified when a status may have to be written at once.
    pub(super) status_due: Arc<Notify>,
}

/// The cached Platforms and Namespaces.
#[derive(Default)]
pub(super) struct DirectoryView {
    pub platforms_listed: bool,
    pub namespaces_listed: bool,
    pub platforms: BTreeMap<ObjectKey, PlatformEntry>,
    pub namespaces: HashMap<String, Namespace>,
    /// The objects of which a GET has shown a newer version than the watch.
    pub overtaken: BTreeSet<ReadSubject>,
    /// The Platforms whose finalizer can't be changed, with reason and message.
    pub finalizers_refused: HashMap<ObjectKey, PlatformWord>,
}

/// One `Platform` and the result of evaluating it.
pub(super) struct PlatformEntry {
    pub object: PlatformObject,
    pub access: Access,
    pub revision: u64,
    /// Whether the present credential or an earlier one was tried. The flag stays set, however often the Secret
    /// changes.
    pub tried: bool,
}

/// Whether calls can be made over a `Platform`.
#[derive(Clone)]
pub(super) enum Access {
    /// A Secret has not been read yet.
    Unread,
    /// Calls can't be made, with reason and message.
    Refused(PlatformWord),
    /// Calls can be made.
    Granted(Grant),
}

/// The membership of a `Platform` in its session.
#[derive(Clone)]
pub(super) struct Grant {
    pub key: SessionKey,
    pub session: Arc<Session>,
    pub connection: Arc<Connection>,
    pub credential: CredentialId,
    /// Whether the credential is a login; otherwise it is a token.
    pub logs_in: bool,
    /// The fault of a Secret, while its last good contents are still used.
    pub last_good: Option<PlatformWord>,
}

impl Directory {
    /// An empty directory. `client` serves the reads of [`Self::confirm`].
    pub fn new(client: kube::Client, sight: Arc<Sight>) -> Arc<Self> {
        Arc::new(Self {
            reads: SharedReads::new(client, Arc::clone(&sight)),
            sight,
            overtaken: Overtaken::default(),
            view: RwLock::default(),
            listed: SetOnce::new(),
            status_due: Arc::default(),
        })
    }

    /// The resolution of `platform` for an object in `namespace`, from the caches.
    pub fn resolve(&self, platform: &ObjectKey, namespace: &str) -> Resolution {
        self.view().resolve(platform, namespace)
    }

    /// The signal by which other tasks ask for statuses to be written at once.
    pub fn status_due(&self) -> Arc<Notify> {
        Arc::clone(&self.status_due)
    }

    /// Whether the namespace is being deleted, by the cache.
    pub fn is_terminating(&self, namespace: &str) -> bool {
        self.view()
            .namespaces
            .get(namespace)
            .is_some_and(|found| found.terminating)
    }

    /// Waits until Platforms and Namespaces have been listed once; from then on a `Platform` that is not in the
    /// directory doesn't exist. Its Secrets may still be unread.
    pub async fn listed(&self) {
        self.listed.wait().await;
    }

    /// Waits until no `Platform` has an unread Secret, so that each is known to be usable or not.
    pub(super) async fn assessed(&self) {
        self.listed().await;
        let unread = |entry: &PlatformEntry| matches!(entry.access, Access::Unread);
        while self.view().platforms.values().any(unread) {
            self.status_due.notified().await;
        }
    }

    /// The `Platform`s over which calls can be made for the application and endpoint of `key`.
    pub fn of_application(&self, key: &SessionKey) -> Vec<ObjectKey> {
        let is_of = |(_, entry): &(&ObjectKey, &PlatformEntry)| matches!(&entry.access, Access::Granted(grant) if grant.key == *key);
        let view = self.view();
        let platforms = view.platforms.iter().filter(is_of);
        platforms.map(|(platform, _)| platform.clone()).collect()
    }

    /// Every `Platform`, with its session where calls can be made, for metrics.
    pub fn platforms(&self) -> Vec<(ObjectKey, Option<Usable>)> {
        let view = self.view();
        let usable = |(key, entry): (&ObjectKey, &PlatformEntry)| (key.clone(), entry.usable());
        view.platforms.iter().map(usable).collect()
    }

    /// The uid of a `Platform` in the directory.
    pub fn uid(&self, platform: &ObjectKey) -> Option<String> {
        self.view().uid(platform).map(str::to_owned)
    }

    pub(super) fn view(&self) -> RwLockReadGuard<'_, DirectoryView> {
        self.view.read()
    }

    /// Changes the directory, then notifies the tasks that wait for the first lists or for statuses.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut DirectoryView) -> T) -> T {
        let changed = change(&mut self.view_mut());
        let view = self.view();
        if view.platforms_listed && view.namespaces_listed {
            // Setting it a second time fails, which is no error.
            let _ = self.listed.set(());
        }
        self.status_due.notify_one();
        changed
    }

    /// Records the Platforms whose finalizer can't be changed. No task is notified, since each object that waits for
    /// such a Platform looks again by itself.
    pub(super) fn finalizers_refused(&self, refused: HashMap<ObjectKey, PlatformWord>) {
        if self.view().finalizers_refused != refused {
            self.view_mut().finalizers_refused = refused;
        }
    }

    /// Records a status that was just written, so that the next status isn't computed from an older status before the
    /// echo arrives. No task is notified.
    pub(super) fn status_written(&self, object: PlatformObject) {
        if let Some(entry) = self.view_mut().platforms.get_mut(&object.key)
            && entry.object.uid == object.uid
        {
            entry.object.status = object.status;
            entry.object.beside = object.beside;
            entry.object.resource_version = object.resource_version;
        }
    }

    fn view_mut(&self) -> RwLockWriteGuard<'_, DirectoryView> {
        self.view.write()
    }
}

impl DirectoryView {
    pub(super) fn resolve(&self, platform: &ObjectKey, namespace: &str) -> Resolution {
        if !(self.platforms_listed && self.namespaces_listed) {
            return Resolution::Unread;
        }
        let Some(entry) = self.platforms.get(platform) else {
            return Resolution::NotFound;
        };
        let home = self.namespaces.get(&*platform.namespace);
        let ending = home.is_some_and(|home| home.terminating);
        let wanted = match &entry.object.wanted {
            Ok(wanted) => wanted,
            Err(fault) => {
                return Resolution::Unusable {
                    reason: entry.object.undecodable(),
                    message: fault.to_string(),
                    ending,
                };
            }
        };
        let labels = self.namespaces.get(namespace).map(|found| &found.labels);
        match wanted
            .allowed
            .admits(&platform.namespace, namespace, labels)
        {
            Some(true) => match self.finalizers_refused.get(platform) {
                Some(refusal) if !entry.object.in_use => refusal.resolution(ending),
                Some(_) | None => entry.resolution(ending),
            },
            Some(false) => Resolution::NotAllowed,
            None => Resolution::Unread,
        }
    }
}

impl PlatformWord {
    fn resolution(&self, ending: bool) -> Resolution {
        Resolution::Unusable {
            reason: self.reason,
            message: self.message.clone(),
            ending,
        }
    }
}

impl PlatformEntry {
    fn resolution(&self, ending: bool) -> Resolution {
        // No object may rely on a Platform without our finalizer, since that Platform could vanish at any time.
        if !self.object.in_use && self.object.deleted_at.is_none() {
            return Resolution::Unread;
        }
        match (&self.access, self.usable()) {
            (_, Some(usable)) => Resolution::Usable(usable),
            (Access::Refused(refusal), None) => refusal.resolution(ending),
            (Access::Unread | Access::Granted(_), None) => Resolution::Unread,
        }
    }

    fn usable(&self) -> Option<Usable> {
        let (Access::Granted(grant), Ok(wanted)) = (&self.access, &self.object.wanted) else {
            return None;
        };
        let last_good = grant.last_good.as_ref();
        Some(Usable {
            logs_in: grant.logs_in,
            app_id: grant.key.app_id.clone(),
            session: Arc::clone(&grant.session),
            connection: Arc::clone(&grant.connection),
            credential: grant.credential.clone(),
            tried: self.tried,
            mode: wanted.spec.mode,
            inventory: wanted.spec.inventory.interval(),
            revision: self.revision,
            last_good: last_good.map(|refusal| (refusal.reason, refusal.message.clone())),
            grace: wanted.spec.guard.grace_period(),
            accepts: self.object.deleted_at.is_none(),
        })
    }
}
