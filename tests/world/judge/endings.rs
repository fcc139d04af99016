//! Objects that are gone or report an end: their packages must be deleted, or meant to stay.

use std::time::Duration;

use super::{History, ON_ITS_WAY};
use crate::people::PEOPLE;
use crate::record::Kept;
use crate::wishes::Fate;

/// Objects that were removed or reported an end while their packages still existed against people's will.
pub fn orphans(history: &History<'_>) -> Vec<String> {
    let mut breaches = Vec::new();
    for (at, kept) in history.kept("versionpackages") {
        if kept.by == PEOPLE {
            continue;
        }
        let why = match (&kept.before, &kept.after) {
            (Some(_), None) => gone_too_early(history, kept, at),
            (before, Some(after)) => {
                let told = |object: &serde_json::Value| {
                    let outcome = object["status"]["deletion"]["outcome"].as_str()?;
                    ["Deleted", "AlreadyGone"]
                        .contains(&outcome)
                        .then(|| outcome.to_owned())
                };
                let before = before.as_ref().and_then(|object| told(object));
                match told(after) {
                    Some(outcome) if before.as_ref() != Some(&outcome) => {
                        still_there(history, kept, at)
                            .then(|| format!("it says {outcome}, and its package is there"))
                    }
                    Some(_) | None => None,
                }
            }
            (None, None) => None,
        };
        if let Some(why) = why {
            breaches.push(format!(
                "orphan of {} at {at:?} by {}: {why}",
                kept.key, kept.by
            ));
        }
    }
    breaches
}

fn gone_too_early(history: &History<'_>, kept: &Kept, at: Duration) -> Option<String> {
    let wish = history.wish(&kept.key, at);
    let Some(wish) = wish.filter(|wish| wish.fate == Fate::Deleted) else {
        return Some("nobody deleted it".to_owned());
    };
    // A wish that changed a moment ago may not have reached the operator.
    let lately = at.saturating_sub(ON_ITS_WAY)..=at;
    let handed_over = history.was_wanted(&wish.application, &wish.file, &kept.key, lately);
    let fine = wish.retain || handed_over || !still_there(history, kept, at);
    (!fine).then(|| "its package is there, and nobody wants it".to_owned())
}

/// Whether the package that people mean by an object exists on the platform.
fn still_there(history: &History<'_>, kept: &Kept, at: Duration) -> bool {
    history
        .wish(&kept.key, at)
        .is_some_and(|wish| history.is_there(&wish.application, &wish.file, at))
}
