//! The session of one application: its call budget, its queues, its tokens and its order of calls.
//!
//! The budget belongs to the application and counts every call. Everything else belongs to a credential. Platforms with
//! equal credentials share a lane (queue, token, health). A call for an object is made only with the token of the
//! object's own credential. Platforms with different TLS settings use different connections under one budget.
//!
//! A pass asks for a permit and ends. The dispatcher of the session wakes the object when its turn has come. No pass
//! sleeps while its object waits. Spare calls (the pages of an inventory), for which no object waits, are made only
//! while the queue is empty.
//!
//! ```text
//! request, delete, ... -> core (budget, queue, token, health, notice: no I/O) -> step -> dispatcher
//!                          ^                                                     wakes, logs in
//!                          +---------------- the answer to a call -----------------------+
//! ```

mod budget;
mod calls;
mod call_log;
mod core;
mod credential;
mod dispatcher;
mod circuit_breaker;
mod members;
mod stall_news;
mod ranked_tickets;
mod snapshot;
mod renewal_limit;
mod queue;
mod packages;
mod registry;
mod lease_bounds;
mod ticket;
mod token;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

pub use self::call_log::{BOUND as CALL_LOG_BOUND, Inheritance};
use self::core::{Core, LaneId, Learned};
pub use self::credential::{Credential, CredentialId, Proof, Witness};
use self::members::Members;
pub use self::packages::{Follower, PackageKey};
pub use self::registry::Sessions;
pub use self::snapshot::{Outlook, SessionState, Snapshot, Standing, Turn};
pub use self::ticket::{Priority, Purpose, Ticket};
use crate::api::names::{AppId, Endpoint, ObjectKey};
use crate::clock::Clock;
use crate::remote::client::Connection;

/// The key of a session: two `Platform`s with the same endpoint and application share one session.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey {
    /// The address of the platform.
    pub endpoint: Endpoint,
    /// The application whose quota and token the session uses.
    pub app_id: AppId,
}

/// The settings that one `Platform` brings to its session.
#[derive(Clone)]
pub struct Member {
    /// The number of calls allowed in one window; the lowest value of all members applies.
    pub calls: usize,
    /// The length of the quota's window; the longest window of all members applies.
    pub window: Duration,
    /// The source of the token; a login takes precedence over a token that was handed in.
    pub credential: Credential,
    /// The connection built from this member's TLS settings.
    pub connection: Arc<Connection>,
    /// The value of the annotation `iodm.dev/requested-at`; a changed value asks for a try now.
    pub requested_at: Option<String>,
    /// The last value of the annotation `iodm.dev/requested-at` that was acted on before the member joined. It is read
    /// from the Platform's status.
    pub handled: Option<String>,
}

/// The channel on which the dispatcher sends the objects whose turn has come.
pub type Wake = mpsc::UnboundedSender<ObjectKey>;

/// The session of one application as one credential sees it. Platforms with equal credentials share the same view.
pub struct Session {
    lane: LaneId,
    shared: Arc<Shared>,
}

/// The state of one application that all views of its session share.
struct Shared {
    key: SessionKey,
    inner: Mutex<Inner>,
    /// Wakes the dispatcher to check the state again.
    changed: Arc<Notify>,
    wake: Wake,
    /// Notified when a call waits only for a record whose reservation allows for the call.
    scarce: Arc<Notify>,
    /// Notified when waiting calls of [`Session::list`] should try again.
    spare: Notify,
    /// Notified when a session has learned something about a credential.
    learned: Arc<Notify>,
    /// One moment by the wall clock and by the steady clock, for conversions between the two.
    anchor: (Timestamp, Instant),
    clock: Clock,
    /// Holds a tracker token for each in-flight call.
    calls: TaskTracker,
}

/// The state that the lock of a session guards; the lock is never held over an await.
struct Inner {
    core: Core,
    members: Members,
}

impl Session {
    /// Returns the key of this session.
    pub fn key(&self) -> &SessionKey {
        &self.shared.key
    }

    /// Asks for a permit for a call for `package` and returns the standing of the object. If a second request has
    /// another priority or time, the ticket moves to its new place. Otherwise a second request changes nothing. A
    /// request for another purpose replaces the earlier ticket or permit.
    ///
    /// Of several objects that ask for one package, only the first has a ticket, with the most urgent of their
    /// priorities.
    ///
    /// The object gets a permit at once if the budget is free, the token is live and no object waits.
    pub fn request(&self, ticket: Ticket, package: &PackageKey) -> Standing {
        self.change(|core, now| core.request_turn(self.lane, ticket, package, now))
    }

    /// Returns what is known about the credential of this view.
    pub fn proof(&self) -> Proof {
        self.shared.proof(self.lock().core.learned(self.lane))
    }

    /// Whether the credential is a login that the platform has accepted. Such a login proves that the credential
    /// belongs to the application; a handed-in token doesn't prove this. In the guard, Platforms of different
    /// credentials count together only if each of these credentials is such a login.
    pub fn speaks_for_application(&self) -> bool {
        self.lock().core.speaks_for_application(self.lane)
    }

    /// Records that a caller waits to know whether the platform accepts the credential. The credential is tried once,
    /// when its turn comes: a session tries at most one such credential a minute. Untried credentials that a caller
    /// awaits with `first` come before the others; among equals, the longest awaited comes first. A proven credential
    /// isn't tried, and a refused credential isn't tried before an hour has passed.
    pub fn try_credential(&self, first: bool) {
        self.change(|core, now| core.try_credential(self.lane, first, now));
    }

    /// Whether a try of the credential has ended, with any result.
    pub fn was_tried(&self) -> bool {
        self.lock().core.was_tried(self.lane)
    }

    /// Whether a try of the credential has ended or is under way.
    pub fn try_has_begun(&self) -> bool {
        self.lock().core.try_has_begun(self.lane)
    }

    /// Records that the platform has shown, under this credential, a package that an object of its Platforms names.
    /// Returns whether that was not known before.
    pub fn shows_ours(&self) -> bool {
        self.lock().core.shows_ours(self.lane)
    }

    /// Whether the platform has shown, under this credential, a package that an object of its Platforms names.
    pub fn has_shown_ours(&self) -> bool {
        self.lock().core.has_shown_ours(self.lane)
    }

    /// Whether `credential` is the credential of this view.
    pub fn is_under(&self, credential: &Credential) -> bool {
        self.lock().members.is_credential(self.lane, credential)
    }

    /// Returns how long a call counts against the budget after its answer.
    pub fn window(&self) -> Duration {
        self.lock().core.window()
    }

    /// Tries sooner at a person's request: if only probes are made, the next probe is made now, or 5 s after the last
    /// failed probe.
    pub fn try_soon(&self) {
        self.change(|core, now| core.try_soon(self.lane, now));
    }

    /// Returns the standing of the object `uid` that asked for a call for `package`.
    pub fn standing(&self, uid: &str, package: &PackageKey) -> Standing {
        let now = Instant::now();
        self.lock().core.stands(self.lane, uid, package, now)
    }

    /// Returns the uids of the objects that wait behind `uid` for a call for `package`.
    pub fn behind(&self, uid: &str, package: &PackageKey) -> Vec<String> {
        self.lock().core.behind(self.lane, uid, package)
    }

    /// Ends the wait of all objects behind `uid`, because its call for `package` has settled the deletion for them too.
    /// Returns those objects.
    pub fn serve(&self, uid: &str, package: &PackageKey) -> Vec<Follower> {
        self.lock().core.serve(self.lane, uid, package)
    }

    /// Gives up the object's ticket, unused permit or place behind another object for `package`. Returns the objects
    /// that waited behind `uid`; the caller wakes them, and one of them asks for the turn next.
    pub fn withdraw(&self, uid: &str, package: &PackageKey) -> Vec<ObjectKey> {
        self.change(|core, _| core.leave(self.lane, uid, package))
    }

    /// Stores the intent that was written for the object's permit.
    pub fn intend(&self, uid: &str, intent: String) {
        self.lock().core.intend(self.lane, uid, intent);
    }

    /// Returns a snapshot of the session as this credential sees it.
    pub fn snapshot(&self) -> Snapshot {
        self.outlook(0).snapshot
    }

    /// Returns the snapshot and the first `most` waiting objects, all taken at one moment. A larger `most` holds the
    /// lock for longer; up to 1000 is acceptable.
    pub fn outlook(&self, most: usize) -> Outlook {
        let now = Instant::now();
        let lane = self.lane;
        let inner = self.lock();
        let core = &inner.core;
        let token_expires = core.token_ends(lane).and_then(|ends| {
            let left = SignedDuration::try_from(ends.saturating_duration_since(now)).ok()?;
            self.shared.clock.wall().checked_add(left).ok()
        });
        let snapshot = Snapshot {
            state: core.state(lane, now),
            calls_in_window: core.calls_in_window(now),
            limit: core.limit(now),
            window: core.window(),
            next_probe: core.next_probe(lane),
            queue_length: core.waiting(lane),
            estimated: match core.waiting(lane) {
                0 => Duration::ZERO,
                last => core.estimate(lane, last, now),
            },
            token_expires,
            logins: core.logins(lane),
            proof: self.shared.proof(core.learned(lane)),
            takes_turns: core.takes_turns(lane),
        };
        let turns = core.turns(lane, most, now);
        Outlook { snapshot, turns }
    }

    /// Returns the Platforms that use this credential.
    pub fn platforms(&self) -> Vec<ObjectKey> {
        self.lock().members.platforms(self.lane)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Core, Instant) -> T) -> T {
        self.shared.change(change)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.shared.lock()
    }
}

impl Shared {
    /// Changes the state and wakes the dispatcher to act on the change.
    fn change<T>(&self, change: impl FnOnce(&mut Core, Instant) -> T) -> T {
        let result = change(&mut self.lock().core, Instant::now());
        self.changed.notify_one();
        result
    }

    /// Tries the connection of another member at once, after the TLS settings of one member have failed.
    fn try_another_connection(&self, lane: LaneId) {
        if self.has_working_connection(lane) {
            self.change(|core, now| core.try_now(lane, now));
        } else {
            self.changed.notify_one();
        }
    }

    /// Whether the lane has a connection whose TLS settings have not just failed.
    fn has_working_connection(&self, lane: LaneId) -> bool {
        let connection = self.lock().members.connection(lane);
        connection.is_some_and(|connection| connection.broken().is_none())
    }

    fn proof(&self, learned: Learned) -> Proof {
        match learned {
            Learned::Untried => Proof::Untried,
            Learned::Proven(at) => Proof::Proven {
                since: self.wall(at),
            },
            Learned::Refused(at, detail) => Proof::Refused {
                since: self.wall(at),
                detail,
            },
        }
    }

    /// Converts `at` to the wall clock, with the same result at every call.
    fn wall(&self, at: Instant) -> Timestamp {
        let (wall, instant) = self.anchor;
        let time = match at.checked_duration_since(instant) {
            Some(later) => wall.checked_add(later),
            None => wall.checked_sub(instant - at),
        };
        time.unwrap_or(wall)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The dispatcher finds that the session is gone, and ends.
        self.changed.notify_one();
    }
}
