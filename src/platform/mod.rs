//! The Platform controller: what is known of every `Platform`, its credentials and its session.
//!
//! ```text
//! watches (Platforms, Namespaces, named Secrets) -> keeper -> directory, sessions -> status
//! ```
//!
//! It reads Platforms and Namespaces of the whole cluster, lists and watches each named Secret by its
//! name only, and writes nothing but the status of Platforms.

mod confirm;
mod credentials;
mod directory;
mod keeper;
mod object;
mod status;
#[cfg(test)]
mod tests;
mod watch;
mod writer;

use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::api::names::{AppId, ObjectKey};
use crate::api::platform::{Mode, PackageCounts, PlatformReason};
use crate::remote::client::{Connection, Timeouts};
use crate::session::{Session, Sessions};

pub use directory::Directory;

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
    },
    /// Calls can be made.
    Usable(Usable),
}

/// A `Platform` over which calls can be made.
#[derive(Clone)]
pub struct Usable {
    /// Whose packages they are.
    pub app_id: AppId,
    /// Where permits come from.
    pub session: Arc<Session>,
    /// How calls go out.
    pub connection: Arc<Connection>,
    /// Whether packages are really deleted.
    pub mode: Mode,
    /// Changes with anything that makes trying again worthwhile: the spec or a Secret of the Platform.
    pub revision: u64,
    /// Set while the Secret can't be read and the last good credentials serve; only objects
    /// already terminating or retired may use them. The message says what is wrong.
    pub last_good: Option<(PlatformReason, String)>,
}

/// Where the Platform controller asks how many objects of a Platform stand where; `None` before they are known.
pub type Count = Box<dyn Fn(&ObjectKey) -> Option<PackageCounts> + Send + Sync>;

/// Keeps `directory` and `sessions` in step with the cluster until cancelled, and the statuses of
/// Platforms true while this process leads.
///
/// `changed` gets a Platform whenever what it is to its objects may have changed, so that they are
/// tried at once.
pub async fn run(
    client: kube::Client,
    sessions: Arc<Sessions>,
    directory: Arc<Directory>,
    timeouts: Timeouts,
    count: Count,
    changed: mpsc::UnboundedSender<ObjectKey>,
    cancel: CancellationToken,
) {
    let led = Arc::clone(&sessions);
    let keeper = keeper::Keeper::new(Arc::clone(&directory), sessions, timeouts, changed);
    let write = async {
        tokio::select! {
            () = cancel.cancelled() => return,
            () = led.led() => {}
        }
        writer::run(client.clone(), directory, count, cancel.clone()).await;
    };
    tokio::join!(take_in(&client, keeper, &cancel), write);
}

async fn take_in(client: &kube::Client, mut keeper: keeper::Keeper, cancel: &CancellationToken) {
    let mut platforms = pin!(watch::platforms(client));
    let mut listed_platforms = watch::PlatformIntake::new();
    let mut namespaces = pin!(watch::namespaces(client));
    let mut listed_namespaces = watch::NamespaceIntake::new();
    let mut secrets = watch::SecretWatches::new(client.clone());
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            Some(event) = platforms.next() => {
                listed_platforms.take(event, &mut keeper);
                secrets.follow(&keeper.secrets_to_watch());
            }
            Some(event) = namespaces.next() => listed_namespaces.take(event, &mut keeper),
            Some((secret, seen)) = secrets.next() => keeper.secret_seen(&secret, seen),
        }
    }
}
