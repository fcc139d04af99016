//! How a process takes part.

use std::time::Duration;

use super::Source;

/// How this process takes part.
#[derive(Debug, Clone)]
pub struct LeaderSettings {
    /// The namespace of the Lease.
    pub namespace: String,
    /// Who told this process that namespace.
    pub source: Source,
    /// Whether this process runs with the `ServiceAccount` of its pod.
    pub in_pod: bool,
    /// Who this process is; see [`identity()`](super::identity()).
    pub identity: String,
    /// How long the Lease lasts without a renewal; at least 3 s, in whole seconds.
    pub duration: Duration,
    /// How long a call to a platform may take; at most half of `duration`.
    pub call_timeout: Duration,
}

impl LeaderSettings {
    /// Between two renewals.
    pub(super) fn period(&self) -> Duration {
        self.duration / 6
    }

    /// Between two looks at a Lease that another holds, and two tries of a renewal that failed.
    pub(super) fn pause(&self) -> Duration {
        self.duration / 30
    }

    /// How long one request may take.
    pub(super) fn request(&self) -> Duration {
        self.period().min(Duration::from_secs(5))
    }
}

/// The settings of the client that a [`Leader`](super::Leader) works with, made from those of the cluster: nothing is
/// repeated below it, and no connection is shared with long lists.
pub fn client_config(mut config: kube::Config, settings: &LeaderSettings) -> kube::Config {
    config.default_retry = false;
    config.connect_timeout = Some(settings.request());
    // Each request has a time-out of its own; the connection has to outlast the pause between two.
    config.read_timeout = Some(settings.period() * 3);
    config
}
