//! A Kubernetes API server in memory, for tests in simulated time.
//!
//! The server is a service from requests to answers that a `kube::Client` can use. Its creator supplies time and random
//! numbers, and everything is ordered: the same requests give the same answers, byte for byte. A differential test
//! (`tests/cluster_agrees` of the root package) compares the server with the real kube-apiserver.
#![doc = include_str!("../NOT_MODELLED.md")]

mod access;
mod admission;
mod built_in;
mod coerce;
mod controllers;
mod delete;
mod events;
mod fields;
mod kinds;
mod managed;
mod meta;
mod read;
mod refusal;
mod replace;
mod request;
mod rules;
mod schema;
mod select;
mod service;
mod shapes;
mod state;
mod store;
mod typed;
mod update;
mod validate;
mod watch;
mod write;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::Value;

pub use admission::{Attempt, Policy};
pub use service::Server;
pub use state::Naive;
pub use watch::Body;

use state::State;
use store::{Key, Store};

/// A cluster: the store of the API server and the work of the controllers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cluster(Arc<Mutex<State>>);

/// A saved state of the store.
#[derive(Debug, Clone)]
pub struct Saved(Store);

/// A change of one object.
#[derive(Debug, Clone)]
pub struct Change {
    /// The resource, such as `secrets`, without the group.
    pub resource: String,
    /// The namespace; `None` for a cluster-wide object.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
    /// The object before the change; `None` where it was created.
    pub before: Option<Arc<Value>>,
    /// The object after the change; `None` where it was deleted.
    pub after: Option<Arc<Value>>,
}

impl Change {
    fn of(change: &store::Change) -> Self {
        let path = &change.key.path;
        let (namespace, name) = match path.split_once('/') {
            Some((namespace, name)) => (Some(namespace.to_owned()), name),
            None => (None, path.as_str()),
        };
        let resource = &change.key.resource;
        let plural = resource
            .split_once('.')
            .map_or(&**resource, |(plural, _)| plural);
        let object =
            |kept: &Option<store::Kept>| kept.as_ref().map(|kept| Arc::clone(&kept.object));
        Self {
            resource: plural.to_owned(),
            namespace,
            name: name.to_owned(),
            before: object(&change.before),
            after: object(&change.after),
        }
    }
}

impl Cluster {
    /// A cluster with only the standard namespaces. `clock` returns the time; `seed` determines uids and generated
    /// names.
    pub fn new(clock: impl Fn() -> Timestamp + Send + 'static, seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State::new(Box::new(clock), seed))))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The API server for an admin, who may do everything.
    pub fn admin(&self) -> Server {
        Server::new(self.clone(), "")
    }

    /// The API server for a user, who may do what was granted.
    pub fn user(&self, name: &str) -> Server {
        Server::new(self.clone(), name)
    }

    /// Grants a user the `rules` of a Role in a namespace, or of a `ClusterRole` everywhere.
    pub fn grant(&self, user: &str, namespace: Option<&str>, rules: &Value) {
        self.state().access.grant(user, namespace, rules);
    }

    /// Revokes all grants of a user.
    pub fn revoke(&self, user: &str) {
        self.state().access.revoke(user);
    }

    /// Adds an admission policy.
    pub fn add_policy(&self, policy: Policy) {
        self.state().policies.push(policy);
    }

    /// Removes an admission policy.
    pub fn remove_policy(&self, name: &str) {
        self.state().policies.retain(|policy| policy.name != name);
    }

    /// Switches on a deviation from the real API server.
    pub fn set_naive(&self, naive: Option<Naive>) {
        self.state().naive = naive;
    }

    /// Forgets all changes so far, as etcd does from time to time. Older versions are then answered with 410.
    pub fn compact(&self) {
        self.state().store.compact();
    }

    /// Saves the store.
    pub fn save(&self) -> Saved {
        Saved(self.state().store.clone())
    }

    /// Restores a saved store. All watches end.
    pub fn restore(&self, saved: &Saved) {
        let mut state = self.state();
        state.store = saved.0.clone();
        state.epoch += 1;
        state.redefine();
        state.wake();
    }

    /// Ends all watches, as a restart of the API server does.
    pub fn end_watches(&self) {
        let mut state = self.state();
        state.epoch += 1;
        state.wake();
    }

    /// Runs the namespace controller: empties ending namespaces, and removes empty ones.
    pub fn end_namespaces(&self) {
        self.state().end_namespaces();
    }

    /// Runs the garbage collector until nothing is left to do.
    pub fn collect_garbage(&self) {
        while self.state().collect_garbage() {}
    }

    /// The validation rules of the definitions without an implementation here. A test asserts that there are none.
    pub fn unknown_rules(&self) -> Vec<String> {
        let state = self.state();
        let kinds = state.kinds.all();
        let all = kinds.flat_map(|kind| kind.schema.all_rules());
        let unknown = all.filter(|text| rules::find(text).is_none());
        unknown.map(str::to_owned).collect()
    }

    /// Whether a namespace is being deleted.
    pub fn has_ending_namespaces(&self) -> bool {
        let state = self.state();
        let all = state.store.at(state.store.version(), "namespaces");
        all.values()
            .any(|kept| !kept.object["metadata"]["deletionTimestamp"].is_null())
    }

    /// The current object as an admin reads it; `plural` without the group. `None` where it doesn't exist.
    pub fn object(&self, plural: &str, namespace: Option<&str>, name: &str) -> Option<Value> {
        let state = self.state();
        let kind = state.kinds.all().find(|kind| kind.plural == plural)?;
        let kept = state
            .store
            .get(&Key::new(&kind.resource(), namespace, name))?;
        Some(read::decode(kind, kept))
    }

    /// All changes after a version that aren't compacted.
    pub fn changes_since(&self, version: u64) -> Vec<Change> {
        let state = self.state();
        let changes = state.store.since(version).iter();
        changes.map(Change::of).collect()
    }

    /// The newest version of the store.
    pub fn version(&self) -> u64 {
        self.state().store.version()
    }
}
