//! What a look at an object changes before anything is decided on it, and what it asks of the guard.

use super::{Now, Observation, PlatformView};
use crate::api::names::{AppId, ObjectKey};
use crate::guard::Asked;
use crate::inventory::Known;
use crate::object::asking::asking;
use crate::package::claims::Claim;
use crate::package::errand::Errand;
use crate::package::memory::own_write::Echo;
use crate::package::memory::requests::Noted;

/// What the look tells this process to remember, and of whom it has to take leave.
pub fn noticed(seen: &Observation, now: Now) -> Vec<Errand> {
    let doubts = seen.finding.iter().cloned().map(Errand::Doubt);
    let tries = seen.trials.iter().cloned().map(Errand::Try);
    let mut errands: Vec<_> = doubts.chain(tries).collect();
    if seen.echo == Echo::Seen {
        errands.push(Errand::Back);
    }
    errands.push(Errand::See(Noted {
        doubted: is_doubted(&seen.known),
        keepers: seen.keepers.clone(),
        anew: seen.anew,
    }));
    if seen.misplaced {
        errands.push(Errand::LeaveSeat);
    }
    if !seen.asks(now) {
        // Wanted again: what a former deletion came to says nothing of a later one.
        errands.push(Errand::Unproven(None));
    }
    errands
}

/// Whether the package may not be there, as far as the list of the platform and the calls of this process tell.
pub(in crate::package) fn is_doubted(known: &Known) -> bool {
    match known {
        Known::Missing | Known::Gone => true,
        Known::Listed(_) | Known::Off | Known::Unread => false,
    }
}

/// What the guard hears of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hearing {
    /// It asks for this deletion in the application.
    Asks(AppId, Asked),
    /// It asks for none, or stands aside; its status may still be marked with this hold of an application and Platform.
    Aside(Option<(AppId, ObjectKey, std::sync::Arc<str>)>),
}

/// What the guard hears of the object; `None` where it counts as it did until the cache shows that its package is gone, or
/// whose it is by the last write. While another object claims the package, or it is to be looked up first, the object
/// stands aside.
pub fn hearing(seen: &Observation, now: Now) -> Option<Hearing> {
    if seen.settled.is_some() || seen.echo != Echo::Seen {
        return None;
    }
    let object = &*seen.object;
    let present = match &seen.platform {
        PlatformView::Usable { app_id, .. } => Some(app_id),
        PlatformView::Unread
        | PlatformView::Unconfirmed(_)
        | PlatformView::NotFound
        | PlatformView::NotAllowed
        | PlatformView::Unusable { .. } => None,
    };
    let application = object.application().or(present).cloned();
    let aside = seen.looks_first || matches!(seen.claim, Claim::Claimed(_));
    Some(match (application, asking(object, now.wall)) {
        (Some(application), Some(asked)) if !aside => Hearing::Asks(application, asked),
        (application, asked) => Hearing::Aside(asked.and_then(|asked| {
            let hold = asked.hold?;
            Some((application?, asked.platform, hold))
        })),
    })
}
