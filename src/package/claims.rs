//! Judges whether other objects want a package. Pure: the facts about these objects are arguments.
//!
//! A package stays while any live object of its `fileId` may want it: any tenant can name any `fileId`, and a deletion
//! can't be undone.
//!
//! A claim names a package by application and `fileId`. The application of an object is stored in `status.application`
//! when its Platform is first resolved, before the platform is asked anything about the object. So if the Platform
//! changes its application meanwhile, the other application can't answer for the object.
//!
//! A claim is definite only while the claimant's Platform resolves to the same application, with a credential that is
//! proven, or that equals the credential of the object that is to go. A claim is dismissed only if the claimant
//! certainly belongs to another application, or its Platform refuses it. Every other claim is unclear, and keeps the
//! package. If a claimant was never accepted, reads of its Platform and its Secret decide whether the claimant belongs
//! to another application. The reads are at most a second old, and take one GET and one list for each Platform. They
//! are made only before a call, and for at most [`LOOKED_UP`] such claimants.

#![deny(clippy::wildcard_enum_match_arm)]

pub mod message;
pub mod others;
pub mod doubts;

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use self::doubts::PATIENCE;
use crate::api::names::{AppId, ObjectKey};

/// Maximum number of never accepted claimants that are read from the API server before a call. The claims of further
/// such claimants are unclear.
pub const LOOKED_UP: usize = 8;
/// Maximum number of pairs of Platform and namespace whose refusal is read before a call. The claims of further pairs
/// are unclear.
pub const REFUSALS: usize = 32;

/// A live object that names a package, reduced to the fields that its claim depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimant {
    /// Namespace and name of the object.
    pub key: ObjectKey,
    /// Uid, which distinguishes the object from earlier and later objects of the same name.
    pub uid: Arc<str>,
    /// Platform that the object names, if that can be read.
    pub platform: Option<ObjectKey>,
    /// Application for which the object was accepted, if that can be read.
    pub application: Option<AppId>,
    /// Whether the object can be decoded.
    pub readable: bool,
    /// Whether the object carries our finalizer.
    pub finalizer: bool,
    /// When the object retires, if a time is set.
    pub retires: Option<Timestamp>,
}

impl Claimant {
    /// Whether the object isn't retired yet at `now`.
    pub fn lives(&self, now: Timestamp) -> bool {
        self.retires.is_none_or(|at| at > now)
    }
}

/// How the Platform of another object relates to that object at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Belonging {
    /// The Platform has credentials of an application.
    Resolved(Resolved),
    /// The Platform doesn't allow the object.
    Refused {
        /// Whether a read of the API server has confirmed the refusal. Also `true` if no call depends on it.
        confirmed: bool,
    },
    /// The object names no existing Platform, or the application of its Platform is unknown.
    Unknown,
}

/// A Platform that has credentials, as the rule for claims needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one question of the rule"
)]
pub struct Resolved {
    /// Application that the credentials name.
    pub application: AppId,
    /// Whether the credential equals that of the object that is to go.
    pub equal: bool,
    /// Whether the platform has accepted the credential.
    pub proven: bool,
    /// Whether a try of this credential, or of an earlier one, has ended, with any result.
    pub tried: bool,
    /// Whether the credential is a login. A platform may accept a token of another application than the one beside the
    /// token, so a token proves no application.
    pub logs_in: bool,
    /// Whether the endpoint is that of the object that is to go.
    pub same_endpoint: bool,
    /// Whether the Platform is being deleted and accepts no new objects.
    pub closing: bool,
    /// Whether the Secret names this application now. If not, the Secret named it at the last successful read.
    pub current: bool,
    /// Whether reads of the API server have confirmed all of this. Also `true` if no call depends on it.
    pub confirmed: bool,
}

/// Why it is unknown whether an object wants the package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The object can't be decoded.
    Unreadable,
    /// The object has lost our finalizer, which will be added again.
    Bare,
    /// The object is about to be accepted.
    Fresh,
    /// The object names a Platform that is being deleted and accepts no new objects.
    Closing,
    /// The object names a Platform of an unknown application.
    NoApplication,
    /// The object was accepted, but its Platform doesn't allow it any more.
    NotAllowed,
    /// The object was accepted for one application, but its Platform has credentials of another one now.
    Moved {
        /// Application for which the object was accepted.
        accepted: AppId,
        /// Application of the present credentials.
        present: AppId,
    },
    /// The platform hasn't accepted the credentials of the claimant's Platform.
    Unproven {
        /// Whether the credentials were tried. Before the first try, no annotation passes over the claim.
        tried: bool,
    },
    /// Only a token that was handed in names the application, and a token doesn't prove it.
    HandedIn,
    /// The object belongs to an application of the same name at another endpoint.
    Elsewhere,
    /// The object was never accepted, and there are too many such objects to read.
    TooMany,
    /// The Platform of the object could not be read just now.
    Unconfirmed,
}

/// An object that may want the package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// Namespace and name of the object.
    pub key: ObjectKey,
    /// Uid of the object.
    pub uid: Arc<str>,
    /// Platform that the object names.
    pub platform: Option<ObjectKey>,
    /// Why it is unknown whether the object wants the package.
    pub why: Why,
}

/// The claims on one package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The first object by name that definitely wants the package.
    pub claiming: Option<ObjectKey>,
    /// The objects that may want the package, by name. Incomplete if `claiming` is set.
    pub doubts: Vec<Doubt>,
}

impl Found {
    /// Uids of the objects among `others` that keep the package, or that may keep it. [`Why::Unconfirmed`] doesn't
    /// count: without a permit, a pass takes such objects to be of another application.
    pub fn keepers(&self, others: &[Claimant]) -> Vec<Arc<str>> {
        let claiming = |other: &&Claimant| self.claiming.as_ref() == Some(&other.key);
        let claiming = others.iter().filter(claiming).map(|other| &other.uid);
        let unclear = |doubt: &&Doubt| doubt.why != Why::Unconfirmed;
        let doubts = self.doubts.iter().filter(unclear).map(|doubt| &doubt.uid);
        claiming.chain(doubts).cloned().collect()
    }
}

/// The claim on a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// No other object wants the package.
    Nobody,
    /// The only possible claimants are these objects, by uid, and a person passes over them.
    Disregarded(Vec<Arc<str>>),
    /// This object wants the package.
    Claimed(ObjectKey),
    /// An object may want the package.
    Unclear(Box<Unclear>),
}

/// An unclear claim, with all that its message tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unclear {
    /// The object, and why its claim is unclear.
    pub doubt: Doubt,
    /// Since when the claim has been unclear, by the wall clock.
    pub since: Timestamp,
    /// Whether further objects may want the package.
    pub others: bool,
    /// Whether and when an annotation passes over the claim.
    pub word: Word,
}

/// Effect of the annotation `iodm.dev/disregard` on one unclear claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Word {
    /// The annotation doesn't name the claimant.
    None,
    /// The annotation counts once the credentials of the claimant were tried.
    AfterTry,
    /// The annotation counts from this time on.
    From(Instant),
}

impl Claim {
    /// Uids of the objects that a person passes over.
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

/// Judges `others`, which all name one package of `application`, in their order, and stops at the first definite claim.
/// `belonging` tells how the Platform of each object relates to that object.
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

/// Judges the claim of one object.
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
        // The claimant belongs to another application.
        (accepted, Belonging::Resolved(is)) if is.application != *application => {
            match (is.proven, is.logs_in, accepted.is_some() || is.confirmed) {
                (true, true, true) => Verdict::Nobody,
                (true, true, false) => unclear(Why::Unconfirmed),
                (true, false, _) => unclear(Why::HandedIn),
                (false, _, _) => unclear(Why::Unproven { tried: is.tried }),
            }
        }
        // The claimant belongs to our application.
        (_, Belonging::Resolved(_)) if !other.readable => unclear(Why::Unreadable),
        (None, Belonging::Resolved(is)) if is.closing => unclear(Why::Closing),
        (None, Belonging::Resolved(_)) => unclear(Why::Fresh),
        (Some(_), Belonging::Resolved(_)) if !other.finalizer => unclear(Why::Bare),
        // Equal credentials at another endpoint may belong to another instance of the platform, which has its own
        // packages.
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

/// The claim that follows from `found`. An object in `disregard` is passed over once its claim has been unclear for
/// [`PATIENCE`]; `since` returns when this process first found the claim unclear.
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
    // The message first names a claim that no annotation names, because a claim that an annotation names ends by
    // itself.
    let first = held.iter().enumerate().min_by_key(|(_, doubt)| {
        // A doubt that shows only while a permit is held comes last.
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
