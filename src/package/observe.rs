//! Gathers all that a decision rests on; the last look is one read of the cache.

use std::collections::HashSet;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use super::Context;
use super::asking::asking;
use super::cache::{Cache, Look};
use super::claims::{self, Belonging, Claim};
use super::decide::{Echo, Now, Observation, PlatformView};
use super::memory::{Failure, Fingerprint, PackageKey};
use super::object::Object;
use crate::api::names::{AppId, ObjectKey};
use crate::api::platform::Mode;
use crate::platform::guard::{Guards, Judgement, Unit};
use crate::platform::inventory::Known;
use crate::platform::{Resolution, Usable};
use crate::session::{Purpose, Standing};

/// An observation, and what it takes to act on it.
pub struct Observed {
    /// What is decided on.
    pub facts: Observation,
    /// The means to call the platform.
    pub usable: Option<Usable>,
    /// The package, as the session of `usable` knows it.
    pub package: Option<PackageKey>,
    /// The failures so far under the same circumstances.
    pub failure: Option<Failure>,
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
    let (refused, confirmed) = read_anew(context, &object, &others).await;
    // The last look: no await below this line.
    let Look {
        object,
        others,
        since,
    } = context.cache.look(key)?;
    let now = Now {
        wall: Timestamp::now(),
        tick: Instant::now(),
    };
    let shown = object.platform().map_or(Resolution::Unread, |platform| {
        context.directory.resolve(&platform, &key.namespace)
    });
    let lagging = matches!(&confirmed, Some(Ok(read)) if allows(&shown) && !allows(read));
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
    // Another application's list says nothing of this package.
    let listed_by = usable.as_ref().filter(|usable| {
        let accepted = object.application();
        accepted.is_none_or(|accepted| *accepted == usable.app_id)
    });
    let known = match (listed_by, object.file_id()) {
        (Some(usable), Some(file)) => context.inventory.known(usable.session.key(), file, since),
        (Some(_) | None, _) => Known::Unread,
    };
    let claim = match (&application, others.is_empty()) {
        (Some(application), false) => {
            let others: Vec<_> = others
                .iter()
                .map(|other| (&**other, believed(context, other, refused.as_ref())))
                .collect();
            claims::judge(application, &others, now.wall)
        }
        (None, _) | (_, true) => Claim::Nobody,
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
    let session = usable.as_ref().map(|usable| usable.session.key().clone());
    let package = session.zip(object.file_id().cloned());
    let ahead = ahead(context, &object, package.as_ref());
    let outcome = object
        .status
        .deletion
        .as_ref()
        .and_then(|deletion| deletion.outcome);
    let settled = context.memory.settled(&object.uid).or(outcome);
    let echo = context.memory.echo(&object.uid, &object.resource_version);
    let guard = if settled.is_some() || echo != Echo::Seen {
        // It counts as it did until the cache shows that its package is gone, or whose it is by the last write.
        Judgement::Free(Unit::Counted)
    } else {
        let claimed = matches!(claim, Claim::Claimed(_));
        let (guards, cache) = (&context.guards, &context.cache);
        judged(guards, cache, &object, application.as_ref(), claimed, now)
    };
    let facts = Observation {
        echo,
        blind: context.memory.is_blind(),
        settled,
        platform,
        lagging,
        known,
        claim,
        ahead,
        hurried: context.memory.is_hurried(&object.uid),
        guard,
        proven: context.memory.proven(&object.uid, &fingerprint),
        standing: standing_in(context, &object, usable.as_ref()),
        backoff: pauses.into_iter().flatten().max(),
        given_back: given_back.map_or(0, |(count, _)| count),
        object,
    };
    Some(Observed {
        facts,
        usable,
        package,
        failure,
        fingerprint,
        now,
    })
}

/// What GETs say for a pass that is about to use its permit: which of the others are refused by their Platforms, and
/// what the own Platform is. They are sent while the intent is being written, for the pass that sends: one read serves
/// all who ask within half a second.
async fn read_anew(
    context: &Context,
    object: &Object,
    others: &[Arc<Object>],
) -> (Option<HashSet<String>>, Option<Result<Resolution, String>>) {
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
            // The own Platform comes last: what it says must not grow old while others are asked about.
            match confirm_refusals(context, others).await {
                Ok(refused) => {
                    let own = context.directory.confirm(&platform, &namespace).await;
                    (Some(refused), Some(own))
                }
                Err(why) => (None, Some(Err(why))),
            }
        }
    }
}

/// Those of `others` that would claim the package if their Platform allowed them, and that it refuses by GETs of it and
/// of their namespace: a permit is used on no older refusal.
async fn confirm_refusals(
    context: &Context,
    others: &[Arc<Object>],
) -> Result<HashSet<String>, String> {
    let mut refused = HashSet::new();
    for other in others {
        let open = other.application().is_none() && other.deleted_at.is_none();
        let refusing = other
            .platform()
            .filter(|_| open && belonging(context, other) == Belonging::Refused);
        if let Some(platform) = refusing
            && context
                .directory
                .confirm_refusal(&platform, &other.key.namespace)
                .await?
        {
            refused.insert(other.uid.clone());
        }
    }
    Ok(refused)
}

/// Where `other` belongs; a refusal counts only where it is among the `confirmed` ones, for a pass that needs them.
fn believed(context: &Context, other: &Object, confirmed: Option<&HashSet<String>>) -> Belonging {
    match belonging(context, other) {
        Belonging::Refused if confirmed.is_some_and(|uids| !uids.contains(&other.uid)) => {
            Belonging::Unknown
        }
        belonging => belonging,
    }
}

/// What the guard says, which is told by that what the object asks for.
pub(super) fn judged(
    guards: &Guards,
    cache: &Cache,
    object: &Object,
    application: Option<&AppId>,
    claimed: bool,
    now: Now,
) -> Judgement {
    let asked = asking(object, now.wall);
    match (application, asked) {
        (Some(application), Some(asked)) if !claimed => {
            let asked = (application, cache.population(application), asked);
            return guards.judge(&object.uid, asked, now.wall);
        }
        (application, asked) => {
            let hold = asked.as_ref().and_then(|asked| asked.hold.as_ref());
            guards.leave(&object.uid, application.zip(hold));
        }
    }
    Judgement::Free(Unit::Counted)
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

/// The standing in the session that the object belongs to now; a seat in another one counts for nothing.
fn standing_in(context: &Context, object: &Object, usable: Option<&Usable>) -> Standing {
    match (context.memory.seat(&object.uid), usable) {
        (Some(seat), Some(usable)) if Arc::ptr_eq(&seat.session, &usable.session) => {
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

pub(super) fn belonging(context: &Context, other: &Object) -> Belonging {
    let Some(platform) = other.platform() else {
        return Belonging::Unknown;
    };
    match context.directory.resolve(&platform, &other.key.namespace) {
        Resolution::Usable(usable) if usable.accepts => Belonging::To(usable.app_id),
        Resolution::Usable(usable) => Belonging::Closing(usable.app_id),
        Resolution::NotAllowed => Belonging::Refused,
        Resolution::Unread | Resolution::NotFound | Resolution::Unusable { .. } => {
            Belonging::Unknown
        }
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
