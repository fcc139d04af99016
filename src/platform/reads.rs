//! Reads of single objects that are not older than half a second, each shared by all who ask for it meanwhile; and those that
//! have shown more than the watch.

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

/// How old a read may be, from the moment it began to the moment it is asked for.
pub(super) const FRESH: Duration = Duration::from_millis(500);
/// How long one read may take.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// What is read before a call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ReadSubject {
    Platform(ObjectKey),
    Namespace(String),
}

/// What a GET has shown.
pub(super) enum NewerRead {
    Platform(ObjectKey, PlatformRead),
    Namespace(String, Arc<Namespace>),
}

/// What a GET has shown of a Platform.
#[derive(Clone)]
pub(super) enum PlatformRead {
    Found(Arc<PlatformObject>),
    /// None, where one of this uid was known when the GET began.
    Gone {
        uid: Option<String>,
    },
}

/// Reads that are newer than what is known.
#[derive(Default)]
pub(super) struct Overtaken {
    reads: Mutex<BTreeMap<ReadSubject, NewerRead>>,
    added: Notify,
}

impl Overtaken {
    /// Takes the place of an earlier read of the same object.
    pub(super) fn add(&self, read: NewerRead) {
        self.lock().insert(read.subject(), read);
        self.added.notify_one();
    }

    /// Waits until there are some, and takes them.
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

/// What is shared by all who ask for a Secret soon after each other.
pub(super) type SecretRead = Arc<Option<SecretData>>;

/// The latest reads.
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

    /// Which version of a definition is served: its metadata, and nothing else.
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

    /// `uid` is asked as the GET begins: whom it is about if it finds none.
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

/// What a read has shown in time; `what` names what was read.
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

/// Reads by key, one at a time for each, shared by all who ask within [`FRESH`] of its beginning.
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
    /// A read that began at most [`FRESH`] before this was called, and when it did. A failure is shared like a success,
    /// so that an API server that doesn't answer costs one time-out and not one for each who waits.
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
        // A new key is the moment to forget those that nobody waits for and whose read is old.
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
