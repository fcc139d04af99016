//! Kubernetes events. Callers publish them on transitions only, and neither wait nor fail.
//!
//! ```text
//! say -> one of a few bounded queues -> one task per queue: creates an event, or updates its series
//!                                       +-> a queue of its own for each slow namespace
//! ```

mod publisher;
mod series;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::jiff::Timestamp;
use kube::{Client, Resource};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use self::publisher::Publisher;
use self::series::{Reporter, Series};
use crate::api::names::{FIELD_MANAGER, ObjectKey};
use crate::clock::Clock;
use crate::telemetry::metrics::Metrics;

/// The time limit of one write.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The number of queues, each with one write at the same time.
const QUEUES: usize = 8;
/// The capacity of each queue. The same number of events of slow namespaces may wait behind each queue. Further events
/// are dropped.
const WAITING: usize = 512;
/// The pause between two log lines about lost events.
const COMPLAINS: Duration = Duration::from_secs(60);
/// The namespace of events about objects without a namespace.
const CLUSTER: &str = "default";

/// The content of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Whether a person has to act.
    pub warning: bool,
    /// The reason, in CamelCase.
    pub reason: &'static str,
    /// The message, in one sentence.
    pub message: String,
}

/// The reference to the object `key` with this uid, as an event holds it.
pub fn about<Kind: Resource<DynamicType = ()>>(key: &ObjectKey, uid: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some(Kind::api_version(&()).into_owned()),
        kind: Some(Kind::kind(&()).into_owned()),
        name: Some(key.name.to_string()),
        namespace: Some(key.namespace.to_string()),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    }
}

/// The publisher of events. Cheap to clone.
#[derive(Clone)]
pub struct Events(Arc<Shared>);

struct Shared {
    queues: Vec<mpsc::Sender<Item>>,
    /// The salt of the hash. The salt is secret, so that nobody can choose a message whose hash equals the hash of
    /// another event.
    salt: u64,
    clock: Clock,
    ending: NamespaceEnding,
    losses: Arc<Losses>,
}

/// Whether a namespace is being deleted, so that it accepts no events.
pub type NamespaceEnding = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// An event to publish: its object, its content and its time.
#[derive(Debug, Clone)]
struct Said {
    about: ObjectReference,
    note: Note,
    at: Timestamp,
    /// A hash that is equal for the events of one series.
    key: u64,
}

enum Item {
    Said(Box<Said>),
    /// A request that is answered once all earlier events are written.
    Flush(oneshot::Sender<()>),
}

impl Events {
    /// A publisher that writes with `client` in background tasks. `instance` is the name of the pod, `clock` tells the
    /// time of day, and events in a namespace that is `ending` are skipped.
    pub fn new(
        client: &Client,
        instance: Option<&str>,
        metrics: Arc<Metrics>,
        clock: Clock,
        ending: NamespaceEnding,
    ) -> Self {
        let losses = Arc::new(Losses {
            metrics,
            untold: Mutex::default(),
        });
        let queues = (0..QUEUES).map(|_| {
            let (queue, items) = mpsc::channel(WAITING);
            let series = Series::new(Reporter::new(FIELD_MANAGER, instance));
            let publisher = Publisher::new(client.clone(), series, Arc::clone(&losses));
            tokio::spawn(publisher.run(items));
            queue
        });
        Self(Arc::new(Shared {
            queues: queues.collect(),
            salt: fastrand::u64(..),
            clock,
            ending,
            losses,
        }))
    }

    /// Publishes `note` about an object, without waiting. An event that finds its queue full is counted as lost.
    pub fn say(&self, about: ObjectReference, note: Note) {
        let shared = &self.0;
        let namespace = about.namespace.as_deref();
        if namespace.is_some_and(|namespace| (shared.ending)(namespace)) {
            shared.losses.metrics.told("skipped");
            return;
        }
        let key = key(shared.salt, &about, &note);
        let at = shared.clock.wall();
        let said = Said {
            about,
            note,
            at,
            key,
        };
        // Equal events go through the same queue, so they keep their order.
        let queues = u64::try_from(shared.queues.len()).unwrap_or(1);
        let queue = usize::try_from(key % queues).unwrap_or_default();
        let item = Item::Said(Box::new(said));
        let taken = shared.queues.get(queue).map(|queue| queue.try_send(item));
        if !matches!(taken, Some(Ok(()))) {
            shared
                .losses
                .lost("dropped", "too many events wait to be written");
        }
    }

    /// Waits until all events so far are written, but at most for `patience`.
    pub async fn flush(&self, patience: Duration) {
        let flushes = self.0.queues.iter().map(|queue| async {
            let (done, written) = oneshot::channel();
            if queue.send(Item::Flush(done)).await.is_ok() {
                let _ = written.await;
            }
        });
        if timeout(patience, join_all(flushes)).await.is_err() {
            tracing::warn!("events that wait to be written are given up");
        }
    }
}

/// The hash of an event; equal events form a series.
fn key(salt: u64, about: &ObjectReference, note: &Note) -> u64 {
    let ObjectReference {
        api_version: _,
        field_path: _,
        kind,
        name,
        namespace,
        resource_version: _,
        uid,
    } = about;
    let Note {
        warning,
        reason,
        message,
    } = note;
    let mut hasher = DefaultHasher::new();
    (salt, kind, name, namespace, uid).hash(&mut hasher);
    (warning, reason, message).hash(&mut hasher);
    hasher.finish()
}

/// Counts the events that weren't published.
struct Losses {
    metrics: Arc<Metrics>,
    untold: Mutex<Untold>,
}

/// The number of losses since the last log line, and the time of that line.
#[derive(Default)]
struct Untold {
    count: u64,
    told: Option<Instant>,
}

impl Untold {
    /// Counts one loss at `now`. Returns the number to log, where a log line is due.
    fn add(&mut self, now: Instant) -> Option<u64> {
        self.count += 1;
        if self.told.is_some_and(|told| now < told + COMPLAINS) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.count))
    }
}

impl Losses {
    fn lost(&self, result: &'static str, why: &str) {
        self.metrics.told(result);
        if let Some(count) = self.untold.lock().add(Instant::now()) {
            tracing::warn!(why, count, "events are not written");
        }
    }
}

#[cfg(test)]
mod tests;
