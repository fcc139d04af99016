//! What is read by GETs for a pass that is about to use its permit, before its object is looked at.

use super::cache::{Cache, Look};
use super::claims::Claimant;
use super::conclude::HICCUPS;
use super::memory::Memory;
use crate::api::names::ObjectKey;
use crate::clock::Clock;
use crate::object::Object;
use crate::package::claims::others::{Confirmed, confirm};
use crate::package::turns::api_slots::Slot;
use crate::platform::{Directory, LASTS, Resolution};
use crate::session::{Purpose, Standing};

/// What it takes to know what has to be read, and to read it.
#[derive(Clone, Copy)]
pub struct Readers<'a> {
    /// All objects.
    pub cache: &'a Cache,
    /// Who has a permit.
    pub memory: &'a Memory,
    /// Reads Platforms, Namespaces and Secrets; what a read shows becomes known to everybody.
    pub directory: &'a Directory,
    /// The clocks.
    pub clock: &'a Clock,
}

/// What the GETs have shown; nothing where no permit is about to be used.
#[derive(Default)]
pub struct Reads {
    /// What stands against the claims of others.
    pub(super) others: Option<Confirmed>,
    /// What the own Platform is.
    pub(super) own: Option<Result<Resolution, String>>,
}

/// Reads what the object of that name needs; `None` when there is none.
///
/// Whoever is about to use a permit has its Platform read by a GET first, so that the emergency stop needs no healthy watch.
pub async fn read(readers: &Readers<'_>, key: &ObjectKey, slot: &mut Slot) -> Option<Reads> {
    let Look { object, others, .. } = readers.cache.look(key)?;
    let reads = Box::pin(read_anew(readers, &object, &others));
    Some(slot.read(reads).await)
}

/// What GETs say for a pass that is about to use its permit: what stands against the claims of the others, and what the
/// own Platform is. They are sent while the intent is being written, for the pass that sends: one read serves
/// all who ask within half a second. Where permits could not be used again and again, no intent is written before they say
/// that this one can.
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
            // No call is made for one that was never accepted.
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
            // The own Platform comes last: what it says must not grow old while others are asked about.
            let own = readers.directory.confirm(&platform, &namespace).await;
            let own = own.map_err(|why| why.to_string());
            let old = others.as_ref().and_then(|others| others.begun);
            let own = if old.is_some_and(|begun| begun.elapsed() > LASTS) {
                let why = "the API server took so long to show the Platforms of others who name the fileId that they may have changed since";
                Err(why.to_owned())
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
