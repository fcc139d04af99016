//! Row 2: what to do with an object whose deletion has ended.

use super::{Decision, ECHO_BOUND, Now, Observation, PlatformView, rest, said_of_undecodable};
use crate::api::names::{ACCEPT_ANNOTATION, AppId};
use crate::api::outcome::Outcome;
use crate::api::reason::Reason;

impl Observation {
    /// The present application of the Platform, if another application answered `AlreadyGone`. That answer says nothing
    /// of the present application.
    fn disputed(&self) -> Option<&AppId> {
        let PlatformView::Usable { app_id, .. } = &self.platform else {
            return None;
        };
        let accepted = self.object.application()?;
        let gone = self.settled == Some(Outcome::AlreadyGone);
        (gone && accepted != app_id).then_some(app_id)
    }

    /// The present application, if it answered `AlreadyGone` at another endpoint than the present one.
    fn asked_elsewhere(&self) -> Option<&AppId> {
        let PlatformView::Usable { app_id, .. } = &self.platform else {
            return None;
        };
        let same = self.object.application() == Some(app_id);
        let (told_at, present) = (
            self.object.status.endpoint.as_ref()?,
            self.endpoint.as_ref()?,
        );
        let gone = self.settled == Some(Outcome::AlreadyGone);
        (gone && same && told_at != present).then_some(app_id)
    }

    /// The application that has to be asked anew after an `AlreadyGone`: a person named it in `iodm.dev/accept`, or it
    /// gave that answer at another endpoint. The object is then accepted for this application, and its deletion begins
    /// anew.
    pub(in crate::package) fn reopened(&self) -> Option<&AppId> {
        let named = |app_id: &&AppId| self.object.accept.as_deref() == Some(app_id.as_str());
        let asked = self.disputed().filter(named).or(self.asked_elsewhere());
        asked.filter(|_| !self.goes_retained())
    }

    fn goes_retained(&self) -> bool {
        self.object.deleted_at.is_some() && self.object.is_retained()
    }
}

pub(super) fn ended(seen: &Observation, outcome: Outcome, retired: bool, now: Now) -> Decision {
    if let Some(app_id) = seen.disputed().or(seen.asked_elsewhere()) {
        return disputed(seen, app_id);
    }
    if seen.object.deleted_at.is_some() {
        return if may_be_disputed(seen, outcome) {
            Decision::Await(now.tick + ECHO_BOUND)
        } else {
            Decision::Release {
                outcome,
                keeper: None,
            }
        };
    }
    if let Err(undecodable) = &seen.object.spec {
        // The spec can't be decoded, so it is unknown whether the object is retired.
        return rest(said_of_undecodable(&seen.object.uid, undecodable));
    }
    if !retired {
        return rest((Reason::PackageMissing, "This object wants the package, but the package is gone from the platform. Upload the package again, which gives it a new fileId, and create a new object with the new fileId; or set lifecycle: Retired on this object".to_owned()));
    }
    match outcome {
        Outcome::AlreadyGone => rest((
            Reason::AlreadyGone,
            "The platform said that it does not have the package".to_owned(),
        )),
        Outcome::Deleted => rest((
            Reason::Deleted,
            "The platform deleted the package".to_owned(),
        )),
        // These outcomes end a deleted object, never a retired one.
        Outcome::Retained | Outcome::HandedOver => Decision::Nothing,
    }
}

/// Whether the outcome may be disputed once the Platform is read: the Platform may have another application or endpoint
/// by now.
fn may_be_disputed(seen: &Observation, outcome: Outcome) -> bool {
    let object = &seen.object;
    outcome == Outcome::AlreadyGone
        && seen.platform == PlatformView::Unread
        && object.platform().is_some()
        && object.application().is_some()
        && !seen.goes_retained()
}

/// Decides for an `AlreadyGone` of another application, or from another endpoint, than the Platform has now.
fn disputed(seen: &Observation, app_id: &AppId) -> Decision {
    if seen.goes_retained() {
        return Decision::Release {
            outcome: Outcome::Retained,
            keeper: None,
        };
    }
    if seen.reopened().is_some() {
        // The write of this status wakes the object.
        return rest((
            Reason::Queued,
            format!(
                "The object is accepted for the application {app_id}. Next, its deletion begins anew for that application, at the endpoint of the Platform"
            ),
        ));
    }
    let accepted = seen.object.application().map_or("", AppId::as_str);
    rest((
        Reason::ApplicationChanged,
        format!(
            "The application {accepted} does not have the package, but the Platform now has credentials of {app_id}, and that application may have it. \
             To have the package deleted there, set the annotation {ACCEPT_ANNOTATION}: {app_id}. To leave the answer of {accepted} as the result, give the Platform credentials of {accepted}. \
             Or set deletionPolicy: Retain, which lets the object go without its package once the object is deleted"
        ),
    ))
}
