//! Whose word that a package doesn't exist proves nothing.

use crate::api::names::{AppId, Endpoint, ObjectKey};
use crate::api::reason::Reason;

/// Why it isn't believed that the package of an object doesn't exist.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Unbelieved {
    /// The object was accepted at this endpoint, and its Platform has another one now which has not shown yet that it
    /// speaks of our packages.
    Moved(Endpoint),
    /// The Platform has a token that was handed in, under which no package of this application was shown that an object
    /// names: nobody has said that a platform refuses a token of another application than the one written beside it.
    HandedIn(AppId),
}

impl Unbelieved {
    /// The word for it.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Moved(_) => Reason::EndpointChanged,
            Self::HandedIn(_) => Reason::ApplicationUnproven,
        }
    }

    /// The sentence for it.
    pub fn message(&self) -> String {
        match self {
            Self::Moved(accepted) => format!(
                "The Platform says that the package does not exist, but this object was accepted at {accepted}, and the Platform has another endpoint now, which has not shown any package of the objects that were accepted elsewhere: \
                 it may be another instance of the platform. Put that endpoint back; or let spec.inventory of the Platform read the list, which finds out; or set deletionPolicy: Retain"
            ),
            Self::HandedIn(application) => format!(
                "The Platform says that the package does not exist, but its Secret has an accessToken that was handed in, under which no package of application {application} was shown that an object names: \
                 the appKey beside the token may be a wrong one. Put a login (appId and secret) into the Secret; or let spec.inventory of the Platform read the list, which finds out; or set deletionPolicy: Retain"
            ),
        }
    }
}

/// Why an object isn't let go although another one keeps its package.
pub(super) fn moved_keeper(keeper: &ObjectKey, accepted: &Endpoint) -> String {
    format!(
        "{keeper} wants the package, but this object was accepted at {accepted}, and the Platform has another endpoint now, which has not shown any package of the objects that were accepted elsewhere: \
         it may be another instance of the platform, and {keeper} may want the package there. Put that endpoint back; or let spec.inventory of the Platform read the list, which finds out; or set deletionPolicy: Retain"
    )
}
