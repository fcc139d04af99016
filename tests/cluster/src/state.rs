//! The state of the API server, and the dispatch of requests.

use std::fmt;
use std::sync::Arc;
use std::task::Waker;

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::access::Access;
use crate::admission::Policy;
use crate::kinds::{Kind, Kinds};
use crate::read::{Watched, expired, unparsed};
use crate::refusal::Refusal;
use crate::request::Call;
use crate::select::Selector;
use crate::store::Store;

/// A deviation from the real API server, which a test of the tests switches on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naive {
    /// An apply to a status with another uid is refused.
    StatusApplyKeepsUid,
    /// A policy that denies without a reason of its own answers 403.
    DenialIsForbidden,
    /// An apply to a status removes fields that others own.
    StatusApplyReplaces,
}

pub(crate) type Clock = Box<dyn Fn() -> Timestamp + Send>;

pub(crate) struct State {
    pub store: Store,
    pub kinds: Kinds,
    pub access: Access,
    pub policies: Vec<Policy>,
    pub naive: Option<Naive>,
    pub clock: Clock,
    pub chance: fastrand::Rng,
    /// The number of restored stores: watches from before a restore end.
    pub epoch: u64,
    /// The wakers of all watches.
    pub waiting: Vec<Waker>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("version", &self.store.version())
            .finish_non_exhaustive()
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) enum Answer {
    Whole(u16, Value),
    /// The path doesn't exist.
    NoPath,
    Watch(Box<Watching>),
}

/// A started watch.
#[derive(Debug)]
pub(crate) struct Watching {
    pub watched: Watched,
    pub kind: Arc<Kind>,
    /// The last version that the watch has reported.
    pub version: u64,
    pub epoch: u64,
    /// The initial events.
    pub first: Vec<Value>,
}

impl State {
    pub fn new(clock: Clock, seed: u64) -> Self {
        let mut state = Self {
            store: Store::default(),
            kinds: Kinds::built_in(),
            access: Access::default(),
            policies: Vec::new(),
            naive: None,
            clock,
            chance: fastrand::Rng::with_seed(seed),
            epoch: 0,
            waiting: Vec::new(),
        };
        for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            state.add_namespace(name);
        }
        state
    }

    /// The current time in the format of objects.
    pub fn now(&self) -> String {
        (self.clock)().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// Serves the kinds of the stored definitions, and no others.
    pub fn redefine(&mut self) {
        let definitions = self
            .store
            .at(self.store.version(), crate::kinds::DEFINITIONS);
        self.kinds = Kinds::built_in();
        for kept in definitions.values() {
            self.kinds.define(&kept.object);
        }
    }

    /// Wakes all watches.
    pub fn wake(&mut self) {
        for waker in self.waiting.drain(..) {
            waker.wake();
        }
    }

    /// Answers a request of a user.
    pub fn serve(&mut self, user: &str, call: &Call) -> Answer {
        let Some(kind) = self.kind_of(call) else {
            return Answer::NoPath;
        };
        if kind.namespaced && call.namespace.is_none() && call.name.is_some() {
            return Answer::NoPath;
        }
        if let Err(refusal) = self.access.check(user, call, &kind) {
            return Answer::Whole(refusal.code, refusal.to_json());
        }
        if call.is_watch() {
            return match self.watch(call, kind) {
                Ok(watching) => Answer::Watch(Box::new(watching)),
                Err(refusal) => Answer::Whole(refusal.code, refusal.to_json()),
            };
        }
        let before = call
            .is_tried()
            .then(|| (self.store.clone(), self.kinds.clone()));
        let mut answer = self.answer(user, call, &kind);
        if let Some((store, kinds)) = before {
            (self.store, self.kinds) = (store, kinds);
            if let Ok((_, object)) = &mut answer {
                self.unversion(object, call, &kind);
            }
        }
        self.wake();
        match answer {
            Ok((code, object)) => Answer::Whole(code, object),
            Err(refusal) => Answer::Whole(refusal.code, refusal.to_json()),
        }
    }

    /// Sets the version in the answer to a dry run: the previous one; for a new object the version that was sent, if
    /// any.
    fn unversion(&self, object: &mut Value, call: &Call, kind: &Kind) {
        let metadata = object["metadata"].as_object_mut();
        let Some(metadata) = metadata.filter(|all| all.contains_key("uid")) else {
            return;
        };
        let name = call.name.as_deref().unwrap_or_default();
        metadata.remove("resourceVersion");
        let version = if let Some(kept) = self.store.get(&Self::key(call, kind, name)) {
            Some(kept.version.to_string())
        } else {
            let sent: Value = serde_json::from_slice(&call.body).unwrap_or_default();
            sent["metadata"]["resourceVersion"]
                .as_str()
                .map(str::to_owned)
        };
        if let Some(version) = version {
            metadata.insert("resourceVersion".into(), json!(version));
        }
    }

    fn answer(
        &mut self,
        user: &str,
        call: &Call,
        kind: &Arc<Kind>,
    ) -> Result<(u16, Value), Refusal> {
        let status = call.subresource == "status" && kind.has_status;
        if !call.subresource.is_empty() && !status {
            let name = call.name.as_deref().unwrap_or_default();
            return Err(Refusal::not_found(kind, name));
        }
        match (&call.method, &call.name) {
            (&Method::GET, None) => Ok((200, self.list(call, kind)?)),
            (&Method::GET, Some(name)) => Ok((200, self.get(call, kind, name)?)),
            (&Method::POST, None) => self.create(user, call, kind),
            (&Method::PUT, Some(name)) => self.replace(user, call, kind, name),
            (&Method::PATCH, Some(name)) => self.patch(user, call, kind, name),
            (&Method::DELETE, Some(name)) => self.delete(user, call, kind, name),
            (&Method::DELETE, None) => self.delete_all(user, call, kind),
            _ => {
                let words = "the server does not allow this method on the requested resource";
                Err(Refusal::new(405, "MethodNotAllowed", words))
            }
        }
    }

    fn watch(&self, call: &Call, kind: Arc<Kind>) -> Result<Watching, Refusal> {
        let selector = Selector::read(
            call.param("fieldSelector"),
            call.param("labelSelector"),
            &kind,
        )?;
        let watched = Watched {
            resource: kind.resource(),
            namespace: call.namespace.clone(),
            selector,
            call: call.clone(),
        };
        let now = self.store.version();
        let text = call.param("resourceVersion");
        let (version, first) = match text {
            "" | "0" => (now, watched.present(self, &kind)),
            text => match text.parse::<u64>() {
                Ok(version) => (version, Vec::new()),
                Err(_) => return Err(Refusal::plain(unparsed(text))),
            },
        };
        let compacted = self.store.compacted();
        let mut watching = Watching {
            watched,
            kind,
            version,
            epoch: self.epoch,
            first,
        };
        if version < compacted {
            let words = format!("too old resource version: {version} ({})", compacted + 1);
            watching.first = vec![json!({"type": "ERROR", "object": expired(&words).to_json()})];
            watching.epoch = u64::MAX;
        }
        Ok(watching)
    }
}
