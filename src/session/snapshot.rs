//! Snapshots of a session: its state, its calls in the window, and its next turns.

#![deny(clippy::wildcard_enum_match_arm)]

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use super::{Proof, Purpose, Ticket};
use crate::api::names::ObjectKey;
use crate::remote::answer::{Detail, Trouble};

/// The state of a session: the obstacle that its calls wait for, if there is one.
#[derive(Debug, Clone, PartialEq)]
pub enum SessionState {
    /// Calls wait only for the budget.
    Open,
    /// The platform refused a call because of its rate limit.
    Throttled {
        /// When calls continue. The time is in the past while a single call tests the rate limit.
        until: Instant,
    },
    /// The platform refused a token, and a new login is due or under way.
    TokenRefused(Detail),
    /// The platform is unreachable or its answers can't be understood: the circuit breaker lets one probe through per
    /// backoff step.
    Unavailable(Detail, Trouble),
    /// The platform refused the credentials; a change of the Secret or a rare successful probe ends this state.
    AuthenticationFailed(Detail),
    /// The platform refuses the application itself.
    ApplicationRefused(Detail),
    /// Answers prove nothing: they come from a proxy before the platform, or from a server that isn't the platform.
    Unexpected(Detail),
    /// The token was handed in and isn't used, because a login of the same application works.
    Superseded,
    /// The quota is too small: a login takes the only call of each window, and its token expires before the next
    /// window.
    QuotaTooSmall {
        /// The lifetime of a token.
        life: Duration,
    },
}

impl SessionState {
    /// All names that [`Self::as_str`] returns.
    pub const WORDS: [&str; 9] = [
        "Open",
        "Throttled",
        "TokenRefused",
        "Unavailable",
        "AuthenticationFailed",
        "ApplicationRefused",
        "Unexpected",
        "Superseded",
        "QuotaTooSmall",
    ];

    /// Whether calls fail in a way that leaves only probes or rare tries.
    pub fn is_ailing(&self) -> bool {
        match self {
            Self::Open | Self::Throttled { .. } | Self::TokenRefused(_) => false,
            Self::Unavailable(..)
            | Self::AuthenticationFailed(_)
            | Self::ApplicationRefused(_)
            | Self::Unexpected(_)
            | Self::Superseded
            | Self::QuotaTooSmall { .. } => true,
        }
    }

    /// Whether calls continue only after a person has acted.
    pub fn needs_person(&self) -> bool {
        match self {
            Self::Open | Self::Throttled { .. } | Self::TokenRefused(_) => false,
            Self::Unavailable(_, trouble) => trouble.needs_person(),
            Self::AuthenticationFailed(_)
            | Self::ApplicationRefused(_)
            | Self::Unexpected(_)
            | Self::Superseded
            | Self::QuotaTooSmall { .. } => true,
        }
    }

    /// Returns the name of the state, one of a fixed set, for people and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Open => "Open",
            Self::Throttled { .. } => "Throttled",
            Self::TokenRefused(_) => "TokenRefused",
            Self::Unavailable(..) => "Unavailable",
            Self::AuthenticationFailed(_) => "AuthenticationFailed",
            Self::ApplicationRefused(_) => "ApplicationRefused",
            Self::Unexpected(_) => "Unexpected",
            Self::Superseded => "Superseded",
            Self::QuotaTooSmall { .. } => "QuotaTooSmall",
        }
    }
}

/// A snapshot of a session, for status and metrics.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The state of the session.
    pub state: SessionState,
    /// Calls in the last window, with calls in flight.
    pub calls_in_window: usize,
    /// Calls allowed in one window: the quota, less the calls that others on the same application seem to make.
    pub limit: usize,
    /// How long a call counts after its answer.
    pub window: Duration,
    /// When the next probe is made; `None` if the session isn't probed.
    pub next_probe: Option<Instant>,
    /// The number of tickets in the queue.
    pub queue_length: usize,
    /// The estimated wait of the last ticket.
    pub estimated: Duration,
    /// When the token expires; `None` if there is no token, or if the token's end isn't known.
    pub token_expires: Option<Timestamp>,
    /// Logins begun since the session was created.
    pub logins: u64,
    /// What is known about the credential.
    pub proof: Proof,
    /// Whether another login is accepted too, so that the two take turns.
    pub takes_turns: bool,
}

impl Snapshot {
    /// Merges the snapshot of another credential of the same session into this one.
    pub(super) fn add(&mut self, other: Self) {
        // A working credential says more about the application than a failing one.
        if self.state.is_ailing() && !other.state.is_ailing() {
            self.state = other.state;
            self.next_probe = other.next_probe;
        }
        self.queue_length += other.queue_length;
        self.estimated = self.estimated.max(other.estimated);
        self.token_expires = self.token_expires.max(other.token_expires);
        self.logins += other.logins;
        if !self.proof.is_proven() {
            self.proof = other.proof;
        }
        self.takes_turns |= other.takes_turns;
    }
}

/// The standing of an object in its session.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// The object holds neither ticket nor permit, and waits behind no other object.
    Absent,
    /// The object waits behind another object that has the turn of the same package.
    Behind {
        /// The key of the object that has the turn.
        ahead: ObjectKey,
    },
    /// The object holds a ticket.
    Waiting {
        /// The purpose of the call.
        purpose: Purpose,
        /// The position in the queue; 1 is the next ticket.
        position: usize,
        /// The estimated time until the object's turn.
        estimated: Duration,
        /// The state of the session.
        state: SessionState,
        /// Whether it is the object's turn to report the `state` in its status. Waiting objects get their turns one
        /// after another, because an update of all objects at once would be a storm of writes. An object whose status
        /// already says that it waits reports a new `state` only in its turn.
        told: bool,
    },
    /// The object holds a permit for one call.
    Permitted {
        /// The only purpose that the permit may be used for.
        purpose: Purpose,
        /// The intent of this attempt, stored by [`Session::intend`](super::Session::intend).
        intent: Option<String>,
    },
}

#[cfg(test)]
impl Snapshot {
    /// A snapshot with three waiting tickets, the last of which waits for about `estimated`.
    pub(crate) fn of_three(state: SessionState, estimated: Duration) -> Self {
        Self {
            state,
            calls_in_window: 7,
            limit: 100,
            window: Duration::from_secs(60),
            next_probe: None,
            logins: 1,
            proof: Proof::Untried,
            takes_turns: false,
            queue_length: 3,
            estimated,
            token_expires: None,
        }
    }
}

/// A snapshot of a session together with its next turns, of one moment.
#[derive(Debug, Clone)]
pub struct Outlook {
    /// The snapshot of the session.
    pub snapshot: Snapshot,
    /// The first waiting tickets in the order of their turns; the first one is at position 1.
    pub turns: Vec<Turn>,
}

/// One waiting ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The ticket.
    pub ticket: Ticket,
    /// The estimated time until its turn.
    pub estimated: Duration,
}
