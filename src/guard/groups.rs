//! Which Platforms count together, and the guard of each such group.
//!
//! Platforms of one application count together whose credentials are equal, or are proven at the same endpoint. What a
//! Platform brings whose credential the platform hasn't accepted counts for nobody else, so nobody can release, stop or
//! raise anything of others by naming their application.
//!
//! Groups part and come together as credentials change and are proven. What was sent goes along to each part.

mod classes;
mod regroup;
mod waiting;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::application::ApplicationGuard;
use super::tally::Numbers;
use super::{Asked, Population, Unused};
use crate::api::names::{AppId, ObjectKey};
use crate::session::{CredentialId, SessionKey};

/// How often Platforms that are gone are looked for.
const TIDIED_EVERY: Duration = Duration::from_secs(60);

/// What is known of the credentials of one Platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footing {
    /// The endpoint and the application.
    pub key: SessionKey,
    /// The credential; equal ones are the same.
    pub credential: CredentialId,
    /// Whether the platform has accepted it there, and it is a login.
    pub proven: bool,
}

/// One Platform that is known of an application, also one that has gone or can't tell its credentials now: it stands as
/// it was.
struct Place {
    group: u64,
    footing: Option<Footing>,
}

/// Platforms that count together.
pub(super) struct Group {
    pub(super) application: AppId,
    pub(super) platforms: Vec<ObjectKey>,
    pub(super) guard: ApplicationGuard,
}

/// Whose deletion one is.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct GroupHome {
    pub(super) application: AppId,
    pub(super) platform: ObjectKey,
}

/// The groups whose records have a name in an application.
pub(super) type Bearers = BTreeMap<(AppId, i64), BTreeSet<u64>>;

/// All groups of all applications.
#[derive(Default)]
pub(super) struct Groups {
    places: HashMap<AppId, BTreeMap<ObjectKey, Place>>,
    all: BTreeMap<u64, Group>,
    /// Whose deletion each one is.
    homes: HashMap<Arc<str>, GroupHome>,
    last: u64,
    /// When Platforms that are gone were last looked for.
    tidied: Option<Timestamp>,
    pub(super) numbers: Numbers,
    /// Whether all objects are known.
    listed: bool,
}

impl Groups {
    /// The number of the group of a Platform.
    pub(super) fn of(&mut self, application: &AppId, platform: &ObjectKey) -> u64 {
        let places = self.places.entry(application.clone()).or_default();
        if let Some(place) = places.get(platform) {
            return place.group;
        }
        self.last += 1;
        let (group, footing) = (self.last, None);
        places.insert(platform.clone(), Place { group, footing });
        let guard = ApplicationGuard::new(self.listed, self.numbers.clone());
        let new = Group {
            application: application.clone(),
            platforms: vec![platform.clone()],
            guard,
        };
        self.all.insert(group, new);
        group
    }

    pub(super) fn get(&self, group: u64) -> Option<&Group> {
        self.all.get(&group)
    }

    pub(super) fn guard(&mut self, group: u64) -> Option<&mut ApplicationGuard> {
        self.all.get_mut(&group).map(|group| &mut group.guard)
    }

    /// The guard of the group that `uid` belongs to.
    pub(super) fn guard_of(&mut self, uid: &str) -> Option<(u64, &mut ApplicationGuard)> {
        let home = self.homes.get(uid)?;
        let group = self
            .places
            .get(&home.application)?
            .get(&home.platform)?
            .group;
        let guard = &mut self.all.get_mut(&group)?.guard;
        Some((group, guard))
    }

    /// Gives each group the name that its records have. Groups that have parted since have no name yet.
    pub(super) fn name_all(&mut self, names: Bearers) {
        for ((_, name), groups) in names {
            if let (1, Some(group)) = (groups.len(), groups.first()) {
                self.name(*group, name);
            }
        }
    }

    /// The records of the Platforms of a group have this name, and nobody else's. Those with several have none.
    fn name(&mut self, group: u64, name: i64) {
        if let Some(guard) = self.guard(group) {
            let several = guard.reserved_before.len() > 1;
            guard.name = Some(name).filter(|_| !several);
        }
    }

    /// The numbers of all groups.
    pub(super) fn numbers(&self) -> Vec<u64> {
        self.all.keys().copied().collect()
    }

    /// The groups of one application.
    pub(super) fn of_application<'a>(
        &'a mut self,
        application: &'a AppId,
    ) -> impl Iterator<Item = &'a mut Group> {
        let groups = self.all.values_mut();
        groups.filter(move |group| group.application == *application)
    }

    /// From now on `uid` is looked for in the group of this Platform.
    pub(super) fn settle(&mut self, uid: &str, home: &GroupHome) -> (Arc<str>, u64) {
        let group = self.of(&home.application, &home.platform);
        let known = match self.homes.get_key_value(uid) {
            Some((known, before)) if before == home => return (Arc::clone(known), group),
            Some((known, _)) => Arc::clone(known),
            None => uid.into(),
        };
        if let Some((_, guard)) = self.guard_of(uid) {
            guard.forget(uid);
        }
        self.homes.insert(Arc::clone(&known), home.clone());
        (known, group)
    }

    /// The deletion of `uid` asks as told.
    pub(super) fn ask(
        &mut self,
        uid: &str,
        home: &GroupHome,
        population: &Population,
        asked: Asked,
    ) -> u64 {
        let (uid, number) = self.settle(uid, home);
        if let Some(group) = self.all.get_mut(&number) {
            group.count(population);
            group.guard.ask(&uid, asked);
        }
        number
    }

    pub(super) fn forget(&mut self, uid: &str) -> Option<u64> {
        let group = self.guard_of(uid).map(|(group, guard)| {
            guard.forget(uid);
            group
        });
        self.homes.remove(uid);
        group
    }

    /// A whole list was read: what isn't `present` is gone.
    pub(super) fn retain(&mut self, present: impl Fn(&str) -> bool) {
        self.listed = true;
        self.homes.retain(|uid, _| present(uid));
        for group in self.all.values_mut() {
            group.guard.retain(&present);
        }
    }

    /// What is known of the credentials of a Platform. The groups that are others by that come back, and the objects to
    /// look at again.
    pub(super) fn stand(
        &mut self,
        platform: &ObjectKey,
        footing: &Footing,
        population: &Population,
        now: Timestamp,
    ) -> (Vec<u64>, Vec<ObjectKey>) {
        let application = &footing.key.app_id;
        self.of(application, platform);
        let places = self.places.get_mut(application);
        let place = places.and_then(|places| places.get_mut(platform));
        let Some(place) = place.filter(|place| place.footing.as_ref() != Some(footing)) else {
            return (Vec::new(), Vec::new());
        };
        place.footing = Some(footing.clone());
        self.regroup(application, population, now)
    }

    /// What was last known of the credentials of a Platform.
    pub(super) fn footing(&self, application: &AppId, platform: &ObjectKey) -> Option<&Footing> {
        self.places
            .get(application)?
            .get(platform)?
            .footing
            .as_ref()
    }

    /// What is left unused of the last records, by the uids of the Platforms.
    pub(super) fn unused(&self) -> Unused {
        let mut all = Unused::new();
        for group in self.all.values() {
            if let Some(unused) = group.guard.unused() {
                let uids = group.guard.bounds.values().map(|bound| bound.uid.clone());
                all.extend(uids.map(|uid| (uid, unused)));
            }
        }
        all
    }

    /// Forgets the groups that nobody needs any more: none of their Platforms is `present`. Of the others, now and then, the
    /// Platforms that are gone and that nothing of what is counted names.
    pub(super) fn tidy(&mut self, present: impl Fn(&AppId, &ObjectKey) -> bool, now: Timestamp) {
        let waits = |at: Timestamp| at <= now && now < at + TIDIED_EVERY;
        if !self.tidied.is_some_and(waits) {
            self.tidied = Some(now);
            self.tidy_places(&present, now);
        }
        let needless: Vec<u64> = self
            .all
            .iter()
            .filter(|(_, group)| {
                let mut platforms = group.platforms.iter();
                group.guard.is_empty()
                    && !platforms.any(|platform| present(&group.application, platform))
            })
            .map(|(number, _)| *number)
            .collect();
        for number in needless {
            let Some(group) = self.all.remove(&number) else {
                continue;
            };
            if let Entry::Occupied(mut places) = self.places.entry(group.application) {
                places.get_mut().retain(|_, place| place.group != number);
                if places.get().is_empty() {
                    places.remove();
                }
            }
        }
    }

    fn tidy_places(&mut self, present: impl Fn(&AppId, &ObjectKey) -> bool, now: Timestamp) {
        let named: HashSet<&ObjectKey> = self.homes.values().map(|home| &home.platform).collect();
        for (number, group) in &mut self.all {
            // What was sent over it counts for one of its name that comes back with another credential.
            if group.guard.still_counts(now) {
                continue;
            }
            let (application, guard) = (&group.application, &group.guard);
            let gone =
                |platform: &&ObjectKey| !present(application, platform) && !guard.names(platform);
            // One is left: an empty group is told by it.
            let platforms = group.platforms.iter().skip(1);
            let gone = platforms
                .filter(gone)
                .filter(|platform| !named.contains(platform));
            let gone: BTreeSet<ObjectKey> = gone.cloned().collect();
            if gone.is_empty() {
                continue;
            }
            if let Some(places) = self.places.get_mut(application) {
                places.retain(|platform, place| place.group != *number || !gone.contains(platform));
            }
            group.platforms.retain(|platform| !gone.contains(platform));
        }
    }
}

impl Group {
    /// Counts the objects of its Platforms whose packages aren't gone.
    fn count(&mut self, population: &Population) {
        let population = population(&self.application, &self.platforms);
        self.guard.set_population(population);
    }
}
