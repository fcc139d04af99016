//! Whether this process can trust what its watches show. While it can't, nothing is sent.
//!
//! Three faults take the sight away: a watch has read data that is not JSON; a `CustomResourceDefinition` lacks a
//! field of ours, so that the API server drops the field's value without a message; or the store went back in time.
//! After the last two, everything is listed again, and grace periods start again.
//!
//! `schemas` compares both definitions at each change. A GET of their metadata before each call shows whether they
//! still have the compared versions. The store went back in time if a version of our Lease, or of a list, is smaller
//! than one seen before. While the sight is lost, no session makes a call, not even a login, and no decision is made.
//!
//! After a lost field, and after the store went back, a new round begins: each watch makes a list, doubts are judged by
//! that list, remembered versions are dropped, and grace periods run from the start of the round. An object is doubted
//! if its version is newer than the last version at which the definition was complete. If the definition was already
//! incomplete when the process started, an object is doubted if its version is newer than the first list of the
//! process. A doubt survives a restart in the condition `FieldsLost`.

mod definitions;
mod doubts;
mod eye;
mod losses;
mod signal;
mod watches;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use self::definitions::Definition;
pub use self::definitions::{Compared, SETTLES, Unfit};
use self::doubts::LossDoubt;
pub use self::doubts::{Lineage, lineage};
pub use self::eye::Eye;
pub use self::losses::{Loss, Losses};
pub use self::signal::Listener;
use self::signal::Signal;
pub use self::watches::WatchKind;
use self::watches::{Subject, Watch};
use crate::api::names::ObjectKey;

/// A condition that keeps this process from working.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SightTrouble {
    /// The description for people, which is constant as long as the trouble lasts.
    pub words: String,
    /// When the trouble began.
    pub since: Instant,
}

impl SightTrouble {
    fn lasting(
        since: Instant,
        lasts: Duration,
        now: Instant,
        words: impl FnOnce() -> String,
    ) -> Option<Self> {
        (now.saturating_duration_since(since) >= lasts).then(|| Self {
            words: words(),
            since,
        })
    }
}

/// The combined state of all watches of this process.
#[derive(Default)]
pub struct Sight {
    state: Mutex<State>,
    /// Counts the rounds: how often everything had to be listed again.
    round: Signal,
    /// Notified whenever [`Self::hindrance`] may have changed.
    changed: Signal,
    losses: watch::Sender<Losses>,
}

#[derive(Default)]
struct State {
    watches: BTreeMap<WatchKind, Watch>,
    /// The watches of single Secrets.
    secrets: BTreeMap<ObjectKey, Watch>,
    definitions: BTreeMap<WatchKind, Definition>,
    /// The earliest start of all grace periods.
    graces: Option<Instant>,
    /// Why the Lease can't be read or taken, and since when.
    lease: Option<(Instant, String)>,
}

impl State {
    fn lease_trouble(&self, lasts: Duration, now: Instant) -> Option<SightTrouble> {
        let (since, words) = self.lease.as_ref()?;
        let words = || format!("the Lease can't be read or taken: {words}");
        SightTrouble::lasting(*since, lasts, now, words)
    }
}

impl Sight {
    /// The reporter of the watch of one kind.
    pub fn eye(self: &Arc<Self>, kind: WatchKind) -> Eye {
        Eye::new(Arc::clone(self), Subject::All(kind))
    }

    /// The reporter of the watch of one Secret.
    pub fn eye_on(self: &Arc<Self>, secret: ObjectKey) -> Eye {
        Eye::new(Arc::clone(self), Subject::Secret(secret))
    }

    /// Why nothing may be sent now, as a sentence without a full stop; `None` while calls are allowed.
    pub fn hindrance(&self) -> Option<String> {
        let state = self.state.lock();
        for definition in state.definitions.values() {
            match (&definition.served, definition.returned) {
                (Some(Err(unfit)), _) => return Some(unfit.why.clone()),
                (Some(Ok(_)), Some(_)) => {
                    return Some("a CustomResourceDefinition has just got back what it lacked, and everything is listed anew".to_owned());
                }
                (Some(Ok(_)), None) | (None, _) => {}
            }
        }
        let blind = state.watches.iter().find(|(_, watch)| watch.blind);
        if let Some((kind, _)) = blind {
            return Some(format!(
                "the operator could not read what the API server sent about {}, and waits for a new list",
                kind.name()
            ));
        }
        let round = self.round.count();
        let behind = WatchKind::ALL.into_iter().find(|kind| {
            let watch = state.watches.get(kind);
            watch.is_some_and(|watch| watch.listed.is_some_and(|listed| listed < round))
        });
        behind.map(|kind| format!("the operator waits for a new list of {}", kind.name()))
    }

    /// Notifies when [`Self::hindrance`] may have changed.
    pub fn changes(&self) -> Listener {
        self.changed.listen()
    }

    /// Notifies when everything has to be listed again.
    pub fn rounds(&self) -> Listener {
        self.round.listen()
    }

    /// The newest version that any watch has seen.
    pub fn newest(&self) -> u64 {
        let state = self.state.lock();
        let newest = state.watches.values().map(|watch| watch.newest);
        newest.max().unwrap_or_default()
    }

    /// Starts a new round: the store went back in time, or may have, so nothing seen before counts.
    pub fn begin_anew(&self, why: &str, now: Instant) {
        tracing::warn!(
            why,
            "everything is listed anew, and grace periods begin anew"
        );
        self.next_round(&mut self.state.lock(), now);
        self.tell();
    }

    /// The earliest start of all grace periods; `None` where they have no common start.
    pub fn graces_since(&self) -> Option<Instant> {
        self.state.lock().graces
    }

    fn next_round(&self, state: &mut State, now: Instant) {
        state.graces = Some(now);
        for watch in state.watches.values_mut() {
            watch.newest = 0;
        }
        self.round.give();
    }

    /// The description of a loss of fields in `object`: the object was written while its definition lacked fields, and
    /// no person has confirmed it since. `None` if no field is lost. The caller calls this method with each new version
    /// of an object; `listed` is true for an object from a list.
    pub fn doubts(&self, kind: WatchKind, object: &Lineage, listed: bool) -> Option<String> {
        let mut state = self.state.lock();
        let definition = kind.definition()?;
        let definition = state.definitions.entry(definition).or_default();
        let doubt = definition.doubts.judge(object, listed);
        self.note_losses(&state);
        match doubt {
            LossDoubt::None => None,
            LossDoubt::Lost(what) => Some(what),
        }
    }

    /// Drops the data of a deleted object.
    pub fn forget(&self, kind: WatchKind, uid: &str) {
        let mut state = self.state.lock();
        let definition = kind.definition();
        if let Some(definition) = definition.and_then(|kind| state.definitions.get_mut(&kind)) {
            definition.doubts.forget(uid);
        }
        self.note_losses(&state);
    }

    /// Sets why the Lease can't be read or taken; `None` where it can be.
    pub fn lease(&self, trouble: Option<String>, now: Instant) {
        let mut state = self.state.lock();
        state.lease = trouble.map(|words| {
            let since = state.lease.as_ref().map_or(now, |(since, _)| *since);
            (since, words)
        });
    }

    /// The trouble that keeps this process from working and has lasted for `lasts`.
    pub fn trouble(&self, lasts: Duration, now: Instant) -> Option<SightTrouble> {
        let state = self.state.lock();
        let mut unfit = state.definitions.values().filter_map(|definition| {
            let unfit = definition.served.as_ref()?.as_ref().err()?;
            SightTrouble::lasting(definition.unfit_since?, lasts, now, || unfit.why.clone())
        });
        let watches = state.watches.iter();
        let mut failing =
            watches.filter_map(|(kind, watch)| watch.trouble(&Subject::All(*kind), lasts, now));
        let first = unfit.next().or_else(|| failing.next());
        first.or_else(|| state.lease_trouble(lasts, now))
    }

    /// The Secrets whose watch has failed for `lasts`, with the reasons.
    pub fn secret_troubles(
        &self,
        lasts: Duration,
        now: Instant,
    ) -> BTreeMap<ObjectKey, SightTrouble> {
        let state = self.state.lock();
        let troubles = state.secrets.iter().filter_map(|(secret, watch)| {
            let trouble = watch.trouble(&Subject::Secret(secret.clone()), lasts, now)?;
            Some((secret.clone(), trouble))
        });
        troubles.collect()
    }

    /// Why the Lease can't be read or taken, where this has lasted for `lasts`.
    pub fn lease_trouble(&self, lasts: Duration, now: Instant) -> Option<SightTrouble> {
        self.state.lock().lease_trouble(lasts, now)
    }

    fn tell(&self) {
        self.changed.give();
    }

    /// Changes the state of one watch. `change` returns whether [`Self::hindrance`] may have changed.
    fn with(&self, subject: &Subject, change: impl FnOnce(&mut Watch) -> bool) {
        let mut state = self.state.lock();
        let hinders = match subject {
            Subject::All(kind) => change(state.watches.entry(*kind).or_default()),
            Subject::Secret(secret) => {
                change(state.secrets.entry(secret.clone()).or_default());
                false
            }
        };
        drop(state);
        if hinders {
            self.tell();
        }
    }
}

#[cfg(test)]
mod tests;
