//! The messages of `vpo hold`. Pure.

#![deny(clippy::wildcard_enum_match_arm)]

use std::fmt::{self, Write as _};

use jiff::Timestamp;

use super::super::output::{grouped, seconds_until, span};
use super::selection::{Held, Set, ShownHold};
use crate::api::names::ObjectKey;
use crate::plain::plain;

/// How many names of a long list are shown.
const NAMES: usize = 20;
/// The kind of the held objects.
pub const PACKAGE: &str = "VersionPackage";

/// All holds, as text for people.
pub fn table(holds: &[ShownHold], now: Timestamp) -> String {
    if holds.is_empty() {
        return "No mass deletion is held.\n".to_owned();
    }
    let mut text = String::new();
    for hold in holds {
        // Writing into a String can't fail.
        let _ = write_hold(&mut text, hold, now);
        text.push('\n');
    }
    text.push_str("`vpo hold release ID` lets the deletions of a hold go on. `vpo hold retain ID` calls them off: the objects that are being deleted go, and their packages stay.\n");
    text
}

fn write_hold(text: &mut String, hold: &ShownHold, now: Timestamp) -> fmt::Result {
    writeln!(text, "Hold {}", plain(&hold.id))?;
    if let Some(application) = &hold.application {
        writeln!(text, "  Application  {application}")?;
    }
    writeln!(text, "  Platforms    {}", hold.platforms.join(", "))?;
    writeln!(
        text,
        "  Since        {} ({:.0})",
        span(seconds_until(now, hold.since)),
        hold.since
    )?;
    writeln!(text, "  Bound        {}", plain(&hold.reason))?;
    writeln!(
        text,
        "  Deletions    {} held, and {} sent before the hold began (these numbers may be 10 s old); the id of the hold is in the status of {} so far",
        grouped(hold.count),
        grouped(hold.counted.saturating_sub(hold.count)),
        many(hold.objects, "object")
    )
}

/// The error for an unknown id, with the ids that exist.
pub fn unknown(id: &str, holds: &[ShownHold]) -> String {
    if holds.is_empty() {
        return format!("there is no hold {id}; there are no holds at all");
    }
    let holds = holds.iter().map(|hold| {
        let application = hold.application.as_ref();
        let of = application.map_or_else(String::new, |application| format!(" of {application}"));
        format!("{} ({}{of})", hold.id, many(hold.count, "deletion"))
    });
    format!(
        "there is no hold {id}; there is {}",
        holds.collect::<Vec<_>>().join(", ")
    )
}

/// The effect of a release, shown before the confirmation.
pub fn before_release(hold: &ShownHold, objects: &[&Held], now: Timestamp) -> String {
    let mut text = String::new();
    let _ = write_hold(&mut text, hold, now);
    let _ = writeln!(
        text,
        "\nReleasing it deletes the packages of {}, for ever:",
        many(objects.len(), PACKAGE)
    );
    write_names(&mut text, objects.iter().map(|object| &object.key));
    text.push_str(&unwritten(hold, objects.len()));
    text
}

/// The objects in `new` that joined the hold while its release was being confirmed; `all` is the number of all held
/// objects.
pub fn more_to_release(new: &[&Held], all: usize) -> String {
    let mut text = format!(
        "\nNothing is released yet. More deletions have joined the hold meanwhile: a release also deletes the packages of {} that you were not shown:\n",
        many(new.len(), PACKAGE)
    );
    write_names(&mut text, new.iter().map(|object| &object.key));
    let _ = writeln!(text, "That makes {}.", many(all, PACKAGE));
    text
}

/// The effect of a retain, shown before the confirmation. `hold` is what a Platform shows of the hold; `None` if no
/// Platform shows it.
pub fn before_retain(hold: Option<&ShownHold>, objects: &[&Held], now: Timestamp) -> String {
    let mut text = String::new();
    if let Some(hold) = hold {
        let _ = write_hold(&mut text, hold, now);
        text.push('\n');
    } else {
        text.push_str("No Platform shows this hold any more. Deletions that were released may already have been sent, and those can't be taken back.\n\n");
    }
    let _ = writeln!(
        text,
        "deletionPolicy: Retain will be set on {}:",
        many(objects.len(), PACKAGE)
    );
    write_names(&mut text, objects.iter().map(|object| &object.key));
    let going = objects.iter().filter(|object| object.terminating).count();
    let _ = writeln!(
        text,
        "{} being deleted: such objects go, and their packages stay on the platform.",
        of_these(going)
    );
    text.push_str(&only_retired(objects));
    text.push_str(&hold.map_or_else(String::new, |hold| unwritten(hold, objects.len())));
    text
}

/// The result of a retain: how many objects ended in which way, and what is left to do.
pub fn after_retain(ends: &[(&Held, Set)]) -> String {
    let count = |wanted: &dyn Fn(&Set) -> bool| ends.iter().filter(|(_, set)| wanted(set)).count();
    let mut text = format!(
        "deletionPolicy: Retain was set on {}",
        many(count(&|set| *set == Set::Done), PACKAGE)
    );
    for (number, what) in [
        (count(&|set| *set == Set::Already), "had it already"),
        (count(&|set| *set == Set::Gone), "gone meanwhile"),
        (
            count(&|set| *set == Set::Left),
            "no longer part of the hold",
        ),
        (count(&|set| matches!(set, Set::Refused(_))), "refused"),
    ] {
        if number > 0 {
            let _ = write!(text, ", {} {what}", grouped(number));
        }
    }
    text.push_str(".\n");
    for (object, set) in ends {
        if let Set::Refused(why) = set {
            let _ = writeln!(text, "  {}: {}", object.key, plain(why));
        }
    }
    let still: Vec<&Held> = ends
        .iter()
        .filter(|(_, set)| matches!(set, Set::Done | Set::Already))
        .map(|(object, _)| *object)
        .collect();
    text.push_str(&only_retired(&still));
    text
}

/// A note that names the objects that are only retired. `Retain` doesn't call off a retirement, so the note says how to
/// call it off.
fn only_retired(objects: &[&Held]) -> String {
    let retired: Vec<&ObjectKey> = objects
        .iter()
        .filter(|object| !object.terminating)
        .map(|object| &object.key)
        .collect();
    if retired.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "{} retired and not being deleted. Retain doesn't call a retirement off: such objects stay held, and a release deletes their packages. If a package is to stay, set lifecycle: Active and remove retireAfter in Git:\n",
        of_these(retired.len())
    );
    write_names(&mut text, retired.into_iter());
    text
}

/// A note on held objects that don't carry the id yet: objects are marked one after the other.
fn unwritten(hold: &ShownHold, carrying: usize) -> String {
    if carrying >= hold.count {
        return String::new();
    }
    format!(
        "The hold has {} in all. The objects that don't carry the id of the hold yet are missing from the list above.\n",
        many(hold.count, "deletion")
    )
}

fn write_names<'a>(text: &mut String, names: impl ExactSizeIterator<Item = &'a ObjectKey>) {
    let rest = names.len().saturating_sub(NAMES);
    for name in names.take(NAMES) {
        let _ = writeln!(text, "  {name}");
    }
    if rest > 0 {
        let _ = writeln!(text, "  and {} more", grouped(rest));
    }
}

/// A number and a noun, with an s for the plural.
pub fn many(number: usize, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        number => format!("{} {thing}s", grouped(number)),
    }
}

fn of_these(number: usize) -> String {
    match number {
        1 => "1 of these is".to_owned(),
        number => format!("{} of these are", grouped(number)),
    }
}

#[cfg(test)]
mod tests;
