//! Reasons not to believe that a package doesn't exist.

use super::{Decision, rest};
use crate::api::names::{AppId, Endpoint, ObjectKey};
use crate::api::reason::Reason;

/// Why the platform's answer that a package doesn't exist proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Unbelieved {
    /// The object was accepted at this endpoint, and the Platform has another endpoint now. That other endpoint has not
    /// shown any package of our objects yet.
    Moved(Endpoint),
    /// The Platform uses a token from its Secret, not a login. With that token, the platform has not shown any package
    /// that an object of this application names. A platform may accept a token that belongs to another application than
    /// the Secret says.
    HandedIn(AppId),
}

impl Unbelieved {
    /// Reason and message of the condition.
    pub fn said(&self) -> (Reason, String) {
        match self {
            Self::Moved(accepted) => (
                Reason::EndpointChanged,
                format!(
                    "The platform says that the package does not exist. But this object was accepted at {accepted}, and the Platform now has another endpoint. That endpoint has not shown any package of the objects that were accepted at {accepted}, \
                 so it may be another instance of the platform. Put the endpoint {accepted} back; or let spec.inventory of the Platform read the list, which shows whether it is the same platform; or set deletionPolicy: Retain"
                ),
            ),
            Self::HandedIn(application) => (
                Reason::ApplicationUnproven,
                format!(
                    "The platform says that the package does not exist. But the Secret of the Platform has an accessToken that was obtained elsewhere, and with this token the platform has not shown any package of application {application} that an object names. \
                 The appKey beside the token may be wrong. Put a login (appId and secret) into the Secret; or let spec.inventory of the Platform read the list, which shows whose token it is; or set deletionPolicy: Retain"
                ),
            ),
        }
    }
}

/// Rests on an object that isn't released, although another object keeps its package.
pub(super) fn moved_keeper(keeper: &ObjectKey, accepted: &Endpoint) -> Decision {
    let message = format!(
        "{keeper} wants the package. But this object was accepted at {accepted}, and the Platform now has another endpoint. That endpoint has not shown any package of the objects that were accepted at {accepted}, \
         so it may be another instance of the platform, and {keeper} may want the package there. Put the endpoint {accepted} back; or let spec.inventory of the Platform read the list, which shows whether it is the same platform; or set deletionPolicy: Retain"
    );
    rest((Reason::EndpointChanged, message))
}
