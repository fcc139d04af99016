//! The messages for claims. A message says which object wants the package; or since when the claim has been unclear,
//! why, and what ends the doubt.

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
        "This object is retired, but {keeper} still wants the package. The package stays until {keeper} is deleted or retired"
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
        ", and the same is unclear of other objects"
    } else {
        ""
    };
    let exit = match word {
        Word::From(_) => format!(
            "The annotation iodm.dev/disregard of this object names the uid {uid}, so the operator passes over that claim once the claim has been unclear for {patience} minutes without a break"
        ),
        Word::AfterTry => format!(
            "The annotation iodm.dev/disregard of this object names the uid {uid}, so the operator passes over that claim once these credentials have been tried and the claim has been unclear for {patience} minutes without a break"
        ),
        Word::None => format!(
            "If that object doesn't want the package, set the annotation iodm.dev/disregard: {uid} on this object (separate several uids by commas): the operator then passes over that claim, once the claim has been unclear for {patience} minutes without a break"
        ),
    };
    format!(
        "{} (uid {uid}) names the same fileId, and {SINCE}{since} nobody can tell whether that object wants the package{others}: {}. {exit}",
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
            "it names {platform}, which is being deleted and accepts no new objects. To end this, set the annotation iodm.dev/abandon on \
             that Platform, with the uid of the Platform as its value, so that the Platform goes, and create the Platform anew: the new one accepts both objects"
        ),
        Why::NoApplication => format!(
            "it names {platform}, whose application is not known. To end this, create or mend that Platform and its Secret, or delete that object"
        ),
        Why::NotAllowed => format!(
            "{platform} doesn't allow the namespace of that object any more. To end this, add the namespace to allowedNamespaces of that Platform, or delete that object"
        ),
        Why::Moved { accepted, present } => format!(
            "it was accepted for application {accepted}, but {platform} now has credentials of {present}. To end this, set the annotation \
             iodm.dev/accept: {present} on that object, or put credentials of {accepted} into the Secret of {platform}"
        ),
        Why::HandedIn => format!(
            "the Secret of {platform} has an accessToken that was obtained elsewhere, and such a token doesn't prove which application it belongs to. \
             To end this, put a login (appId and secret) into that Secret, or delete that object"
        ),
        Why::Unproven { tried: false } => format!(
            "the credentials of {platform} have not been tried yet. The operator tries them by itself. If the platform accepts them, this ends; if not, put the right ones into the Secret of {platform}"
        ),
        Why::Unproven { tried: true } => format!(
            "the platform has not accepted the credentials of {platform}. To end this, put the right ones into the Secret of {platform}"
        ),
        Why::Elsewhere => format!(
            "{platform} has another endpoint, and other credentials of an application of the same name. To end this, give {platform} the same \
             endpoint or the same credentials as the Platform of this object"
        ),
        Why::TooMany => {
            "too many objects that were never accepted name this fileId. This ends once those objects are accepted or deleted".to_owned()
        }
        Why::Unconfirmed => format!(
            "{platform} or its Secret has just been changed, or can't be read. The operator reads both again by itself"
        ),
    }
}
