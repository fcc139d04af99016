//! Who else wants a package: pure judgement over the objects that name it.
//!
//! An object that is to go is held by every live object of its `fileId` of which it isn't sure that it wants another
//! package: any tenant can name any `fileId`, and a deletion can't be undone.
//!
//! A claim names a package by application and `fileId`. The application of an object is kept in `status.application`
//! from the first time that its Platform was resolved. It is written before the platform is asked anything about the
//! object, so a Platform that changes its application meanwhile can't have another application answer for the object.
//!
//! A claim is definite only while the Platform of the claimant resolves to that same application, with a credential
//! that is equal to ours or proven. A claim is nobody's only where it surely is of another application, or was refused.
//! Everything between is unclear, and holds. Whether an object that was never accepted is of another application rests
//! on reads of its Platform and its Secret that are at most a second old: one GET and one list for each Platform,
//! before a call only, and for [`LOOKED_UP`] such objects at most.

#![deny(clippy::wildcard_enum_match_arm)]

pub mod message;
pub mod others;
pub mod doubts;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use crate::api::names::{AppId, ObjectKey};

/// So many objects that were never accepted are looked up at the API server before a call; any more are unclear.
pub const LOOKED_UP: usize = 8;
/// So many refusals by a Platform of a namespace are read before a call; what any more refuse is unclear.
pub const REFUSALS: usize = 32;
/// So long a claim has to be unclear before a person's word passes over it.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A live object that names a package, as far as its claim depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimant {
    /// Namespace and name.
    pub key: ObjectKey,
    /// Tells it from an earlier or later object of the same name.
    pub uid: Arc<str>,
    /// The Platform that it names, as far as that can be read.
    pub platform: Option<ObjectKey>,
    /// The application that it was accepted for, as far as that can be read.
    pub application: Option<AppId>,
    /// Whether it can be read.
    pub readable: bool,
    /// Whether it carries our finalizer.
    pub finalizer: bool,
    /// When it retires.
    pub retires: Option<Timestamp>,
}

impl Claimant {
    /// Whether it still wants its package at `now`.
    pub fn lives(&self, now: Timestamp) -> bool {
        self.retires.is_none_or(|at| at > now)
    }
}

/// What the Platform of another object comes to now, for that object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Belonging {
    /// It has credentials of an application.
    Resolved(Resolved),
    /// It does not allow the object.
    Refused {
        /// Whether that is found by reads of the API server, where a call depends on it.
        confirmed: bool,
    },
    /// The object names none, or none that there is, or nobody can tell its application.
    Unknown,
}

/// A Platform that has credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one question of the rule"
)]
pub struct Resolved {
    /// The application that its credentials name.
    pub application: AppId,
    /// Whether its credential is the one of the object that is to go.
    pub equal: bool,
    /// Whether the platform has accepted its credential.
    pub proven: bool,
    /// Whether a try of it, or of a credential before it, has ended, whatever that found out.
    pub tried: bool,
    /// Whether its credential is a login. Nobody has said that a platform refuses a token of another application than
    /// the one that is written beside it.
    pub logs_in: bool,
    /// Whether it is at the endpoint of the object that is to go.
    pub same_endpoint: bool,
    /// Whether it is being deleted, and takes on no new objects.
    pub closing: bool,
    /// Whether its Secret names that application now; if not, it did when it was last read.
    pub current: bool,
    /// Whether nothing else is found by reads of the API server, where a call depends on it.
    pub confirmed: bool,
}

/// Why nobody can tell whether an object wants the package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It can't be read.
    Unreadable,
    /// It has lost our finalizer, which is put back.
    Bare,
    /// It is about to be accepted.
    Fresh,
    /// It names a Platform that is being deleted and takes on no new objects.
    Closing,
    /// It names a Platform whose application nobody can tell.
    NoApplication,
    /// It was accepted, and its Platform doesn't allow it any more.
    NotAllowed,
    /// It was accepted for one application, and its Platform has credentials of another one now.
    Moved {
        /// The first.
        accepted: AppId,
        /// The second.
        present: AppId,
    },
    /// The platform hasn't accepted the credentials of its Platform.
    Unproven {
        /// Whether they were tried: before that no person's word passes over the claim.
        tried: bool,
    },
    /// Of which application it is rests on a token that was handed in, which doesn't prove that.
    HandedIn,
    /// It is of an application of the same name at another endpoint.
    Elsewhere,
    /// It was never accepted, and there are too many like it.
    TooMany,
    /// What its Platform is was not to be read just now.
    Unconfirmed,
}

/// An object that may want the package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// The object.
    pub key: ObjectKey,
    /// Its uid.
    pub uid: Arc<str>,
    /// The Platform that it names.
    pub platform: Option<ObjectKey>,
    /// Why nobody can tell.
    pub why: Why,
}

/// What is found of all who name a package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The first by name of those that want it.
    pub claiming: Option<ObjectKey>,
    /// Those that may, by name; not complete where one is claiming.
    pub doubts: Vec<Doubt>,
}

impl Found {
    /// The uids of those of `others` that keep the package, or may, as long as nothing else is known. Those of which a pass
    /// without a permit is sure that they are of another application don't.
    pub fn keepers(&self, others: &[Claimant]) -> Vec<Arc<str>> {
        let claiming = |other: &&Claimant| self.claiming.as_ref() == Some(&other.key);
        let claiming = others.iter().filter(claiming).map(|other| &other.uid);
        let unclear = |doubt: &&Doubt| doubt.why != Why::Unconfirmed;
        let doubts = self.doubts.iter().filter(unclear).map(|doubt| &doubt.uid);
        claiming.chain(doubts).cloned().collect()
    }
}

/// Whether somebody else wants the package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Nobody does.
    Nobody,
    /// Nobody does but these objects, by uid, which may, and which a person passes over.
    Disregarded(Vec<Arc<str>>),
    /// This object does.
    Claimed(ObjectKey),
    /// An object may.
    Unclear(Box<Unclear>),
}

/// An object that may want the package, as it is told to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unclear {
    /// What is unclear of it.
    pub doubt: Doubt,
    /// Since when, by the wall clock.
    pub since: Timestamp,
    /// Whether others may want it too.
    pub others: bool,
    /// Whether a person's word passes over it, and when.
    pub word: Word,
}

/// A person's word for one unclear claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Word {
    /// There is none.
    None,
    /// It counts once the credentials of the claimant were tried.
    AfterTry,
    /// It counts from then on.
    From(Instant),
}

impl Claim {
    /// The uids of those that are passed over.
    pub fn disregarded(&self) -> &[Arc<str>] {
        match self {
            Self::Disregarded(uids) => uids,
            Self::Nobody | Self::Claimed(_) | Self::Unclear(_) => &[],
        }
    }
}

enum Verdict {
    Nobody,
    Claiming,
    Unclear(Why),
}

/// Goes through `others`, which all name one package of `application`, in the order of their names, up to the
/// first that definitely wants it.
pub fn find<'a>(
    application: &AppId,
    others: impl IntoIterator<Item = &'a Claimant>,
    now: Timestamp,
    mut belonging: impl FnMut(&Claimant) -> Belonging,
) -> Found {
    let mut found = Found::default();
    let mut never_accepted = 0;
    let mut refusals = BTreeSet::new();
    for other in others.into_iter().filter(|other| other.lives(now)) {
        let belonging = belonging(other);
        let elsewhere =
            matches!(&belonging, Belonging::Resolved(is) if is.application != *application);
        never_accepted += usize::from(other.application.is_none() && elsewhere);
        if other.application.is_none() && matches!(belonging, Belonging::Refused { .. }) {
            refusals.insert((&other.platform, &other.key.namespace));
        }
        let fresh = other.application.is_none();
        let too_many = fresh
            && match &belonging {
                Belonging::Resolved(_) => elsewhere && never_accepted > LOOKED_UP,
                Belonging::Refused { .. } => refusals.len() > REFUSALS,
                Belonging::Unknown => false,
            };
        let why = match judge(application, other, &belonging) {
            Verdict::Claiming => {
                found.claiming = Some(other.key.clone());
                return found;
            }
            Verdict::Nobody | Verdict::Unclear(Why::Unconfirmed) if too_many => Why::TooMany,
            Verdict::Nobody => continue,
            Verdict::Unclear(why) => why,
        };
        found.doubts.push(Doubt {
            key: other.key.clone(),
            uid: Arc::clone(&other.uid),
            platform: other.platform.clone(),
            why,
        });
    }
    found
}

/// The rule for one object.
fn judge(application: &AppId, other: &Claimant, belonging: &Belonging) -> Verdict {
    let unclear = Verdict::Unclear;
    match (&other.application, belonging) {
        (None, Belonging::Refused { confirmed: true }) => Verdict::Nobody,
        (None, Belonging::Refused { confirmed: false }) => unclear(Why::Unconfirmed),
        (Some(_), Belonging::Refused { .. }) => unclear(Why::NotAllowed),
        (_, Belonging::Unknown) if !other.readable => unclear(Why::Unreadable),
        (_, Belonging::Unknown) => unclear(Why::NoApplication),
        (Some(accepted), Belonging::Resolved(is)) if *accepted != is.application => {
            unclear(Why::Moved {
                accepted: accepted.clone(),
                present: is.application.clone(),
            })
        }
        (_, Belonging::Resolved(is)) if is.application != *application && !is.current => {
            unclear(Why::NoApplication)
        }
        // Of another application.
        (accepted, Belonging::Resolved(is)) if is.application != *application => {
            match (is.proven, is.logs_in, accepted.is_some() || is.confirmed) {
                (true, true, true) => Verdict::Nobody,
                (true, true, false) => unclear(Why::Unconfirmed),
                (true, false, _) => unclear(Why::HandedIn),
                (false, _, _) => unclear(Why::Unproven { tried: is.tried }),
            }
        }
        // Of ours.
        (_, Belonging::Resolved(_)) if !other.readable => unclear(Why::Unreadable),
        (None, Belonging::Resolved(is)) if is.closing => unclear(Why::Closing),
        (None, Belonging::Resolved(_)) => unclear(Why::Fresh),
        (Some(_), Belonging::Resolved(_)) if !other.finalizer => unclear(Why::Bare),
        // Equal credentials at another endpoint may be of another instance of the platform, with packages of its own.
        (Some(_), Belonging::Resolved(is))
            if is.same_endpoint && (is.equal || is.proven && is.logs_in) =>
        {
            Verdict::Claiming
        }
        (Some(_), Belonging::Resolved(is)) if !is.equal && !is.proven => {
            unclear(Why::Unproven { tried: is.tried })
        }
        (Some(_), Belonging::Resolved(is)) if is.same_endpoint => unclear(Why::HandedIn),
        (Some(_), Belonging::Resolved(_)) => unclear(Why::Elsewhere),
    }
}

/// What follows from what was found. Those in `disregard` are passed over, once they have been unclear for
/// [`PATIENCE`]: `since` says since when this process has found them so.
pub fn conclude(
    found: Found,
    disregard: &BTreeSet<String>,
    since: impl Fn(&Doubt) -> (Instant, Timestamp),
    now: Instant,
) -> Claim {
    let Found { claiming, doubts } = found;
    if let Some(keeper) = claiming {
        return Claim::Claimed(keeper);
    }
    let word = |doubt: &Doubt| {
        if !disregard.contains(&*doubt.uid) {
            Word::None
        } else if doubt.why == (Why::Unproven { tried: false }) {
            Word::AfterTry
        } else {
            Word::From(since(doubt).0 + PATIENCE)
        }
    };
    let (passed, mut held): (Vec<_>, Vec<_>) = doubts
        .into_iter()
        .partition(|doubt| matches!(word(doubt), Word::From(from) if from <= now));
    let others = held.len() > 1;
    // What no person has a word for is told first: the rest passes by itself.
    let first = held.iter().enumerate().min_by_key(|(_, doubt)| {
        // What shows only while a permit is held comes last.
        (word(doubt), doubt.why == Why::Unconfirmed)
    });
    match first.map(|(at, _)| at) {
        Some(at) => {
            let word = word(&held[at]);
            let doubt = held.swap_remove(at);
            let (_, since) = since(&doubt);
            Claim::Unclear(Box::new(Unclear {
                doubt,
                since,
                others,
                word,
            }))
        }
        None if passed.is_empty() => Claim::Nobody,
        None => Claim::Disregarded(passed.into_iter().map(|doubt| doubt.uid).collect()),
    }
}

#[cfg(test)]
mod tests;
