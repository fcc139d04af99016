//! Events for people: said on transitions only, and neither a wait nor a failure of whoever says them.
//!
//! ```text
//! say -> one of a few bounded queues -> a task for each: a new event, or one more of its series
//!                                       +-> behind the others, where the namespace is slow
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

/// How long the API server may take for one.
const TIMEOUT: Duration = Duration::from_secs(10);
/// So many are written at a time.
const QUEUES: usize = 8;
/// So many wait in each queue, and as many behind it; more are dropped.
const WAITING: usize = 512;
/// Between two words in the log about events that were lost.
const COMPLAINS: Duration = Duration::from_secs(60);
/// Where events about objects without a namespace are.
const CLUSTER: &str = "default";

/// Something for the person who reads events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Whether somebody has to act.
    pub warning: bool,
    /// The CamelCase word.
    pub reason: &'static str,
    /// One sentence.
    pub message: String,
}

/// How an event names the object `key` with this uid.
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

/// Takes events to be published. Cheap to clone.
#[derive(Clone)]
pub struct Events(Arc<Shared>);

struct Shared {
    queues: Vec<mpsc::Sender<Item>>,
    /// Known to nobody outside, so nobody can choose words that count as those of another event.
    salt: u64,
    clock: Clock,
    ending: NamespaceEnding,
    losses: Arc<Losses>,
}

/// Whether a namespace is being deleted, and takes no event any more.
pub type NamespaceEnding = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// What was said of which object, and when.
#[derive(Debug, Clone)]
struct Said {
    about: ObjectReference,
    note: Note,
    at: Timestamp,
    /// Equal for what becomes one series.
    key: u64,
}

enum Item {
    Said(Box<Said>),
    /// To be answered once everything before it is written.
    Flush(oneshot::Sender<()>),
}

impl Events {
    /// Publishes with `client` in tasks of their own, in the name of the pod `instance`; `clock` tells the time of day, and
    /// nothing is said in a namespace that is `ending`.
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

    /// Has `note` about an object published; never waits. One that finds no room is counted.
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
        // What is equal follows one another.
        let queues = u64::try_from(shared.queues.len()).unwrap_or(1);
        let queue = usize::try_from(key % queues).unwrap_or_default();
        let item = Item::Said(Box::new(said));
        let taken = shared.queues.get(queue).map(|queue| queue.try_send(item));
        if !matches!(taken, Some(Ok(()))) {
            shared.losses.lost("dropped", "too many wait to be written");
        }
    }

    /// Waits until what was said so far is written, but not for longer than `patience`.
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

/// What is equal becomes one series.
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

/// Events that were not published.
struct Losses {
    metrics: Arc<Metrics>,
    untold: Mutex<Untold>,
}

/// How many the log has not told of, and when it last told of some.
#[derive(Default)]
struct Untold {
    count: u64,
    told: Option<Instant>,
}

impl Untold {
    /// One more at `now`; returns how many are to be told of.
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
