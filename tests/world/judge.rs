//! Judges check from the recorded events alone whether the promises were kept. Each judge returns one sentence per
//! breach.

mod applications;
mod deletes;
mod endings;
mod objects;
mod ruled;
mod strangers;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::Value;

use crate::record::{At, Called, Event, Kept};
use crate::wishes::{Fate, Key, Wish};

/// What people meant from the start.
#[derive(Debug, Clone)]
pub struct Meant {
    /// The grace period of each deletion, unless its Platform sets another.
    pub grace: Duration,
    /// The most packages of one application that may be deleted in [`GUARDED`] without a release, unless a Platform
    /// sets another limit.
    pub bound: usize,
    /// The most calls of an application that may arrive in [`WINDOW`], unless a Platform sets another limit.
    pub quota: usize,
    /// The packages of each application at the start.
    pub packages: BTreeSet<(String, String)>,
    /// The texts that must appear nowhere.
    pub secrets: Vec<String>,
}

/// The window of the guard.
pub const GUARDED: Duration = Duration::from_secs(600);
/// The window of the quota.
pub const WINDOW: Duration = Duration::from_secs(60);

/// How long a person's change may take to reach the operator before an intent or an end counts as a breach.
pub const ON_ITS_WAY: Duration = Duration::from_secs(3);

/// All events, indexed for the judges.
pub struct History<'a> {
    pub meant: &'a Meant,
    pub events: &'a [At],
    wishes: BTreeMap<&'a Key, Vec<(Duration, Option<&'a Wish>)>>,
}

impl<'a> History<'a> {
    pub fn new(meant: &'a Meant, events: &'a [At]) -> Self {
        let mut wishes: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for At { at, event } in events {
            if let Event::Said(key, wish) = event {
                wishes.entry(key).or_default().push((*at, wish.as_ref()));
            }
        }
        Self {
            meant,
            events,
            wishes,
        }
    }

    /// The wish for an object at a time, including a change at that very time.
    pub fn wish(&self, key: &Key, at: Duration) -> Option<&'a Wish> {
        let said = self.wishes.get(key)?;
        let index = said.partition_point(|(when, _)| *when <= at);
        said.get(index.checked_sub(1)?)?.1
    }

    /// Since when a property of the wish for an object has been true without interruption.
    pub fn since(
        &self,
        key: &Key,
        at: Duration,
        holds: impl Fn(&Wish) -> bool,
    ) -> Option<Duration> {
        let said = self.wishes.get(key)?;
        let until = said.partition_point(|(when, _)| *when <= at);
        let held = said[..until]
            .iter()
            .rev()
            .take_while(|(_, wish)| wish.is_some_and(&holds));
        held.last().map(|(when, _)| *when)
    }

    /// Another object that wants a package to stay, at a time.
    pub fn wanted_by(
        &self,
        application: &str,
        file: &str,
        except: &Key,
        at: Duration,
    ) -> Option<&'a Key> {
        let mut all = self.wishes.keys().copied();
        all.find(|key| {
            let wish = self.wish(key, at);
            *key != except
                && wish.is_some_and(|wish| {
                    wish.fate == Fate::Stay && wish.application == application && wish.file == file
                })
        })
    }

    /// Whether another object wanted a package to stay at some moment of the period.
    pub fn was_wanted(
        &self,
        application: &str,
        file: &str,
        except: &Key,
        time: RangeInclusive<Duration>,
    ) -> bool {
        let wants = |wish: Option<&Wish>| {
            wish.is_some_and(|wish| {
                wish.fate == Fate::Stay && wish.application == application && wish.file == file
            })
        };
        let others = self.wishes.iter().filter(|(key, _)| **key != except);
        others.map(|(_, said)| said).any(|said| {
            said.iter().enumerate().any(|(index, (when, wish))| {
                let until = said.get(index + 1).map(|(when, _)| *when);
                let meets = when <= time.end() && until.is_none_or(|until| until >= *time.start());
                meets && wants(*wish)
            })
        })
    }

    /// The last other object that wanted a package to stay until some time before `at`, and that time.
    pub fn last_wanted_by(
        &self,
        application: &str,
        file: &str,
        except: &Key,
        at: Duration,
    ) -> Option<(&'a Key, Duration)> {
        let others = self.wishes.iter().filter(|(key, _)| **key != except);
        let ends = others.filter_map(|(key, said)| {
            let until = said.partition_point(|(when, _)| *when <= at);
            let wants = |wish: Option<&Wish>| {
                wish.is_some_and(|wish| {
                    wish.fate == Fate::Stay && wish.application == application && wish.file == file
                })
            };
            let mut steps = said[..until].windows(2).rev();
            let ended = steps.find(|step| wants(step[0].1) && step[1].1.is_some_and(Wish::asks));
            ended.map(|step| (*key, step[1].0))
        });
        ends.max_by_key(|(_, when)| *when)
    }

    /// All calls to the platform.
    pub fn calls(&self) -> impl Iterator<Item = (Duration, &'a Called)> {
        self.events
            .iter()
            .filter_map(|At { at, event }| match event {
                Event::Called(called) => Some((*at, called)),
                _ => None,
            })
    }

    /// All changes of objects of one resource.
    pub fn kept(&self, resource: &str) -> impl Iterator<Item = (Duration, &'a Kept)> {
        self.events
            .iter()
            .filter_map(move |At { at, event }| match event {
                Event::Kept(kept) if kept.resource == resource => Some((*at, kept)),
                _ => None,
            })
    }

    /// A `VersionPackage` in the state that the API server stored at a time.
    pub fn object(&self, key: &Key, at: Duration) -> Option<&'a Value> {
        let kept = self.kept("versionpackages");
        let states = kept.take_while(|(when, _)| *when <= at);
        let newest = states.filter(|(_, kept)| kept.key == *key).last();
        newest?.1.after.as_deref()
    }

    /// Whether a package existed on the platform at a time.
    pub fn is_there(&self, application: &str, file: &str, at: Duration) -> bool {
        let package = (application.to_owned(), file.to_owned());
        let mut calls = self.calls().take_while(|(when, _)| *when <= at);
        self.meant.packages.contains(&package)
            && !calls.any(|(_, call)| call.deleted() == Some((application, file)))
    }
}

/// Every breach of a promise that must hold at each moment.
pub fn breaches(meant: &Meant, events: &[At]) -> Vec<String> {
    let history = History::new(meant, events);
    let mut found = deletes::wrong(&history);
    found.extend(deletes::beyond_bound(&history));
    found.extend(strangers::passed_over(&history));
    found.extend(endings::orphans(&history));
    found.extend(applications::over_quota(&history));
    found.extend(applications::two_leaders(&history));
    found.extend(objects::misplaced(&history));
    found.extend(objects::told_secrets(&history));
    found.extend(objects::storms(&history));
    found.extend(words::untold(&history));
    found
}
