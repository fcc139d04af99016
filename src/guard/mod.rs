//! The guard against mass deletions. A group consists of Platforms of one application that count together. Each group
//! has one guard, which decides which deletions are held and which may be sent. The statuses of the group's Platforms
//! record the state of the guard, so a restart loses nothing.
//!
//! ```text
//! asked (watch, pass) -> groups -> application (pure) -> judged: held, or free with a unit of the reservation
//!                          ^        |        ^
//!   credentials, proofs ---+        record --+-- load, recorded      (status of every Platform of the group)
//! ```
//!
//! Deletions are counted before any pass begins: each step of the watch reports the requested deletions before it wakes
//! a pass, and a full list reports all of them. A retired object, whose package may be long gone, is reported only
//! after a look-up has shown the package.
//!
//! A deletion takes a unit of the reservation when its intent is written. The reservation is written to `status.guard`
//! of every Platform of the group. It is stored in at least one of these statuses before it is used, so the next leader
//! knows all deletions that may have been sent. A hold is in `status.hold`, and its id is in the status of each object
//! that it holds. A release first stops the marking of objects with the id of the released hold, and waits for the
//! marks that are being written. Once the release is stored in a status, it frees the objects that carry the id. A new
//! leader reads all of this with one list before it judges any deletion.

mod application;
mod asked;
mod groups;
mod record;
mod recording;
mod tally;
mod unused;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, SetOnce, mpsc};

use self::application::{ApplicationGuard, Bound};
pub use self::asked::{Asked, Judgement, OnRecord};
pub use self::groups::Footing;
use self::groups::{GroupHome, Groups};
pub use self::record::Record;
pub use self::recording::Told;
pub use self::unused::{Unused, unused_in_words, unused_of};
use crate::api::names::{AppId, ObjectKey};
use crate::api::platform::Guard;
use crate::clock::Clock;

/// The channel for objects that need another pass.
pub type Woken = mpsc::UnboundedSender<Vec<ObjectKey>>;

/// A function that takes an application and some of its Platforms. The function counts the objects of these Platforms
/// that were accepted for the application and whose packages aren't gone.
pub type Population = Box<dyn Fn(&AppId, &[ObjectKey]) -> usize + Send + Sync>;

/// The guards of all groups of all applications.
pub struct Guards {
    state: Mutex<State>,
    population: Population,
    woken: Woken,
    /// Notified when a record should be written at once.
    due: Arc<Notify>,
    clock: Clock,
    loaded: SetOnce<()>,
}

#[derive(Default)]
struct State {
    groups: Groups,
    platforms: BTreeMap<ObjectKey, AppId>,
    /// The bounds of Platforms whose application isn't known before their statuses are read.
    unplaced: HashMap<ObjectKey, Bound>,
    loaded: bool,
    closed: bool,
}

impl Guards {
    /// Creates the guards without any state. `due` is notified when a record should be written.
    pub fn new(woken: Woken, due: Arc<Notify>, population: Population, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            population,
            woken,
            due,
            clock,
            loaded: SetOnce::new(),
        })
    }

    /// Waits until the statuses of the Platforms have been read. No deletion may be judged before that.
    pub async fn loaded(&self) {
        self.loaded.wait().await;
    }

    /// Reports that the object `uid` requests a deletion in this application.
    pub fn ask(&self, uid: &str, application: &AppId, asked: Asked, now: Timestamp) {
        let mut state = self.lock();
        let group = self.ask_in(&mut state, uid, application, asked);
        self.check(&mut state, group, now);
    }

    /// Reports that the object `uid` requests no deletion (any more). If its status still names a hold, `marked` is the
    /// application, the object's Platform and the hold.
    pub fn leave(&self, uid: &str, marked: Option<(&AppId, &ObjectKey, &Arc<str>)>) {
        let mut state = self.lock();
        let Some((application, platform, hold)) = marked else {
            return self.forget_in(&mut state, uid);
        };
        let (uid, group) = state.groups.settle(uid, &home(application, platform));
        if let Some(guard) = state.groups.guard(group) {
            guard.leave(&uid, hold);
            self.tell_due(guard);
        }
    }

    /// Reports that the object `uid` is gone.
    pub fn forget(&self, uid: &str) {
        self.forget_in(&mut self.lock(), uid);
    }

    /// Ends a full list, whose objects were reported by [`Self::ask`] and [`Self::leave`]: objects that aren't
    /// `present` are gone.
    pub fn listed(&self, present: impl Fn(&str) -> bool, now: Timestamp) {
        let mut state = self.lock();
        state.groups.retain(present);
        for group in state.groups.numbers() {
            self.check(&mut state, group, now);
        }
    }

    /// Judges whether the deletion of `uid`, requested as in `asked`, may be sent.
    pub fn judge(&self, uid: &str, application: &AppId, asked: Asked, now: Timestamp) -> Judgement {
        let mut state = self.lock();
        let group = self.ask_in(&mut state, uid, application, asked);
        if let Some(guard) = state.groups.guard(group) {
            guard.let_grow_old(uid, now);
        }
        self.check(&mut state, group, now);
        let Some(guard) = state.groups.guard(group) else {
            return Judgement::Free(OnRecord::Awaited);
        };
        let judged = guard.judge(uid, now);
        self.tell_due(guard);
        judged
    }

    /// Reports that the deletion of `uid` has its turn and waits for a reservation, which the status of `platform`
    /// should record.
    pub fn want(&self, uid: &str, platform: Option<ObjectKey>) {
        let mut state = self.lock();
        if let Some((_, guard)) = state.groups.guard_of(uid) {
            guard.want(uid, platform);
            self.tell_due(guard);
        }
    }

    /// Counts the deletion of `uid` just before it is sent. Returns `false` if it may not be sent (any more).
    pub fn take(&self, uid: &str, now: Timestamp) -> bool {
        let mut state = self.lock();
        if state.closed {
            return false;
        }
        let Some((group, guard)) = state.groups.guard_of(uid) else {
            return true;
        };
        let earlier = guard.renew(uid, now);
        guard.let_grow_old(uid, now);
        self.check(&mut state, group, now);
        let Some(guard) = state.groups.guard(group) else {
            return false;
        };
        let taken = guard.take(uid, now);
        if let (false, Some(earlier)) = (taken, earlier) {
            guard.restore(uid, &earlier);
        }
        self.tell_due(guard);
        self.check(&mut state, group, now);
        taken
    }

    /// Reports that a call was made for the object `uid`.
    pub fn called(&self, uid: &str) {
        if let Some((_, guard)) = self.lock().groups.guard_of(uid) {
            guard.called(uid);
        }
    }

    /// Begins the write that marks the object `uid` with the hold; the caller drops the returned mark when the write
    /// has ended. Returns `None` if this hold doesn't hold the object any more, for example because the hold was
    /// released meanwhile. The object must not be marked then, because the release would free the object.
    pub fn mark(self: &Arc<Self>, uid: &str, hold: &str) -> Option<HoldMark> {
        let mut state = self.lock();
        let hold: Arc<str> = hold.into();
        let write = state.groups.numbers.next();
        let (group, guard) = state.groups.guard_of(uid)?;
        if !guard.begin_mark(uid, &hold, write) {
            return None;
        }
        let application = state.groups.get(group)?.application.clone();
        Some(HoldMark {
            guards: Arc::clone(self),
            application,
            hold,
            write,
        })
    }

    /// Reports what is known about the credentials of a Platform. The credentials decide which other Platforms count
    /// together with this Platform.
    pub fn stand(&self, platform: &ObjectKey, footing: &Footing, now: Timestamp) {
        let mut state = self.lock();
        let changed = state.groups.stand(platform, footing, &self.population, now);
        self.changed(&mut state, changed, now);
    }

    /// Reports whether the platform now accepts the credential of this Platform.
    pub fn prove(&self, platform: &ObjectKey, proven: bool, now: Timestamp) {
        let mut state = self.lock();
        let Some(application) = state.platforms.get(platform) else {
            return;
        };
        let Some(footing) = state.groups.footing(application, platform) else {
            return;
        };
        let footing = Footing {
            proven,
            ..footing.clone()
        };
        let changed = state
            .groups
            .stand(platform, &footing, &self.population, now);
        self.changed(&mut state, changed, now);
    }

    fn changed(&self, state: &mut State, changed: (Vec<u64>, Vec<ObjectKey>), now: Timestamp) {
        let (groups, woken) = changed;
        for group in groups {
            self.check(state, group, now);
        }
        self.wake(woken);
    }

    /// Sets the bound of a Platform of `application` from its spec `guard`.
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
        let group = state.groups.of(application, platform);
        let before = state.platforms.get(platform).cloned();
        if before.as_ref() != Some(application) {
            state.drop_bound(platform);
            state
                .platforms
                .insert(platform.clone(), application.clone());
            if let Some(before) = before {
                state.carry(platform, &before, group);
            }
        }
        if let Some(own) = state.groups.guard(group) {
            own.set_bound(platform, Bound::of(uid, guard));
        }
        self.check(&mut state, group, now);
    }

    /// Sets the bound of a Platform whose application can't be told now. The earlier application of the Platform
    /// applies. If this process doesn't know the earlier application, the bound is kept until the status of the
    /// Platform has been read.
    pub fn keep_bound(&self, platform: &ObjectKey, uid: &str, guard: &Guard, now: Timestamp) {
        if let Some(application) = self.application_of(platform) {
            self.set_bound(platform, uid, &application, guard, now);
        } else {
            let bound = Bound::of(uid, guard);
            self.lock().unplaced.insert(platform.clone(), bound);
        }
    }

    /// Removes the bound of a Platform that is gone.
    pub fn drop_bound(&self, platform: &ObjectKey) {
        self.lock().drop_bound(platform);
    }

    /// Returns the application of a Platform, if it is known.
    pub fn application_of(&self, platform: &ObjectKey) -> Option<AppId> {
        self.lock().platforms.get(platform).cloned()
    }

    fn ask_in(&self, state: &mut State, uid: &str, application: &AppId, asked: Asked) -> u64 {
        let home = home(application, &asked.platform);
        state.groups.ask(uid, &home, &self.population, asked)
    }

    fn check(&self, state: &mut State, group: u64, now: Timestamp) {
        if !state.loaded {
            return;
        }
        if let Some(guard) = state.groups.guard(group) {
            let woken = guard.check(now, fastrand::u32(..));
            self.tell_due(guard);
            self.wake(woken);
        }
    }

    fn forget_in(&self, state: &mut State, uid: &str) {
        if let Some(guard) = state
            .groups
            .forget(uid)
            .and_then(|group| state.groups.guard(group))
        {
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
            // The receiver is gone only while the process ends.
            let _ = self.woken.send(keys);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

fn home(application: &AppId, platform: &ObjectKey) -> GroupHome {
    GroupHome {
        application: application.clone(),
        platform: platform.clone(),
    }
}

impl State {
    /// Returns the guard of the group that this Platform belongs to now.
    fn guard_on(&mut self, platform: &ObjectKey) -> Option<&mut ApplicationGuard> {
        let application = self.platforms.get(platform)?;
        let group = self.groups.of(application, platform);
        self.groups.guard(group)
    }

    /// Adds the deletions that were sent while `platform` belonged to the application `before` to the count of `group`.
    /// This is necessary because the status of a Platform records only one application, and the Platform's Secret may
    /// name another application for a while.
    fn carry(&mut self, platform: &ObjectKey, before: &AppId, group: u64) {
        let former = self.groups.of(before, platform);
        let sent = self
            .groups
            .guard(former)
            .map(|guard| guard.tally.copy_sent());
        if let (Some(sent), Some(guard)) = (sent, self.groups.guard(group)) {
            guard.untold |= sent.stretches().next().is_some();
            guard.tally.merge_sent(sent);
        }
    }

    fn drop_bound(&mut self, platform: &ObjectKey) {
        self.unplaced.remove(platform);
        if let Some(guard) = self.guard_on(platform) {
            guard.drop_bound(platform);
        }
        self.platforms.remove(platform);
    }
}

/// A write in flight that marks an object with its hold.
pub struct HoldMark {
    guards: Arc<Guards>,
    application: AppId,
    hold: Arc<str>,
    write: i64,
}

impl Drop for HoldMark {
    fn drop(&mut self) {
        let now = self.guards.clock.wall();
        let mut state = self.guards.lock();
        // The mark is removed in each group of the application, because the Platform may have changed its group.
        for group in state.groups.of_application(&self.application) {
            let guard = &mut group.guard;
            guard.end_mark(&self.hold, self.write, now);
            self.guards.tell_due(guard);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
