//! Gathers the facts that a decision rests on, and changes nothing. The last step is one read of the cache.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::cache::{Cache, Look};
use super::claims::Claimant;
use super::decide::{Now, Observation, PlatformView, Unbelieved, is_doubted};
use super::memory::{Fingerprint, Memory, Seat};
use super::reads::Reads;
use crate::api::names::{AppId, Endpoint, ObjectKey};
use crate::api::platform::Mode;
use crate::clock::Clock;
use crate::guard::{Judgement, OnRecord};
use crate::inventory::{Inventory, Known};
use crate::object::Object;
use crate::package::claims::others::{Ties, Weighed};
use crate::package::memory::own_write::Part;
use crate::package::memory::requests::Peeked;
use crate::package::turns::slow::Slow;
use crate::platform::{Directory, Resolution, Unconfirmed, Usable};
use crate::remote::answer::Detail;
use crate::session::{PackageKey, Standing};
use crate::sight::Sight;
use crate::telemetry::audit::AuditLog;

/// The sources of an observation. Observing changes none of them.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// Cache of all objects.
    pub cache: &'a Cache,
    /// Memory of this process.
    pub memory: &'a Memory,
    /// Namespaces whose writes take long.
    pub slow: &'a Slow,
    /// Directory of all Platforms.
    pub directory: &'a Directory,
    /// Inventory: the packages that the platforms list.
    pub inventory: &'a Inventory,
    /// Whether this process sees the cluster as it is.
    pub sight: &'a Sight,
    /// Audit log, which knows the overdue audit lines.
    pub audit: &'a AuditLog,
    /// Steady clock and wall clock.
    pub clock: &'a Clock,
}

/// An observation, with the means to act on it.
pub struct Observed {
    /// The facts for the decision.
    pub facts: Observation,
    /// Session and connection of the object's Platform, if calls can be made.
    pub usable: Option<Usable>,
    /// Key of the object's package in the session of `usable`.
    pub package: Option<PackageKey>,
    /// Circumstances under which failures and refusals count.
    pub fingerprint: Fingerprint,
    /// When the observation was made.
    pub now: Now,
}

impl Observed {
    /// The seat that the object's call needs; `None` without a usable Platform or a readable `fileId`.
    pub fn seat(&self) -> Option<Seat> {
        Some(Seat {
            session: self.usable.as_ref()?.session.clone(),
            package: self.package.clone()?,
        })
    }
}

/// Observes the object `key`. `reads` are the results of the GETs that were just made for it. `None` if there is no
/// such object.
///
/// Nothing is awaited from here to the call, so the decision rests on what the cache shows now.
pub fn observe(sources: &Sources<'_>, key: &ObjectKey, reads: Reads) -> Option<Observed> {
    let Reads {
        others: read,
        own: confirmed,
    } = reads;
    let Look {
        object,
        others,
        since,
    } = sources.cache.look(key)?;
    let now = sources.clock.now();
    let shown = object.platform().map_or(Resolution::Unread, |platform| {
        sources.directory.resolve(&platform, &key.namespace)
    });
    let own = shown.usable().cloned();
    let under = Circumstances::of(sources, &object, shown, confirmed);
    let ties = Ties::new(
        (sources.directory, &sources.memory.doubts),
        own.as_ref(),
        read.as_ref(),
    );
    let present = under.usable.as_ref().map(|usable| &usable.app_id);
    let application = object.application().or(present);
    let weighed = weigh(ties, &object, application, &others, now);
    let known = known(sources, &object, under.usable.as_ref(), (since, now));
    let beside = weighed.beside(&others);
    let requests = &sources.memory.requests;
    let asked = requests.peek(&object, now, is_doubted(&known), beside);
    let found = (known, weighed, asked);
    Some(observed(sources, object, under, found, now))
}

/// The circumstances of an object: its Platform, and what follows from the Platform for its package.
struct Circumstances {
    platform: PlatformView,
    usable: Option<Usable>,
    /// Whether a GET shows that calls are forbidden, while the watch still allows them.
    lagging: bool,
    elsewhere: Option<Unbelieved>,
    package: Option<PackageKey>,
    fingerprint: Fingerprint,
}

impl Circumstances {
    /// Combines the Platform that the watch has `shown` with the Platform that a GET has `confirmed`, if a GET was
    /// made.
    fn of(
        sources: &Sources<'_>,
        object: &Object,
        shown: Resolution,
        confirmed: Option<Result<Resolution, Unconfirmed>>,
    ) -> Self {
        let lagging = matches!(&confirmed, Some(Ok(read)) if allows(&shown) && !allows(read));
        let (platform, usable) = view(match confirmed {
            // The watch may have shown a prohibition after the GET was answered, so the stricter of both counts.
            Some(Ok(read)) if allows(&read) && !allows(&shown) => Ok(shown),
            Some(confirmed) => confirmed,
            None => Ok(shown),
        });
        let elsewhere = elsewhere(sources, object, usable.as_ref());
        Self {
            platform,
            lagging,
            package: package_of(object, usable.as_ref(), elsewhere.as_ref()),
            elsewhere,
            fingerprint: Fingerprint {
                generation: object.generation,
                requested_at: object.requested_at.clone(),
                revision: usable.as_ref().map_or(0, |usable| usable.revision),
            },
            usable,
        }
    }
}

/// All facts about the object, including those that this process remembers. The judgement of the guard is added later,
/// after the errands of this look were run.
fn observed(
    sources: &Sources<'_>,
    object: Arc<Object>,
    under: Circumstances,
    (known, weighed, asked): (Known, Weighed, Peeked),
    now: Now,
) -> Observed {
    let (memory, uid, usable) = (sources.memory, &object.uid, under.usable.as_ref());
    let failure = memory.failure(uid, &under.fingerprint);
    let given_back = memory.given_back(uid);
    let failed_until = failure.as_ref().map(|failure| failure.until);
    let (standing, misplaced) = standing_in(sources, &object, usable, under.package.as_ref());
    let refusal = |part| memory.refusal(uid, part, &under.fingerprint);
    let facts = Observation {
        echo: memory.echo(uid, &object.resource_version),
        request: asked.request,
        anew: asked.anew,
        keepers: weighed.keepers,
        looks_first: asked.looks_first,
        finalizers_refused: refusal(Part::Finalizers),
        status_refused: refusal(Part::Status),
        complaint_refused: refusal(Part::Complaint),
        blind: memory.is_blind(),
        settled: memory.settled(uid).or(object.outcome()),
        platform: under.platform,
        hindrance: sources.sight.hindrance(),
        graces_since: sources.sight.graces_since().max(asked.grace),
        lagging: under.lagging,
        endpoint: usable.map(endpoint_of),
        elsewhere: under.elsewhere,
        known,
        claim: weighed.claim,
        finding: weighed.finding,
        trials: weighed.trials,
        guard: Judgement::Free(OnRecord::Counted),
        unproven: unproven(sources, &object, usable),
        proven: memory.proven(uid, &under.fingerprint),
        standing,
        misplaced,
        backoff: failed_until.max(given_back.map(|(_, until)| until)),
        given_back: given_back.map_or(0, |(count, _)| count),
        failure,
        failed_audits: memory.failed_audits(uid),
        conflicts: memory.conflicts(uid),
        writes_hang: sources.slow.hangs(&object.key, now.tick),
        audited: memory.audited(uid),
        owed: memory.owed(uid),
        overdue: sources.audit.overdue(),
        window: window(usable),
        object,
    };
    Observed {
        facts,
        usable: under.usable,
        package: under.package,
        fingerprint: under.fingerprint,
        now,
    }
}

/// Claims on the object's package. They are looked for only if the object asks for its deletion.
fn weigh(
    ties: Ties<'_>,
    object: &Object,
    application: Option<&AppId>,
    others: &[Claimant],
    now: Now,
) -> Weighed {
    let asks = object.deleted_at.is_some() || object.is_retired(now.wall);
    match application {
        Some(application) if asks && !others.is_empty() => {
            ties.claim(object, application, others, now)
        }
        Some(_) | None => Weighed::nobody(),
    }
}

/// Answer to the last DELETE, if it proved nothing and no look-up was made since.
fn unproven(sources: &Sources<'_>, object: &Object, usable: Option<&Usable>) -> Option<Detail> {
    let session = usable?.session.key();
    sources.memory.unproven(&object.uid, session)
}

/// What is known of the package of `object`. This process has known the object since `since`.
fn known(
    sources: &Sources<'_>,
    object: &Object,
    usable: Option<&Usable>,
    (since, now): (Instant, Now),
) -> Known {
    // The list of another application says nothing of this package.
    let own = usable.filter(|usable| {
        let accepted = object.application();
        accepted.is_none_or(|accepted| *accepted == usable.app_id)
    });
    let (Some(usable), Some(file), Some(platform)) = (own, object.file_id(), object.platform())
    else {
        return Known::Unread;
    };
    let session = usable.session.key();
    let told_by = |token| {
        let package = ((session.clone(), token), file.clone());
        sources.memory.gone.since(&package, now.tick)
    };
    let gone = told_by(None).max(told_by(Some(usable.credential.clone())));
    if gone.is_some_and(|gone| !sources.inventory.lists_since(session, file, gone)) {
        return Known::Gone;
    }
    // Only an object with a proven credential learns what the list says; another object may belong to a stranger.
    if !usable.proof().is_proven() {
        return Known::Unread;
    }
    sources.inventory.known(session, &platform, file, since)
}

/// Window of the session's quota: the time for which a call counts.
fn window(usable: Option<&Usable>) -> Duration {
    usable.map_or(Duration::ZERO, |usable| usable.session.window())
}

fn endpoint_of(usable: &Usable) -> Endpoint {
    usable.session.key().endpoint.clone()
}

/// Key of the package. Objects with equal keys wait behind each other and share one call, so the key contains the
/// credential under which that call is made.
fn package_of(
    object: &Object,
    usable: Option<&Usable>,
    unbelieved: Option<&Unbelieved>,
) -> Option<PackageKey> {
    let accepted_at = match unbelieved {
        Some(Unbelieved::Moved(accepted)) => Some(accepted.clone()),
        // This reason applies to all objects of the credential alike, so the key need not tell them apart.
        Some(Unbelieved::HandedIn(_)) | None => None,
    };
    Some(PackageKey {
        credential: usable?.credential.clone(),
        file_id: object.file_id()?.clone(),
        accepted_at,
    })
}

/// Why the platform's answer that the package of `object` doesn't exist would prove nothing; `None` if that answer
/// would prove that the package doesn't exist.
fn elsewhere(
    sources: &Sources<'_>,
    object: &Object,
    usable: Option<&Usable>,
) -> Option<Unbelieved> {
    let usable = usable?;
    let key = usable.session.key();
    let accepted = object.status.endpoint.as_ref();
    match accepted.filter(|accepted| **accepted != key.endpoint) {
        Some(accepted)
            if !sources
                .inventory
                .speaks_of(key, &usable.credential, accepted) =>
        {
            Some(Unbelieved::Moved(accepted.clone()))
        }
        Some(_) | None if !usable.logs_in && !usable.session.has_shown_ours() => {
            Some(Unbelieved::HandedIn(key.app_id.clone()))
        }
        Some(_) | None => None,
    }
}

/// State of the object in the queue of its present session, and whether its seat is misplaced: in another session or
/// for another package key.
fn standing_in(
    sources: &Sources<'_>,
    object: &Object,
    usable: Option<&Usable>,
    package: Option<&PackageKey>,
) -> (Standing, bool) {
    let Some(seat) = sources.memory.seat(&object.uid) else {
        return (Standing::Absent, false);
    };
    let Some(usable) = usable else {
        // The object may have a new `fileId` by now, so another object's call may be for the wrong package.
        let behind = matches!(seat.standing(&object.uid), Standing::Behind { .. });
        return (Standing::Absent, behind);
    };
    if Arc::ptr_eq(&seat.session, &usable.session) && Some(&seat.package) == package {
        (seat.standing(&object.uid), false)
    } else {
        (Standing::Absent, true)
    }
}

/// Whether this Platform allows calls.
fn allows(resolution: &Resolution) -> bool {
    match resolution {
        Resolution::Usable(usable) => usable.mode == Mode::Enforce,
        Resolution::Unread
        | Resolution::NotFound
        | Resolution::NotAllowed
        | Resolution::Unusable { .. } => false,
    }
}

fn view(resolution: Result<Resolution, Unconfirmed>) -> (PlatformView, Option<Usable>) {
    match resolution {
        Err(why) => (PlatformView::Unconfirmed(why.to_string()), None),
        Ok(Resolution::Unread) => (PlatformView::Unread, None),
        Ok(Resolution::NotFound) => (PlatformView::NotFound, None),
        Ok(Resolution::NotAllowed) => (PlatformView::NotAllowed, None),
        Ok(Resolution::Unusable {
            reason,
            message,
            ending,
        }) => {
            let view = PlatformView::Unusable {
                reason,
                message,
                ending,
            };
            (view, None)
        }
        Ok(Resolution::Usable(usable)) => {
            let view = PlatformView::Usable {
                app_id: usable.app_id.clone(),
                mode: usable.mode,
                last_good: usable
                    .last_good
                    .as_ref()
                    .map(|(_, message)| message.clone()),
                grace: usable.grace,
                accepts: usable.accepts,
            };
            (view, Some(usable))
        }
    }
}
