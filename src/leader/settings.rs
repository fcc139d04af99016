//! The settings of leader election.

use std::time::Duration;

use super::Source;

/// The settings of leader election for one process.
#[derive(Debug, Clone)]
pub struct LeaderSettings {
    /// The namespace of the Lease.
    pub namespace: String,
    /// The source of that namespace.
    pub source: Source,
    /// Whether this process runs with the `ServiceAccount` of its pod.
    pub in_pod: bool,
    /// The identity of this process; see [`identity()`](super::identity()).
    pub identity: String,
    /// The duration of the Lease without a renewal: at least 3 s, in whole seconds.
    pub duration: Duration,
    /// The timeout of a call to a platform; at most half of `duration`.
    pub call_timeout: Duration,
}

impl LeaderSettings {
    /// Interval between two renewals.
    pub(super) fn period(&self) -> Duration {
        self.duration / 6
    }

    /// Pause between two reads of a Lease that another process holds, and between two tries of a failed renewal.
    pub(super) fn pause(&self) -> Duration {
        self.duration / 30
    }

    /// Timeout of one request.
    pub(super) fn request(&self) -> Duration {
        self.period().min(Duration::from_secs(5))
    }
}

/// The client settings of a [`Leader`](super::Leader), made from those of the cluster: the client makes no retries of
/// its own, and shares no connection with long lists.
pub fn client_config(mut config: kube::Config, settings: &LeaderSettings) -> kube::Config {
    config.default_retry = false;
    config.connect_timeout = Some(settings.request());
    // Each request has its own timeout; the connection has to outlast the pause between two requests.
    config.read_timeout = Some(settings.period() * 3);
    config
}
