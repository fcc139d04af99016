//! Cached GETs of single objects: one GET serves all readers within half a second. Reads that are newer than the
//! watch are kept here for the keeper.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Resource;
use kube::api::GetParams;
use kube::core::Request;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout};

use super::credentials::SecretData;
use super::namespace::Namespace;
use super::object::PlatformObject;
use super::unconfirmed::Unconfirmed;
use crate::api::names::ObjectKey;
use crate::api::platform::Platform;
use crate::kube_error::words;
use crate::raw::Raw;
use crate::schemas;
use crate::sight::{Compared, Sight, WatchKind};

/// Highest age of a shared read, from the start of its GET to the request for it.
pub(super) const FRESH: Duration = Duration::from_millis(500);
/// Timeout of one GET.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// An object that is read before a call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ReadSubject {
    Platform(ObjectKey),
    Namespace(String),
}

/// The result of a GET that may be newer than the watch.
pub(super) enum NewerRead {
    Platform(ObjectKey, PlatformRead),
    Namespace(String, Arc<Namespace>),
}

/// The result of a GET of a Platform.
#[derive(Clone)]
pub(super) enum PlatformRead {
    Found(Arc<PlatformObject>),
    /// No Platform was found; `uid` is the one that the directory held for this key when the GET began.
    Gone {
        uid: Option<String>,
    },
}

/// Reads that are newer than the directory, at most one for each object.
#[derive(Default)]
pub(super) struct Overtaken {
    reads: Mutex<BTreeMap<ReadSubject, NewerRead>>,
    added: Notify,
}

impl Overtaken {
    /// Adds a read, in place of an earlier read of the same object.
    pub(super) fn add(&self, read: NewerRead) {
        self.lock().insert(read.subject(), read);
        self.added.notify_one();
    }

    /// Waits until there are reads, and takes all of them.
    pub(super) async fn taken(&self) -> Vec<NewerRead> {
        loop {
            let reads = std::mem::take(&mut *self.lock());
            if !reads.is_empty() {
                return reads.into_values().collect();
            }
            self.added.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ReadSubject, NewerRead>> {
        self.reads.lock()
    }
}

impl NewerRead {
    pub(super) fn subject(&self) -> ReadSubject {
        match self {
            Self::Platform(key, _) => ReadSubject::Platform(key.clone()),
            Self::Namespace(name, _) => ReadSubject::Namespace(name.clone()),
        }
    }
}

/// The contents of a Secret, shared by all readers; `None` if the Secret does not exist.
pub(super) type SecretRead = Arc<Option<SecretData>>;

/// The latest read of each Platform, Namespace, Secret and definition.
pub(super) struct SharedReads {
    client: kube::Client,
    sight: Arc<Sight>,
    platforms: SharedRead<ObjectKey, PlatformRead>,
    namespaces: SharedRead<String, Option<Arc<Namespace>>>,
    pub(super) secrets: SharedRead<ObjectKey, SecretRead>,
    definitions: SharedRead<WatchKind, Compared>,
}

impl SharedReads {
    pub(super) fn new(client: kube::Client, sight: Arc<Sight>) -> Self {
        Self {
            client,
            sight,
            platforms: SharedRead::default(),
            namespaces: SharedRead::default(),
            secrets: SharedRead::default(),
            definitions: SharedRead::default(),
        }
    }

    pub(super) fn client(&self) -> &kube::Client {
        &self.client
    }

    /// Reads the version of a served definition, by a GET of its metadata only.
    pub(super) async fn definition(
        &self,
        kind: WatchKind,
    ) -> Result<(Compared, Instant), Unconfirmed> {
        let get = async {
            let none = || Unconfirmed::Request("there is no such definition".to_owned());
            let name = schemas::name(kind).ok_or_else(none)?;
            let url = CustomResourceDefinition::url_path(&(), None);
            let request = Request::new(url).get_metadata(name, &GetParams::default());
            let request = request.map_err(|error| Unconfirmed::Request(error.to_string()))?;
            let read = timeout(READ_TIMEOUT, self.client.request::<Raw>(request)).await;
            let found = shown(read, || name.to_owned())?;
            Ok(schemas::compared_version(&found))
        };
        self.definitions.read(&kind, get).await
    }

    /// Reads a Platform. `uid` is called as the GET begins; a GET that finds nothing refers to the Platform of that
    /// uid.
    pub(super) async fn platform(
        &self,
        key: &ObjectKey,
        uid: impl FnOnce() -> Option<String>,
    ) -> Result<(PlatformRead, Instant), Unconfirmed> {
        let api = Raw::namespaced::<Platform>(self.client.clone(), &key.namespace);
        let get = async {
            let uid = uid();
            let read = timeout(READ_TIMEOUT, api.get_opt(&key.name)).await;
            let found = shown(read, || format!("Platform {key}"))?;
            Ok(match found {
                Some(found) => {
                    let found = PlatformObject::judged(found, &self.sight, false);
                    PlatformRead::Found(Arc::new(found))
                }
                None => PlatformRead::Gone { uid },
            })
        };
        self.platforms.read(key, get).await
    }

    pub(super) async fn namespace(
        &self,
        name: &str,
    ) -> Result<(Option<Arc<Namespace>>, Instant), Unconfirmed> {
        let api = Raw::all::<v1::Namespace>(self.client.clone());
        let get = async {
            let read = timeout(READ_TIMEOUT, api.get_opt(name)).await;
            let found = shown(read, || format!("Namespace {name}"))?;
            Ok(found.map(|object| Arc::new(object.metadata.into())))
        };
        self.namespaces.read(&name.to_owned(), get).await
    }
}

/// Turns the result of a read into a value or [`Unconfirmed`]; `what` names the object in the error.
fn shown<T>(
    read: Result<kube::Result<T>, Elapsed>,
    what: impl FnOnce() -> String,
) -> Result<T, Unconfirmed> {
    let why = match read {
        Ok(Ok(found)) => return Ok(found),
        Ok(Err(error)) => words(&error),
        Err(_) => "no answer in time".to_owned(),
    };
    Err(Unconfirmed::Unreadable { what: what(), why })
}

/// Reads by key: one GET at a time for each key, shared by all readers within [`FRESH`] of its start.
pub(super) struct SharedRead<K, T>(Mutex<HashMap<K, Arc<Slot<T>>>>);

type Slot<T> = tokio::sync::Mutex<Option<Last<T>>>;

struct Last<T> {
    begun: Instant,
    result: Result<T, Unconfirmed>,
}

impl<K, T> Default for SharedRead<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash, T: Clone> SharedRead<K, T> {
    /// Returns a result whose GET began at most [`FRESH`] before this call, and the start of that GET. A failure is
    /// shared as a success is, so that an API server that doesn't answer costs one timeout for all readers together.
    pub(super) async fn read(
        &self,
        key: &K,
        get: impl Future<Output = Result<T, Unconfirmed>>,
    ) -> Result<(T, Instant), Unconfirmed> {
        let asked = Instant::now();
        let slot = self.slot(key);
        let mut last = slot.lock().await;
        let read = match last.take().filter(|read| read.begun + FRESH >= asked) {
            Some(read) => read,
            None => Last {
                begun: Instant::now(),
                result: get.await,
            },
        };
        let result = read.result.clone().map(|value| (value, read.begun));
        *last = Some(read);
        result
    }

    fn slot(&self, key: &K) -> Arc<Slot<T>> {
        let mut slots = self.0.lock();
        if let Some(slot) = slots.get(key) {
            return Arc::clone(slot);
        }
        // A new key is the occasion to drop the slots that have no reader and whose read is old.
        slots.retain(|_, slot| {
            Arc::strong_count(slot) > 1
                || slot
                    .try_lock()
                    .is_ok_and(|last| last.as_ref().is_some_and(|r| r.begun.elapsed() <= FRESH))
        });
        let slot = Arc::new(Slot::new(None));
        slots.insert(key.clone(), Arc::clone(&slot));
        slot
    }
}
