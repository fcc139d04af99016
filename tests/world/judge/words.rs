//! The conditions of a waiting object: a reason must be present, and not a transient one for long.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::History;
use crate::record::At;
use crate::wishes::{Key, Wish};

/// How long an unresponsive API server may delay a status.
const LONG: Duration = Duration::from_secs(420);
/// The interval at which objects are checked.
const STEP: Duration = Duration::from_secs(60);
/// The transient reasons: a call, a login.
const PASSING: [&str; 2] = ["Deleting", "TokenRefused"];

/// Objects that have waited long and don't give a reason.
pub fn untold(history: &History<'_>) -> Vec<String> {
    let keys = history.wishes.keys().copied();
    keys.flat_map(|key| untold_of(history, key)).collect()
}

fn untold_of(history: &History<'_>, key: &Key) -> Vec<String> {
    let kept = history.kept("versionpackages");
    let states: Vec<_> = kept.filter(|(_, kept)| kept.key == *key).collect();
    let end = history
        .events
        .last()
        .map_or(Duration::ZERO, |At { at, .. }| *at);
    let mut breaches = Vec::new();
    let mut at = LONG;
    while at < end {
        let waits = history.since(key, at, Wish::asks);
        let index = states.partition_point(|(when, _)| *when <= at);
        let state = index.checked_sub(1).map(|index| &states[index]);
        if let (Some(since), Some((when, kept))) = (waits, state)
            && since + LONG <= at
            && let Some(object) = &kept.after
            && let Some(why) = says_nothing(object, *when + LONG <= at)
        {
            breaches.push(format!(
                "{key} waits since {since:?} and at {at:?} says nothing of that: {why}"
            ));
        }
        at += STEP;
    }
    breaches
}

/// What is wrong with the conditions of an object that is to be deleted; `stands` is true where they haven't changed
/// for long.
fn says_nothing(object: &Arc<Value>, stands: bool) -> Option<String> {
    let conditions = object["status"]["conditions"].as_array();
    let ready = conditions
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == "Ready");
    let Some(ready) = ready else {
        return Some("it has no condition Ready".to_owned());
    };
    let text = |name: &str| ready[name].as_str().unwrap_or_default();
    let (reason, message) = (text("reason"), text("message"));
    let odd = reason == "Active" || message.is_empty() || stands && PASSING.contains(&reason);
    odd.then(|| format!("{reason}: {message}"))
}
