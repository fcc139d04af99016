//! All sessions of this process, and which `Platform` is in which.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::core::{Core, Terms};
use super::members::Members;
use super::{Inner, Member, Session, SessionKey, Snapshot, Wake, dispatcher};
use crate::api::names::ObjectKey;

/// All sessions of this process.
pub struct Sessions {
    started: Instant,
    call_timeout: Duration,
    wake: Wake,
    calls: TaskTracker,
    registry: Mutex<Registry>,
}

#[derive(Default)]
struct Registry {
    sessions: HashMap<SessionKey, Arc<Session>>,
    /// Where each platform is.
    homes: HashMap<ObjectKey, SessionKey>,
    closed: bool,
}

impl Sessions {
    /// No session yet. `started` is when this process began: the window before it counts as used.
    /// A call without an answer counts until `call_timeout` after its start.
    pub fn new(started: Instant, call_timeout: Duration, wake: Wake) -> Arc<Self> {
        Arc::new(Self {
            started,
            call_timeout,
            wake,
            calls: TaskTracker::new(),
            registry: Mutex::default(),
        })
    }

    /// Joins `platform` to the session of `key`, with what it brings; again after each change of that.
    /// A platform that was in another session leaves it. A new session begins its task, so this has to
    /// be called within a Tokio runtime.
    ///
    /// Another `Arc` of the connection counts as a change that makes trying again worthwhile.
    pub fn join(&self, platform: &ObjectKey, key: SessionKey, member: Member) -> Arc<Session> {
        let now = Instant::now();
        let mut registry = self.lock();
        if registry
            .homes
            .get(platform)
            .is_some_and(|home| *home != key)
        {
            registry.leave(platform);
        }
        registry.sweep(now);
        registry.homes.insert(platform.clone(), key.clone());
        let closed = registry.closed;
        match registry.sessions.entry(key) {
            Entry::Occupied(entry) => {
                entry.get().join(platform, member, now);
                Arc::clone(entry.get())
            }
            Entry::Vacant(entry) => {
                let session = self.begin(entry.key().clone(), platform, member, closed);
                Arc::clone(entry.insert(session))
            }
        }
    }

    /// Takes `platform` out of its session; the session's log outlives it by one window.
    pub fn leave(&self, platform: &ObjectKey) {
        let mut registry = self.lock();
        registry.leave(platform);
        registry.sweep(Instant::now());
    }

    /// From now on nothing new is sent: no permit is given or usable, no login begun.
    pub fn close(&self) {
        let mut registry = self.lock();
        registry.closed = true;
        for session in registry.sessions.values() {
            session.change(|core, _| core.close());
        }
    }

    /// Waits until no call is under way.
    pub async fn drained(&self) {
        // A tracker tells that it's empty only once it's closed; that hinders no call.
        self.calls.close();
        self.calls.wait().await;
    }

    /// A look at every session that has a member.
    pub fn snapshots(&self) -> Vec<(SessionKey, Snapshot)> {
        let mut registry = self.lock();
        registry.sweep(Instant::now());
        let sessions: Vec<_> = registry.sessions.values().map(Arc::clone).collect();
        drop(registry);
        sessions
            .into_iter()
            .filter(|session| !session.lock().members.is_empty())
            .map(|session| (session.key.clone(), session.snapshot()))
            .collect()
    }

    fn begin(
        &self,
        key: SessionKey,
        platform: &ObjectKey,
        member: Member,
        closed: bool,
    ) -> Arc<Session> {
        let mut members = Members::default();
        let terms = Terms {
            calls: member.calls,
            window: member.window,
            credential: member.credential.clone(),
        };
        members.join(platform, member);
        let mut core = Core::new(terms, self.started, self.call_timeout, Rng::new());
        if closed {
            core.close();
        }
        let session = Arc::new(Session {
            key,
            inner: Mutex::new(Inner { core, members }),
            changed: Arc::new(Notify::new()),
            wake: self.wake.clone(),
            calls: self.calls.clone(),
        });
        tokio::spawn(dispatcher::run(Arc::downgrade(&session)));
        session
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    fn leave(&mut self, platform: &ObjectKey) {
        let home = self.homes.remove(platform);
        if let Some(session) = home.and_then(|home| self.sessions.get(&home)) {
            session.leave(platform, Instant::now());
        }
    }

    /// Forgets the sessions without members whose calls have all left the window.
    fn sweep(&mut self, now: Instant) {
        self.sessions.retain(|_, session| {
            let inner = session.lock();
            !inner.members.is_empty() || !inner.core.spent(now)
        });
    }
}

impl Session {
    fn join(&self, platform: &ObjectKey, member: Member, now: Instant) {
        self.change_members(now, |members| members.join(platform, member));
    }

    fn leave(&self, platform: &ObjectKey, now: Instant) {
        self.change_members(now, |members| members.leave(platform));
    }

    fn change_members(&self, now: Instant, change: impl FnOnce(&mut Members)) {
        let mut inner = self.lock();
        let before = inner.members.connection();
        change(&mut inner.members);
        let after = inner.members.connection();
        let reconnected = match (before, after) {
            (Some(before), Some(after)) => !Arc::ptr_eq(&before, &after),
            (Some(_), None) | (None, Some(_)) => true,
            (None, None) => false,
        };
        match inner.members.terms() {
            Some(terms) => inner.core.agree(terms, reconnected, now),
            None => {
                // Told from here: the dispatcher may end before its next look.
                for key in inner.core.abandon() {
                    // Nobody listens only when the process ends.
                    let _ = self.wake.send(key);
                }
            }
        }
        drop(inner);
        self.changed.notify_one();
    }
}

#[cfg(test)]
mod tests;
