//! The last look before a permit is used: a GET of the Platform, and of the Namespace where a
//! selector asks, so that the emergency stop needs no healthy watch.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ApiResource, DynamicObject};
use tokio::time::{Instant, timeout};

use super::object::{Object, Wanted};
use super::{Directory, Resolution, Usable};
use crate::api::names::ObjectKey;
use crate::api::platform::{Mode, Platform};

/// How old a read may be, from the moment it began to the moment it is asked for.
const FRESH: Duration = Duration::from_secs(1);
/// How long one read may take.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// The reads of the last second.
pub(super) struct Reads {
    client: kube::Client,
    platforms: Shared<ObjectKey, Option<Arc<Object>>>,
    namespaces: Shared<String, Option<Arc<BTreeMap<String, String>>>>,
}

impl Directory {
    /// The same as [`Self::resolve`], with the Platform (and the Namespace, where a selector asks)
    /// read by a GET that is not older than 1 s; one GET serves all who ask within that second.
    ///
    /// Of mode and allowed namespaces the stricter of read and cache counts, since either may be
    /// the newer one. Where the caches already say that no call can be made, nothing is read.
    ///
    /// # Errors
    /// When they can't be read, or differ from what the caches hold in anything but mode and allowed
    /// namespaces; the text says what is in the way. Then no permit may be used.
    pub async fn confirm(
        &self,
        platform: &ObjectKey,
        namespace: &str,
    ) -> Result<Resolution, String> {
        if !matches!(self.resolve(platform, namespace), Resolution::Usable(_)) {
            return Ok(self.resolve(platform, namespace));
        }
        let Some(read) = self.reads.platform(platform).await? else {
            return Ok(Resolution::NotFound);
        };
        let wanted = read.wanted.as_ref().map_err(Clone::clone)?;
        let labels = if wanted.allowed.needs_labels() {
            match self.reads.namespace(namespace).await? {
                Some(labels) => Some(labels),
                None => return Ok(Resolution::NotAllowed),
            }
        } else {
            None
        };

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
            return Err(format!(
                "Platform {platform} has just been changed, and the watch has not shown it yet"
            ));
        }
        match wanted
            .allowed
            .admits(&platform.namespace, namespace, labels.as_deref())
        {
            Some(true) => Ok(Resolution::Usable(Usable {
                mode: stricter(cached.mode, wanted.spec.mode),
                ..cached
            })),
            Some(false) | None => Ok(Resolution::NotAllowed),
        }
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
    pub(super) fn new(client: kube::Client) -> Self {
        Self {
            client,
            platforms: Shared::default(),
            namespaces: Shared::default(),
        }
    }

    async fn platform(&self, key: &ObjectKey) -> Result<Option<Arc<Object>>, String> {
        let kind = ApiResource::erase::<Platform>(&());
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &key.namespace, &kind);
        let get = async {
            match timeout(READ_TIMEOUT, api.get_opt(&key.name)).await {
                Ok(Ok(found)) => Ok(found.map(|object| Arc::new(Object::from(object)))),
                Ok(Err(error)) => Err(format!("Platform {key} can't be read: {error}")),
                Err(_) => Err(format!("Platform {key} can't be read: no answer in time")),
            }
        };
        self.platforms.read(key, get).await
    }

    async fn namespace(&self, name: &str) -> Result<Option<Arc<BTreeMap<String, String>>>, String> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let get = async {
            match timeout(READ_TIMEOUT, api.get_metadata_opt(name)).await {
                Ok(Ok(found)) => {
                    Ok(found.map(|object| Arc::new(object.metadata.labels.unwrap_or_default())))
                }
                Ok(Err(error)) => Err(format!("Namespace {name} can't be read: {error}")),
                Err(_) => Err(format!("Namespace {name} can't be read: no answer in time")),
            }
        };
        self.namespaces.read(&name.to_owned(), get).await
    }
}

/// Reads by key, one at a time for each, shared by all who ask within [`FRESH`] of its beginning.
struct Shared<K, T>(Mutex<HashMap<K, Arc<Slot<T>>>>);

type Slot<T> = tokio::sync::Mutex<Option<Read<T>>>;

struct Read<T> {
    begun: Instant,
    result: Result<T, String>,
}

impl<K, T> Default for Shared<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash, T: Clone> Shared<K, T> {
    /// A read that began at most [`FRESH`] before this was called. A failure is shared like a success,
    /// so that an API server that doesn't answer costs one time-out and not one for each who waits.
    async fn read(
        &self,
        key: &K,
        get: impl Future<Output = Result<T, String>>,
    ) -> Result<T, String> {
        let asked = Instant::now();
        let slot = self.slot(key);
        let mut last = slot.lock().await;
        match &*last {
            Some(read) if read.begun + FRESH >= asked => read.result.clone(),
            _ => {
                let begun = Instant::now();
                let result = get.await;
                *last = Some(Read {
                    begun,
                    result: result.clone(),
                });
                result
            }
        }
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
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::Router;
    use axum::http::{StatusCode, Uri};
    use axum::response::IntoResponse;
    use serde_json::{Value, json};
    use tokio::sync::Semaphore;
    use tokio::time::{advance, sleep};

    use super::super::credentials::tests::secret;
    use super::super::keeper::tests::{Bench, labels};
    use super::super::object::tests::spec;
    use super::*;

    /// An API server with one Platform and one Namespace, which counts what it is asked.
    #[derive(Clone)]
    struct ApiServer(Arc<Inner>);

    struct Inner {
        platform: Mutex<Option<Value>>,
        namespace: Mutex<Option<Value>>,
        asked: AtomicUsize,
        /// Answers wait for a place here.
        gate: Semaphore,
    }

    impl ApiServer {
        fn new(platform: Value) -> Self {
            Self(Arc::new(Inner {
                platform: Mutex::new(Some(platform)),
                namespace: Mutex::new(Some(json!({"metadata": {"name": "fleet"}}))),
                asked: AtomicUsize::new(0),
                gate: Semaphore::new(Semaphore::MAX_PERMITS),
            }))
        }

        fn client(&self) -> kube::Client {
            let inner = Arc::clone(&self.0);
            let answer = move |uri: Uri| {
                let inner = Arc::clone(&inner);
                async move {
                    inner.asked.fetch_add(1, Ordering::SeqCst);
                    let _place = inner.gate.acquire().await.unwrap();
                    let kept = if uri.path().contains("/platforms/") {
                        &inner.platform
                    } else {
                        &inner.namespace
                    };
                    match kept.lock().unwrap().clone() {
                        Some(found) if found == json!("broken") => {
                            (StatusCode::INTERNAL_SERVER_ERROR, String::new()).into_response()
                        }
                        Some(found) => found.to_string().into_response(),
                        None => (
                            StatusCode::NOT_FOUND,
                            json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}).to_string(),
                        )
                            .into_response(),
                    }
                }
            };
            kube::Client::new(Router::new().fallback(answer), "default")
        }

        fn set_platform(&self, platform: Option<Value>) {
            *self.0.platform.lock().unwrap() = platform;
        }

        fn asked(&self) -> usize {
            self.0.asked.load(Ordering::SeqCst)
        }
    }

    fn whole(spec: &Value) -> Value {
        json!({
            "apiVersion": "iodm.dev/v1alpha1", "kind": "Platform",
            "metadata": {"namespace": "iot", "name": "production", "uid": "uid-production", "generation": 3},
            "spec": spec
        })
    }

    fn permissive() -> Value {
        let mut spec = spec();
        spec["allowedNamespaces"] = json!({"from": "All"});
        spec
    }

    /// A directory that knows the Platform with `spec` as usable, before an API server that says the same.
    fn known(spec: &Value) -> (ApiServer, Bench) {
        let server = ApiServer::new(whole(spec));
        let mut bench = Bench::with(server.client());
        bench.list(&[whole(spec)]);
        bench.see("iot-app", secret(&[("appId", "app-1"), ("secret", "s")]));
        (server, bench)
    }

    fn production() -> ObjectKey {
        ObjectKey::new("iot", "production")
    }

    async fn ask(bench: &Bench) -> Result<Resolution, String> {
        bench.directory.confirm(&production(), "fleet").await
    }

    fn mode(confirmed: Result<Resolution, String>) -> Mode {
        match confirmed {
            Ok(Resolution::Usable(usable)) => usable.mode,
            Ok(_) => panic!("not usable"),
            Err(error) => panic!("{error}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_get_serves_all_who_ask_within_a_second_and_no_longer() {
        let (server, bench) = known(&permissive());
        let all = futures::future::join_all((0..50).map(|_| ask(&bench))).await;
        assert!(all.into_iter().all(|one| mode(one) == Mode::Enforce));
        assert_eq!(server.asked(), 1);
        advance(Duration::from_millis(999)).await;
        mode(ask(&bench).await);
        assert_eq!(server.asked(), 1);
        advance(Duration::from_millis(2)).await;
        mode(ask(&bench).await);
        assert_eq!(server.asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_does_not_answer_costs_one_time_out_for_all_who_wait() {
        let (server, bench) = known(&permissive());
        server.0.gate.forget_permits(Semaphore::MAX_PERMITS);
        let begun = Instant::now();
        let all = futures::future::join_all((0..50).map(|_| ask(&bench))).await;
        assert!(all.into_iter().all(|one| {
            one.err()
                .is_some_and(|why| why.contains("no answer in time"))
        }));
        assert_eq!(begun.elapsed().as_secs(), READ_TIMEOUT.as_secs());
        assert_eq!(server.asked(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_emergency_stop_needs_no_watch() {
        let (server, bench) = known(&permissive());
        let mut observing = permissive();
        observing["mode"] = json!("Observe");
        server.set_platform(Some(whole(&observing)));
        assert_eq!(mode(ask(&bench).await), Mode::Observe);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_that_the_watch_shows_counts_before_the_shared_read_is_old() {
        let (_server, mut bench) = known(&permissive());
        assert_eq!(mode(ask(&bench).await), Mode::Enforce);
        let mut observing = permissive();
        observing["mode"] = json!("Observe");
        bench.apply(&whole(&observing));
        assert_eq!(mode(ask(&bench).await), Mode::Observe);
    }

    #[tokio::test(start_paused = true)]
    async fn a_namespace_no_longer_allowed_is_refused_before_the_watch_shows_it() {
        let (server, bench) = known(&permissive());
        server.set_platform(Some(whole(&spec())));
        assert!(matches!(ask(&bench).await, Ok(Resolution::NotAllowed)));
    }

    #[tokio::test(start_paused = true)]
    async fn anything_else_that_differs_gives_the_permit_back() {
        let mut elsewhere = permissive();
        elsewhere["endpoint"] = json!("https://other.example.com");
        let mut recreated = whole(&permissive());
        recreated["metadata"]["uid"] = json!("another");
        let mut leaving = whole(&permissive());
        leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let mut unreadable = permissive();
        unreadable["quota"] = json!(7);
        for other in [
            whole(&elsewhere),
            recreated,
            leaving,
            whole(&unreadable),
            json!("broken"),
        ] {
            let (server, bench) = known(&permissive());
            server.set_platform(Some(other.clone()));
            assert!(ask(&bench).await.is_err(), "{other}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_platform_that_is_gone_is_not_found() {
        let (server, bench) = known(&permissive());
        server.set_platform(None);
        assert!(matches!(ask(&bench).await, Ok(Resolution::NotFound)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_selector_is_asked_with_labels_read_now() {
        let mut selecting = spec();
        selecting["allowedNamespaces"] =
            json!({"from": "Selector", "selector": {"matchLabels": {"team": "a"}}});
        let (server, mut bench) = known(&selecting);
        bench.namespace("fleet", labels(&[("team", "a")]));
        assert!(matches!(ask(&bench).await, Ok(Resolution::NotAllowed)));
        assert_eq!(server.asked(), 2);
        *server.0.namespace.lock().unwrap() =
            Some(json!({"metadata": {"name": "fleet", "labels": {"team": "a"}}}));
        sleep(Duration::from_secs(2)).await;
        assert_eq!(mode(ask(&bench).await), Mode::Enforce);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_read_where_the_caches_already_refuse() {
        let (server, bench) = known(&spec());
        assert!(matches!(ask(&bench).await, Ok(Resolution::NotAllowed)));
        assert_eq!(server.asked(), 0);
    }

    #[test]
    fn a_confirmation_can_be_awaited_on_any_thread() {
        fn sendable(_: impl Send) {}
        let server = ApiServer::new(Value::Null);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let _entered = runtime.enter();
        let directory = Directory::new(server.client());
        sendable(directory.confirm(&production(), "fleet"));
    }
}
