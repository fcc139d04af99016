//! Deletions on the platform: each must have been requested by an object that still requested it when its intent was
//! written, and nobody else may have wanted the package then.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{GUARDED, History, ON_ITS_WAY};
use crate::record::{At, Event, Rule};
use crate::stage;
use crate::wishes::{Fate, Key, Wish};

/// The API server stores times in whole seconds.
const ROUNDED: Duration = Duration::from_secs(1);

/// The intent that led to a deletion.
pub struct Intent<'a> {
    pub key: &'a Key,
    pub at: Duration,
}

/// The newest intent for a package, of any object, but preferably of this application.
pub fn intent<'a>(
    history: &History<'a>,
    application: &str,
    file: &str,
    until: Duration,
) -> Option<Intent<'a>> {
    let kept = history.kept("versionpackages");
    let written = kept.take_while(|(at, _)| *at <= until).filter(|(_, kept)| {
        let intent = |object: &Option<std::sync::Arc<serde_json::Value>>| {
            let object = object.as_ref()?;
            let intent = object["status"]["deletion"]["intent"].as_str()?;
            Some(intent.to_owned())
        };
        let after = kept.after.as_ref();
        after.is_some_and(|object| object["spec"]["fileId"] == file)
            && intent(&kept.after).is_some()
            && intent(&kept.after) != intent(&kept.before)
    });
    let (mut newest, mut own) = (None, None);
    for (at, kept) in written {
        let wish = history.wish(&kept.key, at);
        if wish.is_some_and(|wish| wish.application == application) {
            own = Some((at, kept));
        }
        newest = Some((at, kept));
    }
    let (at, kept) = own.or(newest)?;
    Some(Intent { key: &kept.key, at })
}

/// Deletions of packages that somebody wanted, or that nobody asked to delete.
pub fn wrong(history: &History<'_>) -> Vec<String> {
    let mut breaches = Vec::new();
    for (at, call) in history.calls() {
        let Some((application, file)) = call.deleted() else {
            continue;
        };
        if let Some(why) = wrongly(history, application, file, at) {
            breaches.push(format!(
                "wrong delete of {application}/{file} at {at:?} by {}: {why}",
                call.by
            ));
        }
    }
    breaches
}

fn wrongly(history: &History<'_>, application: &str, file: &str, at: Duration) -> Option<String> {
    let Some(Intent { key, at: written }) = intent(history, application, file, at) else {
        return Some("no intent was written".to_owned());
    };
    let Some(wish) = history.wish(key, written) else {
        return Some(format!("{key} was gone when the intent was written"));
    };
    if !wish.asks() || wish.file != file || wish.application != application {
        return Some(format!("{key} asked for something else: {wish:?}"));
    }
    if wish.paused {
        return Some(format!("{key} was paused"));
    }
    if wish.mistaken {
        return Some(format!("{key} expected another package"));
    }
    let asked = history.since(key, written, Wish::asks)?;
    let span = asked.saturating_sub(ON_ITS_WAY)..=at;
    let grace = history.shortest_grace(&wish.platform, &span);
    if at + ROUNDED < asked + grace {
        return Some(format!("{key} asked for it only at {asked:?}"));
    }
    // An object that wanted the package and was deleted has a grace period of its own.
    if let Some((other, until)) = history.last_wanted_by(application, file, key, written)
        && at + ROUNDED < until + grace
        && until + ON_ITS_WAY < written
    {
        return Some(format!("{other} wanted it until {until:?}"));
    }
    if observed_since(history, &wish.platform, written)
        .is_some_and(|since| since + ON_ITS_WAY < written)
    {
        return Some(format!("{} was in mode Observe", wish.platform));
    }
    // A change at the very moment of the intent comes after it.
    let before = written.saturating_sub(Duration::from_millis(1));
    let other = history.wanted_by(application, file, key, before)?;
    // The deletion only wrongs an object that still wants the package.
    history
        .wish(other, at)
        .filter(|wish| wish.fate == Fate::Stay)
        .map(|_| format!("{other} wants it"))
}

/// Since when a Platform has been in mode Observe.
fn observed_since(history: &History<'_>, of: &str, until: Duration) -> Option<Duration> {
    let events = history.events.iter().take_while(|event| event.at <= until);
    let rules = events.filter_map(|At { at, event }| match event {
        Event::Ruled { platform, rule } if platform == of && *rule != Rule::Released => {
            Some((*at, *rule))
        }
        _ => None,
    });
    rules
        .last()
        .filter(|(_, rule)| *rule == Rule::Observe)
        .map(|(at, _)| at)
}

/// More deletions of one application within a window of the guard than its limit, except those released.
pub fn beyond_bound(history: &History<'_>) -> Vec<String> {
    let mut breaches = Vec::new();
    let deleted = history.calls().filter_map(|(at, call)| {
        let (application, file) = call.deleted()?;
        let counts = !is_released(history, application, file, at);
        counts.then_some((at, application, file))
    });
    let deleted: Vec<_> = deleted.collect();
    for (index, (at, application, _)) in deleted.iter().enumerate() {
        let window = deleted[..=index]
            .iter()
            .filter(|(then, of, _)| of == application && *then + GUARDED > *at);
        let files: BTreeSet<&str> = window.map(|(_, _, file)| *file).collect();
        let bound = history.largest_bound(application, &(at.saturating_sub(GUARDED)..=*at));
        if files.len() > bound {
            breaches.push(format!(
                "{} packages of {application} went within {GUARDED:?} at {at:?}, with a bound of {bound}",
                files.len(),
            ));
        }
    }
    breaches
}

/// Whether a release covers a deletion: it had been requested by the time of the release.
fn is_released(history: &History<'_>, application: &str, file: &str, at: Duration) -> bool {
    let intent = intent(history, application, file, at);
    let asked = intent.and_then(|intent| history.since(intent.key, intent.at, Wish::asks));
    let Some(asked) = asked else {
        return false;
    };
    history
        .events
        .iter()
        .any(|At { at: when, event }| match event {
            Event::Ruled {
                platform,
                rule: Rule::Released,
            } => {
                stage::application(platform) == application
                    && *when <= at
                    && asked <= *when + ON_ITS_WAY
            }
            _ => false,
        })
}
