//! Carries one decision out. What acts makes no choices.

use std::time::Duration;

use tokio::time::Instant;

use super::conclude;
use super::decide::{Decision, Now, Observation};
use super::effect::Effect;
use super::memory::{Following, Part, Seat};
use super::object::Object;
use super::observe::Observed;
use super::slot::Slot;
use super::{Context, report};
use crate::api::names::FINALIZER;
use crate::api::version_package::{Outcome, VersionPackage};
use crate::platform::Usable;
use crate::platform::inventory::Moment;
use crate::remote::answer::{Answer, Call};
use crate::session::{Purpose, Standing};
use crate::sight::Kind;
use crate::writes::{self, End};

/// Carries `decision` out; `slot` is given back while the platform is waited for, and taken again after.
pub async fn act(
    context: &Context,
    observed: &Observed,
    decision: &Decision,
    slot: &mut Slot,
) -> Effect {
    let object = &*observed.facts.object;
    if !decision.keeps_seat() {
        leave_seat(context, object);
        if !matches!(decision, Decision::Follow { .. }) {
            context.memory.unfollow(&object.uid);
        }
    }
    // Nothing follows from an end before it is written down; one that the status tells was, by an earlier pass.
    if let Some(outcome) = untold_end(&observed.facts, decision)
        && let Err(error) =
            record_end(context, &observed.facts, outcome, None, observed.now, slot).await
    {
        return Effect::Unaudited(error);
    }
    match decision {
        Decision::Nothing | Decision::Await(_) | Decision::Tell { .. } | Decision::Rest { .. } => {
            Effect::None
        }
        Decision::GiveBack(why) => {
            tracing::debug!(why, "a permit was given back unused");
            Effect::None
        }
        Decision::AddFinalizer => patch_finalizers(context, observed, true).await,
        Decision::Release { .. } => patch_finalizers(context, observed, false).await,
        Decision::Request(ticket) => match (&observed.usable, observed.package.clone()) {
            (Some(usable), Some(package)) => {
                let seat = Seat {
                    session: usable.session.clone(),
                    package,
                };
                if object.asks_for_a_try() {
                    usable.session.try_soon();
                }
                if context.memory.take_seat(&object.uid, &object.key, seat) {
                    Effect::Seated(usable.session.request(ticket.clone()))
                } else {
                    Effect::Beaten
                }
            }
            (Some(_) | None, _) => Effect::Beaten,
        },
        Decision::Follow { priority, .. } => {
            let (uid, key, memory) = (&object.uid, &object.key, &context.memory);
            let package = observed.package.as_ref();
            match package.map(|package| memory.follow(uid, key, package, *priority)) {
                Some(Following::Waits) => Effect::None,
                Some(Following::Hurries(leader)) => {
                    context.queue.add(leader);
                    Effect::None
                }
                Some(Following::Nobody) | None => Effect::Beaten,
            }
        }
        Decision::WriteIntent => {
            // Counted before it is written: what can't be counted isn't sent.
            if !context.guards.take(&object.uid, observed.now.wall) {
                return Effect::Beaten;
            }
            // One that met a conflict is written again.
            if let Standing::Permitted {
                intent: Some((intent, _)),
                ..
            } = &observed.facts.standing
            {
                return Effect::Intended(intent.clone());
            }
            let intent = format!("{:016x}", fastrand::u64(..));
            if let Some(usable) = &observed.usable {
                usable.session.intend(&object.uid, intent.clone());
            }
            Effect::Intended(intent)
        }
        Decision::LookUp | Decision::Confirm | Decision::Send => {
            slot.give_back();
            let effect = match decision {
                Decision::LookUp => look_up(context, observed, Purpose::LookUp).await,
                Decision::Confirm => look_up(context, observed, Purpose::Confirm).await,
                _ => send(context, observed).await,
            };
            slot.take().await;
            if matches!(effect, Effect::NotSent) {
                leave_seat(context, object);
            }
            effect
        }
        Decision::RestartWatch => {
            context.metrics.permit_blind();
            if context.memory.set_blind(true) {
                tracing::warn!(
                    "an own write did not come back through the watch, which is made anew"
                );
                context.metrics.watch_restarted("versionpackages");
                context.restart.notify_one();
            }
            Effect::None
        }
    }
}

async fn look_up(context: &Context, observed: &Observed, purpose: Purpose) -> Effect {
    let object = &*observed.facts.object;
    let (Some(usable), Some(file_id)) = (&observed.usable, object.file_id()) else {
        return Effect::NotSent;
    };
    match usable
        .session
        .show(&object.uid, purpose, &usable.connection, file_id)
        .await
    {
        Some(shown) => {
            let answer = shown.as_ref().err().unwrap_or(&Answer::Done(200));
            context.metrics.called(Call::Show, answer);
            if purpose == Purpose::Confirm && matches!(answer, Answer::AlreadyGone(_)) {
                // Its DELETE did it, whatever that was answered with.
                let (inventory, app_id) = (&context.inventory, &usable.app_id);
                inventory.deleting(app_id);
                inventory.deleted(app_id, file_id, Some(answer), Moment::now());
            }
            if shown.is_ok() {
                shows_ours(context, object, usable);
            }
            Effect::Shown(shown.map(Box::new))
        }
        None => Effect::NotSent,
    }
}

/// The package of `object` exists: those are woken who could not believe what is said of theirs.
fn shows_ours(context: &Context, object: &Object, usable: &Usable) {
    let key = usable.session.key();
    let accepted = object.status.endpoint.as_ref();
    let moved = accepted.is_some_and(|accepted| *accepted != key.endpoint);
    let endpoint = moved && context.inventory.has_shown_one(key);
    let token = !usable.logs_in && usable.session.shows_ours();
    if !endpoint && !token {
        return;
    }
    for (platform, other) in context.directory.platforms() {
        if other.is_some_and(|other| other.session.key() == key) {
            context
                .queue
                .add_wakes(context.cache.concerned_by(&platform));
        }
    }
}

async fn send(context: &Context, observed: &Observed) -> Effect {
    let object = &*observed.facts.object;
    let (Some(usable), Some(file_id)) = (&observed.usable, object.file_id()) else {
        return Effect::NotSent;
    };
    // Counted when its intent was written, which may be long ago by now.
    if !context.guards.take(&object.uid, observed.now.wall) {
        return Effect::Beaten;
    }
    context.inventory.deleting(&usable.app_id);
    let answer = usable
        .session
        .delete(&object.uid, &usable.connection, file_id)
        .await;
    // What another instance of the platform lacks isn't gone.
    let believed = answer.as_ref().filter(|answer| {
        observed.facts.elsewhere.is_none() || !matches!(answer, Answer::AlreadyGone(_))
    });
    context
        .inventory
        .deleted(&usable.app_id, file_id, believed, Moment::now());
    match answer {
        Some(answer) => {
            context.guards.called(&object.uid);
            context.metrics.called(Call::Delete, &answer);
            Effect::Answered(answer)
        }
        None => Effect::NotSent,
    }
}

/// The end that the object has come to or is about to come to, unless its status tells it already.
fn untold_end(seen: &Observation, decision: &Decision) -> Option<Outcome> {
    let told = seen.object.outcome();
    let end = match decision {
        Decision::Tell { outcome, .. } | Decision::Release { outcome, .. } => Some(*outcome),
        Decision::Nothing
        | Decision::Await(_)
        | Decision::AddFinalizer
        | Decision::Rest { .. }
        | Decision::Request(_)
        | Decision::Follow { .. }
        | Decision::WriteIntent
        | Decision::LookUp
        | Decision::Confirm
        | Decision::Send
        | Decision::RestartWatch
        | Decision::GiveBack(_) => seen.settled,
    };
    end.filter(|end| told != Some(*end))
}

/// Counts how an object ended and writes its audit line, once for each end. A line that can't be written is kept, and
/// tried again by every later call. A disk may hang, so `slot` is given back meanwhile.
///
/// # Errors
/// When the line is not written: nothing may follow from the end then.
pub async fn record_end(
    context: &Context,
    seen: &Observation,
    outcome: Outcome,
    answered: Option<(Call, &Answer)>,
    now: Now,
    slot: &mut Slot,
) -> Result<(), String> {
    let object = &*seen.object;
    let (memory, uid) = (&context.memory, &object.uid);
    if memory.audit_once(uid, outcome) {
        // Of clocks that don't agree the end may be before the beginning: then it took no time.
        let took = now.wall.duration_since(seen.asked_at(now));
        let took = Duration::try_from(took).unwrap_or_default();
        let took = Some(took).filter(|_| answered.is_some());
        context.metrics.deleted(outcome, took);
        if let Some(record) = conclude::audit_record(seen, outcome, answered, now) {
            memory.owe(uid, record);
        }
    }
    let Some(record) = memory.owed(uid) else {
        return Ok(());
    };
    slot.give_back();
    let written = context.audit.write(&record).await;
    slot.take().await;
    written.map_err(|error| {
        context.metrics.unaudited();
        format!("the audit line of {outcome:?} can't be written: {error}")
    })?;
    memory.paid(uid);
    Ok(())
}

/// Gives a seat back and wakes those who waited behind it.
pub fn leave_seat(context: &Context, object: &Object) {
    for key in context.memory.leave_seat(&object.uid) {
        context.queue.add(key);
    }
}

/// The finalizers of the object with ours, or without.
pub(super) fn finalizers(object: &Object, ours: bool) -> Vec<&str> {
    let others = object.finalizers.iter().map(String::as_str);
    let others = others.filter(|other| *other != FINALIZER);
    others.chain(ours.then_some(FINALIZER)).collect()
}

async fn patch_finalizers(context: &Context, observed: &Observed, ours: bool) -> Effect {
    if !context.sight.may_write(Kind::Packages) {
        return Effect::Outrun;
    }
    let object = &*observed.facts.object;
    let (memory, uid, target) = (&context.memory, &object.uid, object.target());
    let list = finalizers(object, ours);
    let end = writes::finalizers::<VersionPackage>(&context.client, &target, &list, FINALIZER);
    let end = end.await;
    let changed = end.changed(&target);
    match end {
        End::Taken(_) if changed => {
            memory.wrote(uid, Part::Finalizers, target.version, Instant::now());
            Effect::Patched
        }
        // There is no echo to wait for.
        End::Taken(_) => {
            memory.wrote_nothing(uid, Part::Finalizers);
            Effect::Patched
        }
        // The watch decides: the definition may not be served for a moment.
        End::Gone => Effect::Outrun,
        End::Conflict(words) => {
            let (part, shown, at) = (Part::Finalizers, target.version, Instant::now());
            memory.met_conflict(uid, part, shown, words, at);
            Effect::Outrun
        }
        // It was refused because another object has the name by now.
        End::Refused(_) if context.cache.uid_of(&object.key).as_deref() != Some(uid) => {
            Effect::Outrun
        }
        End::Refused(words) => {
            let refused = (Part::Finalizers, words);
            Effect::Refused(report::refused(context, object, refused, &observed.fingerprint).1)
        }
        End::Failed(error) => Effect::Failed(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::fixtures;

    #[test]
    fn the_finalizers_of_others_stay_in_their_order() {
        let object = Object {
            finalizers: vec!["a/b".into(), FINALIZER.into(), "c/d".into()],
            ..fixtures::object("a")
        };
        assert_eq!(finalizers(&object, false), ["a/b", "c/d"]);
        assert_eq!(finalizers(&object, true), ["a/b", "c/d", FINALIZER]);
    }
}
