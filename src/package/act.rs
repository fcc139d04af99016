//! Carries one decision out. What acts makes no choices.

use tokio::time::Instant;

use super::conclude::untold_end;
use super::decide::Decision;
use super::effect::Effect;
use super::memory::{Following, Part, Seat};
use super::object::Object;
use super::observe::Observed;
use super::slot::Slot;
use super::{Context, report};
use crate::api::names::FINALIZER;
use crate::api::version_package::VersionPackage;
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
    let untold = untold_end(&observed.facts, decision, observed.now);
    let untold = untold.into_iter().collect();
    if let Err(error) = report::run(context, observed, untold, slot).await {
        return Effect::Unaudited(error);
    }
    match decision {
        Decision::Nothing
        | Decision::Await(_)
        | Decision::Tell { .. }
        | Decision::Rest { .. }
        | Decision::EndConflict(_) => Effect::None,
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

/// Gives a seat back and wakes those who waited behind it.
fn leave_seat(context: &Context, object: &Object) {
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
        End::Taken(_) => {
            memory.taken(uid, Part::Finalizers, changed.then_some(target.version));
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
        End::Refused(words) => Effect::Refused(words),
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
