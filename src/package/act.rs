//! Carries one decision out. What acts makes no choices.

use tokio::time::Instant;

use super::Context;
use super::decide::Decision;
use super::effect::Effect;
use super::memory::{Following, Part};
use super::object::Object;
use super::observe::Observed;
use super::slot::Slot;
use crate::api::names::FINALIZER;
use crate::api::version_package::VersionPackage;
use crate::remote::answer::{Answer, Call};
use crate::session::Purpose;
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
    let (uid, memory) = (&object.uid, &context.memory);
    match decision {
        Decision::Nothing
        | Decision::Await(_)
        | Decision::Tell { .. }
        | Decision::Rest { .. }
        | Decision::EndConflict(_)
        | Decision::RestartWatch => Effect::None,
        Decision::GiveBack(why) => {
            tracing::debug!(why, "a permit was given back unused");
            Effect::None
        }
        Decision::AddFinalizer => patch_finalizers(context, observed, true).await,
        Decision::Release { .. } => patch_finalizers(context, observed, false).await,
        Decision::Request(ticket) => match observed.seat() {
            Some(seat) if memory.take_seat(uid, &object.key, seat.clone()) => {
                Effect::Seated(seat.session.request(ticket.clone()))
            }
            Some(_) | None => Effect::Beaten,
        },
        Decision::Follow { priority, .. } => {
            let package = observed.package.as_ref();
            let follows =
                package.map(|package| memory.follow(uid, &object.key, package, *priority));
            Effect::Follows(follows.unwrap_or(Following::Nobody))
        }
        Decision::WriteIntent => intend(context, observed),
        Decision::LookUp => look_up(context, observed, Purpose::LookUp, slot).await,
        Decision::Confirm => look_up(context, observed, Purpose::Confirm, slot).await,
        Decision::Send => send(context, observed, slot).await,
    }
}

fn intend(context: &Context, observed: &Observed) -> Effect {
    let uid = &observed.facts.object.uid;
    // Counted before it is written: what can't be counted isn't sent.
    if !context.guards.take(uid, observed.now.wall) {
        return Effect::Beaten;
    }
    // One that met a conflict is written again.
    if let Some(intent) = observed.facts.intent() {
        return Effect::Intended(intent.to_owned());
    }
    let intent = format!("{:016x}", fastrand::u64(..));
    if let Some(usable) = &observed.usable {
        usable.session.intend(uid, intent.clone());
    }
    Effect::Intended(intent)
}

async fn look_up(
    context: &Context,
    observed: &Observed,
    purpose: Purpose,
    slot: &mut Slot,
) -> Effect {
    let object = &*observed.facts.object;
    let (Some(usable), Some(file_id)) = (&observed.usable, object.file_id()) else {
        return Effect::NotSent;
    };
    let (session, connection) = (&usable.session, &usable.connection);
    slot.give_back();
    let shown = session.show(&object.uid, purpose, connection, file_id);
    let shown = shown.await;
    slot.take().await;
    let Some(shown) = shown else {
        return Effect::NotSent;
    };
    let answer = shown.as_ref().err().unwrap_or(&Answer::Done(200));
    context.metrics.called(Call::Show, answer);
    Effect::Shown(shown.map(Box::new))
}

async fn send(context: &Context, observed: &Observed, slot: &mut Slot) -> Effect {
    let object = &*observed.facts.object;
    let (Some(usable), Some(file_id)) = (&observed.usable, object.file_id()) else {
        return Effect::NotSent;
    };
    // Counted when its intent was written, which may be long ago by now.
    if !context.guards.take(&object.uid, observed.now.wall) {
        return Effect::Beaten;
    }
    let (session, connection) = (&usable.session, &usable.connection);
    slot.give_back();
    context.inventory.deleting(&usable.app_id);
    let answer = session.delete(&object.uid, connection, file_id).await;
    context.inventory.no_longer_deleting(&usable.app_id);
    if let Some(answer) = &answer {
        context.guards.called(&object.uid);
        context.metrics.called(Call::Delete, answer);
    }
    slot.take().await;
    answer.map_or(Effect::NotSent, Effect::Answered)
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
