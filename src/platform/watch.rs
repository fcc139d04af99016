//! The watches: Platforms, Namespaces (their metadata only), and each named Secret by its name.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use futures::stream::{BoxStream, SelectAll};
use futures::{Stream, StreamExt};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, PartialObjectMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Config, Event, watcher};
use serde::Deserialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::credentials::{KEYS, SecretData, Seen};
use super::directory;
use super::failing::{Failing, words};
use super::keeper::Keeper;
use super::object::Object;
use crate::api::names::ObjectKey;
use crate::api::platform::Platform;
use crate::watch_backoff::WatchBackoff;

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
    watcher(api, config()).backoff(WatchBackoff::default())
}

/// The metadata of all Namespaces of the cluster.
pub(super) fn namespaces(
    client: &kube::Client,
) -> impl Stream<Item = watcher::Result<Event<PartialObjectMeta<Namespace>>>> + Send + use<> {
    let api = Api::<PartialObjectMeta<Namespace>>::all(client.clone());
    watcher(api, config()).backoff(WatchBackoff::default())
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
                keeper.namespace_applied(name, namespace);
            }
            Ok(Event::Delete(object)) => {
                let (name, last) = namespace(object.metadata);
                keeper.namespace_gone(&name, &last);
            }
            Err(error) => warn!(%error, "the watch of Namespaces failed and is begun anew"),
        }
    }
}

fn namespace(mut meta: ObjectMeta) -> (String, directory::Namespace) {
    (meta.name.take().unwrap_or_default(), meta.into())
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
        .backoff(WatchBackoff::default())
        .scan(Reading::default(), move |reading, event| {
            let seen = reading.seen(event, Instant::now());
            std::future::ready(Some(seen.map(|seen| (secret.clone(), seen))))
        })
        .filter_map(std::future::ready)
}

/// A Secret as it is now, by the only read that a Role with resourceNames permits.
pub(super) async fn read_secret(
    client: &kube::Client,
    secret: &ObjectKey,
) -> kube::Result<Option<SecretData>> {
    let api = Api::<NamedSecret>::namespaced(client.clone(), &secret.namespace);
    let by_name = ListParams::default().fields(&format!("metadata.name={}", secret.name));
    let listed = api.list(&by_name).await?.items.into_iter().next();
    Ok(listed.map(NamedSecret::contents))
}

/// The watch of one Secret.
#[derive(Default)]
struct Reading {
    /// What a list under way has shown.
    listed: Option<NamedSecret>,
    /// Since nothing but errors came.
    failing: Option<Failing>,
}

impl Reading {
    /// What an event says of the Secret.
    fn seen(&mut self, event: watcher::Result<Event<NamedSecret>>, now: Instant) -> Option<Seen> {
        // The beginning of a list says nothing yet, and comes before each error.
        if !matches!(event, Ok(Event::Init) | Err(_)) {
            self.failing = None;
        }
        match event {
            Ok(Event::Init) => {
                self.listed = None;
                None
            }
            Ok(Event::InitApply(secret)) => {
                self.listed = Some(secret);
                None
            }
            Ok(Event::InitDone) => {
                let listed = self.listed.take();
                Some(listed.map_or(Seen::Missing, |secret| Seen::Present(secret.contents())))
            }
            Ok(Event::Apply(secret)) => Some(Seen::Present(secret.contents())),
            Ok(Event::Delete(_)) => Some(Seen::Missing),
            Err(
                watcher::Error::InitialListFailed(kube::Error::Api(status))
                | watcher::Error::WatchStartFailed(kube::Error::Api(status)),
            ) if status.is_forbidden() => Some(Seen::Forbidden(status.message)),
            // Says nothing about the Secret: what was seen before stands.
            Err(error) => {
                warn!(%error, "the watch of a Secret failed and is begun anew");
                let failing = Failing::after(self.failing.take(), told(&error), now);
                let words = self.failing.insert(failing).lasting(now)?;
                Some(Seen::Failed(words.to_owned()))
            }
        }
    }
}

/// How a failure is told to people.
fn told(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) => {
            words(error)
        }
        watcher::Error::WatchError(status) => status.message.clone(),
        error => error.to_string(),
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_that_the_api_server_cannot_show_for_long_is_told_of_and_a_hiccup_is_not() {
        let broken = || Err(watcher::Error::NoResourceVersion);
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut reading = Reading::default();
        for seconds in [0, 10, 29] {
            assert!(reading.seen(Ok(Event::Init), at(seconds)).is_none());
            assert!(reading.seen(broken(), at(seconds)).is_none(), "{seconds}");
        }
        assert!(matches!(
            reading.seen(broken(), at(30)),
            Some(Seen::Failed(_))
        ));
        let listed = reading.seen(Ok(Event::InitDone), at(31));
        assert!(matches!(listed, Some(Seen::Missing)));
        assert!(
            reading.seen(broken(), at(40)).is_none(),
            "it was read since"
        );
    }

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
}
