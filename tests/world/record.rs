//! What happened, in order: what people said, what the API server kept, what the platform was asked and what was written
//! down. Judges read it; the operator is never asked.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cluster_in_memory::Cluster;
use serde_json::Value;
use tokio::time::Instant;
use version_package_operator::simulator::answer::Verdict;

use crate::faults::{Fault, To};
use crate::wishes::{Key, Wish};

/// One thing that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// People or Git want this of an object; nothing any more where they took it away by force.
    Said(Key, Option<Wish>),
    /// People said something of a Platform.
    Ruled { platform: String, rule: Rule },
    /// The API server keeps something else than before.
    Kept(Kept),
    /// A call arrived at the platform.
    Called(Called),
    /// A line was written to the audit log.
    Noted(Value),
    /// A fault met an effect of a process.
    Met { by: String, to: To, fault: Fault },
}

/// What holds for all objects of a Platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    Observe,
    Enforce,
    /// All that is held now is meant.
    Released,
}

/// A change of one object.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Whose request it was: a pod, or people.
    pub by: String,
    pub resource: String,
    pub key: Key,
    pub before: Option<Arc<Value>>,
    pub after: Option<Arc<Value>>,
}

/// A call, as the platform saw it.
#[derive(Debug, Clone)]
pub struct Called {
    pub by: String,
    pub application: Option<String>,
    pub method: String,
    pub path: String,
    pub verdict: Verdict,
}

impl Called {
    /// The package that this call deleted.
    pub fn deleted(&self) -> Option<(&str, &str)> {
        let deletes = self.method == "DELETE" && self.verdict == Verdict::Deleted;
        let (_, file) = self.path.rsplit_once('/')?;
        deletes.then_some((self.application.as_deref()?, file))
    }
}

/// An event and when it happened, since the world began.
#[derive(Debug, Clone)]
pub struct At {
    pub at: Duration,
    pub event: Event,
}

/// The events so far. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Record {
    begun: Instant,
    cluster: Cluster,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    events: Vec<At>,
    /// The version of the store up to which its changes are here.
    version: u64,
}

impl Record {
    /// An empty one that begins now.
    pub fn begin(cluster: &Cluster) -> Self {
        Self {
            begun: Instant::now(),
            cluster: cluster.clone(),
            state: Arc::default(),
        }
    }

    /// How long ago the world began.
    pub fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Takes an event down.
    pub fn add(&self, event: Event) {
        let at = self.now();
        self.lock().events.push(At { at, event });
    }

    /// Takes down what the API server has changed since, on the request of `by`.
    pub fn take_changes(&self, by: &str) {
        let at = self.now();
        let mut state = self.lock();
        let version = self.cluster.version();
        // The store went back.
        if version < state.version {
            state.version = version;
            return;
        }
        for change in self.cluster.changes_since(state.version) {
            let key = Key::new(change.namespace.unwrap_or_default(), change.name);
            let event = Event::Kept(Kept {
                by: by.to_owned(),
                resource: change.resource,
                key,
                before: change.before,
                after: change.after,
            });
            state.events.push(At { at, event });
        }
        state.version = version;
    }

    /// All events so far.
    pub fn events(&self) -> Vec<At> {
        self.lock().events.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
