//! The flags of `vpo run`, and the settings made from them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use super::super::value::{self, BadValue};
use crate::leader;
use crate::remote::client::Timeouts;
use crate::telemetry::audit::AuditLog;
use crate::telemetry::logs::LogFormat;

/// The time limit for opening the audit file.
const OPENS: Duration = Duration::from_secs(10);

/// The settings of the operator. The cluster is the one in KUBECONFIG, or the one that this pod runs in.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// The address of /livez, /readyz and /metrics; also of /queue and /inventory, but only for clients that connect to
    /// an address of the loopback interface. `[::]`, or nothing before the colon, stands for all addresses of both
    /// families.
    #[arg(
        long,
        env = "VPO_ADMIN_LISTEN",
        default_value = "[::]:8080",
        value_name = "ADDRESS:PORT",
        value_parser = value::listen_address
    )]
    pub(super) admin_listen: SocketAddr,

    /// The format of log lines.
    #[arg(long, env = "VPO_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(super) log_format: LogFormat,

    /// The filter of log lines, such as `info` or `info,version_package_operator=debug`.
    #[arg(long, env = "VPO_LOG", default_value = "info", value_name = "FILTER")]
    pub(super) log: String,

    /// The file that audit lines are appended to instead of standard output. It may be rotated by renaming.
    #[arg(long, env = "VPO_AUDIT_LOG", value_name = "FILE")]
    audit_log: Option<PathBuf>,

    /// The time limit for connecting to the platform, 100ms to 60s.
    #[arg(long, env = "VPO_CONNECT_TIMEOUT", default_value = "5s", value_name = "DURATION", value_parser = duration)]
    connect_timeout: Duration,

    /// The time limit of a whole call to the platform, 100ms to 60s.
    #[arg(long, env = "VPO_CALL_TIMEOUT", default_value = "15s", value_name = "DURATION", value_parser = duration)]
    pub(super) call_timeout: Duration,

    /// The name of this pod, shown as the source of events.
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub(super) pod_name: Option<String>,

    /// The uid of this pod. With it a restarted container takes over its own Lease at once.
    #[arg(long, env = "POD_UID", value_name = "UID")]
    pod_uid: Option<String>,

    /// The namespace of the Lease. It must be the namespace of the ServiceAccount in the operator's
    /// `ClusterRoleBinding`, else this process doesn't lead. By default the namespace of this pod, or of the context of
    /// KUBECONFIG.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE")]
    namespace: Option<String>,

    /// How long the Lease is valid without a renewal, 3s to 2m in whole seconds; at least twice the call time-out.
    #[arg(long, env = "VPO_LEASE_DURATION", default_value = "30s", value_name = "DURATION", value_parser = lease_duration)]
    lease_duration: Duration,
}

impl RunArgs {
    /// Refuses contradictory time limits.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.connect_timeout <= self.call_timeout,
            "--connect-timeout {:?} is longer than --call-timeout {:?}, which includes it",
            self.connect_timeout,
            self.call_timeout
        );
        anyhow::ensure!(
            self.call_timeout * 2 <= self.lease_duration,
            "--call-timeout {:?} is longer than half of --lease-duration {:?}: a call must end before the Lease does",
            self.call_timeout,
            self.lease_duration
        );
        Ok(())
    }

    /// The audit log that the flags select.
    pub(super) async fn audit_log(&self) -> anyhow::Result<AuditLog> {
        let Some(path) = &self.audit_log else {
            return Ok(AuditLog::stdout());
        };
        let opening = tokio::task::spawn_blocking({
            let path = path.clone();
            move || AuditLog::to_file(path)
        });
        // A hanging volume would block the start without a message.
        let opened = match tokio::time::timeout(OPENS, opening).await {
            Ok(opened) => opened.map_err(std::io::Error::other).flatten(),
            Err(_) => Err(std::io::Error::other(format!(
                "it can't be opened within {OPENS:?}"
            ))),
        };
        opened.with_context(|| format!("--audit-log {} can't be written", path.display()))
    }

    /// The time limits of calls to the platform.
    pub(super) fn timeouts(&self) -> Timeouts {
        Timeouts {
            connect: self.connect_timeout,
            total: self.call_timeout,
        }
    }

    /// The settings of the leader election.
    pub(super) fn leadership(&self, config: &kube::Config, in_pod: bool) -> leader::LeaderSettings {
        let given = self.namespace.clone().filter(|name| !name.is_empty());
        let source = match (&given, in_pod) {
            (Some(_), _) => leader::Source::Flag,
            (None, true) => leader::Source::Pod,
            (None, false) => leader::Source::Context,
        };
        leader::LeaderSettings {
            namespace: given.unwrap_or_else(|| config.default_namespace.clone()),
            source,
            in_pod,
            identity: leader::identity(self.pod_name.as_deref(), self.pod_uid.as_deref()),
            duration: self.lease_duration,
            call_timeout: self.call_timeout,
        }
    }
}

fn duration(text: &str) -> Result<Duration, BadValue> {
    let fits =
        |span: &Duration| (Duration::from_millis(100)..=Duration::from_secs(60)).contains(span);
    value::duration(
        text,
        fits,
        "is not a duration from 100ms to 60s, such as 5s",
    )
}

fn lease_duration(text: &str) -> Result<Duration, BadValue> {
    let fits = |span: &Duration| (3..=120).contains(&span.as_secs()) && span.subsec_nanos() == 0;
    let otherwise = "is not a duration from 3s to 2m in whole seconds, such as 30s";
    value::duration(text, fits, otherwise)
}
