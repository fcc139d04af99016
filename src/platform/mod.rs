//! The Platform controller: it watches Platforms, Namespaces and Secrets, keeps the directory and the sessions, and
//! writes the statuses.
//!
//! ```text
//! watches (Platforms, Namespaces, named Secrets) -> keeper -> directory, sessions -> status
//!                       GETs that overtook them ----^
//! ```
//!
//! The controller lists and watches Platforms and Namespaces of the whole cluster, lists and watches each named
//! Secret by its name only, and writes nothing but the status and the finalizer of Platforms.

mod attempts;
mod confirm;
mod credentials;
mod directory;
mod elsewhere;
mod lasting;
mod finalizer;
mod keeper;
mod lost;
mod namespace;
mod object;
mod overtaken;
mod reads;
mod status;
#[cfg(test)]
mod tests;
mod unconfirmed;
mod watch;
mod writer;

use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::api::names::{AppId, ObjectKey};
use crate::api::platform::{Mode, PackageCounts, PlatformReason};
use crate::clock::Clock;
use crate::guard::Guards;
use crate::remote::client::{Connect, Connection};
use crate::session::{CredentialId, Proof, Session, Sessions, Witness};
use crate::sight::Sight;
use crate::telemetry::audit::AuditLog;
use crate::telemetry::events::Events;
use crate::telemetry::metrics::Metrics;

pub use confirm::LASTS;
pub use directory::Directory;
pub use unconfirmed::Unconfirmed;

/// The state of a `Platform`, as an object that names it sees it.
#[derive(Clone)]
pub enum Resolution {
    /// The first list of Platforms, Namespaces or Secrets is still in progress.
    Unread,
    /// No `Platform` of that name exists.
    NotFound,
    /// The `Platform` does not allow the object's namespace.
    NotAllowed,
    /// The credentials, certificates or endpoint of the `Platform` can't be used, and no last good ones are in
    /// memory.
    Unusable {
        /// The reason of the Platform's own condition.
        reason: PlatformReason,
        /// The message of the Platform's own condition.
        message: String,
        /// Whether the Platform's namespace is being deleted: no Secret can be created there any more.
        ending: bool,
    },
    /// Calls can be made.
    Usable(Usable),
}

impl Resolution {
    /// The session and the connection for calls, where calls can be made.
    pub fn usable(&self) -> Option<&Usable> {
        match self {
            Self::Usable(usable) => Some(usable),
            Self::Unread | Self::NotFound | Self::NotAllowed | Self::Unusable { .. } => None,
        }
    }
}

/// A `Platform` over which calls can be made.
#[derive(Clone)]
pub struct Usable {
    /// The application that owns the packages.
    pub app_id: AppId,
    /// Whether the Platform's credential is a login. Otherwise it is a token, which may belong to another application
    /// than the Secret says.
    pub logs_in: bool,
    /// The session that grants permits.
    pub session: Arc<Session>,
    /// The connection that calls use.
    pub connection: Arc<Connection>,
    /// The id of the credential: equal for equal credentials of one application, on every Platform.
    pub credential: CredentialId,
    /// Whether the present credential of the Platform or an earlier one is known to have been tried.
    pub tried: bool,
    /// The mode: `Enforce` deletes packages, `Observe` sends no DELETE.
    pub mode: Mode,
    /// The interval between two readings of the list of packages; `None` if this Platform asks for no inventory.
    pub inventory: Option<Duration>,
    /// The revision; it changes with the spec and the Secrets of the Platform, that is, with anything that makes a
    /// retry worthwhile.
    pub revision: u64,
    /// Reason and message of the fault, while a Secret can't be read and the last good credentials are used. Only
    /// objects that are already terminating or retired may use these credentials.
    pub last_good: Option<(PlatformReason, String)>,
    /// The grace period: how long after a request the deletion can still be called off.
    pub grace: Duration,
    /// Whether the Platform takes on objects that it has not accepted yet; `false` once it is being deleted.
    pub accepts: bool,
}

impl Usable {
    /// What is known of the credential at its endpoint: untried, proven or refused.
    pub fn proof(&self) -> Proof {
        self.session.proof()
    }

    /// The witness that the findings of this Platform's calls are attributed to: the session and, for a token, the
    /// credential.
    pub fn witness(&self) -> Witness {
        let token = (!self.logs_in).then(|| self.credential.clone());
        (self.session.key().clone(), token)
    }

    /// Requests a try of the credential, since a claim, a release or a raised bound waits for the result. `first` puts
    /// the try of an untried credential before other tries.
    pub fn try_credential(&self, first: bool) {
        self.session.try_credential(first);
    }

    /// Whether a try of the present credential or of an earlier one has ended, with any result. Earlier ones count,
    /// so that a credential that changes again and again keeps no object waiting.
    pub fn was_tried(&self) -> bool {
        self.tried || self.session.was_tried()
    }
}

/// The objects that name one Platform.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tenants {
    /// The number of objects in each state.
    pub counts: PackageCounts,
    /// The objects that need the Platform.
    pub users: Users,
}

/// The accepted objects of a Platform whose packages aren't gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Users {
    /// The number of these objects.
    pub count: usize,
    /// The keys of some of these objects, for messages.
    pub some: Vec<ObjectKey>,
}

/// A function that returns the objects of a Platform, `None` before the first list of objects. The flag asks for the
/// users too, which are needed only for a Platform that is being deleted.
pub type Census = Box<dyn Fn(&ObjectKey, bool) -> Option<Tenants> + Send + Sync>;

/// The dependencies of the Platform controller.
pub struct PlatformContext {
    /// The client of the API server.
    pub client: kube::Client,
    /// The clocks of this process.
    pub clock: Clock,
    /// All sessions of this process.
    pub sessions: Arc<Sessions>,
    /// The directory of Platforms, which this controller fills.
    pub directory: Arc<Directory>,
    /// The guards of all applications.
    pub guards: Arc<Guards>,
    /// The function that prepares a connection to a platform.
    pub connect: Connect,
    /// The function that returns the objects of each Platform.
    pub census: Census,
    /// The publisher of events.
    pub events: Events,
    /// The audit log; it tells whether a line is overdue.
    pub audit: AuditLog,
    /// The sight of this process; without it, nothing is sent.
    pub sight: Arc<Sight>,
    /// The reserved deletions that the leader before has not used, as text.
    pub last_words: Arc<OnceLock<String>>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
}

/// Keeps the directory and the sessions up to date with the watches until cancelled, and writes the statuses of
/// Platforms while this process leads.
///
/// Each key of a Platform whose [`Resolution`] may have changed is sent to `changed`, so that its objects are
/// reconciled at once.
pub async fn run(
    context: PlatformContext,
    changed: mpsc::UnboundedSender<ObjectKey>,
    cancel: CancellationToken,
) {
    let keeper = keeper::Keeper::new(
        Arc::clone(&context.directory),
        Arc::clone(&context.sessions),
        Arc::clone(&context.guards),
        Arc::clone(&context.connect),
        context.clock.clone(),
        changed,
    );
    let client = context.client.clone();
    let sight = Arc::clone(&context.sight);
    let directory = Arc::clone(&context.directory);
    let learned = context.sessions.learned();
    let write = async {
        tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            () = context.sessions.led() => {}
        }
        writer::run(context, cancel.clone()).await;
    };
    let taking_in = take_in(&client, &sight, &directory, keeper, &learned, &cancel);
    tokio::join!(taking_in, write);
}

async fn take_in(
    client: &kube::Client,
    sight: &Arc<Sight>,
    directory: &Directory,
    mut keeper: keeper::Keeper,
    learned: &Notify,
    cancel: &CancellationToken,
) {
    let mut follow_overtaken = pin!(directory.follow_overtaken());
    let mut platforms = pin!(watch::platforms(client, sight));
    let mut listed_platforms = watch::PlatformIntake::new();
    let mut namespaces = pin!(watch::namespaces(client, sight));
    let mut listed_namespaces = watch::NamespaceIntake::new();
    let mut secrets = watch::SecretWatches::new(client.clone(), Arc::clone(sight));
    let mut rounds = sight.rounds();
    loop {
        tokio::select! {
            // Rare events come before events that others can cause at any rate.
            biased;
            () = cancel.cancelled() => return,
            () = rounds.changed() => keeper.forget_versions(),
            newer = directory.newer() => {
                for read in newer {
                    keeper.overtaken(read);
                }
                secrets.follow(&keeper.secrets_to_watch());
            }
            () = learned.notified() => keeper.learned(),
            never = &mut follow_overtaken => never,
            Some(event) = namespaces.next() => listed_namespaces.take(event, &mut keeper),
            Some(event) = platforms.next() => {
                listed_platforms.take(event, &mut keeper, sight);
                secrets.follow(&keeper.secrets_to_watch());
            }
            Some((secret, seen)) = secrets.next() => keeper.secret_seen(&secret, seen),
        }
    }
}
