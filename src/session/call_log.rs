//! The calls of the last window, in a form that one process leaves to the next.
//!
//! Ages count back from the moment of the record, and the reader counts on from when it first saw the
//! record; so no wall clock matters, and what was sent always looks younger to the reader than it is,
//! never older. A record also says how many calls may begin before the next one, and what refused calls
//! have told: the pause after them, and the share that others leave.
//!
//! A Lease that never was means that nothing was sent. A Lease without a readable log means that the last window was
//! used. A log that was cut says the same of what isn't in it: up to now, or, where a process of the same identity has
//! ended just now, up to the time-out of the calls that it may have left under way.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::SessionKey;
use crate::api::names::{AppId, Endpoint};

/// The bytes that a record may take.
pub const BOUND: usize = 64 << 10;
/// A record is so fine: a hundredth of the window.
const STEPS: u32 = 100;
/// The longest window that a `Platform` may have.
const LONGEST_WINDOW: Duration = Duration::from_secs(3600);
/// Calls and permits at one time; more would gain nothing and hurt a slow platform.
pub(super) const MOST_IN_FLIGHT: usize = 20;
/// The most calls that one window may hold.
const MOST_CALLS: u64 = 10_000;
const VERSION: u32 = 1;

/// The record of all sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CallLog {
    version: u32,
    sessions: Vec<SessionRecord>,
    /// Whether there was more than fits: then every session that isn't here counts as used up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    cut: bool,
}

/// The record of one session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionRecord {
    endpoint: Endpoint,
    app_id: AppId,
    window_ms: u64,
    /// How many calls of which age, in hundredths of the window and rounded young. An age below zero
    /// is of a call under way: so long it may still be.
    calls: BTreeMap<i64, u64>,
    /// How many more may begin before the next record.
    reserved: u64,
    /// The age of the youngest call that isn't among `calls`, if it's in the window: up to there a
    /// whole quota counts as used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    used_to: Option<i64>,
    /// What refused calls have told lately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    throttled: Option<Throttled>,
}

/// What refused calls have told, in a record; ages are as those of calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Throttled {
    /// The age of the last refusal that told something.
    refused: i64,
    /// The age of the end of the pause, until a call after it was understood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pause: Option<i64>,
    /// How many calls others leave of the limit, where that is not all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fits: Option<u64>,
    /// The age of the moment from which on more may be tried.
    grows: i64,
    /// What is left to pay further tries with; below zero it's a debt.
    credit: i32,
}

/// What is known of the calls of one session before now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Past {
    /// The window that it was kept for.
    pub(super) window: Duration,
    /// Up to here nothing is known, so a whole quota counts as used.
    pub(super) forgotten: Instant,
    /// From when on each call counts, in order.
    pub(super) stamps: Vec<Instant>,
    /// What refused calls have told lately.
    pub(super) throttle: Option<Throttle>,
}

/// What refused calls have told of others who call for the same application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Throttle {
    /// When the last call was refused that told something.
    pub(super) refused: Instant,
    /// The end of the pause, until a call after it was understood.
    pub(super) pause: Option<Instant>,
    /// How many calls others leave of the limit, where that is not all.
    pub(super) fits: Option<usize>,
    /// From when on more may be tried.
    pub(super) grows: Instant,
    /// Calls understood, less the price of the refused ones.
    pub(super) credit: i32,
}

/// What those who led before may have sent.
#[derive(Debug)]
pub struct Inheritance {
    known: BTreeMap<SessionKey, Past>,
    /// What isn't known: up to here its window counts as used.
    others: Option<Instant>,
}

impl CallLog {
    /// Of these sessions; `cut` tells that there may be more.
    pub(super) fn new(sessions: Vec<SessionRecord>, cut: bool) -> Self {
        Self {
            version: VERSION,
            sessions,
            cut,
        }
    }

    /// The text, with as many sessions as fit into [`BOUND`].
    pub(super) fn into_text(mut self) -> String {
        // The frame and the commas between the sessions.
        let mut left = BOUND - 100;
        let all = self.sessions.len();
        self.sessions.retain(|session| {
            let size = serde_json::to_string(session).map_or(usize::MAX, |text| text.len() + 1);
            let fits = size <= left;
            left -= if fits { size } else { 0 };
            fits
        });
        self.cut |= self.sessions.len() < all;
        // Names and numbers: there is nothing in it that JSON can't hold.
        serde_json::to_string(&self).unwrap_or_default()
    }

    fn from_text(text: &str) -> Option<Self> {
        let log: Self = serde_json::from_str(text).ok()?;
        let sound = |session: &SessionRecord| {
            let window = Duration::from_millis(session.window_ms);
            let calls = session
                .calls
                .values()
                .try_fold(0, |sum: u64, n| sum.checked_add(*n));
            // No more than a window and the calls under way can hold, so that a wrong number costs no memory.
            (Duration::from_millis(1)..=LONGEST_WINDOW).contains(&window)
                && calls.is_some_and(|calls| calls <= 2 * MOST_CALLS)
        };
        (log.version == VERSION && log.sessions.iter().all(sound)).then_some(log)
    }
}

impl SessionRecord {
    /// The record of a session at `now`.
    pub(super) fn new(key: &SessionKey, past: &Past, reserved: usize, now: Instant) -> Self {
        let window_ms = u64::try_from(past.window.as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        let age = |stamp: Instant| {
            let step = step(window_ms);
            let nanos = |span: Duration| i64::try_from(span.as_nanos()).unwrap_or(i64::MAX);
            match now.checked_duration_since(stamp) {
                Some(age) => nanos(age).div_euclid(step),
                None => (-nanos(stamp.saturating_duration_since(now))).div_euclid(step),
            }
        };
        let mut calls = BTreeMap::new();
        for stamp in past.stamps.iter().filter(|at| **at + past.window > now) {
            *calls.entry(age(*stamp)).or_insert(0) += 1;
        }
        Self {
            endpoint: key.endpoint.clone(),
            app_id: key.app_id.clone(),
            window_ms,
            calls,
            reserved: u64::try_from(reserved).unwrap_or(u64::MAX),
            used_to: (past.forgotten + past.window > now).then(|| age(past.forgotten)),
            throttled: past.throttle.map(|throttle| Throttled {
                refused: age(throttle.refused),
                pause: throttle.pause.map(age),
                fits: throttle
                    .fits
                    .map(|fits| u64::try_from(fits).unwrap_or(u64::MAX)),
                grows: age(throttle.grows),
                credit: throttle.credit,
            }),
        }
    }

    /// What it says to who first saw it at `seen` and leads since `taken`. Of the calls that may have
    /// begun after the record, those that can have been under way at the end count until `lingering`
    /// after it.
    fn past(&self, seen: Instant, taken: Instant, lingering: Duration) -> Past {
        let at = |age: i64| {
            let nanos = age.saturating_mul(step(self.window_ms));
            let span = Duration::from_nanos(nanos.unsigned_abs()).min(2 * LONGEST_WINDOW);
            let stamp = if nanos < 0 {
                seen.checked_add(span)
            } else {
                seen.checked_sub(span)
            };
            stamp.unwrap_or(taken)
        };
        let calls = self.calls.iter().flat_map(|(age, count)| {
            let count = usize::try_from(*count).unwrap_or(usize::MAX);
            std::iter::repeat_n(at(*age), count)
        });
        let reserved = usize::try_from(self.reserved.min(MOST_CALLS)).unwrap_or(usize::MAX);
        let under_way = reserved.min(MOST_IN_FLIGHT);
        let began = std::iter::repeat_n(taken, reserved - under_way)
            .chain(std::iter::repeat_n(taken + lingering, under_way));
        let mut stamps: Vec<Instant> = calls.chain(began).collect();
        stamps.sort_unstable();
        Past {
            window: Duration::from_millis(self.window_ms),
            forgotten: at(self.used_to.unwrap_or(i64::from(STEPS))),
            stamps,
            throttle: self.throttled.as_ref().map(|throttled| Throttle {
                refused: at(throttled.refused.max(0)),
                // Neither lasts a whole window, so a wrong number stops nobody for longer.
                pause: throttled.pause.map(|age| at(age.max(-i64::from(STEPS)))),
                fits: throttled
                    .fits
                    .map(|fits| usize::try_from(fits).unwrap_or(usize::MAX)),
                grows: at(throttled.grows.max(-i64::from(STEPS))),
                credit: throttled.credit,
            }),
        }
    }

    fn key(&self) -> SessionKey {
        SessionKey {
            endpoint: self.endpoint.clone(),
            app_id: self.app_id.clone(),
        }
    }
}

impl Past {
    /// Whether none of it counts any more.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        let last = self.stamps.last().copied().unwrap_or(self.forgotten);
        last.max(self.forgotten) + self.window <= now
    }

    /// Nothing was sent since the longest window.
    fn nothing(now: Instant) -> Self {
        Self::used_to(now.checked_sub(LONGEST_WINDOW).unwrap_or(now))
    }

    /// Whatever was sent was sent up to `at`.
    fn used_to(at: Instant) -> Self {
        Self {
            window: LONGEST_WINDOW,
            forgotten: at,
            stamps: Vec::new(),
            throttle: None,
        }
    }
}

impl Inheritance {
    /// Nobody has led before, so nothing was sent.
    pub fn nothing() -> Self {
        Self {
            known: BTreeMap::new(),
            others: None,
        }
    }

    /// Somebody has led until `taken` and left no word: the window up to then counts as used, and longer where calls
    /// that were under way may arrive until `lingering` after that.
    pub fn unknown(taken: Instant, lingering: Duration) -> Self {
        Self {
            known: BTreeMap::new(),
            others: Some(taken + lingering),
        }
    }

    /// What the record `text`, first seen at `seen`, says to who leads since `taken`. Calls that were
    /// under way when the last leader ended may arrive until `lingering` after that. A text that can't
    /// be read is no word at all.
    pub fn read(text: &str, seen: Instant, taken: Instant, lingering: Duration) -> Self {
        let Some(log) = CallLog::from_text(text) else {
            return Self::unknown(taken, lingering);
        };
        let past = |record: &SessionRecord| (record.key(), record.past(seen, taken, lingering));
        Self {
            known: log.sessions.iter().map(past).collect(),
            others: log.cut.then_some(taken + lingering),
        }
    }

    /// What is known of `key`, to be carried on by its session from now on.
    pub(super) fn take(&mut self, key: &SessionKey, now: Instant) -> Past {
        let known = self.known.remove(key);
        known.unwrap_or_else(|| {
            self.others
                .map_or_else(|| Past::nothing(now), Past::used_to)
        })
    }

    /// The records of those that no session carries on yet, as long as they count.
    pub(super) fn records(&mut self, now: Instant) -> Vec<SessionRecord> {
        self.known.retain(|_, past| !past.is_over(now));
        let record = |(key, past): (&SessionKey, &Past)| SessionRecord::new(key, past, 0, now);
        self.known.iter().map(record).collect()
    }

    /// Whether sessions that aren't known may still have used their window.
    pub(super) fn is_partial(&self, now: Instant) -> bool {
        self.others.is_some_and(|at| at + LONGEST_WINDOW > now)
    }
}

/// A hundredth of a window, in nanoseconds.
fn step(window_ms: u64) -> i64 {
    i64::try_from(window_ms.saturating_mul(1_000_000 / u64::from(STEPS))).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
