//! The guard against mass deletions, one for each application: what is held, what may go, and what the
//! statuses of its Platforms say of it, so that no restart forgets anything.
//!
//! ```text
//! asked (watch, pass) -> application (pure) -> judged: held, or free with one of the allowance
//!                          |        ^
//!                          record --+-- load, recorded      (status of every Platform of it)
//! ```

mod allowance;
mod application;
mod record;
mod tally;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::jiff::Timestamp;
use tokio::sync::{Notify, mpsc, watch};

use self::application::{ApplicationGuard, Bound};
pub use self::record::Record;
use crate::api::names::{AppId, ObjectKey};
use crate::api::platform::{Guard, PlatformStatus};

/// A deletion that is asked for, whatever else holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The object.
    pub key: ObjectKey,
    /// Since when.
    pub at: Timestamp,
    /// The hold that its status names.
    pub hold: Option<Arc<str>>,
    /// When the last call for it was answered without an end.
    pub answered: Option<Timestamp>,
}

/// What the guard says of one deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It is part of the hold of this id.
    Held(Arc<str>),
    /// It may go.
    Free(Unit),
}

/// Whether a deletion that may go still has to be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// It was, or needn't be.
    Counted,
    /// It has to be, and there is room on record for it.
    Allowed,
    /// It has to be, and the record with room for it is still to be written.
    Awaited,
    /// It has to be, and the record with room for it could not be written the last time.
    Unrecorded,
}

/// Where the guard sends objects that have to be looked at again.
pub type Woken = mpsc::UnboundedSender<Vec<ObjectKey>>;

/// The guards of all applications.
pub struct Guards {
    state: Mutex<State>,
    woken: Woken,
    /// Told when a record should be written at once.
    due: Arc<Notify>,
    loaded: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    applications: HashMap<AppId, ApplicationGuard>,
    /// Whose deletion each one is.
    homes: HashMap<Arc<str>, AppId>,
    platforms: HashMap<ObjectKey, AppId>,
    /// What Platforms let go whose application nobody can tell before their statuses are read.
    unplaced: HashMap<ObjectKey, Bound>,
    listed: bool,
    loaded: bool,
}

impl Guards {
    /// Nothing known yet. `due` is told when a record should be written.
    pub fn new(woken: Woken, due: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            woken,
            due,
            loaded: watch::Sender::new(false),
        })
    }

    /// Waits until what the statuses of Platforms say was read. Nothing may be judged before.
    pub async fn loaded(&self) {
        // The sender lives as long as `self`, so this ends only with the value waited for.
        let _ = self.loaded.subscribe().wait_for(|loaded| *loaded).await;
    }

    /// The object `uid` asks for a deletion in this application, which has so many objects.
    pub fn ask(
        &self,
        uid: &str,
        (application, population, asked): (&AppId, usize, Asked),
        now: Timestamp,
    ) {
        let mut state = self.lock();
        state.ask(uid, application, population, asked);
        self.check(&mut state, application, now);
    }

    /// The object `uid` asks for no deletion (any more), though its status may still be `marked` with a hold.
    pub fn leave(&self, uid: &str, marked: Option<(&AppId, &Arc<str>)>) {
        let mut state = self.lock();
        let Some((application, hold)) = marked else {
            return self.forget_in(&mut state, uid);
        };
        let uid = state.settle(uid, application);
        let guard = state.application(application);
        guard.leave(&uid, hold);
        self.tell_due(guard);
    }

    /// The object `uid` is gone.
    pub fn forget(&self, uid: &str) {
        self.forget_in(&mut self.lock(), uid);
    }

    /// A whole list was read, and told by [`Self::ask`] and [`Self::leave`]: what isn't `present` is gone.
    pub fn listed(&self, present: impl Fn(&str) -> bool, now: Timestamp) {
        let mut state = self.lock();
        state.listed = true;
        state.homes.retain(|uid, _| present(uid));
        let applications: Vec<AppId> = state.applications.keys().cloned().collect();
        for application in applications {
            if let Some(guard) = state.applications.get_mut(&application) {
                guard.retain(&present);
            }
            self.check(&mut state, &application, now);
        }
    }

    /// What may be done for the deletion of `uid`, which asks as told.
    pub fn judge(
        &self,
        uid: &str,
        (application, population, asked): (&AppId, usize, Asked),
        now: Timestamp,
    ) -> Judgement {
        let mut state = self.lock();
        state.ask(uid, application, population, asked);
        state.application(application).let_grow_old(uid, now);
        self.check(&mut state, application, now);
        let guard = state.application(application);
        let judged = guard.judge(uid, now);
        self.tell_due(guard);
        judged
    }

    /// The deletion of `uid` has its turn and waits for room on record, of which the status of its Platform is to tell.
    pub fn want(&self, uid: &str, platform: Option<ObjectKey>) {
        let mut state = self.lock();
        if let Some(application) = state.homes.get(uid).cloned() {
            let guard = state.application(&application);
            guard.want(uid, platform);
            self.tell_due(guard);
        }
    }

    /// Counts the deletion of `uid`, which is about to be sent; `false` where it may not be (any more).
    pub fn take(&self, uid: &str, now: Timestamp) -> bool {
        let mut state = self.lock();
        let Some(application) = state.homes.get(uid).cloned() else {
            return true;
        };
        let guard = state.application(&application);
        let earlier = guard.renew(uid, now);
        guard.let_grow_old(uid, now);
        self.check(&mut state, &application, now);
        let guard = state.application(&application);
        let taken = guard.take(uid, now);
        if let (false, Some(earlier)) = (taken, earlier) {
            guard.restore(uid, &earlier);
        }
        self.tell_due(guard);
        self.check(&mut state, &application, now);
        taken
    }

    /// A call was made for the object `uid`.
    pub fn called(&self, uid: &str) {
        let mut state = self.lock();
        if let Some(application) = state.homes.get(uid).cloned() {
            state.application(&application).called(uid);
        }
    }

    /// The object `uid` is about to be marked with the hold; tell the end by dropping it. `None` where the hold
    /// doesn't hold it any more: a release may have been read since, and would free what is marked after it.
    pub fn mark(self: &Arc<Self>, uid: &str, hold: &str) -> Option<Mark> {
        let mut state = self.lock();
        let application = state.homes.get(uid).cloned()?;
        let hold: Arc<str> = hold.into();
        let holds = state.application(&application).begin_mark(uid, &hold);
        holds.then(|| Mark {
            guards: Arc::clone(self),
            application,
            hold,
        })
    }

    /// A Platform of `application` lets go what `guard` says.
    pub fn set_bound(
        &self,
        platform: &ObjectKey,
        uid: &str,
        application: &AppId,
        guard: &Guard,
        now: Timestamp,
    ) {
        let mut state = self.lock();
        state.unplaced.remove(platform);
        if state.platforms.get(platform) != Some(application) {
            state.drop_bound(platform);
            state
                .platforms
                .insert(platform.clone(), application.clone());
        }
        let bound = Bound::of(uid, guard);
        state.application(application).set_bound(platform, bound);
        self.check(&mut state, application, now);
    }

    /// The same of a Platform that can't tell its application now: it is the one from before, which only its status
    /// tells where this process has never seen it.
    pub fn keep_bound(&self, platform: &ObjectKey, uid: &str, guard: &Guard, now: Timestamp) {
        if let Some(application) = self.application_of(platform) {
            self.set_bound(platform, uid, &application, guard, now);
        } else {
            let bound = Bound::of(uid, guard);
            self.lock().unplaced.insert(platform.clone(), bound);
        }
    }

    /// A Platform is gone.
    pub fn drop_bound(&self, platform: &ObjectKey) {
        self.lock().drop_bound(platform);
    }

    /// Whose Platform it is, as far as known.
    pub fn application_of(&self, platform: &ObjectKey) -> Option<AppId> {
        self.lock().platforms.get(platform).cloned()
    }

    /// Takes over what the statuses of all Platforms say, each with its name; from now on deletions are judged.
    pub fn load<'a>(
        &self,
        statuses: impl Iterator<Item = (&'a ObjectKey, &'a PlatformStatus)>,
        now: Timestamp,
    ) {
        let mut state = self.lock();
        for (platform, status) in statuses {
            let guard = status.guard.as_ref();
            let Some(application) = guard.and_then(|guard| guard.application.clone()) else {
                continue;
            };
            record::load(state.application(&application), status, now);
            if let Some(bound) = state.unplaced.remove(platform) {
                state.application(&application).set_bound(platform, bound);
            }
            state
                .platforms
                .entry(platform.clone())
                .or_insert(application);
        }
        state.loaded = true;
        let applications: Vec<AppId> = state.applications.keys().cloned().collect();
        for application in applications {
            state.application(&application).loaded(now);
            self.check(&mut state, &application, now);
        }
        drop(state);
        self.loaded.send_replace(true);
        self.due.notify_one();
    }

    /// A person releases the hold `id` on `platform`. Another id releases nothing.
    pub fn release(&self, platform: &ObjectKey, id: &str, now: Timestamp) {
        let mut state = self.lock();
        if let Some(application) = state.platforms.get(platform).cloned() {
            let guard = state.application(&application);
            guard.release(id, now, fastrand::u32(..));
            self.tell_due(guard);
        }
    }

    /// The record of every application, those that should be written at once being proposed anew.
    pub fn records(&self, now: Timestamp) -> HashMap<AppId, Record> {
        let mut state = self.lock();
        let state = &mut *state;
        if !state.loaded {
            return HashMap::new();
        }
        let named = &state.platforms;
        state
            .applications
            .retain(|app, guard| !guard.is_empty() || named.values().any(|named| named == app));
        let applications = state.applications.iter_mut();
        applications
            .map(|(application, guard)| (application.clone(), record::of(application, guard, now)))
            .collect()
    }

    /// `record` is safe in the status of a Platform.
    pub fn recorded(&self, application: &AppId, record: &Record) {
        let mut state = self.lock();
        if let Some(guard) = state.applications.get_mut(application) {
            let woken = guard.recorded(record.told());
            self.wake(woken);
        }
    }

    /// `record` could not be written to the status of any Platform.
    pub fn not_recorded(&self, application: &AppId) {
        let mut state = self.lock();
        if let Some(guard) = state.applications.get_mut(application) {
            (guard.untold, guard.unrecorded) = (true, true);
        }
    }

    fn check(&self, state: &mut State, application: &AppId, now: Timestamp) {
        if !state.loaded {
            return;
        }
        let guard = state.application(application);
        let woken = guard.check(now, fastrand::u32(..));
        self.tell_due(guard);
        self.wake(woken);
    }

    fn forget_in(&self, state: &mut State, uid: &str) {
        if let Some(application) = state.homes.remove(uid) {
            let guard = state.application(&application);
            guard.forget(uid);
            self.tell_due(guard);
        }
    }

    fn tell_due(&self, guard: &ApplicationGuard) {
        if guard.is_due() {
            self.due.notify_one();
        }
    }

    fn wake(&self, keys: Vec<ObjectKey>) {
        if !keys.is_empty() {
            // Nobody listens any more only while the process ends.
            let _ = self.woken.send(keys);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The rules don't panic half-way through a change; a poisoned lock must not stop all others.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn application(&mut self, application: &AppId) -> &mut ApplicationGuard {
        match self.applications.entry(application.clone()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(ApplicationGuard::new(self.listed)),
        }
    }

    fn ask(&mut self, uid: &str, application: &AppId, population: usize, asked: Asked) {
        let uid = self.settle(uid, application);
        let guard = self.application(application);
        guard.set_population(population);
        guard.ask(&uid, asked);
    }

    /// From now on `uid` is looked for in the guard of this application.
    fn settle(&mut self, uid: &str, application: &AppId) -> Arc<str> {
        match self.homes.get_key_value(uid) {
            Some((known, home)) if home == application => Arc::clone(known),
            Some((known, home)) => {
                let (known, home) = (Arc::clone(known), home.clone());
                self.application(&home).forget(&known);
                self.homes.insert(Arc::clone(&known), application.clone());
                known
            }
            None => {
                let uid: Arc<str> = uid.into();
                self.homes.insert(Arc::clone(&uid), application.clone());
                uid
            }
        }
    }

    fn drop_bound(&mut self, platform: &ObjectKey) {
        self.unplaced.remove(platform);
        if let Some(application) = self.platforms.remove(platform) {
            self.application(&application).drop_bound(platform);
        }
    }
}

/// A write under way that marks an object with its hold.
pub struct Mark {
    guards: Arc<Guards>,
    application: AppId,
    hold: Arc<str>,
}

impl Drop for Mark {
    fn drop(&mut self) {
        let mut state = self.guards.lock();
        let guard = state.application(&self.application);
        guard.end_mark(&self.hold, Timestamp::now());
        self.guards.tell_due(guard);
    }
}

#[cfg(test)]
mod tests;
