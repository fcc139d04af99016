//! Groups of Platforms that count together, and the guard of each group.
//!
//! Platforms of one application count together if their credentials are equal, or if both are proven at the same
//! endpoint. A Platform whose credential isn't proven counts together only with Platforms that have an equal
//! credential. So nobody can release or hold the deletions of other Platforms, or raise their bounds, only by naming
//! their application.
//!
//! Groups are split and merged as credentials change and are proven. Each part keeps the counts of the deletions sent
//! before.

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

/// How often Platforms that are gone are removed.
const TIDIED_EVERY: Duration = Duration::from_secs(60);

/// What is known about the credentials of one Platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footing {
    /// The endpoint and the application of the Platform.
    pub key: SessionKey,
    /// The credential's id; equal credentials have equal ids.
    pub credential: CredentialId,
    /// Whether the credential is a login that the platform has accepted at this endpoint.
    pub proven: bool,
}

/// The place of a Platform in the groups of an application. A Platform that is gone, or whose credentials can't be read
/// now, keeps its last known place.
struct Place {
    group: u64,
    footing: Option<Footing>,
}

/// A group of Platforms that count together.
pub(super) struct Group {
    pub(super) application: AppId,
    pub(super) platforms: Vec<ObjectKey>,
    pub(super) guard: ApplicationGuard,
}

/// The application and the Platform that a deletion belongs to.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct GroupHome {
    pub(super) application: AppId,
    pub(super) platform: ObjectKey,
}

/// The records of sent deletions (`status.guard` of a Platform) carry the id of a group, which is the group's name. For
/// each application and each such name: the numbers of the groups whose records carry this name.
pub(super) type Bearers = BTreeMap<(AppId, i64), BTreeSet<u64>>;

/// All groups of all applications.
#[derive(Default)]
pub(super) struct Groups {
    places: HashMap<AppId, BTreeMap<ObjectKey, Place>>,
    all: BTreeMap<u64, Group>,
    /// The application and the Platform of each object's deletion.
    homes: HashMap<Arc<str>, GroupHome>,
    last: u64,
    /// When Platforms that are gone were last removed.
    tidied: Option<Timestamp>,
    pub(super) numbers: Numbers,
    /// Whether all objects are known.
    listed: bool,
}

impl Groups {
    /// Returns the number of the group of a Platform, and creates the group if it doesn't exist.
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

    /// Returns the group that `uid` belongs to, with its guard.
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

    /// Gives each group the name that its records have. After a split, the records of several groups may have the same
    /// name; then none of these groups gets the name.
    pub(super) fn name_all(&mut self, names: Bearers) {
        for ((_, name), groups) in names {
            if let (1, Some(group)) = (groups.len(), groups.first()) {
                self.name(*group, name);
            }
        }
    }

    /// Gives the group the name that its records have. The caller makes sure that no other group's records have this
    /// name. If the records of the group's Platforms have several names, the group gets none.
    fn name(&mut self, group: u64, name: i64) {
        if let Some(guard) = self.guard(group) {
            let several = guard.reserved_before.len() > 1;
            guard.name = Some(name).filter(|_| !several);
        }
    }

    /// Returns the numbers of all groups.
    pub(super) fn numbers(&self) -> Vec<u64> {
        self.all.keys().copied().collect()
    }

    /// Returns the groups of one application.
    pub(super) fn of_application<'a>(
        &'a mut self,
        application: &'a AppId,
    ) -> impl Iterator<Item = &'a mut Group> {
        let groups = self.all.values_mut();
        groups.filter(move |group| group.application == *application)
    }

    /// Assigns `uid` to the group of its Platform, and removes it from its former group. Returns the uid and the
    /// group's number.
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

    /// Adds or updates the requested deletion of `uid`. Returns the number of its group.
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

    /// Removes all objects that aren't `present` in the full list that was read.
    pub(super) fn retain(&mut self, present: impl Fn(&str) -> bool) {
        self.listed = true;
        self.homes.retain(|uid, _| present(uid));
        for group in self.all.values_mut() {
            group.guard.retain(&present);
        }
    }

    /// Updates what is known about the credentials of a Platform. Returns the numbers of the changed groups, and the
    /// objects to wake.
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

    /// Returns what was last known about the credentials of a Platform.
    pub(super) fn footing(&self, application: &AppId, platform: &ObjectKey) -> Option<&Footing> {
        self.places
            .get(application)?
            .get(platform)?
            .footing
            .as_ref()
    }

    /// Returns the unused reservations of the last records, by the uids of the Platforms.
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

    /// Removes the groups with an empty guard and no `present` Platform. From time to time, also removes Platforms from
    /// the groups that stay. A Platform is removed if the Platform is gone, its group counts no sent deletion, and no
    /// bound, release or object belongs to it.
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
            // Deletions sent for a Platform count for a new Platform of its name, even one with another credential.
            if group.guard.still_counts(now) {
                continue;
            }
            let (application, guard) = (&group.application, &group.guard);
            let gone =
                |platform: &&ObjectKey| !present(application, platform) && !guard.names(platform);
            // The first Platform is kept even if it is gone: a group is found by its Platforms only.
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
    /// Counts the objects of the group's Platforms anew, without those whose packages are gone.
    fn count(&mut self, population: &Population) {
        let population = population(&self.application, &self.platforms);
        self.guard.set_population(population);
    }
}
