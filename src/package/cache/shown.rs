//! The objects that the cache shows, with indexes by package, Platform, application and phase.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::packed::Packed;
use crate::api::names::{AppId, FileId, ObjectKey};
use crate::api::platform::PackageCounts;
use crate::api::reason::Phase;
use crate::package::claims::Claimant;

#[derive(Default)]
pub(super) struct ShownObjects {
    /// Boxed, because a large map has many free entries.
    pub(super) objects: HashMap<ObjectKey, Box<Packed>>,
    /// Ordered, so that all objects of a package are found without a search. The role lets a reader skip objects that
    /// are neither alive nor about to go.
    by_file: BTreeMap<(FileId, ObjectKey), Role>,
    pub(super) by_platform: HashMap<ObjectKey, PlatformObjects>,
    /// Number of objects whose packages aren't gone, by application and Platform.
    pub(super) populations: HashMap<AppId, HashMap<ObjectKey, usize>>,
    /// Number of objects in each phase. Kept up to date, because it is read every second.
    pub(super) phases: HashMap<Phase, usize>,
    pub(super) undecodable: usize,
}

/// Role of an object for the other objects of its package.
#[derive(Clone, Copy)]
pub(super) struct Role {
    lives: bool,
    may_go: bool,
}

/// The objects that name one Platform.
#[derive(Default)]
pub(super) struct PlatformObjects {
    pub(super) keys: BTreeSet<ObjectKey>,
    pub(super) counts: PackageCounts,
}

impl ShownObjects {
    /// Keys of all objects in order, so that the order of the passes doesn't depend on the hash map.
    pub(super) fn keys(&self) -> Vec<ObjectKey> {
        let mut keys: Vec<ObjectKey> = self.objects.keys().cloned().collect();
        keys.sort_unstable();
        keys
    }

    /// Stores `object`. Returns the uid of an earlier object of the same name, if that was another object.
    pub(super) fn put(&mut self, object: Packed) -> Option<String> {
        let uid = Arc::clone(&object.uid);
        let earlier = self.insert(object).filter(|earlier| earlier.uid != uid);
        earlier.map(|earlier| earlier.uid.to_string())
    }

    fn insert(&mut self, mut object: Packed) -> Option<Packed> {
        let previous = self.remove(&object.key);
        if let Some(known) = &previous {
            object.seen_before(known);
        }
        // Thousands of objects name the same Platform from the same namespace, so both names are shared.
        if let Some(platform) = &mut object.platform {
            if let Some((known, _)) = self.by_platform.get_key_value(platform) {
                *platform = known.clone();
            }
            if platform.namespace == object.key.namespace {
                object.key.namespace = platform.namespace.clone();
            }
        }
        if let Some(application) = &mut object.application {
            if let Some((known, _)) = self.populations.get_key_value(application) {
                *application = known.clone();
            }
            let populations = self.populations.entry(application.clone()).or_default();
            if let Some(platform) = object.platform.as_ref().filter(|_| !object.ended) {
                *populations.entry(platform.clone()).or_default() += 1;
            }
        }
        if let Some(file) = &object.file_id {
            let role = Role {
                lives: object.lives,
                may_go: object.may_go(),
            };
            self.by_file
                .insert((file.clone(), object.key.clone()), role);
        }
        let phase = object.phase;
        if let Some(platform) = &object.platform {
            let members = self.by_platform.entry(platform.clone()).or_default();
            members.keys.insert(object.key.clone());
            count(&mut members.counts, phase, 1);
        }
        if let Some(phase) = phase {
            *self.phases.entry(phase).or_default() += 1;
        }
        self.undecodable += usize::from(!object.decodable);
        self.objects.insert(object.key.clone(), Box::new(object));
        previous
    }

    pub(super) fn remove(&mut self, key: &ObjectKey) -> Option<Packed> {
        let object = self.objects.remove(key)?;
        if let Some(file) = &object.file_id {
            self.by_file.remove(&(file.clone(), key.clone()));
        }
        let phase = object.phase;
        if let Some(platform) = &object.platform
            && let Some(members) = self.by_platform.get_mut(platform)
        {
            members.keys.remove(key);
            count(&mut members.counts, phase, -1);
            if members.keys.is_empty() {
                self.by_platform.remove(platform);
            }
        }
        if let Some(number) = phase.and_then(|phase| self.phases.get_mut(&phase)) {
            *number -= 1;
        }
        let application = object.application.as_ref().filter(|_| !object.ended);
        let populations = application.and_then(|app| self.populations.get_mut(app));
        if let Some((populations, platform)) = populations.zip(object.platform.as_ref())
            && let Some(number) = populations.get_mut(platform)
        {
            *number -= 1;
            if *number == 0 {
                populations.remove(platform);
            }
        }
        self.undecodable -= usize::from(!object.decodable);
        Some(*object)
    }

    /// Package and claim of the object `key`, if it has a claim.
    pub(super) fn claim(&self, key: &ObjectKey) -> Option<(FileId, Claimant)> {
        let object = self.objects.get(key)?;
        object.file_id.clone().zip(object.claimant())
    }

    /// Keys of all objects that name the package `file`.
    pub(super) fn of_file<'a>(
        &'a self,
        file: Option<&'a FileId>,
    ) -> impl Iterator<Item = &'a ObjectKey> {
        self.roles(file).map(|(key, _)| key)
    }

    /// The objects of `file` that are alive.
    pub(super) fn living<'a>(
        &'a self,
        file: Option<&'a FileId>,
    ) -> impl Iterator<Item = &'a Packed> {
        let living = self.roles(file).filter(|(_, role)| role.lives);
        living.filter_map(|(key, _)| self.objects.get(key).map(|object| &**object))
    }

    /// Keys of the objects of `file` that are to go, or whose retirement may be due by now.
    pub(super) fn going<'a>(&'a self, file: &'a FileId) -> impl Iterator<Item = &'a ObjectKey> {
        let going = self.roles(Some(file)).filter(|(_, role)| role.may_go);
        going.map(|(key, _)| key)
    }

    fn roles<'a>(
        &'a self,
        file: Option<&'a FileId>,
    ) -> impl Iterator<Item = (&'a ObjectKey, Role)> {
        let range = |file: &FileId| self.by_file.range((file.clone(), ObjectKey::new("", ""))..);
        let from = file.map(range).into_iter().flatten();
        from.take_while(move |((other, _), _)| Some(other) == file)
            .map(|((_, key), role)| (key, *role))
    }
}

/// Adds `step` (1 or -1) to the count of the given phase.
fn count(counts: &mut PackageCounts, phase: Option<Phase>, step: i32) {
    let counted = match phase {
        Some(Phase::Active) => &mut counts.active,
        Some(Phase::Gone) => &mut counts.retired,
        Some(Phase::Waiting | Phase::Deleting) => &mut counts.waiting,
        Some(Phase::Held) => &mut counts.held,
        Some(Phase::Stalled) => &mut counts.stalled,
        None => return,
    };
    *counted += step;
}
