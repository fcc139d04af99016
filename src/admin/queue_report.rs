//! The report `/queue`: the objects that wait for a call, in their order and with their estimated wait. `vpo queue`
//! requests it.

#![deny(clippy::wildcard_enum_match_arm)]

use std::time::Duration;

use axum::http::StatusCode;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::desk::{self, Desk, REPORT, ReportRefusal, key};
use crate::api::condition;
use crate::api::names::ObjectKey;
use crate::clock::Now;
use crate::object::Object;
use crate::object::asking::asked_at;
use crate::session::{Outlook, Priority, Purpose, Session, SessionState, Snapshot, Standing};

/// The path of the report.
pub const PATH: &str = "/queue";
/// The most objects listed for each application.
pub const MOST: usize = 1000;
/// The least size of one listed object, in bytes.
const LEAST: usize = 128;
/// The number of listed objects if the query sets no number.
pub const USUAL: usize = 20;

/// What the report is about: all applications, the application of one Platform, or one object. A query names a Platform
/// or an object, not both.
#[derive(Debug, Default, Deserialize)]
pub struct QueueQuery {
    platform: Option<String>,
    object: Option<String>,
    limit: Option<usize>,
}

/// The report on all queues.
pub type QueueReport = desk::DeskReport<ApplicationQueue>;

/// The queue of one application, for the Platforms with the same credential.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationQueue {
    /// The application that owns the packages.
    pub app_id: String,
    /// The endpoint of the platform.
    pub endpoint: String,
    /// The Platforms that share this queue, as `namespace/name`.
    pub platforms: Vec<String>,
    /// The state of the session: a word of the metric `vpo_session_state`.
    pub state: String,
    /// The platform's answer that led to this state; `null` if no answer did.
    pub answer: Option<String>,
    /// When calls resume; `null` if it isn't known.
    pub until: Option<Timestamp>,
    /// The number of calls in the last window, including in-flight calls.
    pub calls_in_window: usize,
    /// The limit of calls in a window.
    pub limit: usize,
    /// The length of the window, in seconds.
    pub window_seconds: f64,
    /// When the access token expires; `null` if it isn't known.
    pub token_expires: Option<Timestamp>,
    /// The number of waiting objects.
    pub length: usize,
    /// The estimated wait of the last object, in seconds; 0 for an empty queue.
    pub estimated_seconds: u64,
    /// The first objects of the queue, or the one requested object.
    pub waiting: Vec<Waiting>,
}

/// One object that waits for a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// The place in the queue: 1 is the next object, 0 has its turn now.
    pub position: usize,
    /// The namespace of the object.
    pub namespace: String,
    /// The name of the object.
    pub name: String,
    /// The kind of the call: `Delete` or `LookUp`.
    pub call: String,
    /// The reason of the call: `Deletion` or `Retirement`.
    pub priority: String,
    /// When the deletion was requested.
    pub since: Timestamp,
    /// The estimated wait, in seconds.
    pub estimated_seconds: u64,
}

impl Desk {
    /// The report on the queues. It locks each queue only briefly, no matter how long the queue is.
    ///
    /// # Errors
    /// This process doesn't lead, the requested Platform or object doesn't exist or waits for nothing, or the report
    /// would be too large.
    pub fn queue(&self, ask: &QueueQuery) -> Result<QueueReport, ReportRefusal> {
        self.leads("queue")?;
        let limit = ask.limit.unwrap_or(USUAL);
        if limit > MOST {
            let error = format!("at most {MOST} of each queue are listed; limit={limit} is more");
            return Err(ReportRefusal::new(StatusCode::BAD_REQUEST, error));
        }
        let (applications, unusable_platforms) = match (&ask.platform, &ask.object) {
            (None, None) => self.all(limit)?,
            (Some(platform), None) => (vec![self.of_platform(&key(platform)?, limit)?], Vec::new()),
            (None, Some(object)) => (vec![self.of_object(&key(object)?)?], Vec::new()),
            (Some(_), Some(_)) => {
                let error = "name a Platform or an object, not both: an object has one queue only";
                return Err(ReportRefusal::new(StatusCode::BAD_REQUEST, error));
            }
        };
        Ok(QueueReport {
            time: self.clock.wall(),
            applications,
            unusable_platforms,
        })
    }

    fn all(&self, limit: usize) -> Result<(Vec<ApplicationQueue>, Vec<String>), ReportRefusal> {
        let (sessions, now) = (self.sessions.all(), self.clock.now());
        let (mut applications, mut waiting) = (Vec::new(), 0);
        for session in &sessions {
            let application = application(session, session.outlook(limit), now);
            waiting += application.waiting.len();
            if waiting > REPORT / LEAST {
                return Err(ReportRefusal::too_large());
            }
            applications.push(application);
        }
        let order = |one: &ApplicationQueue| {
            (
                one.app_id.clone(),
                one.endpoint.clone(),
                one.platforms.clone(),
            )
        };
        applications.sort_by_cached_key(order);
        Ok((applications, self.unusable_platforms()))
    }

    fn of_platform(
        &self,
        platform: &ObjectKey,
        limit: usize,
    ) -> Result<ApplicationQueue, ReportRefusal> {
        let session = self.session_of(platform, "queue")?;
        Ok(application(
            &session,
            session.outlook(limit),
            self.clock.now(),
        ))
    }

    fn of_object(&self, key: &ObjectKey) -> Result<ApplicationQueue, ReportRefusal> {
        let Some(look) = self.cache.look(key) else {
            let error = format!("there is no VersionPackage {key}");
            return Err(ReportRefusal::new(StatusCode::NOT_FOUND, error));
        };
        let (object, now) = (&*look.object, self.clock.now());
        let seat = self.memory.seat(&object.uid);
        let stands = seat.and_then(|seat| {
            let (position, estimated, purpose) = match seat.standing(&object.uid) {
                Standing::Absent | Standing::Behind { .. } => return None,
                Standing::Waiting {
                    position,
                    estimated,
                    purpose,
                    state: _,
                    told: _,
                } => (position, estimated, purpose),
                Standing::Permitted { purpose, intent: _ } => (0, Duration::ZERO, purpose),
            };
            // The status holds no request time while a first look-up is pending.
            let since = self.memory.requests.since(&object.uid);
            let since = asked_at(object, since.unwrap_or(now.wall));
            let waiting = waiting(object, position, estimated, purpose, since);
            Some((seat.session, waiting))
        });
        let (session, waiting) = stands
            .ok_or_else(|| ReportRefusal::new(StatusCode::NOT_FOUND, waits_for_nothing(object)))?;
        Ok(ApplicationQueue {
            waiting: vec![waiting],
            ..application(&session, session.outlook(0), now)
        })
    }
}

/// The message for an object that holds neither a ticket nor a permit.
fn waits_for_nothing(object: &Object) -> String {
    let key = &object.key;
    let mut conditions = object.status.conditions.iter();
    match conditions.find(|c| c.type_ == condition::READY) {
        Some(ready) => format!(
            "{key} waits for no call: {}, {}",
            ready.reason, ready.message
        ),
        None => format!("{key} waits for no call, and has said nothing yet"),
    }
}

fn waiting(
    object: &Object,
    position: usize,
    estimated: Duration,
    purpose: Purpose,
    since: Timestamp,
) -> Waiting {
    let priority = match object.deleted_at {
        Some(_) => Priority::Deletion,
        None => Priority::Retirement,
    };
    Waiting {
        position,
        namespace: object.key.namespace.to_string(),
        name: object.key.name.to_string(),
        call: purpose.as_str().to_owned(),
        priority: priority.as_str().to_owned(),
        since,
        estimated_seconds: whole(estimated),
    }
}

fn application(session: &Session, outlook: Outlook, now: Now) -> ApplicationQueue {
    let Outlook { snapshot, turns } = outlook;
    let platforms = session.platforms().into_iter();
    let waiting = turns.into_iter().zip(1..).map(|(turn, position)| Waiting {
        position,
        namespace: turn.ticket.key.namespace.to_string(),
        name: turn.ticket.key.name.to_string(),
        call: turn.ticket.purpose.as_str().to_owned(),
        priority: turn.ticket.priority.as_str().to_owned(),
        since: turn.ticket.requested_at,
        estimated_seconds: whole(turn.estimated),
    });
    let (answer, until) = told(&snapshot, now);
    ApplicationQueue {
        app_id: session.key().app_id.to_string(),
        endpoint: session.key().endpoint.to_string(),
        platforms: platforms.map(|key| key.to_string()).collect(),
        state: snapshot.state.as_str().to_owned(),
        answer,
        until,
        calls_in_window: snapshot.calls_in_window,
        limit: snapshot.limit,
        window_seconds: snapshot.window.as_secs_f64(),
        token_expires: snapshot.token_expires,
        length: snapshot.queue_length,
        estimated_seconds: whole(snapshot.estimated),
        waiting: waiting.collect(),
    }
}

/// The platform's answer that led to the session's state, and when calls resume.
fn told(snapshot: &Snapshot, now: Now) -> (Option<String>, Option<Timestamp>) {
    match &snapshot.state {
        SessionState::Open | SessionState::Superseded | SessionState::QuotaTooSmall { .. } => {
            (None, None)
        }
        SessionState::Throttled { until } => (None, still_to_come(*until, now)),
        SessionState::TokenRefused(detail) => (Some(detail.to_string()), None),
        SessionState::Unavailable(detail, _)
        | SessionState::AuthenticationFailed(detail)
        | SessionState::ApplicationRefused(detail)
        | SessionState::Unexpected(detail) => (
            Some(detail.to_string()),
            snapshot.next_probe.and_then(|at| still_to_come(at, now)),
        ),
    }
}

/// The wall-clock time of `at`. `None` if `at` has passed: then the next call waits until a call in flight ends, and
/// nobody knows when that call ends.
fn still_to_come(at: Instant, now: Now) -> Option<Timestamp> {
    let left = at.checked_duration_since(now.tick)?;
    let left = SignedDuration::try_from(left).ok()?;
    now.wall.checked_add(left).ok()
}

/// Whole seconds, rounded up, so that no turn is announced too early.
fn whole(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::answer::{Detail, Trouble};

    #[test]
    fn no_resume_time_is_announced_while_an_in_flight_call_decides() {
        let moment = crate::clock::Clock::default().now();
        let now = moment.tick;
        let (over, ahead) = (now - Duration::from_secs(1), now + Duration::from_secs(60));
        let throttled =
            |until| Snapshot::of_three(SessionState::Throttled { until }, Duration::ZERO);
        let probed = |at| Snapshot {
            next_probe: Some(at),
            ..Snapshot::of_three(
                SessionState::Unavailable(Detail::default(), Trouble::TimedOut),
                Duration::ZERO,
            )
        };
        for (snapshot, known) in [
            (throttled(over), false),
            (throttled(ahead), true),
            (probed(over), false),
            (probed(ahead), true),
        ] {
            assert_eq!(told(&snapshot, moment).1.is_some(), known, "{snapshot:?}");
        }
    }
}
