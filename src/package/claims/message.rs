//! The messages for claims: who wants the package, or since when that is unclear, why, and what ends it.

#![deny(clippy::wildcard_enum_match_arm)]

use k8s_openapi::jiff::Timestamp;

use super::doubts::PATIENCE;
use super::{Doubt, Unclear, Why, Word};
use crate::api::names::ObjectKey;
use crate::api::reason::Reason;

/// Word before the time in the message.
const SINCE: &str = "since ";

/// Reason and message of a retired object whose package `keeper` wants.
pub fn still_claimed(keeper: &ObjectKey) -> (Reason, String) {
    let message = format!(
        "Retired, but {keeper} still wants the package: it stays until that object is deleted or retired"
    );
    (Reason::StillClaimed, message)
}

/// Condition message for an unclear claim.
pub fn unclear(unclear: &Unclear) -> String {
    let Unclear {
        doubt,
        since,
        others,
        word,
    } = unclear;
    let (uid, patience) = (&doubt.uid, PATIENCE.as_secs() / 60);
    let others = if *others {
        ", and it is not the only one"
    } else {
        ""
    };
    let exit = match word {
        Word::From(_) => format!(
            "The annotation iodm.dev/disregard passes over it once the claim has been unclear for {patience} minutes without a break"
        ),
        Word::AfterTry => format!(
            "The annotation iodm.dev/disregard passes over it once these credentials were tried and the claim has been unclear for {patience} minutes without a break"
        ),
        Word::None => format!(
            "If it doesn't want the package, the annotation iodm.dev/disregard on this object, with the value {uid}, passes over it"
        ),
    };
    format!(
        "{} (uid {uid}) names the same fileId, and {SINCE}{since} nobody can tell whether it wants the package{others}: {}. {exit}",
        doubt.key,
        why(doubt)
    )
}

/// The time since when the claim has been unclear, read back from a condition message; `None` if the message is about
/// another claim.
pub fn said_since(message: &str, doubt: &Doubt) -> Option<Timestamp> {
    let whose = format!("{} (uid {})", doubt.key, doubt.uid);
    let rest = message.strip_prefix(&whose)?;
    let (_, rest) = rest.split_once(SINCE)?;
    rest.split(' ').next()?.parse().ok()
}

fn why(doubt: &Doubt) -> String {
    let platform = doubt.platform.as_ref().map_or_else(
        || "its Platform".to_owned(),
        |key| format!("Platform {key}"),
    );
    match &doubt.why {
        Why::Unreadable => {
            "it can't be read; its condition names the field to mend".to_owned()
        }
        Why::Bare => "it has lost its finalizer, which is put back by itself".to_owned(),
        Why::Fresh => "it is about to be accepted, which ends this by itself".to_owned(),
        Why::Closing => format!(
            "it names {platform}, which is being deleted and takes on no new objects; the annotation iodm.dev/abandon on the Platform, \
             its uid as the value, lets that go, and one created anew takes both objects up"
        ),
        Why::NoApplication => format!(
            "it names {platform}, whose application is not known; that Platform, with its Secret, or the deletion of the object ends this"
        ),
        Why::NotAllowed => format!(
            "{platform} doesn't allow its namespace any more; allowedNamespaces of the Platform, or the deletion of the object, ends this"
        ),
        Why::Moved { accepted, present } => format!(
            "it was accepted for application {accepted}, and {platform} has credentials of {present} now; the annotation \
             iodm.dev/accept: {present} on it, or credentials of {accepted} in the Secret, ends this"
        ),
        Why::HandedIn => format!(
            "{platform} names its application beside an accessToken that was handed in, which does not prove it; a login (appId and secret) in \
             the Secret, or the deletion of the object, ends this"
        ),
        Why::Unproven { tried: false } => format!(
            "the credentials of {platform} have not been tried yet; they are tried by themselves, and the right ones in its Secret end this"
        ),
        Why::Unproven { tried: true } => format!(
            "the platform has not accepted the credentials of {platform}; the right ones in its Secret end this"
        ),
        Why::Elsewhere => format!(
            "{platform} is at another endpoint, with other credentials of an application of the same name; the endpoint or the \
             credentials of this object's Platform in it end this"
        ),
        Why::TooMany => {
            "too many objects that were never accepted name this fileId; it ends when they are accepted or deleted".to_owned()
        }
        Why::Unconfirmed => format!(
            "{platform} or its Secret has just been changed, or can't be read; it is read again by itself"
        ),
    }
}
