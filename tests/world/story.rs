//! The story of a failing history: one line for each event that a reader wants to know.

use std::cell::Cell;
use std::fmt::Write as _;

use serde_json::Value;

use crate::record::{At, Event, Kept, Record};
use crate::wishes::{Fate, Wish};

thread_local! {
    static TOLD: Cell<bool> = const { Cell::new(false) };
}

/// Lets this thread print the story of each failing run from now on, or stops it. `WORLD_STORY=1` enables it for all
/// threads.
pub fn tell_failures(tell: bool) {
    TOLD.set(tell);
}

/// Prints the story where it is enabled, if the thread is panicking when this is dropped.
pub struct OnFailure(pub Record);

impl Drop for OnFailure {
    fn drop(&mut self) {
        let wanted = TOLD.get() || std::env::var_os("WORLD_STORY").is_some();
        if std::thread::panicking() && wanted {
            eprintln!("{}", of(&self.0.events()));
        }
    }
}

/// The story of these events.
pub fn of(events: &[At]) -> String {
    let mut story = String::new();
    for At { at, event } in events {
        if let Some(line) = line(event) {
            let seconds = at.as_secs_f64();
            writeln!(story, "{seconds:>9.1} s  {line}").unwrap();
        }
    }
    story
}

fn line(event: &Event) -> Option<String> {
    match event {
        Event::Said(key, Some(wish)) => Some(format!("people: {key} {}", wanted(wish))),
        Event::Said(key, None) => Some(format!("people: {key} is theirs no more")),
        Event::Ruled { platform, rule } => Some(format!("people: {platform} {rule:?}")),
        Event::Met { by, to, fault } => Some(format!("{by}: {fault:?} at the next {to:?}")),
        Event::Called(call) => Some(format!(
            "{}: {} {} -> {:?}",
            call.by, call.method, call.path, call.verdict
        )),
        Event::Noted(line) => {
            let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            Some(format!("audit: {} {}", text("object"), text("outcome")))
        }
        Event::Kept(kept) => changed(kept),
    }
}

fn wanted(wish: &Wish) -> String {
    let Wish {
        platform,
        application,
        file,
        ..
    } = wish;
    let fate = match (wish.fate, wish.retain) {
        (Fate::Stay, _) => "is to stay",
        (Fate::Retired, _) => "is retired",
        (Fate::Deleted, false) => "is deleted",
        (Fate::Deleted, true) => "is deleted, without its package",
    };
    let paused = if wish.paused { ", and paused" } else { "" };
    format!("({application}/{file}, by {platform}) {fate}{paused}")
}

/// The line for a change of an object.
fn changed(kept: &Kept) -> Option<String> {
    let (by, resource, key) = (&kept.by, &kept.resource, &kept.key);
    match (&kept.before, &kept.after) {
        (_, None) => Some(format!("{by}: {resource} {key} goes")),
        (None, Some(_)) if resource == "events" => None,
        (None, Some(_)) => Some(format!("{by}: {resource} {key} comes")),
        (Some(before), Some(after)) => {
            let (was, is) = (shown(resource, before), shown(resource, after));
            (was != is).then(|| format!("{by}: {resource} {key} {is}"))
        }
    }
}

fn shown(resource: &str, object: &Value) -> String {
    if resource == "leases" {
        return format!("is held by {}", object["spec"]["holderIdentity"]);
    }
    let conditions = object["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    let ready = conditions.find(|condition| condition["type"] == "Ready");
    let text = |name: &str| {
        let text = ready.and_then(|ready| ready[name].as_str());
        text.unwrap_or_default().to_owned()
    };
    let intent = object["status"]["deletion"]["intent"].as_str();
    let intent = intent.map_or(String::new(), |intent| format!(", intent {intent}"));
    format!("says {}: {}{intent}", text("reason"), text("message"))
}
