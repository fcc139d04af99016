//! What the platform lists: which packages there are, which are missing, and which no object stands for.
//!
//! The list is read from calls that nobody waits for. It fills `status.package` without a call per object and
//! tells of packages that are not as the objects say; it never sends a DELETE, nor lets one be sent.
//!
//! ```text
//! reader (one task per application) -> walk (pages) -> reading -> inventory -> passes, status, vpo inventory
//!                                        ^ deletions: what was sent meanwhile, what must be gone
//! ```
//!
//! Readings are kept in memory only. Each package is one text, so ten thousand take about 2 MB. What one reading has
//! shown stands in the status of the object until another reading shows otherwise. A list has rights and a path of its
//! own, so one that is refused or fails makes no deletion wait; only a refusal for too many calls counts for all.

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

/// So many bytes are kept of the lists of one application at one endpoint, the last reading and the one under way: some 70,000
/// packages. An endpoint can list whatever it likes.
const MOST_OF_ONE: usize = 32 << 20;
/// The same of all of them.
const MOST_OF_ALL: usize = 96 << 20;

/// What the list says of one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// The list is not read.
    Off,
    /// Nothing: no reading that could tell has ended yet.
    Unread,
    /// The package is there, and this is what the platform says of it.
    Listed(PackageIdentity),
    /// A reading that began when the package was wanted already did not find it.
    Missing,
    /// The platform said lately that the package is gone, and no whole reading has listed it since.
    Gone,
}

/// What is asked of the objects.
pub trait Objects: Send + Sync {
    /// Whether all are known.
    fn are_listed(&self) -> bool;

    /// What those that name the package, which `session` lists, are to it.
    fn of_package(&self, session: &Session, file: &FileId) -> Named;
}

/// What the objects that name a package are to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// Whether one of them stands for it: it wants it, or is to delete it and hasn't yet.
    pub stands: bool,
    /// Whether one of them was accepted for the application over a Platform that brings the credential of the list.
    pub own: bool,
    /// The other endpoints at which such ones were accepted: the present one has the packages of those.
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
    /// By endpoint too: whoever has an endpoint of their own can name any application there.
    deletions: HashMap<SessionKey, Deletions>,
    /// The bytes of what walks under way have met.
    walking: HashMap<SessionKey, usize>,
    /// The endpoints that have shown a package of an object that was accepted at another one, so that they speak of the
    /// packages of that one.
    shown: HashSet<(Witness, Endpoint)>,
}

/// What a reading came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Taken {
    /// Whether it may tell something of an object.
    tells: bool,
    /// Whether it proves nothing, for another reason than the last try.
    another_trouble: bool,
    /// The packages that it lists although the platform said before it began that they are gone, each once.
    reappeared: Vec<Deleted>,
}

/// An application that Platforms name now.
struct Application {
    key: SessionKey,
    platforms: Vec<ObjectKey>,
    reads: bool,
}

impl Inventory {
    /// What the list of `key` says of `file`, which an object of `platform` has wanted since `since`.
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

    /// Whether a whole reading that began after `since` lists `file`.
    pub fn lists_since(&self, key: &SessionKey, file: &FileId, since: Instant) -> bool {
        let state = self.state.lock();
        let stock = state.stocks.get(key);
        stock.is_some_and(|stock| {
            let later = stock.proof.is_some_and(|proof| proof.begun.tick > since);
            later && stock.listing.has(file.as_str())
        })
    }

    /// The counts of `platform`, with how many packages of its application no object stands for, where that is known.
    pub fn counted(&self, platform: &ObjectKey, mut counts: PackageCounts) -> PackageCounts {
        let state = self.state.lock();
        let mut stocks = state.stocks.values();
        let stock = stocks.find(|stock| stock.platforms.contains(platform));
        let proof = stock.and_then(|stock| stock.proof);
        counts.unmanaged = proof.map(|proof| i32::try_from(proof.unmanaged).unwrap_or(i32::MAX));
        counts
    }

    /// The platform has shown packages that objects of `witness` name, which were `accepted` at these other endpoints; `own`
    /// where that proves the credential of `session` too. Whether any of it is news.
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

    /// Whether it has shown one of those `accepted` at that endpoint since this process began. Objects that were accepted
    /// elsewhere, or at the present one, prove nothing of them.
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

    /// A DELETE of the application begins: until it has ended, no reading proves anything.
    pub fn deleting(&self, key: &SessionKey) {
        let mut state = self.state.lock();
        let deletions = state.deletions.entry(key.clone()).or_default();
        deletions.begins();
    }

    /// A DELETE of the application has ended, or wasn't sent.
    pub fn no_longer_deleting(&self, key: &SessionKey) {
        let mut state = self.state.lock();
        let deletions = state.deletions.entry(key.clone()).or_default();
        deletions.ends();
    }

    /// The platform says that it deleted `file`: the next reading must not find it.
    pub fn deleted(&self, key: &SessionKey, file: &FileId, now: Now) {
        let mut state = self.state.lock();
        let deletions = state.deletions.entry(key.clone()).or_default();
        deletions.deleted(file, now);
    }

    /// The inventory of the application of `key`, as it is shown; its packages take their bytes from `room`.
    ///
    /// # Errors
    /// When they have more bytes than that.
    pub fn show(&self, key: &SessionKey, room: &mut usize) -> Option<Result<Shown, NoRoom>> {
        let state = self.state.lock();
        let stock = state.stocks.get(key)?;
        Some(stock.shown(room))
    }

    /// Every application that Platforms name.
    pub fn applications(&self) -> Vec<SessionKey> {
        self.state.lock().stocks.keys().cloned().collect()
    }

    /// Takes in which applications there are; what is known of others, or was read where nothing is read any
    /// more, is forgotten. Returns those whose packages are known no longer, or for the first time as not read.
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
        // Where nothing is read, nothing has to be remembered for a reading.
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

    /// Begins a walk over the list of `key`.
    fn begin(&self, key: &SessionKey, now: Now) -> Walk {
        Walk::new(now, self.mark(key))
    }

    /// Where the deletions of `key` stand.
    fn mark(&self, key: &SessionKey) -> DeletionMark {
        let state = self.state.lock();
        let deletions = state.deletions.get(key);
        deletions.map_or_else(DeletionMark::default, Deletions::mark)
    }

    /// Whether there is room for what a walk over the list of `key` has met, beside what is kept of the last readings.
    fn has_room(&self, key: &SessionKey, met: usize) -> bool {
        let mut state = self.state.lock();
        state.walking.insert(key.clone(), met);
        let of_one = state.stocks.get(key).map_or(0, |stock| stock.kept) + met;
        let kept = state.stocks.values().map(|stock| stock.kept);
        let of_all: usize = kept.chain(state.walking.values().copied()).sum();
        of_one <= MOST_OF_ONE && of_all <= MOST_OF_ALL
    }

    /// Takes a reading in, its packages marked where no object stands for them.
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

    /// A try to read the list of `key` failed; whether that is another trouble than the last one.
    fn failed(&self, key: &SessionKey, message: &str, now: Now) -> bool {
        let mut state = self.state.lock();
        state.walking.remove(key);
        let stock = state.stocks.get_mut(key);
        stock.is_some_and(|stock| stock.fails(message.to_owned(), now))
    }

    /// The bytes that the packages of `key` take.
    #[cfg(test)]
    fn bytes(&self, key: &SessionKey) -> usize {
        self.state.lock().stocks[key].listing.bytes()
    }
}
