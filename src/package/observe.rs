//! Gathers all that a decision rests on; the last look is one read of the cache.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use super::Context;
use super::asking::asking;
use super::cache::Look;
use super::claims::{Claim, Claimant};
use super::decide::{Echo, Now, Observation, PlatformView, Unbelieved};
use super::memory::{Fingerprint, PackageKey, Part};
use super::object::Object;
use super::others::{Confirmed, Ties, confirm};
use super::requests::Request;
use crate::api::names::{AppId, Endpoint, ObjectKey};
use crate::api::platform::Mode;
use crate::platform::guard::{Guards, Judgement, Unit};
use crate::platform::inventory::Known;
use crate::platform::{LASTS, Resolution, Usable};
use crate::remote::answer::Detail;
use crate::session::{Purpose, Standing};

/// An observation, and what it takes to act on it.
pub struct Observed {
    /// What is decided on.
    pub facts: Observation,
    /// The means to call the platform.
    pub usable: Option<Usable>,
    /// The package, as the session of `usable` knows it.
    pub package: Option<PackageKey>,
    /// The circumstances.
    pub fingerprint: Fingerprint,
    /// When it was observed.
    pub now: Now,
}

/// Observes one object; `None` when there is none of that name.
///
/// Whoever is about to use a permit has its Platform read by a GET first, so that the emergency stop
/// needs no healthy watch. After that nothing is awaited up to the send: what the cache shows is what counts.
pub async fn observe(context: &Context, key: &ObjectKey) -> Option<Observed> {
    let Look { object, others, .. } = context.cache.look(key)?;
    let (read, confirmed) = read_anew(context, &object, &others).await;
    // The last look: no await below this line.
    let Look {
        object,
        others,
        since,
    } = context.cache.look(key)?;
    let now = super::clock();
    let shown = object.platform().map_or(Resolution::Unread, |platform| {
        context.directory.resolve(&platform, &key.namespace)
    });
    let lagging = matches!(&confirmed, Some(Ok(read)) if allows(&shown) && !allows(read));
    let own = shown.usable().cloned();
    let (platform, usable) = view(match confirmed {
        // The watch may have shown since that calls are forbidden: of the two the stricter counts.
        Some(Ok(read)) if allows(&read) && !allows(&shown) => Ok(shown),
        Some(confirmed) => confirmed,
        None => Ok(shown),
    });
    let application = object
        .application()
        .or(usable.as_ref().map(|usable| &usable.app_id))
        .cloned();
    let known = known(context, &object, usable.as_ref(), (since, now));
    let asks = object.deleted_at.is_some() || object.is_retired(now.wall);
    let claim = match &application {
        Some(application) if asks && !others.is_empty() => Ties::new(
            context,
            own.as_ref(),
            read.as_ref(),
        )
        .claim(&object, application, &others, now),
        Some(_) | None => Claim::Nobody,
    };
    let fingerprint = Fingerprint {
        generation: object.generation,
        requested_at: object.requested_at.clone(),
        revision: usable.as_ref().map_or(0, |usable| usable.revision),
    };
    let failure = context.memory.failure(&object.uid, &fingerprint);
    let given_back = context.memory.given_back(&object.uid);
    let pauses = [
        failure.as_ref().map(|failure| failure.until),
        given_back.map(|(_, until)| until),
    ];
    let elsewhere = elsewhere(context, &object, usable.as_ref());
    let package = package_of(&object, usable.as_ref(), elsewhere.as_ref());
    let ahead = ahead(context, &object, package.as_ref());
    let settled = context.memory.settled(&object.uid);
    let settled = settled.or(object.outcome());
    let echo = context.memory.echo(&object.uid, &object.resource_version);
    let (request, looks_first) = requested(context, &object, &known, now);
    let guard = if settled.is_some() || echo != Echo::Seen {
        // It counts as it did until the cache shows that its package is gone, or whose it is by the last write.
        Judgement::Free(Unit::Counted)
    } else {
        let aside = looks_first || matches!(claim, Claim::Claimed(_));
        let guards = &context.guards;
        let judged = judged(guards, &object, application.as_ref(), aside, now);
        want_room(guards, &object, &judged, &standing(context, &object));
        judged
    };
    let refusal = |part| context.memory.refusal(&object.uid, part, &fingerprint);
    let facts = Observation {
        echo,
        request,
        looks_first,
        finalizers_refused: refusal(Part::Finalizers),
        status_refused: refusal(Part::Status),
        blind: context.memory.is_blind(),
        settled,
        platform,
        hindrance: context.sight.hindrance(),
        graces_since: context.sight.graces_since(),
        lagging,
        endpoint: usable.as_ref().map(endpoint_of),
        elsewhere,
        known,
        claim,
        ahead,
        hurried: context.memory.is_hurried(&object.uid),
        guard,
        unproven: unproven(context, &object, usable.as_ref(), now),
        proven: context.memory.proven(&object.uid, &fingerprint),
        standing: standing_in(context, &object, usable.as_ref(), package.as_ref()),
        backoff: pauses.into_iter().flatten().max(),
        given_back: given_back.map_or(0, |(count, _)| count),
        failure,
        failed_writes: context.memory.failed_writes(&object.uid),
        audited: context.memory.audited(&object.uid),
        window: window(usable.as_ref()),
        object,
    };
    Some(Observed {
        facts,
        usable,
        package,
        fingerprint,
        now,
    })
}

/// Since when its deletion is asked for, and whether its package is looked up before the guard hears of that.
fn requested(
    context: &Context,
    object: &Object,
    known: &Known,
    now: Now,
) -> (Option<Request>, bool) {
    let requests = &context.memory.requests;
    let request = requests.see(object, now);
    if matches!(known, Known::Missing | Known::Gone) {
        requests.doubt(object);
    }
    (request, requests.looks_first(&object.uid))
}

/// The answer to its DELETE, where that proves nothing and no look-up has told yet.
fn unproven(
    context: &Context,
    object: &Object,
    usable: Option<&Usable>,
    now: Now,
) -> Option<Detail> {
    if object.deleted_at.is_none() && !object.is_retired(now.wall) {
        // Wanted again: what a former deletion came to says nothing of a later one.
        context.memory.set_unproven(&object.uid, None);
    }
    let session = usable?.session.key();
    context.memory.unproven(&object.uid, session)
}

/// What GETs say for a pass that is about to use its permit: what stands against the claims of the others, and what the
/// own Platform is. They are sent while the intent is being written, for the pass that sends: one read serves
/// all who ask within half a second.
async fn read_anew(
    context: &Context,
    object: &Object,
    others: &[Claimant],
) -> (Option<Confirmed>, Option<Result<Resolution, String>>) {
    let Some(platform) = object.platform() else {
        return (None, None);
    };
    let namespace = object.key.namespace.clone();
    match standing(context, object) {
        Standing::Absent | Standing::Waiting { .. } => (None, None),
        Standing::Permitted {
            purpose: Purpose::Delete,
            intent: None,
        } => {
            let directory = Arc::clone(&context.directory);
            tokio::spawn(async move { directory.confirm(&platform, &namespace).await });
            (None, None)
        }
        Standing::Permitted { .. } => {
            // No call is made for one that was never accepted.
            let others = object
                .application()
                .map(|application| (application, others));
            let others = match others {
                Some((application, others)) if !others.is_empty() => {
                    Some(confirm(context, application, others, Timestamp::now()).await)
                }
                Some(_) | None => None,
            };
            // The own Platform comes last: what it says must not grow old while others are asked about.
            let own = context.directory.confirm(&platform, &namespace).await;
            let old = others.as_ref().and_then(|others| others.begun);
            if old.is_some_and(|begun| begun.elapsed() > LASTS) {
                let why = "the API server took so long to show the Platforms of others who name the fileId that they may have changed since";
                return (others, Some(Err(why.to_owned())));
            }
            (others, Some(own))
        }
    }
}

/// What the guard says, which is told by that what the object asks for. Nothing is, while another object claims the
/// package or it is to be looked up first: the object stands `aside` then.
pub(super) fn judged(
    guards: &Guards,
    object: &Object,
    application: Option<&AppId>,
    aside: bool,
    now: Now,
) -> Judgement {
    let asked = asking(object, now.wall);
    match (application, asked) {
        (Some(application), Some(asked)) if !aside => {
            return guards.judge(&object.uid, application, asked, now.wall);
        }
        (application, asked) => {
            let marked = asked.as_ref().and_then(|asked| {
                let hold = asked.hold.as_ref()?;
                Some((application?, &asked.platform, hold))
            });
            guards.leave(&object.uid, marked);
        }
    }
    Judgement::Free(Unit::Counted)
}

/// What is known of the package of `object`, which this process has seen `since` then.
fn known(
    context: &Context,
    object: &Object,
    usable: Option<&Usable>,
    (since, now): (Instant, Now),
) -> Known {
    // Another application's list says nothing of this package.
    let own = usable.filter(|usable| {
        let accepted = object.application();
        accepted.is_none_or(|accepted| *accepted == usable.app_id)
    });
    let (Some(usable), Some(file)) = (own, object.file_id()) else {
        return Known::Unread;
    };
    let session = usable.session.key();
    let package = (session.clone(), file.clone());
    let gone = context.memory.gone.since(&package, now.tick);
    if gone.is_some_and(|gone| !context.inventory.lists_since(session, file, gone)) {
        return Known::Gone;
    }
    // What the list says is told only to whom the platform has accepted.
    if !usable.proof().is_proven() {
        return Known::Unread;
    }
    context.inventory.known(session, file, since)
}

/// How long a call counts in its session.
fn window(usable: Option<&Usable>) -> Duration {
    usable.map_or(Duration::ZERO, |usable| usable.session.window())
}

fn endpoint_of(usable: &Usable) -> Endpoint {
    usable.session.key().endpoint.clone()
}

/// The package, to whom may wait for it: who waits behind another waits for its call, which goes out only under that
/// one's credential.
fn package_of(
    object: &Object,
    usable: Option<&Usable>,
    unbelieved: Option<&Unbelieved>,
) -> Option<PackageKey> {
    let usable = usable?;
    let lane = (usable.session.key().clone(), usable.credential.clone());
    Some((lane, object.file_id()?.clone(), unbelieved.cloned()))
}

/// Why it isn't believed that the package of `object` doesn't exist, as far as its Platform goes.
fn elsewhere(context: &Context, object: &Object, usable: Option<&Usable>) -> Option<Unbelieved> {
    let usable = usable?;
    let key = usable.session.key();
    let accepted = object.status.endpoint.as_ref();
    match accepted.filter(|accepted| **accepted != key.endpoint) {
        Some(accepted) if !context.inventory.speaks_of_ours(key) => {
            Some(Unbelieved::Moved(accepted.clone()))
        }
        Some(_) | None if !usable.logs_in && !usable.session.has_shown_ours() => {
            Some(Unbelieved::HandedIn(key.app_id.clone()))
        }
        Some(_) | None => None,
    }
}

/// Who has its turn and lacks nothing but room on record asks for that.
pub(super) fn want_room(guards: &Guards, object: &Object, judged: &Judgement, standing: &Standing) {
    let turn = matches!(
        standing,
        Standing::Permitted {
            purpose: Purpose::Delete,
            ..
        }
    );
    if turn && *judged == Judgement::Free(Unit::Awaited) {
        guards.want(&object.uid, object.platform());
    }
}

/// Who else is about to delete the package.
fn ahead(context: &Context, object: &Object, package: Option<&PackageKey>) -> Option<ObjectKey> {
    let leader = package.and_then(|package| context.memory.leader(package));
    let ahead = leader.filter(|(uid, _)| *uid != object.uid);
    if ahead.is_none() {
        // Its session may be another one since it began to follow.
        context.memory.unfollow(&object.uid);
    }
    ahead.map(|(_, key)| key)
}

fn standing(context: &Context, object: &Object) -> Standing {
    context
        .memory
        .seat(&object.uid)
        .map_or(Standing::Absent, |seat| seat.session.standing(&object.uid))
}

/// The standing in the session that the object belongs to now; a seat in another one, or for the package as others know
/// it, counts for nothing.
fn standing_in(
    context: &Context,
    object: &Object,
    usable: Option<&Usable>,
    package: Option<&PackageKey>,
) -> Standing {
    match (context.memory.seat(&object.uid), usable) {
        (Some(seat), Some(usable))
            if Arc::ptr_eq(&seat.session, &usable.session) && Some(&seat.package) == package =>
        {
            seat.session.standing(&object.uid)
        }
        (Some(_), Some(_)) => {
            for key in context.memory.leave_seat(&object.uid) {
                context.queue.add(key);
            }
            Standing::Absent
        }
        (Some(_) | None, None) | (None, Some(_)) => Standing::Absent,
    }
}

/// Whether calls may be made.
fn allows(resolution: &Resolution) -> bool {
    match resolution {
        Resolution::Usable(usable) => usable.mode == Mode::Enforce,
        Resolution::Unread
        | Resolution::NotFound
        | Resolution::NotAllowed
        | Resolution::Unusable { .. } => false,
    }
}

fn view(resolution: Result<Resolution, String>) -> (PlatformView, Option<Usable>) {
    match resolution {
        Err(why) => (PlatformView::Unconfirmed(why), None),
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
