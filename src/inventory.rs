//! The packages that the platform lists: which exist, which are missing, and which no object stands for.
//!
//! The list is read with calls that no deletion waits for. The list fills `status.package` without one call per object,
//! and reveals differences from the objects. The inventory never sends a DELETE, nor permits one.
//!
//! ```text
//! reader (one task per application) -> walk (pages) -> reading -> inventory -> passes, status, vpo inventory
//!                                        ^ deletions: what was sent meanwhile, what must be gone
//! ```
//!
//! Readings are kept in memory only. Each package is one text, so ten thousand take about 2 MB. What one reading has
//! shown of a package stands in the status of the object until another reading shows otherwise. The platform serves the
//! list under a path and rights of its own, so a list that is refused or fails makes no deletion wait. Only a refusal
//! because of too many calls makes all calls of the session pause.

#![deny(clippy::wildcard_enum_match_arm)]

mod deletions;
mod listing;
mod reader;
mod schedule;
mod stock;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use parking_lot::Mutex;
use tokio::time::Instant;

use self::deletions::{Deleted, DeletionMark, Deletions};
pub use self::reader::{Reader, run};
use self::stock::Stock;
pub use self::stock::{ListTrouble, NoRoom, Shown, Unmanaged};
use self::walk::{Reading, Walk};
use crate::api::names::{Endpoint, FileId, ObjectKey};
use crate::api::platform::PackageCounts;
use crate::api::version_package::PackageIdentity;
use crate::clock::Now;
use crate::session::{CredentialId, Session, SessionKey, Witness};

/// The memory limit for the lists of one application at one endpoint, in bytes. It covers the list of the last read and
/// the list of the read in progress, and is enough for some 70,000 packages. The limit is needed because an endpoint
/// can list anything.
const MOST_OF_ONE: usize = 32 << 20;
/// The memory limit for the lists of all applications, in bytes.
const MOST_OF_ALL: usize = 96 << 20;

/// The list's information about one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// The list isn't read.
    Off,
    /// Unknown: no conclusive read has ended yet.
    Unread,
    /// The package exists; holds the platform's data of it.
    Listed(PackageIdentity),
    /// The package is missing: a read that began after the package was wanted didn't find it.
    Missing,
    /// The platform confirmed the deletion of the package recently, and no complete read has listed it since.
    Gone,
}

/// The objects, as far as the inventory needs them.
pub trait Objects: Send + Sync {
    /// Whether the cache holds all objects.
    fn are_listed(&self) -> bool;

    /// How the objects that name the package `file` relate to this package, which `session` lists.
    fn of_package(&self, session: &Session, file: &FileId) -> Named;
}

/// How the objects that name a package relate to that package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// Whether one of the objects stands for the package: it wants the package, or is to delete it and hasn't yet.
    pub stands: bool,
    /// Whether one of the objects was accepted for the application through a Platform with the credential of the list.
    pub own: bool,
    /// The other endpoints at which such objects were accepted: the current endpoint serves the packages of these
    /// endpoints.
    pub moved_from: BTreeSet<Endpoint>,
}

/// The last readings of every application.
#[derive(Default)]
pub struct Inventory {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    stocks: BTreeMap<SessionKey, Stock>,
    /// The endpoint is part of the key: the owner of an endpoint can list any application there.
    deletions: HashMap<SessionKey, Deletions>,
    /// The sizes of the lists of reads in progress, in bytes.
    walking: HashMap<SessionKey, usize>,
    /// The endpoints that have shown a package of an object accepted at another endpoint: they serve the packages of
    /// that endpoint.
    shown: HashSet<(Witness, Endpoint)>,
}

/// The effects of a stored read.
#[derive(Debug, Default, PartialEq, Eq)]
struct Taken {
    /// Whether the read may change the inventory's answer for an object.
    tells: bool,
    /// Whether the read proves nothing, for another reason than the previous read.
    another_trouble: bool,
    /// The packages in the list whose deletion the platform confirmed before the read began. Each is reported once.
    reappeared: Vec<Deleted>,
}

/// An application of the current Platforms.
struct Application {
    key: SessionKey,
    platforms: Vec<ObjectKey>,
    reads: bool,
}

impl Inventory {
    /// The information in the list of `key` about `file`, which an object of `platform` has wanted since `since`.
    pub fn known(
        &self,
        key: &SessionKey,
        platform: &ObjectKey,
        file: &FileId,
        since: Instant,
    ) -> Known {
        let state = self.state.lock();
        let Some(stock) = state.stocks.get(key) else {
            return Known::Unread;
        };
        if !stock.reads {
            return Known::Off;
        }
        if !stock.platforms.contains(platform) {
            return Known::Unread;
        }
        match (stock.listing.identity(file), &stock.proof) {
            (Some(identity), _) => Known::Listed(identity),
            (None, Some(proof)) if proof.begun.tick > since => Known::Missing,
            (None, Some(_) | None) => Known::Unread,
        }
    }

    /// Whether a complete read that began after `since` lists `file`.
    pub fn lists_since(&self, key: &SessionKey, file: &FileId, since: Instant) -> bool {
        let state = self.state.lock();
        let stock = state.stocks.get(key);
        stock.is_some_and(|stock| {
            let later = stock.proof.is_some_and(|proof| proof.begun.tick > since);
            later && stock.listing.has(file.as_str())
        })
    }

    /// `counts` of `platform`, completed by the number of packages that no object stands for, where it is known.
    pub fn counted(&self, platform: &ObjectKey, mut counts: PackageCounts) -> PackageCounts {
        let state = self.state.lock();
        let mut stocks = state.stocks.values();
        let stock = stocks.find(|stock| stock.platforms.contains(platform));
        let proof = stock.and_then(|stock| stock.proof);
        counts.unmanaged = proof.map(|proof| i32::try_from(proof.unmanaged).unwrap_or(i32::MAX));
        counts
    }

    /// Notes that the platform has shown packages of objects accepted at the endpoints `accepted`; `own` tells whether
    /// this also proves the credential of `session`. Returns whether any of these facts is new.
    pub fn exists(
        &self,
        session: &Session,
        witness: &Witness,
        accepted: impl IntoIterator<Item = Endpoint>,
        own: bool,
    ) -> bool {
        let mut news = own && session.shows_ours();
        let mut state = self.state.lock();
        for accepted in accepted {
            news |= state.shown.insert((witness.clone(), accepted));
        }
        news
    }

    /// Whether the endpoint has shown a package of an object accepted at `accepted` since this process started. Objects
    /// accepted at other endpoints, the current one included, prove nothing about `accepted`.
    pub fn speaks_of(
        &self,
        key: &SessionKey,
        credential: &CredentialId,
        accepted: &Endpoint,
    ) -> bool {
        let shown = &self.state.lock().shown;
        let by = |token: Option<&CredentialId>| {
            shown.contains(&((key.clone(), token.cloned()), accepted.clone()))
        };
        by(None) || by(Some(credential))
    }

    /// Notes the start of a DELETE of the application. Until the DELETE ends, no read proves anything.
    pub fn deleting(&self, key: &SessionKey) {
        let mut state = self.state.lock();
        let deletions = state.deletions.entry(key.clone()).or_default();
        deletions.begins();
    }

    /// Notes that a DELETE of the application has ended, or wasn't sent.
    pub fn no_longer_deleting(&self, key: &SessionKey) {
        let mut state = self.state.lock();
        let deletions = state.deletions.entry(key.clone()).or_default();
        deletions.ends();
    }

    /// Notes that the platform confirmed the deletion of `file`: the next read must not find it.
    pub fn deleted(&self, key: &SessionKey, file: &FileId, now: Now) {
        let mut state = self.state.lock();
        let deletions = state.deletions.entry(key.clone()).or_default();
        deletions.deleted(file, now);
    }

    /// The inventory of the application of `key`, for reports; `None` where the application is unknown. The size of its
    /// packages is subtracted from `room`.
    ///
    /// # Errors
    /// The packages need more than `room`.
    pub fn show(&self, key: &SessionKey, room: &mut usize) -> Option<Result<Shown, NoRoom>> {
        let state = self.state.lock();
        let stock = state.stocks.get(key)?;
        Some(stock.shown(room))
    }

    /// All applications of the current Platforms.
    pub fn applications(&self) -> Vec<SessionKey> {
        self.state.lock().stocks.keys().cloned().collect()
    }

    /// Sets the current applications. Drops the data of all other applications, and of applications whose lists aren't
    /// read any more. Returns the applications whose data are dropped, and new applications whose lists aren't read.
    fn serve(&self, applications: Vec<Application>) -> Vec<SessionKey> {
        let mut state = self.state.lock();
        let mut before = std::mem::take(&mut state.stocks);
        let mut ended = Vec::new();
        for Application {
            key,
            platforms,
            reads,
        } in applications
        {
            let known = before.remove(&key);
            if !reads && known.as_ref().is_none_or(|stock| stock.reads) {
                ended.push(key.clone());
            }
            let stock = Stock {
                platforms,
                reads,
                ..known.filter(|_| reads).unwrap_or_default()
            };
            state.stocks.insert(key, stock);
        }
        ended.extend(before.into_keys());
        let State {
            stocks,
            deletions,
            walking,
            shown: _,
        } = &mut *state;
        // For an application whose list isn't read, nothing has to be remembered.
        let reads = |key: &SessionKey| stocks.get(key).is_some_and(|stock| stock.reads);
        deletions.retain(|key, all| reads(key) || all.mark().is_busy());
        walking.retain(|key, _| reads(key));
        ended
    }

    /// The Platforms of the application of `key`.
    fn platforms(&self, key: &SessionKey) -> Vec<ObjectKey> {
        let state = self.state.lock();
        let stock = state.stocks.get(key);
        stock.map_or_else(Vec::new, |stock| stock.platforms.clone())
    }

    /// Begins a read of the list of `key`.
    fn begin(&self, key: &SessionKey, now: Now) -> Walk {
        Walk::new(now, self.mark(key))
    }

    /// The state of the deletions of `key`.
    fn mark(&self, key: &SessionKey) -> DeletionMark {
        let state = self.state.lock();
        let deletions = state.deletions.get(key);
        deletions.map_or_else(DeletionMark::default, Deletions::mark)
    }

    /// Whether the memory limits allow `met` bytes for the read of `key` in progress.
    fn has_room(&self, key: &SessionKey, met: usize) -> bool {
        let mut state = self.state.lock();
        state.walking.insert(key.clone(), met);
        let of_one = state.stocks.get(key).map_or(0, |stock| stock.kept) + met;
        let kept = state.stocks.values().map(|stock| stock.kept);
        let of_all: usize = kept.chain(state.walking.values().copied()).sum();
        of_one <= MOST_OF_ONE && of_all <= MOST_OF_ALL
    }

    /// Stores a read. Its packages without an object are already marked.
    fn take(&self, key: &SessionKey, reading: Reading, now: Now) -> Taken {
        let mut state = self.state.lock();
        let State {
            stocks,
            deletions,
            walking,
            shown: _,
        } = &mut *state;
        walking.remove(key);
        let Some(stock) = stocks.get_mut(key).filter(|stock| stock.reads) else {
            return Taken::default();
        };
        stock.takes(reading, deletions.get_mut(key), now)
    }

    /// Notes a failed read of the list of `key`. Returns whether its error differs from the last one.
    fn failed(&self, key: &SessionKey, message: &str, now: Now) -> bool {
        let mut state = self.state.lock();
        state.walking.remove(key);
        let stock = state.stocks.get_mut(key);
        stock.is_some_and(|stock| stock.fails(message.to_owned(), now))
    }

    /// The size of the packages of `key`, in bytes.
    #[cfg(test)]
    fn bytes(&self, key: &SessionKey) -> usize {
        self.state.lock().stocks[key].listing.bytes()
    }
}
