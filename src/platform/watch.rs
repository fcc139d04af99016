//! The watches: Platforms, Namespaces (their metadata only), and each named Secret by its name.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use futures::stream::{BoxStream, SelectAll};
use futures::{Stream, StreamExt};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, ApiResource, DynamicObject, PartialObjectMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Config, Event, watcher};
use serde::Deserialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::credentials::{KEYS, SecretData, Seen};
use super::directory;
use super::keeper::Keeper;
use super::object::Object;
use crate::api::names::ObjectKey;
use crate::api::platform::Platform;

/// A watch that the API server ends by itself is begun anew, so a connection that died unnoticed
/// leaves us blind no longer than this (plus the 5 s that kube adds).
const WATCH_TIMEOUT_SECONDS: u32 = 60;

fn config() -> Config {
    Config::default().timeout(WATCH_TIMEOUT_SECONDS)
}

/// All Platforms of the cluster, undecoded, so that a bad one doesn't end the list for all.
pub(super) fn platforms(
    client: &kube::Client,
) -> impl Stream<Item = watcher::Result<Event<DynamicObject>>> + Send + use<> {
    let kind = ApiResource::erase::<Platform>(&());
    let api = Api::<DynamicObject>::all_with(client.clone(), &kind);
    watcher(api, config()).backoff(Retry::default())
}

/// The metadata of all Namespaces of the cluster.
pub(super) fn namespaces(
    client: &kube::Client,
) -> impl Stream<Item = watcher::Result<Event<PartialObjectMeta<Namespace>>>> + Send + use<> {
    let api = Api::<PartialObjectMeta<Namespace>>::all(client.clone());
    watcher(api, config()).backoff(Retry::default())
}

/// Collects a list between `Init` and `InitDone`, then hands everything to the keeper.
pub(super) struct PlatformIntake(Vec<Object>);

impl PlatformIntake {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn take(
        &mut self,
        event: watcher::Result<Event<DynamicObject>>,
        keeper: &mut Keeper,
    ) {
        match event {
            Ok(Event::Init) => self.0.clear(),
            Ok(Event::InitApply(object)) => self.0.push(object.into()),
            Ok(Event::InitDone) => keeper.platforms_listed(std::mem::take(&mut self.0)),
            Ok(Event::Apply(object)) => keeper.platform_applied(object.into()),
            Ok(Event::Delete(object)) => keeper.platform_gone(&Object::from(object).key),
            Err(error) => warn!(%error, "the watch of Platforms failed and is begun anew"),
        }
    }
}

/// The same for Namespaces.
pub(super) struct NamespaceIntake(HashMap<String, directory::Namespace>);

impl NamespaceIntake {
    pub(super) fn new() -> Self {
        Self(HashMap::new())
    }

    pub(super) fn take(
        &mut self,
        event: watcher::Result<Event<PartialObjectMeta<Namespace>>>,
        keeper: &mut Keeper,
    ) {
        match event {
            Ok(Event::Init) => self.0.clear(),
            Ok(Event::InitApply(object)) => {
                let (name, namespace) = namespace(object.metadata);
                self.0.insert(name, namespace);
            }
            Ok(Event::InitDone) => keeper.namespaces_listed(std::mem::take(&mut self.0)),
            Ok(Event::Apply(object)) => {
                let (name, namespace) = namespace(object.metadata);
                keeper.namespace_seen(name, Some(namespace));
            }
            Ok(Event::Delete(object)) => keeper.namespace_seen(namespace(object.metadata).0, None),
            Err(error) => warn!(%error, "the watch of Namespaces failed and is begun anew"),
        }
    }
}

fn namespace(meta: ObjectMeta) -> (String, directory::Namespace) {
    let namespace = directory::Namespace {
        labels: meta.labels.unwrap_or_default(),
        terminating: meta.deletion_timestamp.is_some(),
    };
    (meta.name.unwrap_or_default(), namespace)
}

/// The watches of Secrets: one for each Secret that some Platform names.
pub(super) struct SecretWatches {
    client: kube::Client,
    stops: HashMap<ObjectKey, CancellationToken>,
    streams: SelectAll<BoxStream<'static, (ObjectKey, Seen)>>,
}

impl SecretWatches {
    pub(super) fn new(client: kube::Client) -> Self {
        Self {
            client,
            stops: HashMap::new(),
            streams: SelectAll::new(),
        }
    }

    /// Begins the watches that are missing and ends those that nobody needs.
    pub(super) fn follow(&mut self, named: &BTreeSet<ObjectKey>) {
        self.stops.retain(|secret, stop| {
            let needed = named.contains(secret);
            if !needed {
                stop.cancel();
            }
            needed
        });
        for secret in named {
            if !self.stops.contains_key(secret) {
                let stop = CancellationToken::new();
                let stream = secret_watch(&self.client, secret.clone());
                self.streams
                    .push(stream.take_until(stop.clone().cancelled_owned()).boxed());
                self.stops.insert(secret.clone(), stop);
            }
        }
    }

    /// The next thing seen of any of them; `None` while none is watched.
    pub(super) async fn next(&mut self) -> Option<(ObjectKey, Seen)> {
        self.streams.next().await
    }
}

fn secret_watch(
    client: &kube::Client,
    secret: ObjectKey,
) -> impl Stream<Item = (ObjectKey, Seen)> + Send + use<> {
    let api = Api::<NamedSecret>::namespaced(client.clone(), &secret.namespace);
    // The only list and watch that a Role with resourceNames permits.
    let by_name = config().fields(&format!("metadata.name={}", secret.name));
    watcher(api, by_name)
        .backoff(Retry::default())
        .scan(None, move |listed, event| {
            std::future::ready(Some(seen(listed, event).map(|seen| (secret.clone(), seen))))
        })
        .filter_map(std::future::ready)
}

/// What an event says of the Secret; `listed` keeps what a list under way has shown.
fn seen(
    listed: &mut Option<NamedSecret>,
    event: watcher::Result<Event<NamedSecret>>,
) -> Option<Seen> {
    match event {
        Ok(Event::Init) => {
            *listed = None;
            None
        }
        Ok(Event::InitApply(secret)) => {
            *listed = Some(secret);
            None
        }
        Ok(Event::InitDone) => Some(
            listed
                .take()
                .map_or(Seen::Missing, |secret| Seen::Present(secret.contents())),
        ),
        Ok(Event::Apply(secret)) => Some(Seen::Present(secret.contents())),
        Ok(Event::Delete(_)) => Some(Seen::Missing),
        Err(
            watcher::Error::InitialListFailed(kube::Error::Api(status))
            | watcher::Error::WatchStartFailed(kube::Error::Api(status)),
        ) if status.is_forbidden() => Some(Seen::Forbidden(status.message)),
        // Says nothing about the Secret: what was seen before stands.
        Err(error) => {
            warn!(%error, "the watch of a Secret failed and is begun anew");
            None
        }
    }
}

/// A Secret of which only the keys that matter are kept, and whose `Debug` shows none of them:
/// even the annotations of a Secret may hold its contents.
#[derive(Clone, Deserialize, kube::Resource)]
#[resource(inherit = "Secret")]
struct NamedSecret {
    metadata: ObjectMeta,
    #[serde(default)]
    data: Option<BTreeMap<String, ByteString>>,
}

impl NamedSecret {
    fn contents(self) -> SecretData {
        let known = |(key, _): &(String, ByteString)| KEYS.contains(&key.as_str());
        let all = self.data.unwrap_or_default().into_iter().filter(known);
        SecretData(all.map(|(key, value)| (key, value.0.into())).collect())
    }
}

impl fmt::Debug for NamedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamedSecret")
            .field("namespace", &self.metadata.namespace)
            .field("name", &self.metadata.name)
            .finish_non_exhaustive()
    }
}

/// Pauses of 0.5 s doubling to 4 s, with up to a quarter less, so that a right that was granted is
/// found within 5 s. kube's own pauses begin anew with every event, and a watcher makes one
/// (`Init`) before each list, so they would never grow; these begin anew after a quiet minute.
#[derive(Default)]
struct Retry {
    failures: u32,
    last: Option<Instant>,
}

impl Retry {
    const FIRST: Duration = Duration::from_millis(500);
    const DOUBLINGS: u32 = 3;
    const QUIET: Duration = Duration::from_secs(60);
}

impl Iterator for Retry {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let now = Instant::now();
        if self.last.is_some_and(|last| now > last + Self::QUIET) {
            self.failures = 0;
        }
        self.last = Some(now);
        let pause = Self::FIRST * 2u32.pow(self.failures.min(Self::DOUBLINGS));
        self.failures = self.failures.saturating_add(1);
        Some(pause.mul_f64(1.0 - fastrand::f64() / 4.0))
    }
}

impl Backoff for Retry {
    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_shows_nothing_of_its_contents_and_keeps_only_known_keys() {
        let coded = |text: &str| json!(ByteString(text.as_bytes().to_vec()));
        let secret: NamedSecret = serde_json::from_value(json!({
            "metadata": {"name": "iot-app", "annotations": {"last-applied": "hunter2"}},
            "data": {"secret": coded("hunter2"), "unrelated": coded("x")}
        }))
        .unwrap();
        let shown = format!("{:?}", Event::Apply(secret.clone()));
        assert!(
            shown.contains("iot-app") && !shown.contains("hunter2"),
            "{shown}"
        );
        let kept: Vec<String> = secret.contents().0.into_keys().collect();
        assert_eq!(kept, ["secret"]);
    }

    #[test]
    fn pauses_grow_through_the_events_between_failures_and_never_past_five_seconds() {
        let mut retry = Retry::default();
        let pauses: Vec<Duration> = (0..20)
            .filter_map(|_| {
                let pause = retry.next();
                retry.reset();
                pause
            })
            .collect();
        assert!(pauses[0] <= Duration::from_millis(500));
        assert!(
            pauses[3..]
                .iter()
                .all(|pause| (3.0..=4.0).contains(&pause.as_secs_f64()))
        );
    }
}
