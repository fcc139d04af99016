//! A Kubernetes API server in memory, for tests in simulated time.
//!
//! It is a service from requests to answers, so that a `kube::Client` can be put on it. Time and chance come from whoever
//! makes it and everything is kept in order: the same requests give the same answers, byte for byte. A differential test
//! (`tests/cluster_agrees` of the root package) holds it to the real kube-apiserver.
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

/// A cluster: what its API server keeps, and what its controllers would do.
#[derive(Debug, Clone)]
pub struct Cluster(Arc<Mutex<State>>);

/// The store as it was at some time.
#[derive(Debug, Clone)]
pub struct Saved(Store);

/// A change of one object.
#[derive(Debug, Clone)]
pub struct Change {
    /// Its resource, such as `secrets`, without the group.
    pub resource: String,
    /// Its namespace, where it has one.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// As it was kept before.
    pub before: Option<Arc<Value>>,
    /// As it is kept now.
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
    /// An empty one, with the namespaces that each has. `clock` tells the time, `seed` makes uids and generated names.
    pub fn new(clock: impl Fn() -> Timestamp + Send + 'static, seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State::new(Box::new(clock), seed))))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The API server as an admin sees it, who may do everything.
    pub fn admin(&self) -> Server {
        Server::new(self.clone(), "")
    }

    /// The API server as a user sees it, who may do what was granted.
    pub fn user(&self, name: &str) -> Server {
        Server::new(self.clone(), name)
    }

    /// Gives a user the `rules` of a Role in a namespace, or of a `ClusterRole` everywhere.
    pub fn grant(&self, user: &str, namespace: Option<&str>, rules: &Value) {
        self.state().access.grant(user, namespace, rules);
    }

    /// Takes from a user all that was granted.
    pub fn revoke(&self, user: &str) {
        self.state().access.revoke(user);
    }

    /// Refuses writes by a policy from now on.
    pub fn add_policy(&self, policy: Policy) {
        self.state().policies.push(policy);
    }

    /// Takes a policy away.
    pub fn remove_policy(&self, name: &str) {
        self.state().policies.retain(|policy| policy.name != name);
    }

    /// Lets it behave as the real one doesn't.
    pub fn set_naive(&self, naive: Option<Naive>) {
        self.state().naive = naive;
    }

    /// Forgets all changes up to now, as etcd does from time to time: older versions are answered with 410.
    pub fn compact(&self) {
        self.state().store.compact();
    }

    /// The store as it is now.
    pub fn save(&self) -> Saved {
        Saved(self.state().store.clone())
    }

    /// Puts a store back. All watches end.
    pub fn restore(&self, saved: &Saved) {
        let mut state = self.state();
        state.store = saved.0.clone();
        state.epoch += 1;
        state.redefine();
        state.wake();
    }

    /// Ends all watches, as an API server that restarts does.
    pub fn end_watches(&self) {
        let mut state = self.state();
        state.epoch += 1;
        state.wake();
    }

    /// Does what the namespace controller would: empties namespaces that end, and ends those that are empty.
    pub fn end_namespaces(&self) {
        self.state().end_namespaces();
    }

    /// Does what the garbage collector would, until nothing is left to do.
    pub fn collect_garbage(&self) {
        while self.state().collect_garbage() {}
    }

    /// The rules of the served definitions that have no function here: there must be none.
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

    /// An object as an admin reads it; `plural` without the group. `None` where it isn't there.
    pub fn object(&self, plural: &str, namespace: Option<&str>, name: &str) -> Option<Value> {
        let state = self.state();
        let kind = state.kinds.all().find(|kind| kind.plural == plural)?;
        let kept = state
            .store
            .get(&Key::new(&kind.resource(), namespace, name))?;
        Some(read::decode(kind, kept))
    }

    /// All changes after a version, as far as they aren't compacted.
    pub fn changes_since(&self, version: u64) -> Vec<Change> {
        let state = self.state();
        let changes = state.store.since(version).iter();
        changes.map(Change::of).collect()
    }

    /// The newest version.
    pub fn version(&self) -> u64 {
        self.state().store.version()
    }
}
