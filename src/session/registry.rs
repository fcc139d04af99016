//! The registry of all sessions of this process, and of the `Platform`s in each.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, SetOnce};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::call_log::{CallLog, Inheritance};
use super::core::{Core, LaneId, Terms};
use super::credential::{CredentialId, Credentials};
use super::lease_bounds::LeaseBounds;
use super::members::Members;
use super::{Credential, Inner, Member, Session, SessionKey, Shared, Snapshot, Wake, dispatcher};
use crate::api::names::{AppId, ObjectKey};
use crate::clock::Clock;

/// All sessions of this process. They send nothing until this process leads.
pub struct Sessions {
    call_timeout: Duration,
    clock: Clock,
    wake: Wake,
    scarce: Arc<Notify>,
    learned: Arc<Notify>,
    leads: SetOnce<()>,
    calls: TaskTracker,
    registry: Mutex<Registry>,
}

#[derive(Default)]
struct Registry {
    sessions: BTreeMap<SessionKey, Home>,
    /// The session of each Platform.
    homes: HashMap<ObjectKey, SessionKey>,
    /// What the former leaders may have sent; `None` until this process leads.
    inheritance: Option<Inheritance>,
    /// The bounds with which a new session begins.
    lease_bounds: LeaseBounds,
    /// Whether sends are barred for now.
    barred: bool,
    credentials: Credentials,
    closed: bool,
}

/// One session, and the view that each of its credentials has of it.
struct Home {
    shared: Arc<Shared>,
    lanes: BTreeMap<LaneId, Arc<Session>>,
}

impl Sessions {
    /// Creates a registry without sessions. A call without an answer counts until `call_timeout` after its start.
    pub fn new(call_timeout: Duration, wake: Wake, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            call_timeout,
            wake,
            clock,
            scarce: Arc::default(),
            learned: Arc::default(),
            leads: SetOnce::new(),
            calls: TaskTracker::new(),
            registry: Mutex::default(),
        })
    }

    /// Joins `platform` to the session of `key` with the settings of `member`. The caller calls this method again after
    /// each change of the settings. A Platform leaves the session that it was in before. A new session spawns its
    /// dispatcher, so the caller needs a Tokio runtime.
    ///
    /// Another `Arc` of the connection counts as a change that makes a further try worthwhile.
    pub fn join(&self, platform: &ObjectKey, key: SessionKey, member: Member) -> Arc<Session> {
        let now = Instant::now();
        let mut guard = self.lock();
        let registry = &mut *guard;
        if registry
            .homes
            .get(platform)
            .is_some_and(|home| *home != key)
        {
            registry.leave(platform);
        }
        registry.sweep(now);
        registry.homes.insert(platform.clone(), key.clone());
        let (closed, barred) = (registry.closed, registry.barred);
        match registry.sessions.entry(key) {
            Entry::Occupied(mut entry) => entry.get_mut().join(platform, member, now),
            Entry::Vacant(entry) => {
                let mut home = self.begin(entry.key().clone(), platform, member, closed);
                if let Some(inheritance) = &mut registry.inheritance {
                    let past = inheritance.take(entry.key(), now);
                    let lease_bounds = registry.lease_bounds.of_a_newcomer();
                    home.shared
                        .change(|core, _| core.begin_lease(past, lease_bounds));
                }
                home.shared.change(|core, _| core.bar(barred));
                let first = home.shared.lock().members.used().first().copied();
                let lane = first.unwrap_or(LaneId(0));
                let session = home.session(lane);
                entry.insert(home);
                session
            }
        }
    }

    /// Returns the notifier that fires when a session has learned something about a credential.
    pub fn learned(&self) -> Arc<Notify> {
        Arc::clone(&self.learned)
    }

    /// Returns the id of a credential of this application; equal credentials have equal ids.
    pub fn credential(&self, app_id: &AppId, credential: &Credential) -> CredentialId {
        self.lock().credentials.id(app_id, credential)
    }

    /// Removes `platform` from its session; the session's call log is kept for one more window.
    pub fn leave(&self, platform: &ObjectKey) {
        let mut registry = self.lock();
        registry.leave(platform);
        registry.sweep(Instant::now());
    }

    /// Starts the leadership of this process with the `inheritance` of the former leaders. Calls may be made once the
    /// first record is stored.
    pub fn lead(&self, inheritance: Inheritance) {
        let now = Instant::now();
        let mut guard = self.lock();
        let registry = &mut *guard;
        let inheritance = registry.inheritance.insert(inheritance);
        for (key, home) in &registry.sessions {
            let past = inheritance.take(key, now);
            home.shared
                .change(|core, _| core.begin_lease(past, LeaseBounds::default()));
        }
    }

    /// Bars all sessions from beginning calls and logins, or lifts the bar.
    pub fn bar(&self, barred: bool) {
        let mut registry = self.lock();
        registry.barred = barred;
        for home in registry.sessions.values() {
            home.shared.change(|core, _| core.bar(barred));
        }
    }

    /// Waits until this process leads and calls may be made.
    pub async fn led(&self) {
        self.leads.wait().await;
    }

    /// Whether this process leads and calls may be made.
    pub fn leads(&self) -> bool {
        self.leads.initialized()
    }

    /// Returns the record for the next leader, as text of at most [`super::CALL_LOG_BOUND`] bytes: the calls of the
    /// last window, and the number of calls that may begin until `until`, when the next record is due.
    ///
    /// Until [`Self::recorded`] confirms that the record is stored, the previous record applies too.
    pub fn record(&self, until: Instant) -> String {
        let now = Instant::now();
        let mut guard = self.lock();
        let registry = &mut *guard;
        registry.sweep(now);
        let sessions = registry.sessions.iter();
        let mut records: Vec<_> = sessions
            .map(|(key, home)| home.shared.lock().core.record(key, until, now))
            .collect();
        let mut partial = false;
        if let Some(inheritance) = &mut registry.inheritance {
            records.extend(inheritance.records(now));
            partial = inheritance.is_partial(now);
        }
        CallLog::new(records, partial).into_text()
    }

    /// Confirms that the last record is stored, with a lease until `lease_ends`.
    pub fn recorded(&self, lease_ends: Instant) {
        let mut registry = self.lock();
        registry.lease_bounds.confirm(lease_ends);
        for home in registry.sessions.values() {
            home.shared.change(|core, _| core.recorded(lease_ends));
        }
        // Only the first record sets this; later attempts do nothing.
        let _ = self.leads.set(());
    }

    /// Waits until a session wants a record earlier than `due`, the time of the next record. Returns the new time;
    /// `None` if the record at `due` is early enough.
    pub async fn scarce(&self, due: Instant) -> Option<Instant> {
        self.scarce.notified().await;
        let now = Instant::now();
        let registry = self.lock();
        let sessions = registry.sessions.values();
        sessions
            .filter_map(|home| home.shared.lock().core.bring_forward(due, now))
            .min()
    }

    /// Closes all sessions: no permit is granted or used and no login begins from now on.
    pub fn close(&self) {
        let mut registry = self.lock();
        registry.closed = true;
        for home in registry.sessions.values() {
            home.shared.change(|core, _| core.close());
        }
    }

    /// Waits until no call is in flight.
    pub async fn drained(&self) {
        // A tracker reports that it is empty only once it is closed; a closed tracker still accepts calls.
        self.calls.close();
        self.calls.wait().await;
    }

    /// Returns a snapshot of each session that has members, with the views of its credentials merged.
    pub fn snapshots(&self) -> Vec<(SessionKey, Snapshot)> {
        let mut all: BTreeMap<SessionKey, Snapshot> = BTreeMap::new();
        for session in self.all() {
            let one = session.snapshot();
            match all.entry(session.key().clone()) {
                Entry::Occupied(mut entry) => entry.get_mut().add(one),
                Entry::Vacant(entry) => drop(entry.insert(one)),
            }
        }
        all.into_iter().collect()
    }

    /// Returns all sessions that have members, once for each credential.
    pub fn all(&self) -> Vec<Arc<Session>> {
        let mut registry = self.lock();
        registry.sweep(Instant::now());
        let homes = registry.sessions.values_mut();
        homes.flat_map(Home::used).collect()
    }

    fn begin(&self, key: SessionKey, platform: &ObjectKey, member: Member, closed: bool) -> Home {
        let mut members = Members::default();
        let terms = Terms {
            calls: member.calls,
            window: member.window,
            credential: member.credential.clone(),
        };
        let joined = members.join(platform, member);
        let now = Instant::now();
        let mut core = Core::new(joined.lane, terms, now, self.call_timeout, Rng::new());
        if joined.asks {
            core.ask(joined.lane, now);
        }
        if closed {
            core.close();
        }
        let shared = Arc::new(Shared {
            key,
            inner: Mutex::new(Inner { core, members }),
            changed: Arc::new(Notify::new()),
            wake: self.wake.clone(),
            scarce: Arc::clone(&self.scarce),
            spare: Notify::new(),
            learned: Arc::clone(&self.learned),
            anchor: (self.clock.wall(), now),
            clock: self.clock.clone(),
            calls: self.calls.clone(),
        });
        tokio::spawn(dispatcher::run(Arc::downgrade(&shared)));
        Home {
            shared,
            lanes: BTreeMap::new(),
        }
    }

    /// Leads without a Lease, as if nothing had been sent before.
    #[cfg(test)]
    pub(crate) fn lead_unbounded(&self) {
        self.lead(Inheritance::nothing());
        self.lock().lease_bounds = LeaseBounds::unbounded(Instant::now());
        let _ = self.leads.set(());
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock()
    }
}

impl Registry {
    fn leave(&mut self, platform: &ObjectKey) {
        let home = self.homes.remove(platform);
        if let Some(home) = home.and_then(|home| self.sessions.get(&home)) {
            home.leave(platform, Instant::now());
        }
    }

    /// Removes sessions without members whose calls have all left the window.
    fn sweep(&mut self, now: Instant) {
        self.sessions.retain(|_, home| {
            home.sweep(now);
            let inner = home.shared.lock();
            !inner.members.is_empty() || !inner.core.spent(now)
        });
    }
}

impl Home {
    fn session(&mut self, lane: LaneId) -> Arc<Session> {
        let shared = &self.shared;
        let session = self.lanes.entry(lane).or_insert_with(|| {
            Arc::new(Session {
                lane,
                shared: Arc::clone(shared),
            })
        });
        Arc::clone(session)
    }

    /// Returns the view of each credential that has members.
    fn used(&mut self) -> Vec<Arc<Session>> {
        let used = self.shared.lock().members.used();
        used.into_iter().map(|lane| self.session(lane)).collect()
    }

    fn join(&mut self, platform: &ObjectKey, member: Member, now: Instant) -> Arc<Session> {
        let mut inner = self.shared.lock();
        let before = inner.members.lane_of(platform);
        let before = before.and_then(|lane| inner.members.connection(lane));
        let joined = inner.members.join(platform, member);
        let lane = joined.lane;
        let after = inner.members.connection(lane);
        let reconnected = match (before, after) {
            (Some(before), Some(after)) => !Arc::ptr_eq(&before, &after),
            (Some(_), None) | (None, Some(_) | None) => false,
        };
        if let Some(terms) = inner.members.terms(lane) {
            let worth_trying = joined.worth_trying || reconnected;
            inner.core.agree(lane, terms, worth_trying, now);
        }
        if joined.asks {
            inner.core.ask(lane, now);
        }
        if let Some(left) = joined.left {
            self.abandon(&mut inner, left, now);
        }
        drop(inner);
        self.shared.changed.notify_one();
        self.session(lane)
    }

    fn leave(&self, platform: &ObjectKey, now: Instant) {
        let mut inner = self.shared.lock();
        match inner.members.leave(platform) {
            Some((lane, true)) => self.abandon(&mut inner, lane, now),
            Some((lane, false)) => {
                if let Some(terms) = inner.members.terms(lane) {
                    inner.core.agree(lane, terms, false, now);
                }
            }
            None => {}
        }
        drop(inner);
        self.shared.changed.notify_one();
    }

    fn abandon(&self, inner: &mut Inner, lane: LaneId, now: Instant) {
        // The objects are woken here, because the dispatcher may end before its next step.
        for key in inner.core.abandon(lane, now) {
            // The receiver is gone only while the process ends.
            let _ = self.shared.wake.send(key);
        }
    }

    /// Removes lanes that have had no members for long.
    fn sweep(&mut self, now: Instant) {
        let mut inner = self.shared.lock();
        let lanes: BTreeSet<LaneId> = inner.core.sweep(now).collect();
        inner.members.retain(&lanes);
        drop(inner);
        self.lanes.retain(|lane, _| lanes.contains(lane));
    }
}

#[cfg(test)]
mod tests;
