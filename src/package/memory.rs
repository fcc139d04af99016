//! What this process remembers of objects by uid: outcomes, echoes, failures and seats.
//!
//! Everything here may be lost: what must survive a restart stands in the status.

pub mod own_write;
pub mod requests;
mod seat;
mod writes;
mod gone;

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::time::Instant;

pub use self::seat::Seat;
use self::writes::Writes;
use super::errand::Ending;
use crate::api::names::ObjectKey;
use crate::api::outcome::Outcome;
use crate::api::version_package::VersionPackageStatus;
use crate::package::claims::doubts::Doubts;
use crate::package::memory::gone::Gone;
use crate::package::memory::requests::Requests;
use crate::remote::answer::Detail;
use crate::session::SessionKey;
use crate::telemetry::audit::AuditRecord;

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

#[derive(Default)]
struct Entry {
    settled: Option<Outcome>,
    writes: Writes,
    failure: Option<Failure>,
    seat: Option<Seat>,
    /// The end that was last written down.
    audited: Option<Outcome>,
    /// The audit line of an end that is not written yet, and how often in a row it could not be.
    owed: Option<(Box<AuditRecord>, u32)>,
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
    blind: bool,
}

impl Memory {
    /// How the deletion of `uid` ended.
    pub fn settled(&self, uid: &str) -> Option<Outcome> {
        self.state.lock().entries.get(uid)?.settled
    }

    /// Remembers how the deletion of `uid` ended, and that it ended so for the objects that wait behind `uid`. Returns
    /// those, to be woken.
    pub fn settle(&self, uid: &str, outcome: Outcome) -> Vec<ObjectKey> {
        // Outside the lock: the session has a lock of its own.
        let seat = self.seat(uid);
        let served = seat.map(|seat| seat.session.serve(uid, &seat.package));
        let mut state = self.state.lock();
        state.entry(uid).settled = Some(outcome);
        let served = served.into_iter().flatten();
        served
            .map(|(follower, key)| {
                state.entry(&follower).settled = Some(outcome);
                key
            })
            .collect()
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

    /// Forgets what failed before for `uid`.
    pub fn begin_anew(&self, uid: &str) {
        self.set_failure(uid, None);
        self.set_given_back(uid, None);
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
        if let Some(record) = end.record {
            entry.owed = Some((record, 0));
        }
    }

    /// The audit line of `uid` that is not written yet.
    pub fn owed(&self, uid: &str) -> Option<Box<AuditRecord>> {
        let state = self.state.lock();
        let (record, _) = state.entries.get(uid)?.owed.as_ref()?;
        Some(record.clone())
    }

    /// Counts that the audit line of `uid` could not be written.
    pub fn not_paid(&self, uid: &str) {
        let mut state = self.state.lock();
        let owed = state.entries.get_mut(uid).and_then(|e| e.owed.as_mut());
        if let Some((_, failures)) = owed {
            *failures = failures.saturating_add(1);
        }
    }

    /// How often in a row the audit line of `uid` could not be written.
    pub fn failed_audits(&self, uid: &str) -> u32 {
        let state = self.state.lock();
        let owed = state.entries.get(uid).and_then(|e| e.owed.as_ref());
        owed.map_or(0, |(_, failures)| *failures)
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
}

#[cfg(test)]
mod tests;
