//! The last look before a permit is used: a GET of the Platform, and of the Namespace where a
//! selector asks, so that the emergency stop needs no healthy watch.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Resource;
use kube::api::{Api, ApiResource, GetParams};
use kube::core::Request;
use tokio::time::{Instant, timeout};

use super::elsewhere::SecretRead;
use super::object::{Object, Wanted};
use super::overtaken::{PlatformRead, Read};
use super::{Directory, Resolution, Usable, directory};
use crate::api::names::ObjectKey;
use crate::api::platform::{Mode, Platform};
use crate::follow::words;
use crate::raw::Raw;
use crate::schemas;
use crate::sight::{Compared, Kind, Sight};

/// How old a read may be, from the moment it began to the moment it is asked for.
const FRESH: Duration = Duration::from_millis(500);
/// How old it may be when it comes to be acted on.
pub const LASTS: Duration = Duration::from_secs(1);
/// How long one read may take.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// The latest reads.
pub(super) struct Reads {
    client: kube::Client,
    sight: Arc<Sight>,
    platforms: Shared<ObjectKey, PlatformRead>,
    namespaces: Shared<String, Option<Arc<directory::Namespace>>>,
    pub(super) secrets: Shared<ObjectKey, SecretRead>,
    definitions: Shared<Kind, Compared>,
}

impl Directory {
    /// The same as [`Self::resolve`], with the Platform (and the Namespace, where a selector asks)
    /// read by a GET that began no longer than a second ago; one GET serves all who ask soon after it.
    ///
    /// Of mode and allowed namespaces the stricter of read and cache counts, since either may be
    /// the newer one; a newer read becomes known to everybody. Where the caches already say that no
    /// call can be made, nothing is read.
    ///
    /// # Errors
    /// When they can't be read, or not soon enough, or differ from what the caches hold in anything but mode and allowed
    /// namespaces; the text says what is in the way. Then no permit may be used.
    pub async fn confirm(
        &self,
        platform: &ObjectKey,
        namespace: &str,
    ) -> Result<Resolution, String> {
        if !matches!(self.resolve(platform, namespace), Resolution::Usable(_)) {
            return Ok(self.resolve(platform, namespace));
        }
        let not_shown = || {
            format!("Platform {platform} has just been changed, and the watch has not shown it yet")
        };
        let (defined, read) =
            tokio::join!(self.confirm_definitions(), self.read_platform(platform));
        let defined = defined?;
        let (read, begun) = read?;
        let begun = begun.min(defined);
        let read = match read {
            PlatformRead::Found(read) => read,
            PlatformRead::Gone { uid } if self.view().uid(platform) == uid.as_deref() => {
                return Ok(Resolution::NotFound);
            }
            // One was created since.
            PlatformRead::Gone { .. } => return Err(not_shown()),
        };
        let wanted = read.wanted.as_ref().map_err(Clone::clone)?;
        let (labels, begun) = if wanted.allowed.needs_labels() {
            match self.read_namespace(namespace).await? {
                (Some(read), other) => (Some(read), begun.min(other)),
                (None, _) => return Ok(Resolution::NotAllowed),
            }
        } else {
            (None, begun)
        };
        if begun.elapsed() > LASTS {
            return Err(format!(
                "the API server took so long to show Platform {platform} and the namespace that either may have changed since"
            ));
        }

        // Asked anew after the reads: the caches may have moved on meanwhile.
        let view = self.view();
        let Resolution::Usable(cached) = view.resolve(platform, namespace) else {
            return Ok(view.resolve(platform, namespace));
        };
        let agrees = view
            .platforms
            .get(platform)
            .is_some_and(|entry| same_but_for_permission(&entry.object, &read));
        if !agrees {
            return Err(not_shown());
        }
        let labels = labels.as_ref().map(|read| &read.labels);
        match wanted
            .allowed
            .admits(&platform.namespace, namespace, labels)
        {
            Some(true) => Ok(Resolution::Usable(Usable {
                mode: stricter(cached.mode, wanted.spec.mode),
                ..cached
            })),
            Some(false) | None => Ok(Resolution::NotAllowed),
        }
    }

    /// Reads both definitions, or what a read not older than half a second has shown of them; tells when that began.
    ///
    /// # Errors
    /// When one can't be read, or is not the version that was compared with this binary.
    async fn confirm_definitions(&self) -> Result<Instant, String> {
        let [packages, platforms] = Kind::DEFINITIONS.map(|kind| async move {
            let (read, begun) = self.reads.definition(kind).await?;
            match self.sight.compared(kind) {
                Some(compared) if compared == read => Ok(begun),
                _ => Err(
                    "a CustomResourceDefinition has just been changed, and it is not known yet whether it has all fields".to_owned(),
                ),
            }
        });
        let (packages, platforms) = tokio::join!(packages, platforms);
        Ok(packages?.min(platforms?))
    }

    /// Whether `platform` really allows no objects of `namespace`, by GETs of both that are not older than half a second, and
    /// when the first of them began. What they show becomes known to everybody.
    ///
    /// # Errors
    /// When they can't be read; the text says what is in the way.
    pub async fn confirm_refusal(
        &self,
        platform: &ObjectKey,
        namespace: &str,
    ) -> Result<(bool, Instant), String> {
        let (read, begun) = self.read_platform(platform).await?;
        let PlatformRead::Found(read) = read else {
            return Ok((false, begun));
        };
        let Ok(wanted) = &read.wanted else {
            return Ok((false, begun));
        };
        let (labels, begun) = if wanted.allowed.needs_labels() {
            let (labels, other) = self.read_namespace(namespace).await?;
            (labels, begun.min(other))
        } else {
            (None, begun)
        };
        let labels = labels.as_ref().map(|read| &read.labels);
        let admitted = wanted
            .allowed
            .admits(&platform.namespace, namespace, labels);
        Ok((admitted == Some(false), begun))
    }

    /// Reads a Platform, and tells when that began; one that is newer than what is known becomes known to everybody.
    pub(super) async fn read_platform(
        &self,
        key: &ObjectKey,
    ) -> Result<(PlatformRead, Instant), String> {
        let uid = || self.view().uid(key).map(str::to_owned);
        let (read, begun) = self.reads.platform(key, uid).await?;
        self.overtake(Read::Platform(key.clone(), read.clone()));
        Ok((read, begun))
    }

    /// The same for a Namespace.
    pub(super) async fn read_namespace(
        &self,
        name: &str,
    ) -> Result<(Option<Arc<directory::Namespace>>, Instant), String> {
        let (read, begun) = self.reads.namespace(name).await?;
        if let Some(read) = &read {
            self.overtake(Read::Namespace(name.to_owned(), Arc::clone(read)));
        }
        Ok((read, begun))
    }
}

fn stricter(a: Mode, b: Mode) -> Mode {
    match (a, b) {
        (Mode::Enforce, Mode::Enforce) => Mode::Enforce,
        (Mode::Observe, _) | (_, Mode::Observe) => Mode::Observe,
    }
}

fn same_but_for_permission(cached: &Object, read: &Object) -> bool {
    let (Ok(a), Ok(b)) = (&cached.wanted, &read.wanted) else {
        return false;
    };
    let rest = |wanted: &Wanted| {
        let mut spec = wanted.spec.clone();
        spec.mode = Mode::default();
        spec.allowed_namespaces = crate::api::platform::AllowedNamespaces::default();
        spec
    };
    cached.uid == read.uid && cached.deleted_at == read.deleted_at && rest(a) == rest(b)
}

impl Reads {
    pub(super) fn new(client: kube::Client, sight: Arc<Sight>) -> Self {
        Self {
            client,
            sight,
            platforms: Shared::default(),
            namespaces: Shared::default(),
            secrets: Shared::default(),
            definitions: Shared::default(),
        }
    }

    pub(super) fn client(&self) -> &kube::Client {
        &self.client
    }

    /// Which version of a definition is served: its metadata, and nothing else.
    async fn definition(&self, kind: Kind) -> Result<(Compared, Instant), String> {
        let get = async {
            let name = schemas::name(kind).ok_or("there is no such definition")?;
            let url = CustomResourceDefinition::url_path(&(), None);
            let request = Request::new(url).get_metadata(name, &GetParams::default());
            let request = request.map_err(|error| error.to_string())?;
            match timeout(READ_TIMEOUT, self.client.request::<Raw>(request)).await {
                Ok(Ok(found)) => Ok(schemas::compared_version(&found)),
                Ok(Err(error)) => Err(format!("{name} can't be read: {}", words(&error))),
                Err(_) => Err(format!("{name} can't be read: no answer in time")),
            }
        };
        self.definitions.read(&kind, get).await
    }

    /// `uid` is asked as the GET begins: whom it is about if it finds none.
    async fn platform(
        &self,
        key: &ObjectKey,
        uid: impl FnOnce() -> Option<String>,
    ) -> Result<(PlatformRead, Instant), String> {
        let kind = ApiResource::erase::<Platform>(&());
        let api: Api<Raw> = Api::namespaced_with(self.client.clone(), &key.namespace, &kind);
        let get = async {
            let uid = uid();
            match timeout(READ_TIMEOUT, api.get_opt(&key.name)).await {
                Ok(Ok(Some(found))) => {
                    let found = Object::judged(found, &self.sight, false);
                    Ok(PlatformRead::Found(Arc::new(found)))
                }
                Ok(Ok(None)) => Ok(PlatformRead::Gone { uid }),
                Ok(Err(error)) => Err(format!("Platform {key} can't be read: {}", words(&error))),
                Err(_) => Err(format!("Platform {key} can't be read: no answer in time")),
            }
        };
        self.platforms.read(key, get).await
    }

    async fn namespace(
        &self,
        name: &str,
    ) -> Result<(Option<Arc<directory::Namespace>>, Instant), String> {
        let kind = ApiResource::erase::<Namespace>(&());
        let api: Api<Raw> = Api::all_with(self.client.clone(), &kind);
        let get = async {
            match timeout(READ_TIMEOUT, api.get_opt(name)).await {
                Ok(Ok(found)) => Ok(found.map(|object| Arc::new(object.metadata.into()))),
                Ok(Err(error)) => Err(format!("Namespace {name} can't be read: {}", words(&error))),
                Err(_) => Err(format!("Namespace {name} can't be read: no answer in time")),
            }
        };
        self.namespaces.read(&name.to_owned(), get).await
    }
}

/// Reads by key, one at a time for each, shared by all who ask within [`FRESH`] of its beginning.
pub(super) struct Shared<K, T>(Mutex<HashMap<K, Arc<Slot<T>>>>);

type Slot<T> = tokio::sync::Mutex<Option<Last<T>>>;

struct Last<T> {
    begun: Instant,
    result: Result<T, String>,
}

impl<K, T> Default for Shared<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash, T: Clone> Shared<K, T> {
    /// A read that began at most [`FRESH`] before this was called, and when it did. A failure is shared like a success,
    /// so that an API server that doesn't answer costs one time-out and not one for each who waits.
    pub(super) async fn read(
        &self,
        key: &K,
        get: impl Future<Output = Result<T, String>>,
    ) -> Result<(T, Instant), String> {
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
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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

#[cfg(test)]
mod tests;
