//! The record of all events in order: wishes of people, changes in the API server, calls to the platform and audit
//! lines. Judges read it; the operator is never asked.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cluster_in_memory::Cluster;
use serde_json::Value;
use tokio::time::Instant;
use version_package_operator::simulator::answer::Verdict;

use crate::faults::{Fault, To};
use crate::wishes::{Key, Wish};

/// One event.
#[derive(Debug, Clone)]
pub enum Event {
    /// The wish of people or Git for an object; `None` after they removed it by force.
    Said(Key, Option<Wish>),
    /// A rule that people set for a Platform.
    Ruled { platform: String, rule: Rule },
    /// The API server stored a change.
    Kept(Kept),
    /// A call arrived at the platform.
    Called(Called),
    /// A line was written to the audit log.
    Noted(Value),
    /// A fault hit an effect of a process.
    Met { by: String, to: To, fault: Fault },
}

/// A rule for all objects of a Platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    Observe,
    Enforce,
    /// Everything held now is released.
    Released,
}

/// A change of one object.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The author of the request: a pod, or people.
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

/// An event, with its time since the world began.
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
    /// The version of the store up to which changes are recorded.
    version: u64,
}

impl Record {
    /// An empty record that starts now.
    pub fn begin(cluster: &Cluster) -> Self {
        Self {
            begun: Instant::now(),
            cluster: cluster.clone(),
            state: Arc::default(),
        }
    }

    /// The time since the world began.
    pub fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Records an event.
    pub fn add(&self, event: Event) {
        let at = self.now();
        self.lock().events.push(At { at, event });
    }

    /// Records the changes in the API server since the last call, made on a request of `by`.
    pub fn take_changes(&self, by: &str) {
        let at = self.now();
        let mut state = self.lock();
        let version = self.cluster.version();
        // The store was restored.
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
