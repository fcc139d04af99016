//! What this process remembers of objects by uid: outcomes, echoes, failures and seats.
//!
//! Everything here may be lost: what must survive a restart stands in the status.

mod writes;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

pub use self::writes::Part;
use self::writes::Writes;
use super::decide::{Now, Unbelieved};
use super::doubts::Doubts;
use super::errand::Ending;
use super::gone::Gone;
use super::requests::Requests;
use crate::api::names::{FileId, ObjectKey};
use crate::api::version_package::{Outcome, VersionPackageStatus};
use crate::remote::answer::Detail;
use crate::session::{CredentialId, Priority, Session, SessionKey};
use crate::telemetry::audit::AuditRecord;

/// A package as one credential of a session knows it: who waits for a call of another one would wait for that one's
/// trouble, too. And as those know it who all believe, or don't believe for the same reason, that it doesn't exist: what
/// settles one of them settles all who wait behind it.
pub type PackageKey = ((SessionKey, CredentialId), FileId, Option<Unbelieved>);

/// What makes trying again at once worthwhile when it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// The generation of the object.
    pub generation: i64,
    /// The value of `iodm.dev/requested-at`.
    pub requested_at: Option<String>,
    /// The revision of its Platform.
    pub revision: u64,
}

/// The failures of one object in a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// How many in a row.
    pub count: u32,
    /// When it may try again.
    pub until: Instant,
    /// What it failed under.
    pub fingerprint: Fingerprint,
    /// What its status should say of it, where that couldn't be written.
    pub unsaid: Option<Box<VersionPackageStatus>>,
}

/// A ticket or permit, and the package that it is for.
#[derive(Clone)]
pub struct Seat {
    /// Where it is held.
    pub session: Arc<Session>,
    /// What it is for; nobody else asks for a call for it meanwhile.
    pub package: PackageKey,
}

#[derive(Default)]
struct Entry {
    settled: Option<Outcome>,
    writes: Writes,
    failure: Option<Failure>,
    seat: Option<Seat>,
    /// The end that was last written down.
    audited: Option<Outcome>,
    /// The audit line of an end that is not written yet.
    owed: Option<Box<AuditRecord>>,
    /// How often in a row a permit could not be used, and until when no other is asked for.
    given_back: Option<(u32, Instant)>,
    /// The circumstances under which the platform confirmed what is expected, and until when that counts.
    proven: Option<(Fingerprint, Instant)>,
    /// The answer to its DELETE that proves nothing, and the session that gave it: a look-up tells.
    unproven: Option<(SessionKey, Detail)>,
}

impl Entry {
    fn is_empty(&self) -> bool {
        let Self {
            settled,
            writes,
            failure,
            seat,
            audited,
            given_back,
            proven,
            owed,
            unproven,
        } = self;
        settled.is_none()
            && writes.is_empty()
            && failure.is_none()
            && seat.is_none()
            && audited.is_none()
            && owed.is_none()
            && given_back.is_none()
            && proven.is_none()
            && unproven.is_none()
    }
}

/// Those who wait behind one leader.
#[derive(Default)]
struct Followers(BTreeMap<String, (ObjectKey, Priority)>);

impl Followers {
    fn hurry(&self) -> bool {
        let mut all = self.0.values();
        all.any(|(_, priority)| *priority == Priority::Deletion)
    }

    fn keys(self) -> Vec<ObjectKey> {
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

/// What is remembered of all objects.
#[derive(Default)]
pub struct Memory {
    /// Since when claims have been unclear.
    pub doubts: Doubts,
    /// Which packages were deleted lately.
    pub gone: Gone,
    /// Since when deletions are asked for.
    pub requests: Requests,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: HashMap<String, Entry>,
    leaders: HashMap<PackageKey, (String, ObjectKey)>,
    /// Who waits behind whom, by the uid of the leader.
    followers: HashMap<String, Followers>,
    /// Behind whom each of them waits.
    follows: HashMap<String, String>,
    blind: bool,
}

impl Memory {
    /// How the deletion of `uid` ended.
    pub fn settled(&self, uid: &str) -> Option<Outcome> {
        self.state.lock().entries.get(uid)?.settled
    }

    /// Remembers how the deletion of `uid` ended. Those waiting behind it are served by it too:
    /// they are returned, to be woken.
    pub fn settle(&self, uid: &str, outcome: Outcome) -> Vec<ObjectKey> {
        let mut state = self.state.lock();
        state.entry(uid).settled = Some(outcome);
        let followers = state.take_followers(uid);
        for follower in followers.0.keys() {
            state.entry(follower).settled = Some(outcome);
        }
        followers.keys()
    }

    /// Forgets how the deletion of `uid` ended: it begins anew.
    pub fn reopen(&self, uid: &str) {
        self.requests.forget(uid);
        if let Some(entry) = self.state.lock().entries.get_mut(uid) {
            (entry.settled, entry.audited) = (None, None);
        }
    }

    /// Forgets which versions own writes have changed: the store went back in time, and they may come again.
    pub fn forget_versions(&self) {
        for entry in self.state.lock().entries.values_mut() {
            entry.writes.forget_versions();
        }
    }

    /// The failures of `uid` under the same circumstances.
    pub fn failure(&self, uid: &str, fingerprint: &Fingerprint) -> Option<Failure> {
        let state = self.state.lock();
        state
            .entries
            .get(uid)?
            .failure
            .as_ref()
            .filter(|failure| failure.fingerprint == *fingerprint)
            .cloned()
    }

    /// Remembers a failure of `uid`, or that it has none.
    pub fn set_failure(&self, uid: &str, failure: Option<Failure>) {
        let mut state = self.state.lock();
        if failure.is_some() || state.entries.contains_key(uid) {
            state.entry(uid).failure = failure;
        }
    }

    /// How often in a row a permit of `uid` could not be used, and until when no other is asked for.
    pub fn given_back(&self, uid: &str) -> Option<(u32, Instant)> {
        self.state.lock().entries.get(uid)?.given_back
    }

    /// Remembers that a permit of `uid` could not be used, and asks for no other before `until`; or that one was used.
    pub fn set_given_back(&self, uid: &str, until: Option<Instant>) {
        let mut state = self.state.lock();
        match until {
            Some(until) => {
                let entry = state.entry(uid);
                let count = entry.given_back.map_or(0, |(count, _)| count);
                entry.given_back = Some((count.saturating_add(1), until));
            }
            None => {
                if let Some(entry) = state.entries.get_mut(uid) {
                    entry.given_back = None;
                }
            }
        }
    }

    /// Remembers what the status of `uid` should say of its failure, or that it does.
    pub fn set_unsaid(&self, uid: &str, status: Option<Box<VersionPackageStatus>>) {
        let mut state = self.state.lock();
        let failure = state.entries.get_mut(uid).and_then(|e| e.failure.as_mut());
        if let Some(failure) = failure {
            failure.unsaid = status;
        }
    }

    /// Until when it counts that the platform confirmed what `uid` expects under the same circumstances, if no call was
    /// made since.
    pub fn proven(&self, uid: &str, fingerprint: &Fingerprint) -> Option<Instant> {
        let state = self.state.lock();
        let proven = state.entries.get(uid)?.proven.as_ref();
        proven
            .filter(|(of, _)| of == fingerprint)
            .map(|(_, until)| *until)
    }

    /// Remembers that the platform confirmed what `uid` expects, or that a call may have changed that.
    pub fn set_proven(&self, uid: &str, proven: Option<(Fingerprint, Instant)>) {
        let mut state = self.state.lock();
        if proven.is_some() || state.entries.contains_key(uid) {
            state.entry(uid).proven = proven;
        }
    }

    /// What `session` last answered to a DELETE for `uid`, where that proved nothing and no look-up has told yet.
    pub fn unproven(&self, uid: &str, session: &SessionKey) -> Option<Detail> {
        let state = self.state.lock();
        let unproven = state.entries.get(uid)?.unproven.as_ref();
        unproven
            .filter(|(by, _)| by == session)
            .map(|(_, answer)| answer.clone())
    }

    /// Remembers that the answer to a DELETE for `uid` proved nothing; or that a look-up has told since, or nobody asks
    /// any more. A restart forgets it: then a second DELETE tells.
    pub fn set_unproven(&self, uid: &str, unproven: Option<(SessionKey, Detail)>) {
        let mut state = self.state.lock();
        if unproven.is_some() || state.entries.contains_key(uid) {
            state.entry(uid).unproven = unproven;
        }
    }

    /// The seat of `uid`.
    pub fn seat(&self, uid: &str) -> Option<Seat> {
        self.state.lock().entries.get(uid)?.seat.clone()
    }

    /// Takes a seat for a package; `false` when another object has one for it already.
    pub fn take_seat(&self, uid: &str, key: &ObjectKey, seat: Seat) -> bool {
        let mut state = self.state.lock();
        let leader = state
            .leaders
            .entry(seat.package.clone())
            .or_insert_with(|| (uid.to_owned(), key.clone()));
        if leader.0 != uid {
            return false;
        }
        state.entry(uid).seat = Some(seat);
        state.unfollow(uid);
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
        self.state.lock().leaders.get(package).cloned()
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
        let mut state = self.state.lock();
        let Some((leader, leader_key)) = state.leaders.get(package).cloned() else {
            return Following::Nobody;
        };
        if state.follows.get(uid) != Some(&leader) {
            state.unfollow(uid);
        }
        state.follows.insert(uid.to_owned(), leader.clone());
        let followers = state.followers.entry(leader).or_default();
        let hurried = followers.hurry();
        followers.0.insert(uid.to_owned(), (key.clone(), priority));
        if followers.hurry() && !hurried {
            Following::Hurries(leader_key)
        } else {
            Following::Waits
        }
    }

    /// Waits behind nobody any more: what becomes of the package of a former leader says nothing of this one's.
    pub fn unfollow(&self, uid: &str) {
        self.state.lock().unfollow(uid);
    }

    /// The package of `uid` is there, or the platform can't tell, which goes for those who wait behind it too.
    pub fn looked_up(&self, uid: &str, now: Now) {
        self.requests.looked_up(uid, now);
        let state = self.state.lock();
        let followers = state.followers.get(uid);
        for follower in followers.into_iter().flat_map(|all| all.0.keys()) {
            self.requests.looked_up(follower, now);
        }
    }

    /// Whether a deletion waits behind `uid`.
    pub fn is_hurried(&self, uid: &str) -> bool {
        let state = self.state.lock();
        let followers = state.followers.get(uid);
        followers.is_some_and(Followers::hurry)
    }

    /// The end of `uid` that was last written down, or is to be. An object that was about to be let go and was not, since
    /// its policy changed back, may end once more in another way.
    pub fn audited(&self, uid: &str) -> Option<Outcome> {
        self.state.lock().entries.get(uid)?.audited
    }

    /// Remembers an end of `uid`, and its audit line, which has to be written before anything follows from it.
    pub fn owe(&self, uid: &str, end: Ending) {
        let mut state = self.state.lock();
        let entry = state.entry(uid);
        entry.audited = Some(end.outcome);
        entry.owed = end.record.or(entry.owed.take());
    }

    /// The audit line of `uid` that is not written yet.
    pub fn owed(&self, uid: &str) -> Option<AuditRecord> {
        let state = self.state.lock();
        state.entries.get(uid)?.owed.as_deref().cloned()
    }

    /// Remembers that the audit line of `uid` is written.
    pub fn paid(&self, uid: &str) {
        if let Some(entry) = self.state.lock().entries.get_mut(uid) {
            entry.owed = None;
        }
    }

    /// Forgets an object that is gone for ever. Returns those who waited behind it.
    pub fn forget(&self, uid: &str) -> Vec<ObjectKey> {
        let followers = self.leave_seat(uid);
        self.requests.forget(uid);
        let mut state = self.state.lock();
        state.unfollow(uid);
        state.entries.remove(uid);
        followers
    }

    /// Whether the watch has turned out blind and has not delivered a list since.
    pub fn is_blind(&self) -> bool {
        self.state.lock().blind
    }

    /// Remembers that the watch is blind, or sees again. `true` when that is new.
    pub fn set_blind(&self, blind: bool) -> bool {
        std::mem::replace(&mut self.state.lock().blind, blind) != blind
    }
}

impl State {
    fn entry(&mut self, uid: &str) -> &mut Entry {
        self.entries.entry(uid.to_owned()).or_default()
    }

    fn take_followers(&mut self, leader: &str) -> Followers {
        let followers = self.followers.remove(leader).unwrap_or_default();
        for follower in followers.0.keys() {
            self.follows.remove(follower);
        }
        followers
    }

    fn unfollow(&mut self, uid: &str) {
        if let Some(leader) = self.follows.remove(uid)
            && let Some(followers) = self.followers.get_mut(&leader)
        {
            followers.0.remove(uid);
            if followers.0.is_empty() {
                self.followers.remove(&leader);
            }
        }
    }

    fn leave(&mut self, uid: &str) -> (Option<Seat>, Vec<ObjectKey>) {
        let seat = self
            .entries
            .get_mut(uid)
            .and_then(|entry| entry.seat.take());
        let Some(seat) = seat else {
            return (None, Vec::new());
        };
        if self
            .leaders
            .get(&seat.package)
            .is_some_and(|(leader, _)| leader == uid)
        {
            self.leaders.remove(&seat.package);
        }
        let followers = self.take_followers(uid);
        (Some(seat), followers.keys())
    }
}

#[cfg(test)]
mod tests;
