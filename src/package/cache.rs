//! Objects and claims in one cache, brought up to date together at the end of a list.

pub mod watch;
pub mod packed;
pub mod intake;
pub mod managed;
mod wakes;
mod wishes;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

pub use self::wakes::Wakes;
pub use self::wishes::{Asking, Wish};
use super::claims::Claimant;
use crate::api::names::{AppId, FileId, ObjectKey};
use crate::api::platform::PackageCounts;
use crate::api::reason::Phase;
use crate::object::Object;
use crate::package::cache::packed::Packed;

/// One step of the watch.
#[derive(Debug)]
pub enum Event {
    /// A list begins; what it brings is kept aside.
    ListBegins,
    /// One object of the list.
    Listed(Packed),
    /// The list is complete: from here on the cache shows it.
    ListEnds,
    /// An object came or changed.
    Applied(Packed),
    /// An object went.
    Deleted(Packed),
}

/// What an event changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Objects to look at again.
    pub wakes: Wakes,
    /// Uids that are gone for ever.
    pub gone: Vec<String>,
    /// Whether a list was completed.
    pub listed: bool,
}

/// All `VersionPackage`s of the cluster, as of one moment in the order of their changes.
#[derive(Default)]
pub struct Cache {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    shown: Shown,
    /// A list under way; not shown before it is complete.
    listing: Option<Listing>,
    complete: bool,
}

/// What a list has brought. Nearly all of it is shown already, and needs no second place.
#[derive(Default)]
struct Listing {
    seen: HashSet<ObjectKey>,
    differing: Vec<Packed>,
}

#[derive(Default)]
struct Shown {
    /// Boxed, since the free places of so large a map are many.
    objects: HashMap<ObjectKey, Box<Packed>>,
    /// Ordered, so that even one of ten thousand that name the same package is found at once. Whether it lives, and
    /// whether it may go, so that nobody has to look at those that do neither.
    by_file: BTreeMap<(FileId, ObjectKey), Role>,
    by_platform: HashMap<ObjectKey, Members>,
    /// How many objects of each application have packages that aren't gone, by their Platforms.
    populations: HashMap<AppId, HashMap<ObjectKey, usize>>,
    /// How many objects stand in each phase; kept in step, since they are asked for every second.
    phases: HashMap<Phase, usize>,
    undecodable: usize,
}

/// What an object is to the others of its package.
#[derive(Clone, Copy)]
struct Role {
    lives: bool,
    may_go: bool,
}

/// The objects that name one Platform.
#[derive(Default)]
struct Members {
    keys: BTreeSet<ObjectKey>,
    counts: PackageCounts,
}

/// One object and all others that name the same package, read in one moment.
pub struct Look {
    /// The object.
    pub object: Arc<Object>,
    /// The others with its `fileId` that live, whatever their Platform, by name; none where the object itself can't
    /// be about to go.
    pub others: Vec<Claimant>,
    /// When this process first saw the object.
    pub since: Instant,
}

impl Cache {
    /// Whether the object with this uid is still there.
    pub fn has(&self, key: &ObjectKey, uid: &str) -> bool {
        let state = self.state.lock();
        let shown = state.shown.objects.get(key);
        shown.is_some_and(|object| *object.uid == *uid)
    }

    /// Takes one step of the watch.
    pub fn apply(&self, event: Event) -> Changes {
        let mut state = self.state.lock();
        match event {
            Event::ListBegins => {
                state.listing = Some(Listing::default());
                Changes::default()
            }
            Event::Listed(object) => {
                let State { shown, listing, .. } = &mut *state;
                let listing = listing.get_or_insert_default();
                match shown.objects.get(&object.key) {
                    Some(known) if known.is_same(&object) => {
                        listing.seen.insert(known.key.clone());
                    }
                    Some(_) | None => {
                        listing.seen.insert(object.key.clone());
                        listing.differing.push(object);
                    }
                }
                Changes::default()
            }
            Event::ListEnds => {
                let listing = state.listing.take().unwrap_or_default();
                state.complete = true;
                state.shown.replace(listing)
            }
            Event::Applied(object) => {
                let key = object.key.clone();
                let before = state.shown.claim(&key);
                let gone = state.shown.put(object);
                let after = state.shown.claim(&key);
                Changes {
                    wakes: state.shown.woken(&key, before, after),
                    gone: gone.into_iter().collect(),
                    listed: false,
                }
            }
            Event::Deleted(object) => {
                let before = state.shown.claim(&object.key);
                let removed = state.shown.remove(&object.key);
                Changes {
                    wakes: state.shown.woken(&object.key, before, None),
                    gone: vec![removed.map_or(object.uid, |old| old.uid).to_string()],
                    listed: false,
                }
            }
        }
    }

    /// One object with all whose claims matter to it; `None` when there is none of that name.
    pub fn look(&self, key: &ObjectKey) -> Option<Look> {
        let state = self.state.lock();
        let object = state.shown.objects.get(key)?.clone();
        let others = if object.may_go() {
            let living = state.shown.living(object.file_id.as_ref());
            let others = living.filter(|other| other.key != *key);
            others.filter_map(Packed::claimant).collect()
        } else {
            Vec::new()
        };
        // What was taken in one moment can be read in the next.
        drop(state);
        Some(Look {
            object: Arc::new(object.unpack()),
            others,
            since: object.since,
        })
    }

    /// All objects that name the package `file`.
    pub fn objects_of(&self, file: &FileId) -> Vec<Object> {
        let state = self.state.lock();
        let keys = state.shown.of_file(Some(file));
        let packed: Vec<Box<Packed>> = keys
            .filter_map(|key| state.shown.objects.get(key).cloned())
            .collect();
        drop(state);
        packed.iter().map(|object| object.unpack()).collect()
    }

    /// The uid of the object of this name.
    pub fn uid_of(&self, key: &ObjectKey) -> Option<Arc<str>> {
        let state = self.state.lock();
        Some(Arc::clone(&state.shown.objects.get(key)?.uid))
    }

    /// The Platform that `key` names.
    pub fn platform_of(&self, key: &ObjectKey) -> Option<ObjectKey> {
        self.state.lock().shown.objects.get(key)?.platform.clone()
    }

    /// All objects, by name.
    pub fn keys(&self) -> Vec<ObjectKey> {
        self.state.lock().shown.keys()
    }

    /// The objects that name the package `file`.
    pub fn of_file(&self, file: &FileId) -> Vec<ObjectKey> {
        let state = self.state.lock();
        state.shown.of_file(Some(file)).cloned().collect()
    }

    /// Whether a first list was completed.
    pub fn is_complete(&self) -> bool {
        self.state.lock().complete
    }

    /// How many objects of `platform` stand where.
    pub fn counts(&self, platform: &ObjectKey) -> PackageCounts {
        let state = self.state.lock();
        let members = state.shown.by_platform.get(platform);
        members.map_or_else(PackageCounts::default, |members| members.counts.clone())
    }

    /// How many objects stand in each phase, and how many can't be decoded.
    pub fn phases(&self) -> (HashMap<Phase, usize>, usize) {
        let state = self.state.lock();
        (state.shown.phases.clone(), state.shown.undecodable)
    }
}

impl Shown {
    /// Shows what a list has brought, and nothing else.
    fn replace(&mut self, listing: Listing) -> Changes {
        let Listing { seen, differing } = listing;
        let missing = self.objects.keys().filter(|key| !seen.contains(*key));
        // Every key: a list ends a time of blindness, and whoever waited for sight has to look.
        let mut wake: Vec<ObjectKey> = missing.cloned().collect();
        wake.sort_unstable();
        let removed = wake.iter().filter_map(|key| self.remove(key));
        let mut gone: Vec<String> = removed.map(|old| old.uid.to_string()).collect();
        let new = seen.len().saturating_sub(self.objects.len());
        self.objects.reserve(new);
        gone.extend(differing.into_iter().filter_map(|object| self.put(object)));
        wake.extend(self.keys());
        Changes {
            wakes: Wakes {
                now: wake,
                later: Vec::new(),
            },
            gone,
            listed: true,
        }
    }

    /// All objects, by name: who looks first must not be an accident of the map.
    fn keys(&self) -> Vec<ObjectKey> {
        let mut keys: Vec<ObjectKey> = self.objects.keys().cloned().collect();
        keys.sort_unstable();
        keys
    }

    /// Shows `object`; returns the uid of an earlier one of its name.
    fn put(&mut self, object: Packed) -> Option<String> {
        let uid = Arc::clone(&object.uid);
        let earlier = self.insert(object).filter(|earlier| earlier.uid != uid);
        earlier.map(|earlier| earlier.uid.to_string())
    }

    fn insert(&mut self, mut object: Packed) -> Option<Packed> {
        let previous = self.remove(&object.key);
        if let Some(known) = &previous {
            object.seen_before(known);
        }
        // Thousands name the same Platform in the same namespace: one copy of both names is enough.
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

    fn remove(&mut self, key: &ObjectKey) -> Option<Packed> {
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

    /// What an object claims.
    fn claim(&self, key: &ObjectKey) -> Option<(FileId, Claimant)> {
        let object = self.objects.get(key)?;
        object.file_id.clone().zip(object.claimant())
    }

    /// All that name the package `file`.
    fn of_file<'a>(&'a self, file: Option<&'a FileId>) -> impl Iterator<Item = &'a ObjectKey> {
        self.roles(file).map(|(key, _)| key)
    }

    /// Those of them that live.
    fn living<'a>(&'a self, file: Option<&'a FileId>) -> impl Iterator<Item = &'a Packed> {
        let living = self.roles(file).filter(|(_, role)| role.lives);
        living.filter_map(|(key, _)| self.objects.get(key).map(|object| &**object))
    }

    /// Those of them that are to go, or may be by now.
    fn going<'a>(&'a self, file: &'a FileId) -> impl Iterator<Item = &'a ObjectKey> {
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

/// Counts an object in its phase, or no longer, by a `step` of 1 or -1.
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

#[cfg(test)]
mod tests;
