//! What an object says while it waits: the reason is there, and it is not one that had to pass long ago.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::History;
use crate::record::At;
use crate::wishes::{Key, Wish};

/// An API server that doesn't answer may keep a word away so long.
const LONG: Duration = Duration::from_secs(420);
/// How often an object is looked at.
const STEP: Duration = Duration::from_secs(60);
/// What passes by itself: a call, a login.
const PASSING: [&str; 2] = ["Deleting", "TokenRefused"];

/// Objects that have waited long, and don't say why.
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

/// What is wrong with what an object says that is to go; `stands` tells whether it has said so for long.
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
