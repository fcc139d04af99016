//! The ledger: one row for each call that reached the simulator.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::answer::Verdict;
use super::quota::{QuotaKind, window_number};

/// The capacity of the ledger, in rows. Older rows are dropped; the summary counts them.
pub const ROWS: usize = 500_000;

/// One call.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The number of the call, from 1 without gaps.
    pub seq: u64,
    /// When the call arrived.
    #[serde(serialize_with = "micros")]
    pub time: Timestamp,
    /// When the call arrived, in milliseconds since the start: the time that the quota uses.
    #[serde(rename = "ms", serialize_with = "millis")]
    pub at: Duration,
    /// When the answer was sent or the connection dropped; `null` until then. If the client leaves before that, the
    /// value stays `null`.
    #[serde(rename = "doneMs", serialize_with = "optional_millis")]
    pub done: Option<Duration>,
    /// The application; `null` where the call names none.
    pub application: Option<String>,
    /// The HTTP method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The HTTP status of the answer; `null` where none was sent.
    pub status: Option<u16>,
    /// The platform's code in the answer.
    pub code: Option<String>,
    /// The result of the call.
    pub verdict: Verdict,
    /// The fault that affected the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<&'static str>,
    /// Whether the call was checked against the quota.
    pub metered: bool,
}

// serde passes the field by reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn micros<S: serde::Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&format_args!("{time:.6}"))
}

fn millis<S: serde::Serializer>(at: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64((at.as_secs_f64() * 1e6).round() / 1e3)
}

#[allow(clippy::ref_option)]
fn optional_millis<S: serde::Serializer>(at: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => millis(at, to),
        None => to.serialize_none(),
    }
}

/// All calls so far.
#[derive(Debug, Default)]
pub struct Ledger {
    rows: VecDeque<Row>,
    last: u64,
    forgotten: u64,
}

impl Ledger {
    /// Adds a call and assigns its number.
    pub fn add(&mut self, row: Row) -> u64 {
        self.last += 1;
        if self.rows.len() == ROWS {
            self.rows.pop_front();
            self.forgotten += 1;
        }
        self.rows.push_back(Row {
            seq: self.last,
            ..row
        });
        self.last
    }

    /// Notes that the answer to a call was sent.
    pub fn done(&mut self, seq: u64, at: Duration) {
        let first = self.rows.front().map_or(0, |row| row.seq);
        let index = seq.checked_sub(first).and_then(|i| usize::try_from(i).ok());
        if let Some(row) = index.and_then(|index| self.rows.get_mut(index)) {
            row.done = Some(at);
        }
    }

    /// The calls after number `since`.
    pub fn since(&self, since: u64) -> impl Iterator<Item = &Row> {
        let skipped = self.rows.partition_point(|row| row.seq <= since);
        self.rows.range(skipped..)
    }

    /// Drops all calls; the numbers continue.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.forgotten = 0;
    }

    /// How many rows were dropped because of the limit [`ROWS`].
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The number of calls for each result.
    pub fn verdicts(&self) -> BTreeMap<Verdict, u64> {
        let mut counts = BTreeMap::new();
        for row in &self.rows {
            *counts.entry(row.verdict).or_default() += 1;
        }
        counts
    }

    /// The number of different packages deleted.
    pub fn deleted(&self) -> usize {
        let deleted = self
            .rows
            .iter()
            .filter(|row| row.verdict == Verdict::Deleted);
        deleted
            .map(|row| (&row.application, &row.path))
            .collect::<BTreeSet<_>>()
            .len()
    }

    /// The most metered calls of one application in one window, including throttled ones.
    pub fn most_in_window(&self, application: &str, window: Duration, kind: QuotaKind) -> usize {
        let metered = self
            .rows
            .iter()
            .filter(|row| row.metered && row.application.as_deref() == Some(application));
        let mut open = VecDeque::new();
        let mut most = 0;
        for row in metered {
            let over = |start: &Duration| match kind {
                QuotaKind::Sliding | QuotaKind::Bucket => *start + window <= row.at,
                QuotaKind::Fixed => window_number(*start, window) < window_number(row.at, window),
            };
            while open.front().is_some_and(over) {
                open.pop_front();
            }
            open.push_back(row.at);
            most = most.max(open.len());
        }
        most
    }
}
