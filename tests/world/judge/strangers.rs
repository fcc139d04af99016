//! Claims of strangers: nobody can tell whether they are justified, so the packages that they name stay until a person
//! overrules the claims.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use version_package_operator::api::names::DISREGARD_ANNOTATION;

use super::deletes::{Intent, intent};
use super::{History, ON_ITS_WAY};
use crate::stage::STRANGE;
use crate::wishes::Key;

/// How long a claim must be unclear before a person overrules it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Deletions of packages that a stranger's object named when the intent was written, and still names.
pub fn passed_over(history: &History<'_>) -> Vec<String> {
    let mut breaches = Vec::new();
    for (at, call) in history.calls() {
        let Some((application, file)) = call.deleted() else {
            continue;
        };
        let Some(Intent { key, at: written }) = intent(history, application, file, at) else {
            continue;
        };
        let object = history.object(key, written);
        let disregard =
            object.map(|object| &object["metadata"]["annotations"][DISREGARD_ANNOTATION]);
        let disregard = disregard.and_then(Value::as_str).unwrap_or_default();
        for (strange, since) in claims(history, file, at) {
            let Some(uid) = strange["metadata"]["uid"].as_str() else {
                continue;
            };
            let is_known = since + ON_ITS_WAY < written;
            let too_soon = disregard.contains(uid) && at < since + PATIENCE;
            if is_known && !disregard.contains(uid) || too_soon {
                breaches.push(format!(
                    "{key} deleted {application}/{file} at {at:?}, which {} of a stranger has named since {since:?}; disregarded: {disregard:?}",
                    strange["metadata"]["name"]
                ));
            }
        }
    }
    breaches
}

/// The live objects of strangers that name a package, and since when.
fn claims<'a>(
    history: &History<'a>,
    file: &str,
    at: Duration,
) -> impl Iterator<Item = (&'a Value, Duration)> {
    let mut claims: BTreeMap<&Key, (&Value, Duration)> = BTreeMap::new();
    let kept = history.kept("versionpackages");
    let theirs = kept.filter(|(when, kept)| *when <= at && kept.key.namespace == STRANGE);
    for (when, kept) in theirs {
        let lives = |object: &&Value| {
            let metadata = &object["metadata"];
            let is_going = !metadata["deletionTimestamp"].is_null()
                || object["spec"]["lifecycle"] == "Retired";
            object["spec"]["fileId"] == file && !is_going
        };
        match kept.after.as_deref().filter(lives) {
            Some(object) => claims.entry(&kept.key).or_insert((object, when)).0 = object,
            None => drop(claims.remove(&kept.key)),
        }
    }
    claims.into_values()
}
