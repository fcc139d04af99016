//! The call log: the calls of the last window, in the form that one leader leaves to the next.
//!
//! Ages count back from the moment of the record, and the reader counts on from the moment it first saw the record. So
//! no wall clock matters, and a call never looks older to the reader than it is. A record also holds the reservation
//! (the number of calls that may begin before the next record) and what refused calls have shown: the pause after them,
//! and the share.
//!
//! If there never was a Lease, nothing was sent. If the Lease has no readable log, the last window counts as fully
//! used. If a log was cut, the window of each session that the log doesn't contain counts as fully used too. Such a
//! window counts as used up to now. If a process of the same identity has just ended, the window counts as used up to
//! the time-out of the calls that the ended process may have left in flight.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::SessionKey;
use crate::api::names::{AppId, Endpoint};

/// The largest size of a record, in bytes.
pub const BOUND: usize = 64 << 10;
/// The resolution of ages in a record: the window divided by this number.
const STEPS: u32 = 100;
/// The longest window that a `Platform` may have.
const LONGEST_WINDOW: Duration = Duration::from_secs(3600);
/// The most calls in flight and unused permits at one time. A larger number would gain nothing and would hurt a slow
/// platform.
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
    /// Whether sessions are missing because the record was too large; each missing session's window counts as fully
    /// used.
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
    /// The number of calls of each age, in hundredths of the window, rounded down. A negative age belongs to a call in
    /// flight, and says for how long the call may still be in flight.
    calls: BTreeMap<i64, u64>,
    /// The number of calls that may begin before the next record.
    reserved: u64,
    /// The age of the youngest call that isn't among `calls`; absent if that call has left the window. A whole quota
    /// counts as used up to the time of that call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    used_to: Option<i64>,
    /// What refused calls have shown lately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    throttled: Option<Throttled>,
}

/// What refused calls have shown, in a record; ages have the unit of the calls' ages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Throttled {
    /// The age of the last refusal that lowered the share.
    refused: i64,
    /// The age of the end of the pause; absent once a call after the pause was understood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pause: Option<i64>,
    /// The number of calls of the limit that others leave; absent if they leave all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fits: Option<u64>,
    /// The age of the moment at which the share may grow.
    grows: i64,
    /// The credit for further steps of the share; a negative value is a debt.
    credit: i32,
}

/// What is known about the past calls of one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Past {
    /// The window for which the calls were logged.
    pub(super) window: Duration,
    /// Nothing is known up to this time, so a whole quota counts as used then.
    pub(super) forgotten: Instant,
    /// The time of each call, in order: a call counts for one window after its time.
    pub(super) stamps: Vec<Instant>,
    /// What refused calls have shown lately.
    pub(super) throttle: Option<Throttle>,
}

/// What refused calls have shown about others who call for the same application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Throttle {
    /// The time of the last refusal that lowered the share.
    pub(super) refused: Instant,
    /// The end of the pause; `None` once a call after the pause was understood.
    pub(super) pause: Option<Instant>,
    /// The number of calls of the limit that others leave; `None` if they leave all.
    pub(super) fits: Option<usize>,
    /// The time at which the share may grow.
    pub(super) grows: Instant,
    /// The number of understood calls, less the price of the refused ones.
    pub(super) credit: i32,
}

/// What the former leaders may have sent.
#[derive(Debug)]
pub struct Inheritance {
    known: BTreeMap<SessionKey, Past>,
    /// The window of each session that isn't in `known` counts as fully used up to this time.
    others: Option<Instant>,
}

impl CallLog {
    /// Creates the log of these sessions; `cut` means that sessions may be missing.
    pub(super) fn new(sessions: Vec<SessionRecord>, cut: bool) -> Self {
        Self {
            version: VERSION,
            sessions,
            cut,
        }
    }

    /// Returns the log as text, with as many sessions as fit into [`BOUND`].
    pub(super) fn into_text(mut self) -> String {
        // Leaves room for the frame and for the commas between the sessions.
        let mut left = BOUND - 100;
        let all = self.sessions.len();
        self.sessions.retain(|session| {
            let size = serde_json::to_string(session).map_or(usize::MAX, |text| text.len() + 1);
            let fits = size <= left;
            left -= if fits { size } else { 0 };
            fits
        });
        self.cut |= self.sessions.len() < all;
        // The log holds only names and numbers, which always serialize to JSON.
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
            // The number is at most what a window and the calls in flight can hold, so that a wrong number costs no
            // memory.
            (Duration::from_millis(1)..=LONGEST_WINDOW).contains(&window)
                && calls.is_some_and(|calls| calls <= 2 * MOST_CALLS)
        };
        (log.version == VERSION && log.sessions.iter().all(sound)).then_some(log)
    }
}

impl SessionRecord {
    /// Creates the record of a session at `now`.
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

    /// Returns the past calls for a reader that first saw the record at `seen` and leads since `taken`. Of the reserved
    /// calls, those that may have been in flight at the end of the former leader count as if they were answered
    /// `lingering` after `taken`.
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
                // Neither `pause` nor `grows` is more than a window ahead, so a wrong number stops calls for one window
                // at most.
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
    /// Whether all calls have left the window.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        let last = self.stamps.last().copied().unwrap_or(self.forgotten);
        last.max(self.forgotten) + self.window <= now
    }

    /// Returns a past in which nothing was sent since the longest window.
    fn nothing(now: Instant) -> Self {
        Self::used_to(now.checked_sub(LONGEST_WINDOW).unwrap_or(now))
    }

    /// Returns a past in which the whole quota was used up to `at`.
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
    /// Creates the inheritance of the first leader: nothing was sent before.
    pub fn nothing() -> Self {
        Self {
            known: BTreeMap::new(),
            others: None,
        }
    }

    /// Creates the inheritance from a leader that led until `taken` and left no record. The window counts as fully used
    /// up to `lingering` after `taken`, because calls in flight may arrive until then.
    pub fn unknown(taken: Instant, lingering: Duration) -> Self {
        Self {
            known: BTreeMap::new(),
            others: Some(taken + lingering),
        }
    }

    /// Reads the record `text`, first seen at `seen`, for a process that leads since `taken`. Calls that were in flight
    /// at the end of the last leader may arrive until `lingering` after `taken`. An unreadable text is treated as a
    /// missing record.
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

    /// Removes and returns the past of `key`, which its session carries on from now on.
    pub(super) fn take(&mut self, key: &SessionKey, now: Instant) -> Past {
        let known = self.known.remove(key);
        known.unwrap_or_else(|| {
            self.others
                .map_or_else(|| Past::nothing(now), Past::used_to)
        })
    }

    /// Returns the records of the sessions that don't exist in this process yet, as long as their calls count.
    pub(super) fn records(&mut self, now: Instant) -> Vec<SessionRecord> {
        self.known.retain(|_, past| !past.is_over(now));
        let record = |(key, past): (&SessionKey, &Past)| SessionRecord::new(key, past, 0, now);
        self.known.iter().map(record).collect()
    }

    /// Whether the window of a session that isn't known may still be used up.
    pub(super) fn is_partial(&self, now: Instant) -> bool {
        self.others.is_some_and(|at| at + LONGEST_WINDOW > now)
    }
}

/// Returns a hundredth of a window, in nanoseconds.
fn step(window_ms: u64) -> i64 {
    i64::try_from(window_ms.saturating_mul(1_000_000 / u64::from(STEPS))).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
