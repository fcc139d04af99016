//! The wanted status of a `Platform`, and when it is worth a write. Pure.

#![deny(clippy::wildcard_enum_match_arm)]

mod said;

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use self::said::{lost, said};
use super::Users;
use super::credentials::PlatformWord;
use super::directory::{Access, Grant};
use super::object::PlatformObject;
use crate::api::condition::{READY, RECONCILING, STALLED, Statement, merge};
use crate::api::names::ObjectKey;
use crate::api::platform::{
    PackageCounts, PlatformReason, PlatformStatus, QueueStatus, SessionStatus,
};
use crate::guard::Record;
use crate::session::{SessionState, Snapshot};
use crate::telemetry::audit::Overdue;

/// Shortest interval between two writes that change only numbers.
pub(super) const NUMBERS_EVERY: Duration = Duration::from_secs(10);

/// The inputs from which a status is computed.
pub(super) struct StatusSource<'a> {
    pub object: &'a PlatformObject,
    pub access: &'a Access,
    /// The present state of the session, where the Platform has one.
    pub snapshot: Option<&'a Snapshot>,
    /// The counts of packages; `None` before the first list of objects, while the counts of the last status stay.
    pub packages: Option<PackageCounts>,
    /// The objects that need the `Platform`, where they are known.
    pub users: Option<&'a Users>,
    /// The guard's counts and hold for the application, where the application is known.
    pub record: Option<&'a Record>,
    /// The other `Platform`s of the same endpoint and application that have a different login, which the platform
    /// accepts too; each with its Secret.
    pub other_logins: &'a [(ObjectKey, String)],
    /// The audit line that is overdue, where there is one.
    pub overdue: Option<&'a Overdue>,
    /// The lasting failure of the watch of one of the Platform's Secrets.
    pub unwatched: Option<&'a Unwatched>,
    /// Whether a release or a raised bound of this Platform waits for credentials to be tried.
    pub release_waits: bool,
    /// The present time on the wall clock and on the monotonic clock that sessions use.
    pub now: (Timestamp, Instant),
}

/// A failing watch of a Secret: the error message and the start of the failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unwatched {
    pub words: String,
    pub since: Timestamp,
}

/// The wanted status; `None` while a Secret has not been read.
pub(super) fn next(look: &StatusSource<'_>) -> Option<PlatformStatus> {
    let refusal = said(look)?;
    let previous = &look.object.status;
    let verdict = Statement {
        progress: refusal.reason.progress(),
        reason: refusal.reason.as_str(),
        message: &refusal.message,
        generation: look.object.generation,
    };
    let conditions = merge(&previous.conditions, &verdict, seconds(look.now.0));
    let (session, queue) = match (look.access, look.snapshot) {
        (Access::Granted(grant), Some(snapshot)) => (
            Some(session(look, grant, snapshot)),
            Some(QueueStatus {
                length: count(snapshot.queue_length),
                estimated_time: (snapshot.queue_length > 0).then(|| rough(snapshot.estimated)),
            }),
        ),
        (Access::Unread | Access::Refused(_) | Access::Granted(_), _) => (None, None),
    };
    let handled = match look.access {
        Access::Granted(_) => &look.object.requested_at,
        // The request for a try is handled once calls can be made.
        Access::Unread | Access::Refused(_) => &previous.last_handled_requested_at,
    };
    Some(PlatformStatus {
        observed_generation: Some(look.object.generation),
        conditions,
        last_handled_requested_at: handled.clone(),
        // The write adds the uid.
        uid: None,
        session,
        packages: packages(look),
        queue,
        // Until this process has read the guard's record, the hold of the last status stays.
        hold: match look.record {
            Some(record) => record.hold.clone(),
            None => previous.hold.clone(),
        },
        guard: match look.record {
            Some(record) => Some(record.guard.clone()),
            None => previous.guard.clone(),
        },
    })
}

/// The present status of `object` with conditions that say why a new status can't be written; `None` if the present
/// status has these conditions already.
pub(super) fn complaint(
    object: &PlatformObject,
    message: &str,
    now: Timestamp,
) -> Option<PlatformStatus> {
    let said = lost(
        object,
        PlatformWord::new(PlatformReason::StatusRefused, message),
    );
    let verdict = Statement {
        progress: said.reason.progress(),
        reason: said.reason.as_str(),
        message: &said.message,
        generation: object.generation,
    };
    let status = PlatformStatus {
        conditions: merge(&object.status.conditions, &verdict, seconds(now)),
        ..object.status.clone()
    };
    (status != object.status).then_some(status)
}

/// Whether `next` is worth a write. Changed words are written at once, and so is a changed guard record that is
/// `urgent`. Changed numbers are written every [`NUMBERS_EVERY`]. An equal status is never written.
pub(super) fn is_due(
    previous: &PlatformStatus,
    next: &PlatformStatus,
    urgent: bool,
    since_last: Option<Duration>,
) -> bool {
    let words = |status: &PlatformStatus| {
        let mut ours: Vec<Condition> = status.conditions.clone();
        ours.retain(is_ours);
        ours.sort_by(|a, b| a.type_.cmp(&b.type_));
        for condition in &mut ours {
            // The messages of these reasons contain numbers of objects.
            let counting = [
                PlatformReason::InUse,
                PlatformReason::FieldsLost,
                PlatformReason::MassDeletionHeld,
            ];
            if counting
                .iter()
                .any(|reason| reason.as_str() == condition.reason)
            {
                condition.message.clear();
            }
        }
        let hold = status.hold.as_ref().map(|hold| hold.id.clone());
        let handled = status.last_handled_requested_at.clone();
        (status.observed_generation, ours, hold, handled)
    };
    let numbers = |status: &PlatformStatus| {
        let messages = status.conditions.iter().filter(|c| is_ours(c));
        (
            messages.map(|c| c.message.clone()).collect::<Vec<_>>(),
            status.session.clone(),
            status.packages.clone(),
            status.queue.clone(),
            status.hold.clone(),
        )
    };
    words(previous) != words(next)
        || (urgent && !tells_the_same(previous, next))
        || (numbers(previous) != numbers(next)
            && since_last.is_none_or(|since| since >= NUMBERS_EVERY))
}

/// Whether both statuses have the same hold and guard record.
pub(super) fn tells_the_same(previous: &PlatformStatus, next: &PlatformStatus) -> bool {
    (&previous.hold, &previous.guard) == (&next.hold, &next.guard)
}

/// The counts of packages. Counts that are not known yet (before the first list, before the first inventory) stay as
/// in the last status.
fn packages(look: &StatusSource<'_>) -> Option<PackageCounts> {
    let previous = look.object.status.packages.clone();
    let Some(counts) = look.packages.clone() else {
        return previous;
    };
    let wanted = look.object.wanted.as_ref();
    let reads = wanted.is_ok_and(|wanted| wanted.spec.inventory.interval().is_some());
    let before = previous
        .filter(|_| reads)
        .and_then(|counts| counts.unmanaged);
    Some(PackageCounts {
        unmanaged: counts.unmanaged.or(before),
        ..counts
    })
}

fn is_ours(condition: &Condition) -> bool {
    [READY, RECONCILING, STALLED].contains(&condition.type_.as_str())
}

fn session(look: &StatusSource<'_>, grant: &Grant, snapshot: &Snapshot) -> SessionStatus {
    let previous = look.object.status.session.as_ref();
    let throttled_until = match &snapshot.state {
        SessionState::Throttled { until } => wall(*until, look.now),
        SessionState::Open
        | SessionState::TokenRefused(_)
        | SessionState::Unavailable(..)
        | SessionState::AuthenticationFailed(_)
        | SessionState::ApplicationRefused(_)
        | SessionState::Unexpected(_)
        | SessionState::Superseded
        | SessionState::QuotaTooSmall { .. } => None,
    };
    SessionStatus {
        app_id: Some(grant.key.app_id.clone()),
        token_expires: steady(
            previous.and_then(|p| p.token_expires.as_ref()),
            snapshot.token_expires,
        ),
        calls_in_window: Some(count(snapshot.calls_in_window)),
        throttled_until: steady(
            previous.and_then(|p| p.throttled_until.as_ref()),
            throttled_until,
        ),
    }
}

/// Converts a time of the monotonic clock to the wall clock; a time in the past is converted too.
pub(super) fn wall(at: Instant, now: (Timestamp, Instant)) -> Option<Timestamp> {
    let span = |span| SignedDuration::try_from(span).ok();
    match at.checked_duration_since(now.1) {
        Some(left) => now.0.checked_add(span(left)?).ok(),
        None => now.0.checked_sub(span(now.1 - at)?).ok(),
    }
}

/// The previous time if the new one differs by rounding only (2 s), else the new one.
fn steady(previous: Option<&Time>, new: Option<Timestamp>) -> Option<Time> {
    let new = seconds(new?);
    let near = |old: &&Time| (old.0.as_second() - new.as_second()).abs() <= 2;
    Some(previous.filter(near).cloned().unwrap_or(Time(new)))
}

/// Rounds down to seconds: the API stores whole seconds, so a finer time would never be equal to the stored one.
fn seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// A duration in coarse steps, so that it doesn't change each second: 40s, 3m, 2h.
fn rough(time: Duration) -> String {
    match time.as_secs() {
        0..10 => "10s".to_owned(),
        seconds @ 10..90 => format!("{}s", seconds.div_ceil(10) * 10),
        seconds @ 90..5400 => format!("{}m", seconds.div_ceil(60)),
        seconds @ 5400.. => format!("{}h", seconds.div_ceil(3600)),
    }
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
