//! Carries one decision out. What acts makes no choices.

use std::time::Duration;

use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::conclude;
use super::decide::{Decision, Now, Observation, asked_at};
use super::effect::Effect;
use super::memory::{Following, Seat};
use super::object::{Object, Watched};
use super::observe::Observed;
use super::slot::Slot;
use super::{API_TIMEOUT, Context};
use crate::api::names::{FIELD_MANAGER, FINALIZER};
use crate::api::version_package::Outcome;
use crate::platform::inventory::Moment;
use crate::remote::answer::{Answer, Call};
use crate::session::Purpose;
use crate::sight::Kind;

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
        Decision::Nothing | Decision::Await(_) | Decision::Rest { .. } => Effect::None,
        Decision::GiveBack(why) => {
            tracing::debug!(why, "a permit was given back unused");
            Effect::None
        }
        Decision::AddFinalizer => patch_finalizers(context, object, added(object)).await,
        Decision::Release { .. } => patch_finalizers(context, object, removed(object)).await,
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
            if shown.is_ok()
                && context.inventory.has_shown_one(usable.session.key())
                && let Some(platform) = object.platform()
            {
                // Those who could not believe what this endpoint says of their packages.
                context.queue.add_all(context.cache.concerned_by(&platform));
            }
            Effect::Shown(shown.map(Box::new))
        }
        None => Effect::NotSent,
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
    context
        .inventory
        .deleted(&usable.app_id, file_id, answer.as_ref(), Moment::now());
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
    let told = seen.object.status.deletion.as_ref();
    if told.is_some_and(|deletion| deletion.outcome.is_some()) {
        return None;
    }
    match decision {
        Decision::Release { outcome, .. } => Some(*outcome),
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
    }
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
        let took = now.wall.duration_since(asked_at(object, now.wall));
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

pub(super) fn added(object: &Object) -> Value {
    if object.finalizers.is_empty() {
        json!({"op": "add", "path": "/metadata/finalizers", "value": [FINALIZER]})
    } else {
        json!({"op": "add", "path": "/metadata/finalizers/-", "value": FINALIZER})
    }
}

pub(super) fn removed(object: &Object) -> Value {
    let kept: Vec<&String> = object
        .finalizers
        .iter()
        .filter(|f| *f != FINALIZER)
        .collect();
    json!({"op": "replace", "path": "/metadata/finalizers", "value": kept})
}

/// Guarded by uid and resourceVersion: an object that has changed since it was looked at, or
/// another one of the same name, is left alone.
pub(super) fn guarded(object: &Object, operation: &Value) -> Value {
    json!([
        {"op": "test", "path": "/metadata/uid", "value": object.uid},
        {"op": "test", "path": "/metadata/resourceVersion", "value": object.resource_version},
        operation,
    ])
}

async fn patch_finalizers(context: &Context, object: &Object, operation: Value) -> Effect {
    if !context.sight.may_write(Kind::Packages) {
        return Effect::Outrun;
    }
    let patch = match serde_json::from_value(guarded(object, &operation)) {
        Ok(patch) => Patch::<Value>::Json(patch),
        Err(error) => return Effect::Failed(error.to_string()),
    };
    let api = Api::<Watched>::namespaced(context.client.clone(), &object.key.namespace);
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let patched =
        tokio::time::timeout(API_TIMEOUT, api.patch(&object.key.name, &params, &patch)).await;
    match patched {
        Ok(Ok(_)) => {
            context
                .memory
                .wrote(&object.uid, &object.resource_version, Instant::now());
            Effect::Patched
        }
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Effect::Patched,
        Ok(Err(kube::Error::Api(status))) if matches!(status.code, 409 | 422) => Effect::Outrun,
        Ok(Err(error)) => Effect::Failed(error.to_string()),
        Err(_) => Effect::Failed("the API server did not answer in time".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::fixtures;

    #[test]
    fn a_finalizer_patch_touches_nothing_but_this_version_of_this_object() {
        let object = Object {
            finalizers: vec!["a/b".into(), FINALIZER.into()],
            ..fixtures::object("a")
        };
        let body = guarded(&object, &removed(&object));
        assert_eq!(body[0]["value"], object.uid);
        assert_eq!(body[1]["value"], object.resource_version);
        assert_eq!(body[2]["value"], json!(["a/b"]));
        let bare = Object {
            finalizers: Vec::new(),
            ..object
        };
        assert_eq!(added(&bare)["value"], json!([FINALIZER]));
    }
}
