//! One application: its call budget, its queue, its token, and who gets the next call.
//!
//! A reconcile asks for a permit and ends; the dispatcher of the session wakes the object when its
//! turn has come. Nobody sleeps inside a reconcile.

mod budget;
mod order;
mod queue;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use secrecy::SecretString;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::api::names::{AppId, Endpoint, FileId, ObjectKey};
use crate::remote::answer::{Answer, Detail, Trouble};
use crate::remote::client::Connection;

/// What names a session: two `Platform`s with the same pair share one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionKey {
    /// Where the platform is.
    pub endpoint: Endpoint,
    /// Whose quota and token it is.
    pub app_id: AppId,
}

/// How a `Platform` gets its token.
#[derive(Clone)]
pub enum Credential {
    /// `appId` and `secret`: the operator logs in.
    Login(SecretString),
    /// `appKey` and `accessToken`: handed in, never renewed by the operator.
    Token(SecretString),
}

/// What one `Platform` brings to its session.
#[derive(Clone)]
pub struct Member {
    /// Calls in one window; the lowest of all members counts.
    pub calls: usize,
    /// The window; the longest of all members counts.
    pub window: Duration,
    /// How a token is got; a login wins over a token handed in.
    pub credential: Credential,
    /// The connection that this member's settings make.
    pub connection: Arc<Connection>,
}

/// Whose calls go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Priority {
    /// Somebody waits for it: the object is being deleted.
    Deletion,
    /// Bulk retirement.
    Retirement,
}

/// An object that wants one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The uid of the object: one ticket or permit at a time.
    pub uid: String,
    /// The object to wake.
    pub key: ObjectKey,
    /// Whose calls go first.
    pub priority: Priority,
    /// Since when the deletion is wanted: the order within a priority.
    pub requested_at: Timestamp,
}

/// Where an object stands in its session.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// It holds neither ticket nor permit.
    Absent,
    /// It holds a ticket.
    Waiting {
        /// 1 is the next.
        position: usize,
        /// About how long until its turn.
        estimated: Duration,
        /// What all of the session wait for.
        state: State,
    },
    /// It holds a permit for one call. The intent is the one given to [`Session::intend`], if any.
    Permitted {
        /// The intent of this attempt and when it was written.
        intent: Option<(String, Instant)>,
    },
}

/// What the session as a whole waits for.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// Nothing but the budget.
    Open,
    /// The platform refused a call for too many calls.
    Throttled {
        /// When calls go on.
        until: Instant,
    },
    /// A token was refused and a new login is due or under way.
    TokenRefused(Detail),
    /// Nobody understands the platform's answers: one probe per step of a growing pause.
    Unavailable(Detail, Trouble),
    /// The credentials were refused; a change of the Secret, or a rare probe, heals.
    AuthenticationFailed(Detail),
    /// The platform refuses the application itself.
    ApplicationRefused(Detail),
}

/// A look at a session, for status and metrics.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// What the session waits for.
    pub state: State,
    /// Calls in the last window, those under way included.
    pub calls_in_window: usize,
    /// Tickets waiting.
    pub queue_length: usize,
    /// About how long the last of them waits.
    pub estimated: Duration,
    /// When the token ends, if there is one whose end is known.
    pub token_expires: Option<Timestamp>,
}

/// Where the dispatcher sends the objects whose turn has come.
pub type Wake = mpsc::UnboundedSender<ObjectKey>;

/// Everything the operator holds for one application.
pub struct Session {}

impl Session {
    /// Asks for a permit and tells where that leaves the object; a second ask changes nothing.
    ///
    /// With a free budget, a live token and nobody waiting, the answer is a permit at once.
    pub fn request(&self, _ticket: Ticket) -> Standing {
        Standing::Absent
    }

    /// Where the object stands.
    pub fn standing(&self, _uid: &str) -> Standing {
        Standing::Absent
    }

    /// Gives a ticket, or a permit that was not used, back.
    pub fn withdraw(&self, _uid: &str) {}

    /// Remembers the intent written for the permit that the object holds.
    pub fn intend(&self, _uid: &str, _intent: String) {}

    /// Uses the permit of `uid` for one DELETE over `connection` and learns from the answer.
    /// `None` when the object holds no permit (any more) or no token is there: then nothing was sent.
    pub async fn delete(
        &self,
        _uid: &str,
        _connection: &Connection,
        _file_id: &FileId,
    ) -> Option<Answer> {
        None
    }

    /// A look at the whole.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            state: State::Open,
            calls_in_window: 0,
            queue_length: 0,
            estimated: Duration::ZERO,
            token_expires: None,
        }
    }
}

/// All sessions of this process.
pub struct Sessions {}

impl Sessions {
    /// No session yet. `started` is when this process began: the window before it counts as used.
    pub fn new(_started: Instant, _wake: Wake) -> Arc<Self> {
        Arc::new(Self {})
    }

    /// Joins `platform` to the session of `key`, with what it brings; again after each change of that.
    /// A platform that was in another session leaves it.
    pub fn join(&self, _platform: &ObjectKey, _key: SessionKey, _member: Member) -> Arc<Session> {
        Arc::new(Session {})
    }

    /// Takes `platform` out of its session; the session's log outlives it by one window.
    pub fn leave(&self, _platform: &ObjectKey) {}

    /// From now on nothing new is sent: no permit is given or usable, no login begun.
    pub fn close(&self) {}

    /// Waits until no call is under way.
    pub async fn drained(&self) {}
}
