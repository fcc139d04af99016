//! Carries out one decision, without making any choice of its own.

use super::decide::Decision;
use super::effect::Effect;
use super::memory::Memory;
use super::observe::Observed;
use super::writer::Writer;
use crate::guard::Guards;
use crate::inventory::Inventory;
use crate::package::turns::api_slots::Slot;
use crate::remote::answer::{Answer, Call};
use crate::session::Purpose;
use crate::telemetry::metrics::Metrics;

/// The means to carry out a decision.
#[derive(Clone, Copy)]
pub struct Means<'a> {
    /// Writer of the object.
    pub writer: Writer<'a>,
    /// Memory of this process, which keeps the seats.
    pub memory: &'a Memory,
    /// Guards, which count the calls.
    pub guards: &'a Guards,
    /// Inventory, which has to know of a DELETE under way.
    pub inventory: &'a Inventory,
    /// Metrics of the operator.
    pub metrics: &'a Metrics,
}

/// Carries out `decision` and returns its effect. `drawn` is the random number of a new intent. `slot` is given back
/// while this function waits for the platform, and taken again afterwards.
pub async fn act(
    means: &Means<'_>,
    observed: &Observed,
    (decision, drawn): (&Decision, u64),
    slot: &mut Slot,
) -> Effect {
    let object = &*observed.facts.object;
    let (uid, memory) = (&object.uid, means.memory);
    match decision {
        Decision::Nothing
        | Decision::Await(_)
        | Decision::Tell { .. }
        | Decision::Rest { .. }
        | Decision::EndConflict(_)
        | Decision::RestartWatch => Effect::Nothing,
        Decision::GiveBack(why) => {
            tracing::debug!(why, "a permit was given back unused");
            Effect::Nothing
        }
        Decision::AddFinalizer => means.writer.finalizers(object, true, slot).await,
        Decision::Release { .. } => means.writer.finalizers(object, false, slot).await,
        Decision::Request(ticket) => match observed.seat() {
            Some(seat) => {
                // The ticket is requested before the seat is stored. In the other order, an object that is removed
                // between the two steps could leave a turn without a seat, and nobody would give that turn back.
                let standing = seat.session.request(ticket.clone(), &seat.package);
                memory.take_seat(uid, seat);
                Effect::Seated(standing)
            }
            None => Effect::Taken,
        },
        Decision::WriteIntent(again) => {
            let intent = again.clone().unwrap_or_else(|| format!("{drawn:016x}"));
            intend(means, observed, intent)
        }
        Decision::LookUp => look_up(means, observed, Purpose::LookUp, slot).await,
        Decision::Confirm => look_up(means, observed, Purpose::Confirm, slot).await,
        Decision::Send => send(means, observed, slot).await,
    }
}

fn intend(means: &Means<'_>, observed: &Observed, intent: String) -> Effect {
    let uid = &observed.facts.object.uid;
    // The guard counts the deletion before its intent is written: a deletion that can't be counted isn't sent.
    if !means.guards.take(uid, observed.now.wall) {
        return Effect::Taken;
    }
    if let Some(usable) = &observed.usable {
        usable.session.intend(uid, intent.clone());
    }
    Effect::Intended(intent)
}

async fn look_up(
    means: &Means<'_>,
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
    means.metrics.called(Call::Show, answer);
    Effect::Shown(shown.map(Box::new))
}

async fn send(means: &Means<'_>, observed: &Observed, slot: &mut Slot) -> Effect {
    let object = &*observed.facts.object;
    let (Some(usable), Some(file_id)) = (&observed.usable, object.file_id()) else {
        return Effect::NotSent;
    };
    // The guard counted the deletion when the intent was written. That may be long ago, so the guard is asked once
    // more.
    if !means.guards.take(&object.uid, observed.now.wall) {
        return Effect::Taken;
    }
    let (session, connection) = (&usable.session, &usable.connection);
    slot.give_back();
    means.inventory.deleting(session.key());
    let answer = session.delete(&object.uid, connection, file_id).await;
    means.inventory.no_longer_deleting(session.key());
    if let Some(answer) = &answer {
        means.guards.called(&object.uid);
        means.metrics.called(Call::Delete, answer);
    }
    slot.take().await;
    answer.map_or(Effect::NotSent, Effect::Answered)
}
