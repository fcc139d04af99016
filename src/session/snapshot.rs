//! What a session shows of itself: what it waits for, how much it has called, and who comes next.

#![deny(clippy::wildcard_enum_match_arm)]

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use super::{Proof, Purpose, Ticket};
use crate::api::names::ObjectKey;
use crate::remote::answer::{Detail, Trouble};

/// What the session as a whole waits for.
#[derive(Debug, Clone, PartialEq)]
pub enum SessionState {
    /// Nothing but the budget.
    Open,
    /// The platform refused a call for too many calls.
    Throttled {
        /// When calls go on. In the past while the one call is out that tries whether they can.
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
    /// Answers come that prove nothing: from something before the platform, or from another place than it.
    Unexpected(Detail),
    /// The token was handed in, and a login of the same application works: nothing is called by the token.
    Superseded,
    /// A login takes the only call of each window, and its token is over before the next one.
    QuotaTooSmall {
        /// How long a token lives.
        life: Duration,
    },
}

impl SessionState {
    /// Every word of [`Self::as_str`].
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

    /// Whether no call does what it's for, so that few are tried.
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

    /// Whether a person has to act before calls go on.
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

    /// A bounded word for people and metrics.
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

/// A look at a session, for status and metrics.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// What the session waits for.
    pub state: SessionState,
    /// Calls in the last window, those under way included.
    pub calls_in_window: usize,
    /// How many there may be: the quota, less what others who share the application seem to take.
    pub limit: usize,
    /// How long a call counts after its answer.
    pub window: Duration,
    /// When the next probe goes, where the session is probed.
    pub next_probe: Option<Instant>,
    /// Tickets waiting.
    pub queue_length: usize,
    /// About how long the last of them waits.
    pub estimated: Duration,
    /// When the token ends, if there is one whose end is known.
    pub token_expires: Option<Timestamp>,
    /// Logins begun since the session exists.
    pub logins: u64,
    /// What is known of the credential.
    pub proof: Proof,
    /// Whether another login is accepted too, so that both take turns.
    pub takes_turns: bool,
}

impl Snapshot {
    /// Adds what another credential of the same session sees.
    pub(super) fn add(&mut self, other: Self) {
        // What works says more of the application than what doesn't.
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

/// Where an object stands in its session.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// It holds neither ticket nor permit, and waits behind nobody.
    Absent,
    /// It waits behind another object that has the turn of the same package.
    Behind {
        /// That object.
        ahead: ObjectKey,
    },
    /// It holds a ticket.
    Waiting {
        /// What it wants the call for.
        purpose: Purpose,
        /// 1 is the next.
        position: usize,
        /// About how long until its turn.
        estimated: Duration,
        /// What all of the session wait for.
        state: SessionState,
        /// Whether it has been told so, where that isn't its budget: all at once would be a storm of
        /// writes, so one that says already that it waits says more only when its turn to be told has come.
        told: bool,
    },
    /// It holds a permit for one call.
    Permitted {
        /// What the permit is for, and for nothing else.
        purpose: Purpose,
        /// The intent of this attempt, given to [`Session::intend`](super::Session::intend).
        intent: Option<String>,
    },
}

#[cfg(test)]
impl Snapshot {
    /// A session in which three wait, the last of them for about as long as `estimated`.
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

/// A session at one moment: the whole, and who comes next.
#[derive(Debug, Clone)]
pub struct Outlook {
    /// The whole.
    pub snapshot: Snapshot,
    /// The first of those who wait, in the order of their turns: the first is at position 1.
    pub turns: Vec<Turn>,
}

/// One who waits for its turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// What it asked for.
    pub ticket: Ticket,
    /// About how long until its turn.
    pub estimated: Duration,
}
