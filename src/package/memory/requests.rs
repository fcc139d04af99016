//! When this process first saw the request for each deletion. Grace periods run from that moment.
//!
//! The clocks of the API server and of this node may differ, and either may be set while a deletion waits. A grace
//! period therefore runs by the steady clock, from the moment at which this process first saw the request. A process
//! that starts later continues from `status.deletion.requestedAt`, in which the first process stored that moment.
//!
//! A retired object may name a package that is long gone, for example in a cluster that is rebuilt from Git. Such an
//! object first needs a look-up: its request begins when the look-up shows the package.
//!
//! If another object kept the package, the request begins anew when that object stops keeping it. So a person who
//! retired or deleted that object by mistake has the whole grace period to undo that.

mod request;

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;

pub use self::request::DeletionRequest;
use self::request::{ROUNDED, between};
use crate::api::reason::{Phase, Reason};
use crate::object::Object;
use crate::package::claims::Claimant;
use crate::package::decide::{Now, says_hindered};

/// The requests that this process has seen, by object uid.
#[derive(Default)]
pub struct Requests {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    seen: HashMap<String, Seen>,
}

#[derive(Clone)]
struct Seen {
    request: DeletionRequest,
    /// Deletion timestamp of the object, if the object is deleted and not retired.
    deleted_at: Option<Timestamp>,
    look_up: LookUp,
    /// Keepers of the package, as of the last look.
    keepers: Keepers,
    /// Whether this process has looked at the object since it first saw the request.
    looked: bool,
    /// Whether an earlier process saw a keeper, or a possible one. `false` once a look of this process finds no keeper.
    kept: bool,
    /// Whether an earlier process may have seen a keeper without reporting it in the status. `false` once a look of
    /// this process finds no keeper.
    hidden: bool,
    /// Start of a new grace period, if an unreported keeper may have ended.
    grace: Option<Instant>,
    /// Generation of the object at the last look.
    generation: i64,
    /// Last value of `status.deletion.requestedAt` that the watch has shown.
    told: Option<Timestamp>,
}

/// Uids of the objects that keep a package, or that may keep it.
pub type Keepers = Vec<Arc<str>>;

/// The request of an object, as one look finds it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peeked {
    /// The request; `None` if the object asks for no deletion.
    pub request: Option<DeletionRequest>,
    /// Whether a look-up of the package comes before the guard hears of the request.
    pub looks_first: bool,
    /// Whether the request begins anew, because an object that kept the package has stopped keeping it since the last
    /// look.
    pub anew: bool,
    /// Start of a new grace period, if a keeper that no status reported may have ended.
    pub grace: Option<Instant>,
}

/// What one look at an object adds to its request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Noted {
    /// Whether the package may be missing on the platform.
    pub doubted: bool,
    /// Keepers of the package, including possible ones.
    pub keepers: Keepers,
    /// Whether the request begins anew now.
    pub anew: bool,
}

/// The other objects that name a package.
#[derive(Clone, Copy, Default)]
pub struct Others<'a> {
    /// All other objects that were alive when the cache was read.
    pub living: &'a [Claimant],
    /// Uids of the objects among them that keep the package, or that may keep it.
    pub keepers: &'a [Arc<str>],
}

impl Others<'_> {
    /// Whether an object that kept the package of `seen` has ended since the last look.
    fn have_ended(self, seen: &Seen, now: Timestamp) -> bool {
        let living = self.living.iter().filter(|other| other.lives(now));
        let lives = |uid: &Arc<str>| living.clone().any(|other| other.uid == *uid);
        seen.kept && self.keepers.is_empty() || !seen.keepers.iter().all(lives)
    }
}

/// Whether a look-up of the package comes before the guard hears of the request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LookUp {
    /// There is no sign that the package is gone.
    Needless,
    Due,
    /// The look-up found the package, or the platform can't tell.
    Made,
}

impl Seen {
    /// The request of `object` at `now`, derived from the `known` request. `None` if the object asks for no deletion.
    fn next(known: Option<Self>, object: &Object, now: Now) -> Option<Self> {
        let request = DeletionRequest::read(object, now)?;
        let told = told(object);
        match known.filter(|known| known.is_of(object, now)) {
            Some(mut known) => {
                known.hear(told, now);
                if known.has_missed(object) {
                    known.request = DeletionRequest::new(now);
                }
                known.generation = object.generation;
                if !known.looked {
                    (known.kept, known.hidden) = (says_kept(object), may_hide_a_keeper(object));
                }
                if has_begun(object) && known.look_up == LookUp::Due {
                    known.look_up = LookUp::Needless;
                }
                Some(known)
            }
            None => Some(Self {
                request,
                deleted_at: object.deleted_at.filter(|_| !object.is_retired(now.wall)),
                look_up: if may_be_long_gone(object) {
                    LookUp::Due
                } else {
                    LookUp::Needless
                },
                keepers: Keepers::new(),
                looked: false,
                kept: says_kept(object),
                hidden: may_hide_a_keeper(object),
                grace: None,
                generation: object.generation,
                told,
            }),
        }
    }

    /// Takes over `requestedAt` from the status. If the value has changed and this process didn't write it, the leader
    /// wrote it: the leader has begun the request, or has begun it anew. This process continues the request by its own
    /// clock. The leader has also made any look-up that was due.
    fn hear(&mut self, told: Option<Timestamp>, now: Now) {
        let Some(at) = told else { return };
        let before = self.told.replace(at);
        if before != Some(at) && at != self.request.at {
            let since = now.tick + between(now.wall, at).min(ROUNDED);
            self.request = DeletionRequest { at, since };
            if self.look_up == LookUp::Due {
                self.look_up = LookUp::Made;
            }
        }
    }

    /// Whether `object`, which is retired, may have been set Active and retired again unseen, for example while the
    /// watch was down. The generation shows a missed edit; the deletion itself counts as one generation.
    fn has_missed(&self, object: &Object) -> bool {
        let by_deletion = i64::from(object.deleted_at.is_some());
        self.deleted_at.is_none() && object.generation - self.generation > 1 + by_deletion
    }

    /// Start of the new grace period, if an unreported keeper may have existed: the time of the first look that finds
    /// no `keepers`.
    fn grace_beside(&self, keepers: &[Arc<str>], now: Now) -> Option<Instant> {
        let ended = self.hidden && keepers.is_empty();
        self.grace.or(ended.then_some(now.tick))
    }

    /// Makes a look-up due, because the package may be missing. Does nothing for an object that is deleted, that has a
    /// hold, or for whose call an intent was written.
    fn doubt(&mut self, object: &Object) {
        let asked = object.deleted_at.is_none() && !has_begun(object);
        if self.look_up == LookUp::Needless && asked {
            self.look_up = LookUp::Due;
        }
    }

    /// Whether `object` still makes the same request. Deleting a retired object doesn't start another request.
    fn is_of(&self, object: &Object, now: Now) -> bool {
        let retired = self.deleted_at.is_none() && object.is_retired(now.wall);
        self.deleted_at == object.deleted_at || retired
    }
}

impl Requests {
    /// Returns the request of `object` at `now`, and changes nothing. `doubted` says that the package may be missing,
    /// and `others` are the other objects that name the package.
    pub fn peek(&self, object: &Object, now: Now, doubted: bool, others: Others<'_>) -> Peeked {
        let known = self.state.lock().seen.get(&object.uid).cloned();
        let Some(mut seen) = Seen::next(known, object, now) else {
            return Peeked::default();
        };
        if doubted {
            seen.doubt(object);
        }
        let anew = others.have_ended(&seen, now.wall);
        Peeked {
            request: Some(if anew {
                DeletionRequest::new(now)
            } else {
                seen.request
            }),
            looks_first: seen.look_up == LookUp::Due,
            anew,
            grace: seen.grace_beside(others.keepers, now),
        }
    }

    /// Updates the request of `object` and returns it. A new request begins now, and a request that was called off is
    /// removed.
    pub fn see(&self, object: &Object, now: Now) -> Option<DeletionRequest> {
        let mut state = self.state.lock();
        let known = state.seen.remove(&object.uid);
        let seen = Seen::next(known, object, now)?;
        let request = seen.request;
        state.seen.insert(object.uid.clone(), seen);
        Some(request)
    }

    /// Stores what a look at `object` has found.
    pub fn note(&self, object: &Object, found: Noted, now: Now) {
        self.see(object, now);
        let mut state = self.state.lock();
        let Some(seen) = state.seen.get_mut(&object.uid) else {
            return;
        };
        if found.anew {
            seen.request = DeletionRequest::new(now);
        }
        seen.looked = true;
        seen.grace = seen.grace_beside(&found.keepers, now);
        seen.kept &= !found.keepers.is_empty();
        seen.hidden &= !found.keepers.is_empty();
        seen.keepers = found.keepers;
        if found.doubted {
            seen.doubt(object);
        }
    }

    /// When the deletion of the object `uid` was asked for, by the wall clock; `None` without a request.
    pub fn since(&self, uid: &str) -> Option<Timestamp> {
        Some(self.state.lock().seen.get(uid)?.request.at)
    }

    /// Whether a look-up of the package comes before the guard hears of the request of `uid`.
    pub fn looks_first(&self, uid: &str) -> bool {
        let state = self.state.lock();
        let seen = state.seen.get(uid);
        seen.is_some_and(|seen| seen.look_up == LookUp::Due)
    }

    /// Ends the look-up that was due: the package is there, or the platform can't tell. The request of `uid` begins
    /// now.
    pub fn looked_up(&self, uid: &str, now: Now) {
        let mut state = self.state.lock();
        let seen = state.seen.get_mut(uid);
        if let Some(seen) = seen.filter(|seen| seen.look_up == LookUp::Due) {
            (seen.look_up, seen.request) = (LookUp::Made, DeletionRequest::new(now));
        }
    }

    /// Removes the request of `uid`: it was called off, or the object is gone.
    pub fn forget(&self, uid: &str) {
        self.state.lock().seen.remove(uid);
    }
}

/// Whether the status says that an earlier process saw a keeper of the package, or may have seen one.
fn says_kept(object: &Object) -> bool {
    let reasons = [
        Reason::StillClaimed,
        Reason::ClaimUnclear,
        // `StatusRefused` overwrites an earlier reason, which may have been one of the two above.
        Reason::StatusRefused,
    ];
    reasons.into_iter().any(|reason| object.status.says(reason))
}

/// Reasons that take precedence over `ClaimUnclear` in the status, so they may hide a possible keeper.
const BEFORE_A_CLAIM: [Reason; 11] = [
    Reason::Paused,
    Reason::PlatformNotFound,
    Reason::PlatformNotAllowed,
    Reason::CredentialsMissing,
    Reason::CredentialsLost,
    Reason::ApplicationChanged,
    Reason::EndpointChanged,
    Reason::ApplicationUnproven,
    Reason::FinalizerRefused,
    Reason::Undecodable,
    Reason::FieldsLost,
];

/// Whether a reason in the status of `object` may hide that an earlier process saw a keeper.
fn may_hide_a_keeper(object: &Object) -> bool {
    let mut reasons = BEFORE_A_CLAIM.into_iter();
    reasons.any(|reason| object.status.says(reason)) || says_hindered(object)
}

/// The time of the request, as the status of `object` stores it.
fn told(object: &Object) -> Option<Timestamp> {
    let deletion = object.status.deletion.as_ref();
    Some(deletion?.requested_at.as_ref()?.0)
}

/// Whether the package of the retired `object` may be long gone, by its status: the object was never accepted, the
/// status says that the package is missing, or the status was written before a look-up that was due.
fn may_be_long_gone(object: &Object) -> bool {
    let status = &object.status;
    let stored = status
        .deletion
        .as_ref()
        .and_then(|d| d.requested_at.as_ref());
    let current = status.observed_generation == Some(object.generation);
    let to_come = current && stored.is_none() && status.phase != Some(Phase::Active);
    let unseen = status.application.is_none();
    let doubtful = unseen || to_come || status.says(Reason::PackageMissing);
    doubtful && object.deleted_at.is_none() && !has_begun(object)
}

/// Whether a hold contains the deletion, or an intent for its call was written.
fn has_begun(object: &Object) -> bool {
    let deletion = object.status.deletion.as_ref();
    deletion.is_some_and(|deletion| deletion.hold.is_some() || deletion.is_attempted())
}

#[cfg(test)]
mod tests;
