//! The one process that sends anything to a platform: it holds a Lease, and leaves the calls of the
//! last window in it for the next one.
//!
//! ```text
//! look at the Lease -> evaluate (pure) -> create, take, renew: replaced only as it was seen
//!                                          |
//!                                          +-> sessions: until when, and how many calls, may go
//! ```
//!
//! A holder that can't renew sends nothing that could outlast its Lease; whoever waits judges the end
//! of a foreign Lease by its own clock, from when it first saw the last renewal, so clocks needn't
//! agree. A stop while a call connects is caught by the call's time-out, which began at the last look
//! and is looked at again before the connection is used. What is left: a process that stands still
//! between such a look and the write to the socket, for longer than the Lease, may send one call when
//! it goes on.
//!
//! Every process, a single replica and a local run too, lists and watches at once, but reconciles only from the moment
//! at which it holds the Lease (30 s, renewed every 5 s). What is due waits in the work queue meanwhile, each object
//! once, so a standby takes over without a list. Losing the Lease ends the process.
//!
//! The monotonic clock of a suspended machine may stand still with the machine. Then only the next renewal, due within
//! five seconds, finds that the Lease is another's. Where renewals only fail, such a leader sends until half a Lease
//! (15 s by its own clock) after the last renewal, like any leader that can't reach the API server.

mod campaign;
mod evaluate;
mod home;
mod identity;
mod last_words;
mod lease;
mod settings;
mod store;
mod term;

use std::sync::Arc;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Api;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::evaluate::{LeaseView, Me};
use self::home::Home;
pub use self::home::Source;
pub use self::identity::identity;
pub use self::last_words::LastWords;
pub use self::settings::{LeaderSettings, client_config};
use crate::clock::Clock;
use crate::raw::Lean;
use crate::session::Sessions;
use crate::sight::Sight;

/// This process must end: it doesn't hold the Lease any more.
#[derive(Debug, thiserror::Error)]
#[error(
    "the Lease {namespace}/{} was lost: {why}; this process ends so that it sends nothing more",
    lease::NAME
)]
pub struct Lost {
    namespace: String,
    why: String,
}

/// How an event names the Lease.
pub fn about(namespace: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some("coordination.k8s.io/v1".to_owned()),
        kind: Some("Lease".to_owned()),
        name: Some(lease::NAME.to_owned()),
        namespace: Some(namespace.to_owned()),
        ..ObjectReference::default()
    }
}

/// Told why the binding doesn't let this process lead, and when it does.
type Forbidden = Arc<dyn Fn(Option<&str>) + Send + Sync>;

/// Takes the Lease, keeps it and gives it back.
pub struct Leader {
    client: kube::Client,
    api: Api<Lean<Lease>>,
    home: Home,
    forbidden: Forbidden,
    settings: LeaderSettings,
    sessions: Arc<Sessions>,
    sight: Arc<Sight>,
    clock: Clock,
    me: Me,
    /// The last version that was seen, to be replaced as it is, and what it says.
    last: Option<(Lease, LeaseView)>,
    /// The newest version of it that was seen.
    newest: u64,
    /// Whether the last renewal was newer than all that the watches had seen.
    writes_are_newest: bool,
    /// Who holds the Lease, as last seen.
    holder: watch::Sender<String>,
    last_words: Arc<LastWords>,
}

impl Leader {
    /// `client` is made from [`client_config`]; `sessions` are told what they may do, `forbidden` why the
    /// `ClusterRoleBinding` doesn't let this process lead, and when it does.
    pub fn new(
        client: kube::Client,
        settings: LeaderSettings,
        sessions: Arc<Sessions>,
        (sight, clock): (Arc<Sight>, Clock),
        forbidden: impl Fn(Option<&str>) + Send + Sync + 'static,
    ) -> Self {
        Self {
            api: Api::namespaced(client.clone(), &settings.namespace),
            client,
            home: Home::new(settings.namespace.clone(), settings.source, settings.in_pod),
            forbidden: Arc::new(forbidden),
            me: Me {
                identity: settings.identity.clone(),
                term: None,
            },
            settings,
            sessions,
            sight,
            clock,
            last: None,
            newest: 0,
            writes_are_newest: false,
            holder: watch::Sender::default(),
            last_words: Arc::default(),
        }
    }

    /// What the leader before has left, and what this one leaves.
    pub fn last_words(&self) -> Arc<LastWords> {
        Arc::clone(&self.last_words)
    }

    /// The identity of who holds the Lease, as last seen; empty where nobody does.
    pub fn holder(&self) -> watch::Receiver<String> {
        self.holder.subscribe()
    }

    /// Waits for the Lease, then keeps it until `stop`, and gives it back with the last calls in it.
    ///
    /// # Errors
    /// When the Lease was held and is lost. Nothing that was begun may outlast it, so the process ends.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Lost> {
        match self.campaign(&stop).await {
            Some(ends) => self.hold(ends, &stop).await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
