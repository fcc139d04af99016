//! What a look at an object changes before the decision, and what the guard hears of the object.

use super::{Now, Observation, PlatformView};
use crate::api::names::{AppId, ObjectKey};
use crate::guard::Asked;
use crate::inventory::Known;
use crate::object::asking::asking;
use crate::package::claims::Claim;
use crate::package::errand::Errand;
use crate::package::memory::own_write::Echo;
use crate::package::memory::requests::Noted;

/// The errands that follow from the look itself: what to remember, which credentials to try, and which seat to leave.
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
        // The package is wanted again, so the answer to an earlier DELETE says nothing of a later one.
        errands.push(Errand::Unproven(None));
    }
    errands
}

/// Whether the package may be missing, by the platform's list and the calls of this process.
pub(in crate::package) fn is_doubted(known: &Known) -> bool {
    match known {
        Known::Missing | Known::Gone => true,
        Known::Listed(_) | Known::Off | Known::Unread => false,
    }
}

/// What the guard hears of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hearing {
    /// The object asks for this deletion in the application.
    Asks(AppId, Asked),
    /// The object asks for no deletion, or stands aside. If its status still names a hold, the value is the
    /// application, the Platform and the id of that hold.
    Aside(Option<(AppId, ObjectKey, std::sync::Arc<str>)>),
}

/// What the guard hears of the object. `None` leaves the guard's count unchanged. The result is `None` while the watch
/// has not delivered the last own write, and once the outcome of the deletion is known: the guard hears of the outcome
/// when the cache shows it. An object stands aside while another object claims the package, or while a look-up is due.
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
