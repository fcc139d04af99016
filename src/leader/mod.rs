//! Leader election: only the process that holds the Lease sends calls to a platform. The leader records the calls of
//! the last window in the Lease, for the next leader.
//!
//! ```text
//! read the Lease -> evaluate (pure) -> create, take, renew: only over the version that was read
//!                                       |
//!                                       +-> sessions: reservation of calls, and its end
//! ```
//!
//! A leader that can't renew its Lease starts no call that could outlast the Lease. A standby judges the end of another
//! process's Lease by its own clock, from the moment at which it first saw the last renewal, so the clocks needn't
//! agree. If a leader is suspended while a call connects, the call's timeout, which is checked again before the
//! connection is used, stops the call. One case remains: a process that is suspended between that check and the write
//! to the socket, for longer than the Lease lasts, may send one call when it resumes.
//!
//! Every process, including a single replica and a local run, lists and watches at once, but reconciles only from the
//! moment at which it holds the Lease (30 s, renewed every 5 s). Until then each due object waits once in the work
//! queue, so that a standby takes over without a list. A process that loses the Lease ends.
//!
//! The monotonic clock of a suspended machine may stop with the machine. Then only the next renewal, due within five
//! seconds, shows that another process holds the Lease. If renewals only fail, such a leader sends until half the
//! duration of the Lease (15 s by its own clock) has passed since the last renewal, like any leader that can't reach
//! the API server.

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

/// The Lease was lost, so this process must end.
#[derive(Debug, thiserror::Error)]
#[error(
    "the Lease {namespace}/{} was lost: {why}; this process ends so that it sends nothing more",
    lease::NAME
)]
pub struct Lost {
    namespace: String,
    why: String,
}

/// The reference to the Lease in events of `namespace`.
pub fn about(namespace: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some("coordination.k8s.io/v1".to_owned()),
        kind: Some("Lease".to_owned()),
        name: Some(lease::NAME.to_owned()),
        namespace: Some(namespace.to_owned()),
        ..ObjectReference::default()
    }
}

/// A function that is called with the reason why the `ClusterRoleBinding` doesn't let this process lead, and with
/// `None` when it does.
type Forbidden = Arc<dyn Fn(Option<&str>) + Send + Sync>;

/// Leader election of this process: it takes the Lease, renews it and gives it back.
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
    /// The last known version of the Lease, which the next write replaces, and its decoded contents.
    last: Option<(Lease, LeaseView)>,
    /// The newest known resource version of the Lease.
    newest: u64,
    /// Whether the last renewal got a newer resource version than the watches had seen.
    writes_are_newest: bool,
    /// The last known holder of the Lease; empty if there is none.
    holder: watch::Sender<String>,
    last_words: Arc<LastWords>,
}

impl Leader {
    /// `client` is made from [`client_config`]; `sessions` get their reservations from the Lease; `forbidden` is
    /// called with the reason why the `ClusterRoleBinding` doesn't let this process lead, and with `None` when it
    /// does.
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

    /// The last words of the previous leader, and those of this process.
    pub fn last_words(&self) -> Arc<LastWords> {
        Arc::clone(&self.last_words)
    }

    /// The identity of the last known holder of the Lease; empty if there is none.
    pub fn holder(&self) -> watch::Receiver<String> {
        self.holder.subscribe()
    }

    /// Waits for the Lease, then renews it until `stop`, and gives it back with the calls of the last window.
    ///
    /// # Errors
    /// If the Lease was held and is lost. The process must end then, since no call may outlast the Lease.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Lost> {
        match self.campaign(&stop).await {
            Some(ends) => self.hold(ends, &stop).await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
