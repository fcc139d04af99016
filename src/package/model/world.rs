//! Users, platform and operator of the model, stepped together; every send and every release is
//! checked against what really is.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::server::{self, Server};
use crate::api::names::{AppId, ObjectKey};
use crate::api::platform::{Guard, HoldStatus, Mode, PlatformStatus};
use crate::api::version_package::Outcome;
use crate::package::asking::asking;
use crate::package::cache::{Cache, Event};
use crate::package::claims::Resolved;
use crate::package::decide::Now;
use crate::package::intake::{count_asked, see_requests};
use crate::package::memory::Memory;
use crate::package::packed::Packed;
use crate::platform::guard::{Footing, Guards, Unused};
use crate::session::Standing;
use crate::session::{CredentialId, SessionKey};

/// How long a deletion can be called off in the model.
pub const GRACE: Duration = Duration::from_secs(30);
/// How many go within a window.
pub const BOUND: usize = 3;
/// The window of the guard.
pub const WINDOW: Duration = Duration::from_secs(600);

/// What the platform does with the next DELETE.
#[derive(Debug, Clone, Copy)]
pub enum Reply {
    Done,
    /// It happens, but the answer is lost.
    DoneLost,
    Unavailable,
    Throttled,
    BareNotFound,
}

/// What really happened to one object, whatever the operator knows of it.
#[derive(Default, Clone)]
pub(super) struct Truth {
    /// Since when the present retirement may count: the last time that it was set back and seen to be.
    pub(super) retired: Option<Timestamp>,
    /// When the claim of another object ended, which begins it anew.
    pub(super) anew: Option<Timestamp>,
    /// The last generation before that retirement.
    pub(super) wanted: i64,
    /// Whether a pass has said that it is wanted since.
    pub(super) seen_active: bool,
    /// It was part of a hold that no release has freed.
    pub(super) held: bool,
    pub(super) freed: bool,
    /// Why the intent that was written last should not lead to a call.
    pub(super) wrong: Option<&'static str>,
    pub(super) outcome: Option<Outcome>,
}

pub struct World {
    pub server: Server,
    pub packages: BTreeSet<String>,
    pub now: Timestamp,
    pub tick: Instant,
    pub mode: Mode,
    pub application: AppId,
    /// What the Platform of somebody else has credentials of, and whether the platform has accepted them.
    pub foreign: (AppId, bool),
    pub bound: usize,
    /// Since when each object is there, at the latest.
    pub(super) born: HashMap<String, Timestamp>,
    /// Since when the operator runs.
    pub(super) started: Timestamp,
    /// Whether a start reads the status of the Platform before the list, or after it.
    early: bool,
    pub(super) truths: HashMap<String, Truth>,
    /// Calls for what no person freed: when, and for which object.
    pub(super) sent: Vec<(Timestamp, String)>,
    pub releases: usize,
    /// Packages whose objects were taken away by force: nobody can know in time that they claim no more.
    pub(super) forced: BTreeSet<String>,
    // The operator, lost in a restart.
    pub(super) cache: Arc<Cache>,
    pub(super) memory: Memory,
    pub(super) guards: Arc<Guards>,
    pub(super) standings: HashMap<String, Standing>,
    /// Whether the budget has calls left: who asks is permitted at once.
    pub spare: bool,
    pub(super) leaders: HashMap<String, String>,
    pub(super) proven: HashMap<String, (i64, Instant)>,
    /// How far the watch has come.
    pub(super) cursor: usize,
    /// What is still to be read of a list under way.
    unread: Option<Vec<Packed>>,
    // What stands in the status of the Platform.
    pub(super) status: PlatformStatus,
    /// Nobody listens: the steps say who is looked at.
    pub(super) woken: mpsc::UnboundedReceiver<Vec<ObjectKey>>,
}

pub(super) fn app() -> AppId {
    "app-1".parse().unwrap()
}

pub(super) fn platform() -> ObjectKey {
    ObjectKey::new("fleet", "production")
}

/// The Platform of somebody else.
pub(super) const FOREIGN: &str = "foreign";

fn guards(wake: mpsc::UnboundedSender<Vec<ObjectKey>>, cache: &Arc<Cache>) -> Arc<Guards> {
    let cache = Arc::clone(cache);
    let population = move |application: &AppId, platforms: &[ObjectKey]| {
        cache.population(application, platforms)
    };
    Guards::new(
        wake,
        Arc::default(),
        Box::new(population),
        crate::clock::Clock::default(),
    )
}

impl World {
    /// What a Platform comes to now, for an object of `production`.
    pub(super) fn belonging(&self, platform: Option<&ObjectKey>) -> Resolved {
        let foreign = platform.is_some_and(|key| &*key.name == FOREIGN);
        Resolved {
            logs_in: true,
            application: self.application_of(platform),
            equal: !foreign,
            proven: !foreign || self.foreign.1,
            tried: true,
            same_endpoint: true,
            closing: false,
            current: true,
            confirmed: true,
        }
    }

    pub(super) fn application_of(&self, platform: Option<&ObjectKey>) -> AppId {
        match platform {
            Some(key) if &*key.name == FOREIGN => self.foreign.0.clone(),
            Some(_) | None => self.application.clone(),
        }
    }

    pub fn new() -> Self {
        let (wake, woken) = mpsc::unbounded_channel();
        let cache = Arc::default();
        let mut world = Self {
            server: Server::default(),
            packages: BTreeSet::new(),
            now: Timestamp::now(),
            tick: Instant::now(),
            mode: Mode::Enforce,
            application: app(),
            foreign: ("app-2".parse().unwrap(), true),
            born: HashMap::new(),
            started: Timestamp::now(),
            bound: BOUND,
            early: false,
            truths: HashMap::new(),
            sent: Vec::new(),
            releases: 0,
            forced: BTreeSet::new(),
            guards: guards(wake, &cache),
            cache,
            memory: Memory::default(),
            standings: HashMap::new(),
            spare: false,
            leaders: HashMap::new(),
            proven: HashMap::new(),
            cursor: 0,
            unread: None,
            status: PlatformStatus::default(),
            woken,
        };
        world.start();
        world
    }

    pub(super) fn set_application(&mut self, application: &str) {
        self.application = application.parse().unwrap();
        self.platform_changed(&platform().name);
    }

    /// Whoever is concerned looks, as it does when a Platform has changed.
    pub(super) fn platform_changed(&mut self, name: &str) {
        for key in self
            .cache
            .concerned_by(&ObjectKey::new("fleet", name))
            .all()
        {
            self.pass(&key.name, Reply::Unavailable);
        }
    }

    pub(super) fn clock(&self) -> Now {
        Now {
            wall: self.now,
            tick: self.tick,
        }
    }

    pub fn pass_time(&mut self, by: Duration) {
        for object in self.server.all() {
            self.born.entry(object.uid.clone()).or_insert(self.now);
        }
        self.now = self.now.checked_add(by).unwrap();
        self.tick += by;
    }

    /// The operator starts anew: all that it remembers is gone, what stands in statuses is not.
    pub fn restart(&mut self) {
        let (wake, woken) = mpsc::unbounded_channel();
        self.cache = Arc::default();
        self.memory = Memory::default();
        self.guards = guards(wake, &self.cache);
        self.standings.clear();
        self.leaders.clear();
        self.proven.clear();
        self.woken = woken;
        self.started = self.now;
        self.start();
    }

    pub(super) fn start(&mut self) {
        self.early = !self.early;
        if !self.early {
            self.relist();
        }
        self.tell_bounds();
        let key = platform();
        let statuses = std::iter::once((&key, "uid-platform", &self.status));
        self.guards.load(statuses, &Unused::default(), self.now);
        // What was raised while nobody looked is found now.
        if self.told_bound().is_some_and(|told| self.bound > told) {
            self.free_within_bound();
        }
        if self.early {
            self.relist();
        }
    }

    /// The bound of the Platform is set.
    pub fn set_bound(&mut self, most: usize) {
        let raised = most > self.bound;
        self.bound = most;
        if raised {
            self.free_within_bound();
        }
        self.tell_bounds();
    }

    fn tell_bounds(&self) {
        // Whoever is in the way of whom is judged elsewhere: here all of an application count together.
        for app_id in [app(), "app-2".parse().unwrap()] {
            let key = SessionKey {
                endpoint: "https://iot.example.com".parse().unwrap(),
                app_id,
            };
            let footing = Footing {
                key,
                credential: CredentialId::of(1),
                proven: true,
            };
            for name in ["production", FOREIGN, "other"] {
                let platform = ObjectKey::new("fleet", name);
                self.guards.stand(&platform, &footing, self.now);
            }
        }
        let guard = Guard {
            max_deletions: i32::try_from(self.bound).unwrap(),
            window: "600s".to_owned(),
            ..Guard::default()
        };
        self.guards
            .set_bound(&platform(), "uid-platform", &app(), &guard, self.now);
        let lenient = Guard {
            max_deletions: 1000,
            ..guard
        };
        let (other, application) = (ObjectKey::new("fleet", "other"), "app-2".parse().unwrap());
        self.guards
            .set_bound(&other, "uid-other", &application, &lenient, self.now);
    }

    /// A bound that was raised just now frees a hold that counts no more than it.
    fn free_within_bound(&mut self) {
        for held in [self.still_held(), self.seems_held()] {
            if (1..=self.bound).contains(&held.len()) {
                for uid in held {
                    self.truths.entry(uid).or_default().freed = true;
                }
                // Who is claimed but wasn't looked at since still carries the id.
                self.free_marked();
            }
        }
    }

    /// The same of what the watch has shown: who was called off since is freed too, should it be asked for anew.
    fn seems_held(&self) -> Vec<String> {
        let keys = self
            .server
            .objects
            .keys()
            .map(|name| ObjectKey::new("fleet", name.as_str()));
        let shown = keys
            .filter_map(|key| self.cache.look(&key))
            .map(|look| look.object);
        let asks = shown.filter(|object| asking(object, self.now).is_some());
        asks.map(|object| object.uid.clone())
            .filter(|uid| self.truths.get(uid).is_some_and(|truth| truth.held))
            .collect()
    }

    /// The bound that the status says.
    fn told_bound(&self) -> Option<usize> {
        let hold = self.status.hold.as_ref()?;
        usize::try_from(hold.bound).ok()
    }

    /// The hold that the operator knows now.
    pub(super) fn present_hold(&self) -> Option<HoldStatus> {
        let records = self.guards.all_records(self.now);
        let record = records.get(&platform())?;
        // Only looked at, so what is due is still to be written.
        if record.urgent {
            self.guards.not_recorded(record);
        }
        record.hold.clone()
    }

    pub(super) fn still_held(&self) -> Vec<String> {
        let asks = self.server.all().filter(|object| {
            let wanted = if object.deleted_at.is_some() {
                object.is_retained()
            } else {
                !object.is_retired(self.now)
            };
            !wanted && !self.is_claimed(object)
        });
        asks.map(|object| object.uid.clone())
            .filter(|uid| {
                self.truths
                    .get(uid)
                    .is_some_and(|truth| truth.held && !truth.freed)
            })
            .collect()
    }

    /// A person releases the hold that stands; what carries its id then is free.
    pub fn release(&mut self) {
        let Some(hold) = &self.status.hold else {
            return;
        };
        let id = hold.id.clone();
        if self.present_hold().is_some_and(|stands| stands.id == id) {
            self.free_marked();
            self.releases += 1;
        }
        self.guards.release(&platform(), &id, self.now);
    }

    pub(super) fn free_marked(&mut self) {
        let Some(hold) = self.present_hold() else {
            return;
        };
        for object in self.server.all() {
            let mark = object.status.deletion.as_ref().and_then(|d| d.hold.clone());
            if mark.as_deref() == Some(&*hold.id) {
                self.truths.entry(object.uid.clone()).or_default().freed = true;
            }
        }
    }

    /// The status of the Platform is written.
    pub fn record(&mut self) {
        let records = self.guards.all_records(self.now);
        for record in records.values() {
            self.guards.recorded(record);
        }
        if let Some(record) = records.get(&platform()) {
            self.status.hold = record.hold.clone();
            self.status.guard = Some(record.guard.clone());
        }
    }

    /// The watch delivers its next `count` changes; none while a list is under way.
    pub fn deliver(&mut self, count: usize) {
        if self.unread.is_some() {
            return;
        }
        for _ in 0..count {
            let Some(change) = self.server.changes.get(self.cursor) else {
                return;
            };
            let event = change.event(self.now);
            self.cursor += 1;
            self.take(event);
        }
    }

    /// The watch begins anew with a list.
    pub fn relist(&mut self) {
        self.begin_list(usize::MAX);
        self.end_list();
    }

    /// A list begins anew, as things are now; `read` objects of it are read.
    pub fn begin_list(&mut self, read: usize) {
        self.take(Event::ListBegins);
        let mut listed: Vec<Packed> = self
            .server
            .objects
            .values()
            .map(|o| Packed::read(server::read(o), self.now))
            .collect();
        let unread = listed.split_off(read.min(listed.len()));
        for object in listed {
            self.take(Event::Listed(object));
        }
        self.unread = Some(unread);
        self.cursor = self.server.changes.len();
    }

    /// The list under way is read to its end.
    pub fn end_list(&mut self) {
        let Some(unread) = self.unread.take() else {
            return;
        };
        for object in unread {
            self.take(Event::Listed(object));
        }
        self.take(Event::ListEnds);
    }

    pub(super) fn take(&mut self, event: Event) {
        let changes = self.cache.apply(event);
        if changes.listed {
            self.memory.set_blind(false);
        }
        for uid in &changes.gone {
            self.memory.forget(uid);
            self.leave(uid);
        }
        see_requests(&self.cache, &self.memory, &changes, self.clock());
        let requests = &self.memory.requests;
        count_asked(&self.cache, &self.guards, requests, &changes, self.now);
    }

    pub(super) fn leave(&mut self, uid: &str) {
        self.standings.remove(uid);
        self.leaders.retain(|_, leader| leader != uid);
    }

    /// The turn of an object has come.
    pub fn permit(&mut self, name: &str) {
        let Some(look) = self.cache.look(&ObjectKey::new("fleet", name)) else {
            return;
        };
        if let Some(standing) = self.standings.get_mut(&look.object.uid)
            && let Standing::Waiting { purpose, .. } = standing
        {
            *standing = Standing::Permitted {
                purpose: *purpose,
                intent: None,
            };
        }
    }

    pub(super) fn void_permits(&mut self) {
        self.standings
            .retain(|_, standing| !matches!(standing, Standing::Permitted { .. }));
        let standings = &self.standings;
        self.leaders
            .retain(|_, leader| standings.contains_key(leader));
    }
}
