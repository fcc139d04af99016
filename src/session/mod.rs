//! One application: its call budget, its queues, its tokens, and who gets the next call.
//!
//! The budget is the application's and counts every call. Everything else belongs to a credential: equal ones share a
//! lane (queue, token, health), and a call for an object goes out only under a token that its own credential obtained.
//! Different TLS settings are different connections under one budget.
//!
//! A reconcile asks for a permit and ends; the dispatcher of the session wakes the object when its
//! turn has come. Nobody sleeps inside a reconcile. What nobody waits for, the pages of an inventory,
//! goes while the queue is empty.
//!
//! ```text
//! request, delete, ... -> core (budget, queue, token, health, notice: no I/O) -> step -> dispatcher
//!                          ^                                                     wakes, logs in
//!                          +---------------- what an answer taught ----------------------+
//! ```

mod budget;
mod calls;
mod call_log;
mod core;
mod credential;
mod dispatcher;
mod breaker;
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

/// What names a session: two `Platform`s with the same pair share one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey {
    /// Where the platform is.
    pub endpoint: Endpoint,
    /// Whose quota and token it is.
    pub app_id: AppId,
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
    /// The value of its `iodm.dev/requested-at`: another one asks for a try now.
    pub requested_at: Option<String>,
    /// The value that was acted on before it joined, by its status.
    pub handled: Option<String>,
}

/// Where the dispatcher sends the objects whose turn has come.
pub type Wake = mpsc::UnboundedSender<ObjectKey>;

/// What the operator holds for one application, as one credential sees it: whoever brings an equal one has the same.
pub struct Session {
    lane: LaneId,
    shared: Arc<Shared>,
}

/// Everything the operator holds for one application.
struct Shared {
    key: SessionKey,
    inner: Mutex<Inner>,
    /// Tells the dispatcher to look again.
    changed: Arc<Notify>,
    wake: Wake,
    /// Told when a call waits for nothing but a record that allows for it.
    scarce: Arc<Notify>,
    /// Told when whoever waits in [`Session::list`] should try again.
    spare: Notify,
    /// Told when something was learned of a credential.
    learned: Arc<Notify>,
    /// One moment by both clocks.
    anchor: (Timestamp, Instant),
    clock: Clock,
    /// Holds a token for each call under way.
    calls: TaskTracker,
}

/// What the lock of a session guards; it's never held over an await.
struct Inner {
    core: Core,
    members: Members,
}

impl Session {
    /// What names this session.
    pub fn key(&self) -> &SessionKey {
        &self.shared.key
    }

    /// Asks for a permit for a call for `package` and tells where that leaves the object; a second ask changes nothing,
    /// unless its priority or time differs: then the ticket moves to its new place. One for another purpose
    /// takes the place, or the permit, of the one before.
    ///
    /// Of several objects that ask for one package only the first has a ticket, with the most urgent of their priorities.
    ///
    /// With a free budget, a live token and nobody waiting, the answer is a permit at once.
    pub fn request(&self, ticket: Ticket, package: &PackageKey) -> Standing {
        self.change(|core, now| core.request_turn(self.lane, ticket, package, now))
    }

    /// What is known of the credential that calls go out under here.
    pub fn proof(&self) -> Proof {
        self.shared.proof(self.lock().core.learned(self.lane))
    }

    /// Whether the platform has accepted the credential, and that proves whose application it is: only a login does. What
    /// Platforms of other credentials want, and what they are told, rests on that.
    pub fn speaks_for_application(&self) -> bool {
        self.lock().core.speaks_for_application(self.lane)
    }

    /// Somebody waits to know whether the platform accepts the credential. It is tried once, when its turn among all
    /// such has come: at most one a minute in one session, the longest awaited first, and before them those that were not
    /// tried yet and go `first`. One that is proven isn't tried, and one that was refused not before an hour is over.
    pub fn try_credential(&self, first: bool) {
        self.change(|core, now| core.try_credential(self.lane, first, now));
    }

    /// Whether a try of the credential has ended, whatever it found out.
    pub fn was_tried(&self) -> bool {
        self.lock().core.was_tried(self.lane)
    }

    /// The same, or a try of it is under way.
    pub fn try_has_begun(&self) -> bool {
        self.lock().core.try_has_begun(self.lane)
    }

    /// Under this credential a package was shown that an object of its Platforms names; whether that is news.
    pub fn shows_ours(&self) -> bool {
        self.lock().core.shows_ours(self.lane)
    }

    /// Whether a package was shown under this credential that an object of its Platforms names.
    pub fn has_shown_ours(&self) -> bool {
        self.lock().core.has_shown_ours(self.lane)
    }

    /// Whether this is the credential that calls go out under here.
    pub fn is_under(&self, credential: &Credential) -> bool {
        self.lock().members.is_credential(self.lane, credential)
    }

    /// How long a call counts after its answer.
    pub fn window(&self) -> Duration {
        self.lock().core.window()
    }

    /// A person asks for a try: where nothing but a probe goes, the next one goes now, or 5 s after the last.
    pub fn try_soon(&self) {
        self.change(|core, now| core.try_soon(self.lane, now));
    }

    /// Where the object stands that asked for a call for `package`.
    pub fn standing(&self, uid: &str, package: &PackageKey) -> Standing {
        let now = Instant::now();
        self.lock().core.stands(self.lane, uid, package, now)
    }

    /// The uids of the objects that wait behind `uid` for a call for `package`.
    pub fn behind(&self, uid: &str, package: &PackageKey) -> Vec<String> {
        self.lock().core.behind(self.lane, uid, package)
    }

    /// The call of `uid` for `package` has settled the deletion for all that wait behind it. Returns them: they wait no
    /// longer.
    pub fn serve(&self, uid: &str, package: &PackageKey) -> Vec<Follower> {
        self.lock().core.serve(self.lane, uid, package)
    }

    /// Gives the turn for `package` back, with a ticket or a permit that was not used; or the place behind another object.
    /// Returns the objects that waited behind `uid`, to be woken: one of them asks for the turn next.
    pub fn withdraw(&self, uid: &str, package: &PackageKey) -> Vec<ObjectKey> {
        self.change(|core, _| core.leave(self.lane, uid, package))
    }

    /// Remembers the intent written for the permit that the object holds.
    pub fn intend(&self, uid: &str, intent: String) {
        self.lock().core.intend(self.lane, uid, intent);
    }

    /// A look at the whole.
    pub fn snapshot(&self) -> Snapshot {
        self.outlook(0).snapshot
    }

    /// A look at the whole and at the first `most` who wait, all of one moment. It takes the longer the
    /// more of them are asked for, and everybody else waits meanwhile: a thousand are a bearable bound.
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

    /// The Platforms that bring this credential.
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
    /// Changes the state and lets the dispatcher do what follows from it.
    fn change<T>(&self, change: impl FnOnce(&mut Core, Instant) -> T) -> T {
        let result = change(&mut self.lock().core, Instant::now());
        self.changed.notify_one();
        result
    }

    /// The TLS settings of one member have failed: those of another one are tried at once.
    fn try_another_connection(&self, lane: LaneId) {
        if self.has_working_connection(lane) {
            self.change(|core, now| core.try_now(lane, now));
        } else {
            self.changed.notify_one();
        }
    }

    /// Whether the TLS settings of a member have not just failed.
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

    /// A time by the wall clock, the same whenever it is asked for.
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
        // The dispatcher finds the session gone and ends.
        self.changed.notify_one();
    }
}
