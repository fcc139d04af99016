//! Resolves the Platforms of all objects that name one package, and judges their claims.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use futures::future::join_all;
use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use crate::api::names::{AppId, ObjectKey};
use crate::api::reason::Reason;
use crate::object::Object;
use crate::package::claims;
use crate::package::claims::doubts::{Case, Doubts, Finding, Since};
use crate::package::claims::{
    Belonging, Claim, Claimant, Doubt, Found, LOOKED_UP, REFUSALS, Resolved, Why, message,
};
use crate::package::decide::Now;
use crate::package::memory::requests::{Keepers, Others};
use crate::platform::{Directory, Resolution, Usable};

/// A Platform, and the namespace of the objects that name it.
type Tie = (ObjectKey, Arc<str>);

/// A credential to try, because a claim depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// The Platform with the credential.
    pub platform: ObjectKey,
    /// Namespace of the objects that name the Platform.
    pub namespace: Arc<str>,
    /// Whether this credential is tried before those that were tried already.
    pub first: bool,
}

/// The claim on a package, and what follows from the search for claims.
pub(in crate::package) struct Weighed {
    /// The claim.
    pub claim: Claim,
    /// Credentials that the claim depends on.
    pub trials: Vec<Trial>,
    /// Unclear claims to note.
    pub finding: Option<Finding>,
    /// Uids of the objects that keep the package, or that may keep it.
    pub keepers: Keepers,
}

impl Weighed {
    /// The result if no claims were looked for.
    pub(in crate::package) fn nobody() -> Self {
        Self {
            claim: Claim::Nobody,
            trials: Vec::new(),
            finding: None,
            keepers: Keepers::new(),
        }
    }

    /// The other objects of the package; `living` are those that were alive when the cache was read.
    pub(in crate::package) fn beside<'a>(&'a self, living: &'a [Claimant]) -> Others<'a> {
        Others {
            living,
            keepers: &self.keepers,
        }
    }
}

/// The Platforms for which GETs have confirmed the facts against a claim, before a permit is used.
pub(in crate::package) struct Confirmed {
    ties: BTreeSet<Tie>,
    /// Start of the earliest of these GETs.
    pub begun: Option<Instant>,
}

/// How the Platforms of a package's claimants relate to these claimants, by the caches.
pub(in crate::package) struct Ties<'a> {
    directory: &'a Directory,
    doubts: &'a Doubts,
    /// Platform of the object that is to go.
    own: Option<&'a Usable>,
    /// The facts against claims, as far as GETs have confirmed these facts. `None` without a permit: then no call
    /// follows, and all facts count.
    confirmed: Option<&'a Confirmed>,
    known: HashMap<Tie, Belonging>,
}

impl<'a> Ties<'a> {
    pub(in crate::package) fn new(
        (directory, doubts): (&'a Directory, &'a Doubts),
        own: Option<&'a Usable>,
        confirmed: Option<&'a Confirmed>,
    ) -> Self {
        Self {
            directory,
            doubts,
            own,
            confirmed,
            known: HashMap::new(),
        }
    }

    fn belonging(&mut self, other: &Claimant) -> Belonging {
        let Some(tie) = tie(other) else {
            return Belonging::Unknown;
        };
        if let Some(belonging) = self.known.get(&tie) {
            return belonging.clone();
        }
        let confirmed = self.confirmed.is_none_or(|read| read.ties.contains(&tie));
        let belonging = match self.directory.resolve(&tie.0, &tie.1) {
            Resolution::Usable(usable) => Belonging::Resolved(self.resolved(&usable, confirmed)),
            Resolution::NotAllowed => Belonging::Refused { confirmed },
            Resolution::Unread | Resolution::NotFound | Resolution::Unusable { .. } => {
                Belonging::Unknown
            }
        };
        self.known.insert(tie, belonging.clone());
        belonging
    }

    fn resolved(&self, usable: &Usable, confirmed: bool) -> Resolved {
        Resolved {
            application: usable.app_id.clone(),
            equal: self
                .own
                .is_some_and(|own| own.credential == usable.credential),
            proven: usable.proof().is_proven(),
            tried: usable.was_tried(),
            logs_in: usable.logs_in,
            same_endpoint: self.own.is_some_and(|own| at_one_endpoint(own, usable)),
            closing: !usable.accepts,
            current: usable.last_good.is_none(),
            confirmed,
        }
    }

    /// The claim on the package of `object`, which belongs to `application`.
    pub(in crate::package) fn claim(
        mut self,
        object: &Object,
        application: &AppId,
        others: &[Claimant],
        now: Now,
    ) -> Weighed {
        let found = claims::find(application, others, now.wall, |other| self.belonging(other));
        let trials = trials(&found, object);
        let keepers = found.keepers(others);
        let finding = finding(&found, self.confirmed.is_some(), object, application);
        let since = finding.as_ref();
        let since = since.map_or_else(HashMap::new, |finding| self.doubts.peek(finding, now));
        Weighed {
            claim: weigh(found, &since, object, now),
            trials,
            finding,
            keepers,
        }
    }
}

/// The credentials that the claims depend on.
fn trials(found: &Found, object: &Object) -> Vec<Trial> {
    // The Platform is resolved for the claimant's namespace, because a Platform may not allow its own namespace.
    let mut unproven: BTreeMap<_, bool> = BTreeMap::new();
    for doubt in &found.doubts {
        if let (Why::Unproven { tried }, Some(platform)) = (&doubt.why, &doubt.platform) {
            let tie = (platform, &doubt.key.namespace);
            let first = unproven.entry(tie).or_default();
            *first |= !tried && object.disregard.contains(&*doubt.uid);
        }
    }
    let trial = |((platform, namespace), first): ((&ObjectKey, &Arc<str>), bool)| Trial {
        platform: platform.clone(),
        namespace: Arc::clone(namespace),
        first,
    };
    unproven.into_iter().map(trial).collect()
}

/// The unclear claims to note for `object`, which belongs to `application`. `read` tells whether GETs were made.
pub(in crate::package) fn finding(
    found: &Found,
    read: bool,
    object: &Object,
    application: &AppId,
) -> Option<Finding> {
    let case = Case {
        file: object.file_id()?.clone(),
        application: application.clone(),
        platform: object.named_platform(),
    };
    // The claims after a definite claim were not judged.
    let unclear = match found.claiming {
        Some(_) => Vec::new(),
        None => found.doubts.clone(),
    };
    Some(Finding {
        case,
        unclear,
        read,
    })
}

/// The claim on the package of `object`, given since when each claim has been unclear.
pub(in crate::package) fn weigh(
    found: Found,
    since: &HashMap<Arc<str>, Since>,
    object: &Object,
    now: Now,
) -> Claim {
    let said = object.status.ready();
    let said = said.filter(|ready| ready.reason == Reason::ClaimUnclear.as_str());
    let since = |doubt: &Doubt| {
        let known = since.get(&doubt.uid).copied();
        let (tick, wall) = known.unwrap_or((now.tick, now.wall));
        // The time is read back from the message in the status, so that a restart doesn't change it.
        let told = said.and_then(|ready| message::said_since(&ready.message, doubt));
        (tick, told.unwrap_or(wall))
    };
    claims::conclude(found, &object.disregard, since, now.tick)
}

fn tie(other: &Claimant) -> Option<Tie> {
    let platform = other.platform.clone()?;
    Some((platform, Arc::clone(&other.key.namespace)))
}

/// Reads the facts against the claims of objects that were never accepted: their Platforms refuse these objects, or
/// have credentials of another application than `application`. Before a call, older knowledge doesn't count. A fact
/// that can't be read, or that differs from the caches, is not confirmed.
pub(in crate::package) async fn confirm(
    directory: &Directory,
    application: &AppId,
    others: &[Claimant],
    now: Timestamp,
) -> Confirmed {
    let resolve = |tie: &Tie| directory.resolve(&tie.0, &tie.1);
    let ToRead {
        refusing,
        elsewhere,
    } = to_read(resolve, application, others, now);
    let refusals = join_all(refusing.into_iter().map(async |tie: Tie| {
        let read = directory.confirm_refusal(&tie.0, &tie.1).await;
        (tie, read)
    }));
    let applications = join_all(elsewhere.into_iter().map(async |tie: Tie| {
        let read = directory.confirm_credentials(&tie.0, &tie.1).await;
        (tie, read)
    }));
    let (refusals, applications) = tokio::join!(refusals, applications);
    let mut confirmed = Confirmed {
        ties: BTreeSet::new(),
        begun: None,
    };
    for (tie, read) in refusals.into_iter().chain(applications) {
        if let Ok((true, begun)) = read {
            confirmed.ties.insert(tie);
            confirmed.begun = Some(confirmed.begun.map_or(begun, |first| first.min(begun)));
        }
    }
    confirmed
}

/// The Platforms to read before a call, at most a fixed number of each kind.
struct ToRead {
    /// The Platforms that refuse the namespace of a claimant, by the caches.
    refusing: BTreeSet<Tie>,
    /// The Platforms with credentials of another application, by the caches.
    elsewhere: BTreeSet<Tie>,
}

/// Chooses what to read. Anyone may create any number of claimants, so the reads are bounded by [`REFUSALS`] and
/// [`LOOKED_UP`].
fn to_read(
    resolve: impl Fn(&Tie) -> Resolution,
    application: &AppId,
    others: &[Claimant],
    now: Timestamp,
) -> ToRead {
    let mut refusing = BTreeSet::new();
    let mut elsewhere = BTreeSet::new();
    let mut looked_up = 0;
    let fresh = others.iter().filter(|other| other.application.is_none());
    for other in fresh.filter(|other| other.lives(now)) {
        let Some(tie) = tie(other) else { continue };
        match resolve(&tie) {
            Resolution::NotAllowed if refusing.len() < REFUSALS => {
                refusing.insert(tie);
            }
            Resolution::Usable(usable) if usable.app_id != *application => {
                looked_up += 1;
                if looked_up <= LOOKED_UP {
                    elsewhere.insert(tie);
                }
            }
            Resolution::NotAllowed
            | Resolution::Usable(_)
            | Resolution::Unread
            | Resolution::NotFound
            | Resolution::Unusable { .. } => {}
        }
    }
    ToRead {
        refusing,
        elsewhere,
    }
}

fn at_one_endpoint(one: &Usable, other: &Usable) -> bool {
    one.session.key().endpoint == other.session.key().endpoint
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::fixtures::{app, now};

    /// A claimant that was never accepted, in a namespace of its own.
    fn claimant(number: usize) -> Claimant {
        Claimant {
            key: ObjectKey::new(format!("ns-{number}"), "a"),
            uid: format!("uid-{number}").into(),
            platform: Some(ObjectKey::new("fleet", "production")),
            application: None,
            readable: true,
            finalizer: true,
            retires: None,
        }
    }

    fn refusals(claimants: usize) -> usize {
        let others: Vec<_> = (0..claimants).map(claimant).collect();
        let read = to_read(|_| Resolution::NotAllowed, &app("app-1"), &others, now());
        assert!(read.elsewhere.is_empty());
        read.refusing.len()
    }

    #[test]
    fn refusals_are_read_for_a_bounded_number_of_namespaces() {
        assert_eq!(refusals(REFUSALS), REFUSALS);
        assert_eq!(refusals(REFUSALS + 1), REFUSALS);
        assert_eq!(refusals(10 * REFUSALS), REFUSALS);
    }

    #[test]
    fn a_refusal_is_read_once_for_all_claimants_of_a_namespace() {
        let others = vec![claimant(1); 100];
        let read = to_read(|_| Resolution::NotAllowed, &app("app-1"), &others, now());
        assert_eq!(read.refusing.len(), 1);
    }
}
