//! The GETs for a pass that is about to use its permit. They come before the observation.

use super::cache::{Cache, Look};
use super::claims::Claimant;
use super::conclude::HICCUPS;
use super::memory::Memory;
use crate::api::names::ObjectKey;
use crate::clock::Clock;
use crate::object::Object;
use crate::package::claims::others::{Confirmed, confirm};
use crate::package::turns::api_slots::Slot;
use crate::platform::{Directory, LASTS, Resolution, Unconfirmed};
use crate::session::{Purpose, Standing};

/// What is needed to decide on the GETs and to make them.
#[derive(Clone, Copy)]
pub struct Readers<'a> {
    /// Cache of all objects.
    pub cache: &'a Cache,
    /// Memory of this process, which knows the permits.
    pub memory: &'a Memory,
    /// Directory, which reads Platforms, Namespaces and Secrets, and shares what it has read.
    pub directory: &'a Directory,
    /// Steady clock and wall clock.
    pub clock: &'a Clock,
}

/// Results of the GETs; empty if no permit is about to be used.
#[derive(Default)]
pub struct Reads {
    /// The facts that speak against the claims of other objects.
    pub(super) others: Option<Confirmed>,
    /// The object's own Platform.
    pub(super) own: Option<Result<Resolution, Unconfirmed>>,
}

/// Makes the GETs that the object `key` needs; `None` if there is no such object.
///
/// A pass that is about to use its permit reads its Platform first, so the emergency stop works without a healthy
/// watch.
pub async fn read(readers: &Readers<'_>, key: &ObjectKey, slot: &mut Slot) -> Option<Reads> {
    let Look { object, others, .. } = readers.cache.look(key)?;
    let reads = Box::pin(read_anew(readers, &object, &others));
    Some(slot.read(reads).await)
}

/// Makes the GETs for a pass that is about to use its permit. They read the facts that speak against the claims of the
/// `others`, and the object's own Platform. A pass that is about to write an intent makes no GETs: `Errand::ReadAhead`
/// reads the Platform during that write, and one read serves all requests within half a second. After several unusable
/// permits, however, the GETs are made before the intent is written, too.
async fn read_anew(readers: &Readers<'_>, object: &Object, others: &[Claimant]) -> Reads {
    let Some(platform) = object.platform() else {
        return Reads::default();
    };
    let namespace = object.key.namespace.clone();
    let given_back = readers.memory.given_back(&object.uid);
    let lasts = given_back.is_some_and(|(count, _)| count >= HICCUPS);
    match standing(readers, object) {
        Standing::Absent | Standing::Behind { .. } | Standing::Waiting { .. } => Reads::default(),
        Standing::Permitted {
            purpose: Purpose::Delete,
            intent: None,
        } if !lasts => Reads::default(),
        Standing::Permitted { .. } => {
            // An object that was never accepted gets no call.
            let others = object
                .application()
                .map(|application| (application, others));
            let others = match others {
                Some((application, others)) if !others.is_empty() => {
                    let now = readers.clock.wall();
                    Some(confirm(readers.directory, application, others, now).await)
                }
                Some(_) | None => None,
            };
            // The own Platform is read last, so that this read doesn't grow old during the reads for the other objects.
            let own = readers.directory.confirm(&platform, &namespace).await;
            let old = others.as_ref().and_then(|others| others.begun);
            let own = if old.is_some_and(|begun| begun.elapsed() > LASTS) {
                Err(Unconfirmed::OldOthers)
            } else {
                own
            };
            Reads {
                others,
                own: Some(own),
            }
        }
    }
}

fn standing(readers: &Readers<'_>, object: &Object) -> Standing {
    readers
        .memory
        .seat(&object.uid)
        .map_or(Standing::Absent, |seat| seat.standing(&object.uid))
}
