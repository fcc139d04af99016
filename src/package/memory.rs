//! What this process remembers of objects, by uid: outcomes, echoes of own writes, failures and seats.
//!
//! All of this may be lost: everything that must survive a restart is in the status.

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

/// Circumstances of a failure. When any of them changes, the object is tried again at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// Generation of the object.
    pub generation: i64,
    /// Value of the annotation `iodm.dev/requested-at`.
    pub requested_at: Option<String>,
    /// Revision of the object's Platform.
    pub revision: u64,
}

/// Consecutive failures of one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// Number of consecutive failures.
    pub count: u32,
    /// End of the backoff: the object may be tried again then.
    pub until: Instant,
    /// Circumstances under which the object failed.
    pub fingerprint: Fingerprint,
    /// Status that tells of the failure, while that status could not be written.
    pub unsaid: Option<Box<VersionPackageStatus>>,
}

#[derive(Default)]
struct Entry {
    settled: Option<Outcome>,
    writes: Writes,
    failure: Option<Failure>,
    seat: Option<Seat>,
    /// Outcome that was last written to the audit log, or is about to be written to it.
    audited: Option<Outcome>,
    /// Audit line that is not written yet, and the number of consecutive failures to write it.
    owed: Option<(Box<AuditRecord>, u32)>,
    /// Number of consecutive permits that could not be used, and the time before which no other permit is asked for.
    given_back: Option<(u32, Instant)>,
    /// Circumstances under which the platform confirmed the expected package, and the time until which that
    /// confirmation counts.
    proven: Option<(Fingerprint, Instant)>,
    /// Answer to the last DELETE if that answer proves nothing, and the session that gave it. A look-up then shows
    /// whether the package is deleted.
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

/// What this process remembers of all objects.
#[derive(Default)]
pub struct Memory {
    /// Since when each claim has been unclear.
    pub doubts: Doubts,
    /// Packages that were deleted lately.
    pub gone: Gone,
    /// Since when each deletion has been asked for.
    pub requests: Requests,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: HashMap<String, Entry>,
    blind: bool,
}

impl Memory {
    /// Outcome of the deletion of `uid`, if that is known.
    pub fn settled(&self, uid: &str) -> Option<Outcome> {
        self.state.lock().entries.get(uid)?.settled
    }

    /// Remembers the outcome of the deletion of `uid`, for `uid` itself and for the objects that wait behind it.
    /// Returns the keys of these objects, which the caller has to wake.
    pub fn settle(&self, uid: &str, outcome: Outcome) -> Vec<ObjectKey> {
        // The session has a lock of its own, so it is called before this lock is taken.
        let seat = self.seat(uid);
        let served = seat.map(|seat| seat.session.serve(uid, &seat.package));
        let mut state = self.state.lock();
        state.entry(uid).settled = Some(outcome);
        let mut keys = Vec::new();
        for (follower, key) in served.into_iter().flatten() {
            // An object that was forgotten meanwhile stays forgotten.
            if let Some(entry) = state.entries.get_mut(&follower) {
                entry.settled = Some(outcome);
            }
            keys.push(key);
        }
        keys
    }

    /// Forgets the outcome of `uid`, and that the outcome was audited: its deletion begins anew.
    pub fn reopen(&self, uid: &str) {
        self.requests.forget(uid);
        if let Some(entry) = self.state.lock().entries.get_mut(uid) {
            (entry.settled, entry.audited) = (None, None);
        }
    }

    /// Forgets the resource versions of own writes. The store went back in time, so it may give out the same versions
    /// again.
    pub fn forget_versions(&self) {
        for entry in self.state.lock().entries.values_mut() {
            entry.writes.forget_versions();
        }
    }

    /// Consecutive failures of `uid`, if they happened under the same circumstances.
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

    /// Stores the failure of `uid`; `None` clears it.
    pub fn set_failure(&self, uid: &str, failure: Option<Failure>) {
        let mut state = self.state.lock();
        if failure.is_some() || state.entries.contains_key(uid) {
            state.entry(uid).failure = failure;
        }
    }

    /// Clears the failures and the unused permits of `uid`.
    pub fn begin_anew(&self, uid: &str) {
        self.set_failure(uid, None);
        self.set_given_back(uid, None);
    }

    /// Number of consecutive permits of `uid` that could not be used, and the time before which no other permit is
    /// asked for.
    pub fn given_back(&self, uid: &str) -> Option<(u32, Instant)> {
        self.state.lock().entries.get(uid)?.given_back
    }

    /// Counts one permit of `uid` that could not be used, and lets `uid` ask for no other permit before `until`. `None`
    /// resets the count, after a permit was used.
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

    /// Stores the status that still has to tell of the failure of `uid`; `None` after that status was written.
    pub fn set_unsaid(&self, uid: &str, status: Option<Box<VersionPackageStatus>>) {
        let mut state = self.state.lock();
        let failure = state.entries.get_mut(uid).and_then(|e| e.failure.as_mut());
        if let Some(failure) = failure {
            failure.unsaid = status;
        }
    }

    /// Time until which the platform's confirmation of the package that `uid` expects counts. `None` under other
    /// circumstances, or after a call.
    pub fn proven(&self, uid: &str, fingerprint: &Fingerprint) -> Option<Instant> {
        let state = self.state.lock();
        let proven = state.entries.get(uid)?.proven.as_ref();
        proven
            .filter(|(of, _)| of == fingerprint)
            .map(|(_, until)| *until)
    }

    /// Stores the platform's confirmation of the package that `uid` expects; `None` after a call that may have changed
    /// the package.
    pub fn set_proven(&self, uid: &str, proven: Option<(Fingerprint, Instant)>) {
        let mut state = self.state.lock();
        if proven.is_some() || state.entries.contains_key(uid) {
            state.entry(uid).proven = proven;
        }
    }

    /// Last answer of `session` to a DELETE for `uid`, if that answer proved nothing and no look-up has been made
    /// since.
    pub fn unproven(&self, uid: &str, session: &SessionKey) -> Option<Detail> {
        let state = self.state.lock();
        let unproven = state.entries.get(uid)?.unproven.as_ref();
        unproven
            .filter(|(by, _)| by == session)
            .map(|(_, answer)| answer.clone())
    }

    /// Stores an answer to a DELETE for `uid` that proved nothing. `None` after a look-up, or when the deletion is no
    /// longer asked for. A restart loses the answer; then a second DELETE is sent, and its answer shows whether the
    /// package is deleted.
    pub fn set_unproven(&self, uid: &str, unproven: Option<(SessionKey, Detail)>) {
        let mut state = self.state.lock();
        if unproven.is_some() || state.entries.contains_key(uid) {
            state.entry(uid).unproven = unproven;
        }
    }

    /// Outcome of `uid` that was last written to the audit log, or is about to be written to it. An object whose
    /// release was stopped by a change of its policy may end a second time, with another outcome.
    pub fn audited(&self, uid: &str) -> Option<Outcome> {
        self.state.lock().entries.get(uid)?.audited
    }

    /// Stores the outcome of `uid` with its audit line, which has to be written before any other consequence.
    pub fn owe(&self, uid: &str, end: Ending) {
        let mut state = self.state.lock();
        let entry = state.entry(uid);
        entry.audited = Some(end.outcome);
        if let Some(record) = end.record {
            entry.owed = Some((record, 0));
        }
    }

    /// Audit line of `uid` that is not written yet.
    pub fn owed(&self, uid: &str) -> Option<Box<AuditRecord>> {
        let state = self.state.lock();
        let (record, _) = state.entries.get(uid)?.owed.as_ref()?;
        Some(record.clone())
    }

    /// Counts a failed write of the audit line of `uid`.
    pub fn not_paid(&self, uid: &str) {
        let mut state = self.state.lock();
        let owed = state.entries.get_mut(uid).and_then(|e| e.owed.as_mut());
        if let Some((_, failures)) = owed {
            *failures = failures.saturating_add(1);
        }
    }

    /// Number of consecutive failures to write the audit line of `uid`.
    pub fn failed_audits(&self, uid: &str) -> u32 {
        let state = self.state.lock();
        let owed = state.entries.get(uid).and_then(|e| e.owed.as_ref());
        owed.map_or(0, |(_, failures)| *failures)
    }

    /// Removes the audit line of `uid`, after it was written.
    pub fn paid(&self, uid: &str) {
        if let Some(entry) = self.state.lock().entries.get_mut(uid) {
            entry.owed = None;
        }
    }

    /// Forgets an object that was removed from the cluster. Returns the keys of the objects that waited behind it.
    pub fn forget(&self, uid: &str) -> Vec<ObjectKey> {
        self.requests.forget(uid);
        // The entry and its seat go at once: a pass under way may take a seat at any moment.
        let entry = self.state.lock().entries.remove(uid);
        let seat = entry.and_then(|entry| entry.seat);
        seat.map_or_else(Vec::new, |seat| seat.leave(uid))
    }

    /// Whether the watch missed an own write and has not delivered a list since.
    pub fn is_blind(&self) -> bool {
        self.state.lock().blind
    }

    /// Sets whether the watch is blind. Returns `true` if that has changed.
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
