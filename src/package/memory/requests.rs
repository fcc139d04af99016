//! Since when each deletion is asked for, as this process has seen it: what grace periods run from.
//!
//! The clock of the API server and that of this node needn't agree, and either may be set while a deletion waits. So a
//! grace period runs by the steady clock from the moment that this process first saw the request. A process that starts
//! later goes by `status.deletion.requestedAt`, where the first one wrote that moment down.
//!
//! A retired object whose package may be long gone, such as the record of one in a cluster that is rebuilt from Git,
//! asks for nothing before a look-up: its request begins when that shows the package.
//!
//! Where another object kept the package, the request begins anew when that one ends: whoever retired or deleted it by
//! mistake has the whole grace period to take that back, too.

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

/// The requests that this process has seen, by the uid of their objects.
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
    /// The deletion of the object, where that alone is what was asked for.
    deleted_at: Option<Timestamp>,
    look_up: LookUp,
    /// Who kept its package at the last look.
    keepers: Keepers,
    /// Whether this process has looked yet.
    looked: bool,
    /// Whether somebody kept its package, or may have, as another process saw it, and this one hasn't found nobody since.
    kept: bool,
    /// Whether somebody may have kept it without a word of that, as above.
    hidden: bool,
    /// From when on its grace period runs anew, where somebody may have kept it so.
    grace: Option<Instant>,
    /// The last generation of its spec that was seen.
    generation: i64,
    /// The last moment that the status told.
    told: Option<Timestamp>,
}

/// The objects that keep a package, or may: their uids.
pub type Keepers = Vec<Arc<str>>;

/// What a look finds that an object asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peeked {
    /// Since when; `None` where it asks for nothing.
    pub request: Option<DeletionRequest>,
    /// Whether its package is looked up before the guard hears of that.
    pub looks_first: bool,
    /// Whether it asks anew, since one that kept its package has ended since the last look.
    pub anew: bool,
    /// From when on its grace period runs anew, where one may have ended that nobody told of.
    pub grace: Option<Instant>,
}

/// What there is to note of a look at an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Noted {
    /// Whether its package may not be there.
    pub doubted: bool,
    /// Who keeps its package, or may.
    pub keepers: Keepers,
    /// Whether it asks from now on.
    pub anew: bool,
}

/// Who else names a package, and who of them keeps it.
#[derive(Clone, Copy, Default)]
pub struct Others<'a> {
    /// All that lived when they were shown.
    pub living: &'a [Claimant],
    /// Those of them that keep it, or may.
    pub keepers: &'a [Arc<str>],
}

impl Others<'_> {
    /// Whether one of those that kept the package of `seen` has ended since.
    fn have_ended(self, seen: &Seen, now: Timestamp) -> bool {
        let living = self.living.iter().filter(|other| other.lives(now));
        let lives = |uid: &Arc<str>| living.clone().any(|other| other.uid == *uid);
        seen.kept && self.keepers.is_empty() || !seen.keepers.iter().all(lives)
    }
}

/// Whether the package is looked up before the guard hears of the request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LookUp {
    /// Nothing says that the package may be gone.
    Needless,
    Due,
    /// The package is there, or the platform can't tell.
    Made,
}

impl Seen {
    /// What `object` asks for at `now`, after what was `known` of it.
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

    /// The status tells the moment `told`. Another one than before, which is not the own one, is of the process that leads:
    /// there the request has begun, or has begun anew, and whoever takes over goes on with that, by the own clock. Where a
    /// look-up was due, that process has made it.
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

    /// Whether `object`, which is retired, may have been set Active and retired again since it was last seen, as while its
    /// watch was cut: an edit was missed. Its deletion is a generation of its own.
    fn has_missed(&self, object: &Object) -> bool {
        let by_deletion = i64::from(object.deleted_at.is_some());
        self.deleted_at.is_none() && object.generation - self.generation > 1 + by_deletion
    }

    /// From when on its grace period runs anew, next to these `keepers`: at the first look that finds none.
    fn grace_beside(&self, keepers: &[Arc<str>], now: Now) -> Option<Instant> {
        let ended = self.hidden && keepers.is_empty();
        self.grace.or(ended.then_some(now.tick))
    }

    /// The package of `object` may not be there.
    fn doubt(&mut self, object: &Object) {
        let asked = object.deleted_at.is_none() && !has_begun(object);
        if self.look_up == LookUp::Needless && asked {
            self.look_up = LookUp::Due;
        }
    }

    /// Whether `object` still asks for the same. One that is deleted while it is retired does.
    fn is_of(&self, object: &Object, now: Now) -> bool {
        let retired = self.deleted_at.is_none() && object.is_retired(now.wall);
        self.deleted_at == object.deleted_at || retired
    }
}

impl Requests {
    /// What `object` asks for at `now`, while these `others` name its package; nothing is noted. `doubted` tells that the
    /// package may not be there.
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

    /// Notes what `object` asks for; a request that was not known is seen from now on, and one that was called off is
    /// forgotten.
    pub fn see(&self, object: &Object, now: Now) -> Option<DeletionRequest> {
        let mut state = self.state.lock();
        let known = state.seen.remove(&object.uid);
        let seen = Seen::next(known, object, now)?;
        let request = seen.request;
        state.seen.insert(object.uid.clone(), seen);
        Some(request)
    }

    /// Notes what a look has found.
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

    /// Since when the object `uid` asks, where it does.
    pub fn since(&self, uid: &str) -> Option<Timestamp> {
        Some(self.state.lock().seen.get(uid)?.request.at)
    }

    /// Whether the package of the object `uid` is looked up before the guard hears of its request.
    pub fn looks_first(&self, uid: &str) -> bool {
        let state = self.state.lock();
        let seen = state.seen.get(uid);
        seen.is_some_and(|seen| seen.look_up == LookUp::Due)
    }

    /// The package of the object `uid` is there, or the platform can't tell: from now on it is asked for.
    pub fn looked_up(&self, uid: &str, now: Now) {
        let mut state = self.state.lock();
        let seen = state.seen.get_mut(uid);
        if let Some(seen) = seen.filter(|seen| seen.look_up == LookUp::Due) {
            (seen.look_up, seen.request) = (LookUp::Made, DeletionRequest::new(now));
        }
    }

    /// The object `uid` asks for nothing, or is gone.
    pub fn forget(&self, uid: &str) {
        self.state.lock().seen.remove(uid);
    }
}

/// Whether another process may have seen that somebody keeps the package of `object`, as its status tells.
fn says_kept(object: &Object) -> bool {
    let reasons = [
        Reason::StillClaimed,
        Reason::ClaimUnclear,
        // It stands in the place of what was said before.
        Reason::StatusRefused,
    ];
    reasons.into_iter().any(|reason| object.status.says(reason))
}

/// What is said before an unclear claim is.
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

/// Whether another process may have said something else of `object` than that somebody keeps its package.
fn may_hide_a_keeper(object: &Object) -> bool {
    let mut reasons = BEFORE_A_CLAIM.into_iter();
    reasons.any(|reason| object.status.says(reason)) || says_hindered(object)
}

/// Since when `object` asks, as its status tells.
fn told(object: &Object) -> Option<Timestamp> {
    let deletion = object.status.deletion.as_ref();
    Some(deletion?.requested_at.as_ref()?.0)
}

/// Whether the package of `object`, which is retired, may be long gone as far as its status tells: there was none before,
/// it says that the package is missing, or all that it says is that a look-up was to come.
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

/// Whether a hold knows the deletion already, or a call of it was about to be made.
fn has_begun(object: &Object) -> bool {
    let deletion = object.status.deletion.as_ref();
    deletion.is_some_and(|deletion| deletion.hold.is_some() || deletion.is_attempted())
}

#[cfg(test)]
mod tests;
