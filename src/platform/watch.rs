//! The watches of Platforms, of Namespaces (metadata only), and of each named Secret by its name.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use futures::stream::{BoxStream, SelectAll};
use futures::{Stream, StreamExt};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, ListParams};
use kube::runtime::watcher::{self, Event};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::credentials::{KEYS, SecretData, SeenSecret};
use super::keeper::Keeper;
use super::lasting::LastingFailure;
use super::namespace;
use super::object::PlatformObject;
use crate::api::names::ObjectKey;
use crate::api::platform::Platform;
use crate::follow::{WatchScope, follow, told};
use crate::raw::{Fields, Raw};
use crate::sight::{Sight, WatchKind};

/// Longest time of one watch request, in seconds, after which the API server ends it and it is restarted. A
/// connection that died unnoticed delays events by at most this time plus the 5 s that kube adds.
const WATCH_TIMEOUT_SECONDS: u32 = 60;

fn wanted(fields: Option<String>) -> WatchScope {
    WatchScope {
        page: 500,
        seconds: WATCH_TIMEOUT_SECONDS,
        fields,
    }
}

/// Watches all Platforms of the cluster as raw objects, so that one bad object doesn't end the list for all.
pub(super) fn platforms(
    client: &kube::Client,
    sight: &Arc<Sight>,
) -> impl Stream<Item = watcher::Result<Event<Raw>>> + Send + use<> {
    let api = Raw::all::<Platform>(client.clone());
    follow(api, wanted(None), sight.eye(WatchKind::Platforms))
}

/// Watches all Namespaces of the cluster.
pub(super) fn namespaces(
    client: &kube::Client,
    sight: &Arc<Sight>,
) -> impl Stream<Item = watcher::Result<Event<Raw>>> + Send + use<> {
    let api = Raw::all::<Namespace>(client.clone());
    follow(api, wanted(None), sight.eye(WatchKind::Namespaces))
}

/// Collects a list between `Init` and `InitDone` and hands the complete list to the keeper.
pub(super) struct PlatformIntake(Vec<PlatformObject>);

impl PlatformIntake {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn take(
        &mut self,
        event: watcher::Result<Event<Raw>>,
        keeper: &mut Keeper,
        sight: &Sight,
    ) {
        match event {
            Ok(Event::Init) => self.0.clear(),
            Ok(Event::InitApply(object)) => {
                self.0.push(PlatformObject::judged(object, sight, true));
            }
            Ok(Event::InitDone) => keeper.platforms_listed(std::mem::take(&mut self.0)),
            Ok(Event::Apply(object)) => {
                keeper.platform_applied(PlatformObject::judged(object, sight, false));
            }
            Ok(Event::Delete(object)) => {
                let object = PlatformObject::from(object);
                sight.forget(WatchKind::Platforms, &object.uid);
                keeper.platform_gone(&object.key);
            }
            Err(error) => warn!(
                why = told(&error),
                "the watch of Platforms failed and is begun anew"
            ),
        }
    }
}

/// Collects a list of Namespaces in the same way.
pub(super) struct NamespaceIntake(HashMap<String, namespace::Namespace>);

impl NamespaceIntake {
    pub(super) fn new() -> Self {
        Self(HashMap::new())
    }

    pub(super) fn take(&mut self, event: watcher::Result<Event<Raw>>, keeper: &mut Keeper) {
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
            Err(error) => warn!(
                why = told(&error),
                "the watch of Namespaces failed and is begun anew"
            ),
        }
    }
}

fn namespace(mut meta: ObjectMeta) -> (String, namespace::Namespace) {
    (meta.name.take().unwrap_or_default(), meta.into())
}

/// The watches of Secrets: one for each Secret that some Platform names.
pub(super) struct SecretWatches {
    client: kube::Client,
    sight: Arc<Sight>,
    stops: BTreeMap<ObjectKey, CancellationToken>,
    streams: SelectAll<BoxStream<'static, (ObjectKey, SeenSecret)>>,
}

impl SecretWatches {
    pub(super) fn new(client: kube::Client, sight: Arc<Sight>) -> Self {
        Self {
            client,
            sight,
            stops: BTreeMap::new(),
            streams: SelectAll::new(),
        }
    }

    /// Starts the missing watches, and stops those of Secrets that no Platform names.
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
                let stream = secret_watch(&self.client, &self.sight, secret.clone());
                self.streams
                    .push(stream.take_until(stop.clone().cancelled_owned()).boxed());
                self.stops.insert(secret.clone(), stop);
            }
        }
    }

    /// The next state of any watched Secret; `None` while no Secret is watched.
    pub(super) async fn next(&mut self) -> Option<(ObjectKey, SeenSecret)> {
        self.streams.next().await
    }
}

fn secret_watch(
    client: &kube::Client,
    sight: &Arc<Sight>,
    secret: ObjectKey,
) -> impl Stream<Item = (ObjectKey, SeenSecret)> + Send + use<> {
    let api = Api::<NamedSecret>::namespaced(client.clone(), &secret.namespace);
    // A list or watch by name is the only one that a Role with resourceNames permits.
    let by_name = wanted(Some(format!("metadata.name={}", secret.name)));
    follow(api, by_name, sight.eye_on(secret.clone()))
        .scan(Reading::default(), move |reading, event| {
            let seen = reading.seen(event, Instant::now());
            std::future::ready(Some(seen.map(|seen| (secret.clone(), seen))))
        })
        .filter_map(std::future::ready)
}

/// Reads a Secret by a list with its name, the only read that a Role with resourceNames permits.
pub(super) async fn read_secret(
    client: &kube::Client,
    secret: &ObjectKey,
) -> kube::Result<Option<SecretData>> {
    let api = Api::<NamedSecret>::namespaced(client.clone(), &secret.namespace);
    let by_name = ListParams::default().fields(&format!("metadata.name={}", secret.name));
    let listed = api.list(&by_name).await?.items.into_iter().next();
    Ok(listed.map(NamedSecret::contents))
}

/// State of the watch of one Secret.
#[derive(Default)]
struct Reading {
    /// The Secret, if a list in progress has shown it.
    listed: Option<NamedSecret>,
    /// The series of failures since the last success.
    failing: Option<LastingFailure>,
}

impl Reading {
    /// The state of the Secret after an event, if the event tells it.
    fn seen(
        &mut self,
        event: watcher::Result<Event<NamedSecret>>,
        now: Instant,
    ) -> Option<SeenSecret> {
        // `Init` shows nothing yet and comes before each error, so it doesn't end a series of failures.
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
                Some(listed.map_or(SeenSecret::Missing, |secret| {
                    SeenSecret::Present(secret.contents())
                }))
            }
            Ok(Event::Apply(secret)) => Some(SeenSecret::Present(secret.contents())),
            Ok(Event::Delete(_)) => Some(SeenSecret::Missing),
            // A forbidden watch is followed by a list, whose refusal arrives here.
            Err(watcher::Error::InitialListFailed(kube::Error::Api(status)))
                if status.is_forbidden() =>
            {
                Some(SeenSecret::Forbidden(status.message))
            }
            // Other errors say nothing about the Secret, so its last known state stays.
            Err(error) => {
                warn!(
                    why = told(&error),
                    "the watch of a Secret failed and is begun anew"
                );
                let failing = LastingFailure::after(self.failing.take(), told(&error), now);
                let words = self.failing.insert(failing).lasting(now)?;
                Some(SeenSecret::Failed(words.to_owned()))
            }
        }
    }
}

/// A Secret of which only the known keys are kept. `Debug` shows no contents; the annotations are dropped too, since
/// they may hold a copy of the contents.
#[derive(Clone, kube::Resource)]
#[resource(inherit = "Secret")]
struct NamedSecret {
    metadata: ObjectMeta,
    data: BTreeMap<String, ByteString>,
}

impl<'de> Deserialize<'de> for NamedSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let secret = Fields::of(text.get());
        let (metadata, _) = secret.metadata();
        let data = secret.inner("data");
        let known = KEYS.iter();
        let data = known.filter_map(|key| Some(((*key).to_owned(), data.get(key)?)));
        Ok(Self {
            metadata: ObjectMeta {
                annotations: None,
                ..metadata
            },
            data: data.collect(),
        })
    }
}

impl NamedSecret {
    fn contents(self) -> SecretData {
        let all = self.data.into_iter();
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
            Some(SeenSecret::Failed(_))
        ));
        let listed = reading.seen(Ok(Event::InitDone), at(31));
        assert!(matches!(listed, Some(SeenSecret::Missing)));
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
