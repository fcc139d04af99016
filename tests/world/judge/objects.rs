//! The operator's writes: on the right object, without secrets, and not too often.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value};

use super::History;
use crate::people::PEOPLE;
use crate::record::{At, Event, Kept};
use crate::wishes::Key;

/// How many characters of a secret count as a leak.
const TELLING: usize = 8;
/// How many writes to one object within [`SPAN`] count as a storm.
const STORM: usize = 20;
const SPAN: Duration = Duration::from_secs(60);

/// Statuses in another object than the one they were written for, and events of objects that never existed.
pub fn misplaced(history: &History<'_>) -> Vec<String> {
    let mut breaches = Vec::new();
    for (at, kept) in ours(history) {
        let Some(after) = &kept.after else {
            continue;
        };
        if !["versionpackages", "platforms"].contains(&&*kept.resource) {
            continue;
        }
        let status = |object: &Value| without_defaults(&object["status"]);
        let is_empty = |status: &Value| status.as_object().is_none_or(Map::is_empty);
        let changed = kept
            .before
            .as_ref()
            .is_none_or(|before| status(before) != status(after));
        let told = &after["status"]["uid"];
        // A definition that lacks the field drops it, and the operator may not have noticed yet.
        let dropped = told.is_null() && !keeps_uids(history, &kept.resource, at);
        if changed && !is_empty(&status(after)) && !dropped && *told != after["metadata"]["uid"] {
            breaches.push(format!(
                "the status of {} was written for another object at {at:?}: {} -> {}",
                kept.key,
                kept.before
                    .as_ref()
                    .map(|before| status(before))
                    .unwrap_or_default(),
                status(after)
            ));
        }
    }
    for (at, kept) in history.kept("events") {
        let Some(of) = kept.after.as_ref().map(|event| &event["regarding"]) else {
            continue;
        };
        // A process that mustn't lead reports an event about a Lease that may not exist.
        if of["kind"] == "Lease" {
            continue;
        }
        let known = history.events.iter().any(|At { event, .. }| match event {
            Event::Kept(other) => other
                .after
                .as_ref()
                .is_some_and(|object| object["metadata"]["uid"] == of["uid"]),
            _ => false,
        });
        if !known {
            breaches.push(format!("an event at {at:?} is of nobody: {of}"));
        }
    }
    breaches
}

/// A status without the numbers that the API server fills in by default.
fn without_defaults(value: &Value) -> Value {
    let Some(fields) = value.as_object() else {
        return value.clone();
    };
    let said = fields
        .iter()
        .filter(|(_, value)| value.as_i64().is_none_or(|number| number > 0));
    let said = said.map(|(name, value)| (name.clone(), without_defaults(value)));
    Value::Object(said.collect())
}

/// Whether the definition of a resource had the uid in its statuses at a time.
fn keeps_uids(history: &History<'_>, resource: &str, at: Duration) -> bool {
    const UID: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/uid";
    let kept = history.kept("customresourcedefinitions");
    let states = kept.take_while(|(when, _)| *when <= at);
    let of_it = states.filter(|(_, kept)| kept.key.name.split('.').next() == Some(resource));
    let newest = of_it.last().and_then(|(_, kept)| kept.after.as_ref());
    newest.is_some_and(|definition| definition.pointer(UID).is_some())
}

/// Secrets, or parts of them, in objects and audit lines.
pub fn told_secrets(history: &History<'_>) -> Vec<String> {
    let secrets = history.meant.secrets.iter();
    let parts = |secret: &'_ String| -> Vec<String> {
        let characters: Vec<char> = secret.chars().collect();
        characters.windows(TELLING).map(String::from_iter).collect()
    };
    let parts: BTreeSet<String> = secrets.flat_map(parts).collect();
    let mut breaches = Vec::new();
    for At { at, event } in history.events {
        let text = match event {
            Event::Kept(kept) if kept.by != PEOPLE => kept.after.as_ref().map(ToString::to_string),
            Event::Noted(line) => Some(line.to_string()),
            _ => None,
        };
        let Some(text) = text else {
            continue;
        };
        if parts.iter().any(|part| text.contains(&**part)) {
            breaches.push(format!("a secret was told at {at:?}: {event:?}"));
        }
    }
    breaches
}

/// Objects that are written too often.
pub fn storms(history: &History<'_>) -> Vec<String> {
    let mut writes: BTreeMap<(&str, &Key), Vec<Duration>> = BTreeMap::new();
    for (at, kept) in ours(history) {
        if kept.resource != "leases" {
            let of = (&*kept.resource, &kept.key);
            writes.entry(of).or_default().push(at);
        }
    }
    let mut breaches = Vec::new();
    for ((resource, key), times) in writes {
        let storm = times.windows(STORM).find(|window| {
            let (first, last) = (window[0], window[STORM - 1]);
            last < first + SPAN
        });
        if let Some([first, ..]) = storm {
            breaches.push(format!(
                "{STORM} writes to {resource} {key} within {SPAN:?}, from {first:?} on"
            ));
        }
    }
    breaches
}

fn ours<'a>(history: &History<'a>) -> impl Iterator<Item = (Duration, &'a Kept)> {
    history
        .events
        .iter()
        .filter_map(|At { at, event }| match event {
            Event::Kept(kept) if kept.by != PEOPLE => Some((*at, kept)),
            _ => None,
        })
}
