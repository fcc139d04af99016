//! Who has a ticket or permit for which package, and who waits behind whom for its call.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{Memory, State};
use crate::api::names::{FileId, ObjectKey};
use crate::package::decide::{Now, Unbelieved};
use crate::session::{CredentialId, Priority, Session, SessionKey};

/// A package as one credential of a session knows it: who waits for a call of another one would wait for that one's
/// trouble, too. And as those know it who all believe, or don't believe for the same reason, that it doesn't exist: what
/// settles one of them settles all who wait behind it.
pub type PackageKey = ((SessionKey, CredentialId), FileId, Option<Unbelieved>);

/// A ticket or permit, and the package that it is for.
#[derive(Clone)]
pub struct Seat {
    /// Where it is held.
    pub session: Arc<Session>,
    /// What it is for; nobody else asks for a call for it meanwhile.
    pub package: PackageKey,
}

/// Those who wait behind one leader.
#[derive(Default)]
pub(super) struct Followers(BTreeMap<String, (ObjectKey, Priority)>);

impl Followers {
    fn hurry(&self) -> bool {
        let mut all = self.0.values();
        all.any(|(_, priority)| *priority == Priority::Deletion)
    }

    pub(super) fn uids(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    pub(super) fn keys(self) -> Vec<ObjectKey> {
        self.0.into_values().map(|(key, _)| key).collect()
    }
}

/// What came of waiting behind the leader of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Following {
    /// There is no leader (any more).
    Nobody,
    /// It waits.
    Waits,
    /// It waits as the first deletion behind this leader, which asks for a turn as early.
    Hurries(ObjectKey),
}

/// Who leads, and who waits.
#[derive(Default)]
pub(super) struct Seats {
    leaders: HashMap<PackageKey, (String, ObjectKey)>,
    /// Who waits behind whom, by the uid of the leader.
    followers: HashMap<String, Followers>,
    /// Behind whom each of them waits.
    pub(super) follows: HashMap<String, String>,
}

impl Memory {
    /// The seat of `uid`.
    pub fn seat(&self, uid: &str) -> Option<Seat> {
        self.state.lock().entries.get(uid)?.seat.clone()
    }

    /// Takes a seat for a package; `false` when another object has one for it already.
    pub fn take_seat(&self, uid: &str, key: &ObjectKey, seat: Seat) -> bool {
        let mut state = self.state.lock();
        let leaders = &mut state.seats.leaders;
        let leader = leaders
            .entry(seat.package.clone())
            .or_insert_with(|| (uid.to_owned(), key.clone()));
        if leader.0 != uid {
            return false;
        }
        state.seats.unfollow(uid);
        state.entry(uid).seat = Some(seat);
        true
    }

    /// Gives the seat of `uid` back, with its ticket or permit. Returns those who waited behind it.
    pub fn leave_seat(&self, uid: &str) -> Vec<ObjectKey> {
        let (seat, followers) = self.state.lock().leave(uid);
        // Outside the lock: the session has a lock of its own.
        if let Some(seat) = seat {
            seat.session.withdraw(uid);
        }
        followers
    }

    /// The object that is about to delete `package`.
    pub fn leader(&self, package: &PackageKey) -> Option<(String, ObjectKey)> {
        self.state.lock().seats.leaders.get(package).cloned()
    }

    /// Waits behind the leader of `package`. A deletion behind a retirement doesn't wait as long as that would: the
    /// leader goes before all retirement then.
    pub fn follow(
        &self,
        uid: &str,
        key: &ObjectKey,
        package: &PackageKey,
        priority: Priority,
    ) -> Following {
        self.state.lock().seats.follow(uid, key, package, priority)
    }

    /// Waits behind nobody any more: what becomes of the package of a former leader says nothing of this one's.
    pub fn unfollow(&self, uid: &str) {
        self.state.lock().seats.unfollow(uid);
    }

    /// The package of `uid` is there, or the platform can't tell, which goes for those who wait behind it too.
    pub fn looked_up(&self, uid: &str, now: Now) {
        self.requests.looked_up(uid, now);
        let state = self.state.lock();
        let followers = state.seats.followers.get(uid);
        for follower in followers.into_iter().flat_map(Followers::uids) {
            self.requests.looked_up(follower, now);
        }
    }

    /// Whether a deletion waits behind `uid`.
    pub fn is_hurried(&self, uid: &str) -> bool {
        let state = self.state.lock();
        let followers = state.seats.followers.get(uid);
        followers.is_some_and(Followers::hurry)
    }
}

impl Seats {
    fn follow(
        &mut self,
        uid: &str,
        key: &ObjectKey,
        package: &PackageKey,
        priority: Priority,
    ) -> Following {
        let Some((leader, leader_key)) = self.leaders.get(package).cloned() else {
            return Following::Nobody;
        };
        if self.follows.get(uid) != Some(&leader) {
            self.unfollow(uid);
        }
        self.follows.insert(uid.to_owned(), leader.clone());
        let followers = self.followers.entry(leader).or_default();
        let hurried = followers.hurry();
        followers.0.insert(uid.to_owned(), (key.clone(), priority));
        if followers.hurry() && !hurried {
            Following::Hurries(leader_key)
        } else {
            Following::Waits
        }
    }

    pub(super) fn unfollow(&mut self, uid: &str) {
        if let Some(leader) = self.follows.remove(uid)
            && let Some(followers) = self.followers.get_mut(&leader)
        {
            followers.0.remove(uid);
            if followers.0.is_empty() {
                self.followers.remove(&leader);
            }
        }
    }

    /// Those who wait behind `leader`, and don't any more.
    pub(super) fn take_followers(&mut self, leader: &str) -> Followers {
        let followers = self.followers.remove(leader).unwrap_or_default();
        for follower in followers.0.keys() {
            self.follows.remove(follower);
        }
        followers
    }
}

impl State {
    fn leave(&mut self, uid: &str) -> (Option<Seat>, Vec<ObjectKey>) {
        let entry = self.entries.get_mut(uid);
        let Some(seat) = entry.and_then(|entry| entry.seat.take()) else {
            return (None, Vec::new());
        };
        let leader = self.seats.leaders.get(&seat.package);
        if leader.is_some_and(|(leader, _)| leader == uid) {
            self.seats.leaders.remove(&seat.package);
        }
        let followers = self.seats.take_followers(uid);
        (Some(seat), followers.keys())
    }
}
