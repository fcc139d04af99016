//! The Platform controller: what is known of every `Platform`, its credentials and its session.
//!
//! ```text
//! watches (Platforms, Namespaces, named Secrets) -> keeper -> directory, sessions -> status
//!                       GETs that overtook them ----^
//! ```
//!
//! It reads Platforms and Namespaces of the whole cluster, lists and watches each named Secret by its
//! name only, and writes nothing but the status and the finalizer of Platforms.

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

/// What a `Platform` is to one object that names it.
#[derive(Clone)]
pub enum Resolution {
    /// Not known yet: the first list of Platforms, Namespaces or Secrets is still under way.
    Unread,
    /// There is none of that name.
    NotFound,
    /// It does not allow the object's namespace.
    NotAllowed,
    /// Its credentials, certificates or endpoint can't be used, and no last good ones are in memory.
    Unusable {
        /// The word of the Platform's own condition.
        reason: PlatformReason,
        /// The message of the Platform's own condition.
        message: String,
        /// Whether its namespace is being deleted, and takes no Secret any more.
        ending: bool,
    },
    /// Calls can be made.
    Usable(Usable),
}

impl Resolution {
    /// The means to call it, where calls can be made.
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
    /// Whose packages they are.
    pub app_id: AppId,
    /// Whether it brings a login: a token handed in may be of another application than the one written beside it.
    pub logs_in: bool,
    /// Where permits come from.
    pub session: Arc<Session>,
    /// How calls go out.
    pub connection: Arc<Connection>,
    /// Whose word counts: equal for equal credentials of one application, wherever they are used.
    pub credential: CredentialId,
    /// Whether a credential of it, this one or one before, is known to have been tried.
    pub tried: bool,
    /// Whether packages are really deleted.
    pub mode: Mode,
    /// How often this Platform wants the list of packages to be read.
    pub inventory: Option<Duration>,
    /// Changes with anything that makes trying again worthwhile: the spec or a Secret of the Platform.
    pub revision: u64,
    /// Set while the Secret can't be read and the last good credentials serve; only objects
    /// already terminating or retired may use them. The message says what is wrong.
    pub last_good: Option<(PlatformReason, String)>,
    /// How long a deletion can still be called off after it was asked for.
    pub grace: Duration,
    /// Whether it takes on objects that it hasn't accepted yet.
    pub accepts: bool,
}

impl Usable {
    /// What is known of its credential at its endpoint.
    pub fn proof(&self) -> Proof {
        self.session.proof()
    }

    /// Who tells what its calls find out.
    pub fn witness(&self) -> Witness {
        let token = (!self.logs_in).then(|| self.credential.clone());
        (self.session.key().clone(), token)
    }

    /// Asks that its credential be tried, since a claim, a release or a raised bound waits for it; `first` where a person's
    /// word waits for that.
    pub fn try_credential(&self, first: bool) {
        self.session.try_credential(first);
    }

    /// Whether a try of a credential of it has ended, whatever it found out: of the present one, or of one before, so that
    /// changing it again and again keeps nobody waiting.
    pub fn was_tried(&self) -> bool {
        self.tried || self.session.was_tried()
    }
}

/// The objects of one Platform.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tenants {
    /// How many stand where.
    pub counts: PackageCounts,
    /// Those that need the Platform.
    pub users: Users,
}

/// The accepted objects of a Platform whose packages aren't gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Users {
    /// How many there are.
    pub count: usize,
    /// Some of them, by name.
    pub some: Vec<ObjectKey>,
}

/// Where the Platform controller asks for the objects of a Platform; `None` before they are known. Users
/// are only asked for where a Platform is being deleted.
pub type Census = Box<dyn Fn(&ObjectKey, bool) -> Option<Tenants> + Send + Sync>;

/// What the Platform controller works with.
pub struct PlatformContext {
    /// The API server.
    pub client: kube::Client,
    /// The clocks.
    pub clock: Clock,
    /// All sessions of this process.
    pub sessions: Arc<Sessions>,
    /// What is known of every Platform; filled here.
    pub directory: Arc<Directory>,
    /// What is held and what may go.
    pub guards: Arc<Guards>,
    /// Prepares calls to a platform.
    pub connect: Connect,
    /// The objects of each Platform.
    pub census: Census,
    /// Publishes events.
    pub events: Events,
    /// Tells whether a line is owed for too long.
    pub audit: AuditLog,
    /// Whether the cluster is seen as it is.
    pub sight: Arc<Sight>,
    /// What the leader before has left unused of its records, in words.
    pub last_words: Arc<OnceLock<String>>,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

/// Keeps `directory` and `sessions` in step with the cluster until cancelled, and the statuses of
/// Platforms true while this process leads.
///
/// `changed` gets a Platform whenever what it is to its objects may have changed, so that they are
/// tried at once.
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
            // What comes seldom goes before what others can make come as often as they like.
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
