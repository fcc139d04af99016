//! `Platform`: the access to one application on the remote platform.

mod allowed;
mod reason;
mod status;

use std::time::Duration;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::span;

pub use self::allowed::{AllowedFrom, AllowedNamespaces, UnusableSelector};
pub use self::reason::PlatformReason;
pub use self::status::{
    GuardStatus, HoldStatus, PackageCounts, PlatformStatus, QueueStatus, ReleasedHold,
    SentDeletions, SessionStatus,
};

/// One application on an OceanConnect platform: its endpoint, its credentials, its call quota, and the namespaces that may use it.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[expect(
    clippy::duplicated_attributes,
    reason = "two columns may be of one type"
)]
#[kube(
    group = "iodm.dev",
    version = "v1alpha1",
    kind = "Platform",
    plural = "platforms",
    shortname = "plat",
    category = "iodm",
    namespaced,
    status = "PlatformStatus",
    derive = "PartialEq",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether calls can be made"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "Why"
    ),
    printcolumn(
        name = "Mode",
        type_ = "string",
        json_path = ".spec.mode",
        description = "Enforce or Observe"
    ),
    printcolumn(
        name = "Queue",
        type_ = "integer",
        json_path = ".status.queue.length",
        description = "Objects that wait for a call"
    ),
    printcolumn(
        name = "Application",
        type_ = "string",
        json_path = ".status.session.appId",
        priority = 1,
        description = "The application that the credentials name"
    ),
    printcolumn(
        name = "Endpoint",
        type_ = "string",
        json_path = ".spec.endpoint",
        priority = 1,
        description = "Where the platform is reached"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct PlatformSpec {
    /// The URL of the platform, for example `https://iot.example.com:8743`. Only https, without user, password, query or fragment.
    #[schemars(length(min = 9, max = 1024))]
    #[x_kube(validation = Rule::new("isURL(self) && url(self).getScheme() == 'https' && url(self).getHostname() != '' && (url(self).getPort() == '' || (int(url(self).getPort()) >= 1 && int(url(self).getPort()) <= 65535)) && !self.contains('@') && !self.contains('?') && !self.contains('#')").message("endpoint must be an https URL such as https://iot.example.com:8743, without user, password, query or fragment"))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z]+://([A-Za-z0-9_-][A-Za-z0-9._-]*|[[](([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|([0-9A-Fa-f]{1,4}:){1,7}:|([0-9A-Fa-f]{1,4}:){1,6}:[0-9A-Fa-f]{1,4}|([0-9A-Fa-f]{1,4}:){1,5}(:[0-9A-Fa-f]{1,4}){1,2}|([0-9A-Fa-f]{1,4}:){1,4}(:[0-9A-Fa-f]{1,4}){1,3}|([0-9A-Fa-f]{1,4}:){1,3}(:[0-9A-Fa-f]{1,4}){1,4}|([0-9A-Fa-f]{1,4}:){1,2}(:[0-9A-Fa-f]{1,4}){1,5}|[0-9A-Fa-f]{1,4}:(:[0-9A-Fa-f]{1,4}){1,6}|:((:[0-9A-Fa-f]{1,4}){1,7}|:))[]])(:[0-9]*)?(/[A-Za-z0-9._~!$&()*+,;=:%/-]*)?$') && !self.matches('/([.]|%2[eE]){1,2}(/|$)')").message("endpoint must have a plain host, such as iot.example.com, 10.0.0.1 or [fd00::1], and a path without . and .. segments"))]
    #[x_kube(validation = Rule::new("!self.matches('^[A-Za-z]+://([^/:]*[.])?([0-9]+|0[xX][0-9A-Fa-f]*)[.]?(:|/|$)') || self.matches('^[A-Za-z]+://((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])[.]){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(:|/|$)')").message("endpoint has a host that looks like an IP address and is none, such as 10.0.0.1"))]
    pub endpoint: String,

    /// The Secret with the credentials, in the same namespace. Its keys are appId and secret (the operator logs in), or appKey and accessToken (a token obtained elsewhere, which the operator never renews).
    pub credentials_secret_ref: SecretRef,

    /// How the platform's certificate is checked and which certificate the operator shows. Default: the system's certificates are trusted, and none is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,

    /// The share of the application's quota that this operator may use. Default: 100 calls in 60s.
    #[serde(default)]
    pub quota: QuotaSpec,

    /// Enforce: packages are deleted. Observe: no DELETE is ever sent; the emergency stop, and a dry run. Default: Enforce.
    #[serde(default)]
    pub mode: Mode,

    /// The namespaces whose objects may refer to this Platform. Default: only its own (from: Same).
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,

    /// The protection against unwanted deletions: a time in which a requested deletion can be called off, and a bound on the number of deletions that are sent without a release by a person. Default: 50 deletions in 10m, each after 30s.
    #[serde(default)]
    pub guard: Guard,

    /// How the list of packages is read. Default: every 1h.
    #[serde(default)]
    pub inventory: InventorySpec,
}

/// A reference to a Secret in the namespace of the Platform.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct SecretRef {
    /// The name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')").message("the name of a Secret must be lower-case letters, digits, '-' or '.', with a letter or digit at both ends"))]
    pub name: String,
}

/// The TLS settings. The connection uses TLS 1.2 or newer, and the platform's certificate is always checked.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// The Secret with the key ca.crt: the certificates that are trusted, instead of the system's. Private CAs are the rule for this platform. Default: the system's certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretRef>,
    /// The Secret with the keys tls.crt and tls.key: the certificate that the operator shows. Default: none is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_cert_secret_ref: Option<SecretRef>,
    /// The name that the platform's certificate must carry, where it isn't the host of the endpoint. Default: that host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("isIP(self) || (self.matches('^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?[.])*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$') && !self.matches('(^|[.])([0-9]+|0[xX][0-9A-Fa-f]*)$'))").message("serverName must be a host name or an IP address, such as iot.example.com"))]
    pub server_name: Option<String>,
}

/// Which field of a spec can't be read, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} can't be read: {why}")]
pub struct UnreadableSpec {
    /// The field as users write it, with `spec` before it.
    pub field: String,
    /// What is wrong with it.
    pub why: String,
}

impl PlatformSpec {
    /// Reads a spec. A spec that can't be read exists only if the definition in the cluster lacks some of our
    /// validation rules.
    ///
    /// # Errors
    /// What can't be read, with the field.
    pub fn read(spec: serde_json::Value) -> Result<Self, UnreadableSpec> {
        let spec: Self = serde_path_to_error::deserialize(spec).map_err(|error| {
            let field = match error.path().to_string() {
                path if path == "." => "spec".to_owned(),
                path => format!("spec.{path}"),
            };
            UnreadableSpec {
                field,
                why: error.into_inner().to_string(),
            }
        })?;
        let (guard, zero) = (&spec.guard, Duration::ZERO);
        for (field, text, least, most) in [
            ("quota.window", &spec.quota.window, SECOND, HOUR),
            ("guard.window", &guard.window, SECOND, DAY),
            ("guard.gracePeriod", &guard.grace_period, zero, DAY),
            ("inventory.interval", &spec.inventory.interval, zero, DAY),
        ] {
            // A clamped span would differ from the written one, which is worse than an error.
            if !span(text).is_some_and(|span| (least..=most).contains(&span)) {
                let least = if least.is_zero() { "0s" } else { "1s" };
                let most = most.as_secs() / 3600;
                return Err(UnreadableSpec {
                    field: format!("spec.{field}"),
                    why: format!("it must be from {least} to {most}h, such as 30s or 1m30s"),
                });
            }
        }
        Ok(spec)
    }
}

/// The call quota: how many calls the operator may make in a window of time.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct QuotaSpec {
    /// Calls in one window, 1 to 10000. The platform allows 100 unless whoever runs the platform has raised the limit. Default: 100.
    #[serde(default = "QuotaSpec::default_calls")]
    #[schemars(range(min = 1, max = 10000))]
    pub calls: i32,
    /// The length of the window, 1s to 1h, such as 60s or 1m. Default: 60s.
    #[serde(default = "QuotaSpec::default_window")]
    #[schemars(length(min = 2, max = 16))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]{1,5}(s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('1h')").message("window must be from 1s to 1h, such as 60s"))]
    pub window: String,
}

impl QuotaSpec {
    fn default_calls() -> i32 {
        100
    }

    fn default_window() -> String {
        "60s".to_owned()
    }

    /// The number of calls in one window, limited to 1 to 10000 even if the schema let another number through.
    pub fn limit(&self) -> usize {
        usize::try_from(self.calls).unwrap_or(1).clamp(1, 10_000)
    }

    /// The length of the window, limited to 1 s to 1 h. If the text can't be read, the length is that of the platform's
    /// own window, 60 s.
    pub fn window(&self) -> Duration {
        span(&self.window).map_or(Duration::from_secs(60), |span| {
            span.clamp(Duration::from_secs(1), Duration::from_secs(3600))
        })
    }
}

impl Default for QuotaSpec {
    fn default() -> Self {
        Self {
            calls: Self::default_calls(),
            window: Self::default_window(),
        }
    }
}

/// The guard against mass deletions. The bounds of one Platform apply to all Platforms that count together with it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Guard {
    /// The most deletions within one window that are sent without a release by a person, 0 to 1000000; 0 lets none be sent. If this bound began a hold, raising the bound releases the hold at once, provided that every bound then allows all deletions that the hold counts. Default: 50.
    #[serde(default = "Guard::default_max_deletions")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max_deletions: i32,
    /// A second bound: the most deletions within one window in percent of the objects of the application, 0 to 100. Raising it releases a hold as a raise of maxDeletions does. Default: no such bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub max_percent: Option<i32>,
    /// The length of the window in which deletions are counted, 1s to 24h, such as 10m. Default: 10m.
    #[serde(default = "Guard::default_window")]
    #[schemars(length(min = 2, max = 16))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]{1,5}(s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('24h')").message("window must be from 1s to 24h, such as 10m"))]
    pub window: String,
    /// How long a deletion can still be called off after it was requested, 0s to 24h, such as 30s. Default: 30s.
    #[serde(default = "Guard::default_grace_period")]
    #[schemars(length(min = 2, max = 16))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]{1,5}(s|m|h))+$') && duration(self) <= duration('24h')").message("gracePeriod must be from 0s to 24h, such as 30s"))]
    pub grace_period: String,
}

impl Guard {
    fn default_max_deletions() -> i32 {
        50
    }

    fn default_window() -> String {
        "10m".to_owned()
    }

    fn default_grace_period() -> String {
        "30s".to_owned()
    }

    /// The most deletions in one window that are sent without a person's release.
    pub fn max_deletions(&self) -> usize {
        usize::try_from(self.max_deletions).unwrap_or(0)
    }

    /// The most deletions in one window in percent of all objects; `None` if this bound isn't set.
    pub fn max_percent(&self) -> Option<usize> {
        self.max_percent
            .map(|percent| usize::try_from(percent).unwrap_or(0))
    }

    /// The length of the window, 1 s to 24 h; ten minutes for an unreadable text.
    pub fn window(&self) -> Duration {
        span(&self.window).map_or(Duration::from_secs(600), |span| {
            span.clamp(Duration::from_secs(1), DAY)
        })
    }

    /// How long a deletion can still be called off, at most 24 h; 30 s for an unreadable text.
    pub fn grace_period(&self) -> Duration {
        span(&self.grace_period).map_or(Duration::from_secs(30), |span| span.min(DAY))
    }
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            max_deletions: Self::default_max_deletions(),
            max_percent: None,
            window: Self::default_window(),
            grace_period: Self::default_grace_period(),
        }
    }
}

/// How the operator reads the platform's list of packages. It uses only calls of the quota that no deletion needs at
/// that moment.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct InventorySpec {
    /// The time between two readings, 1s to 24h; 0s turns it off. Default: 1h.
    #[serde(default = "InventorySpec::default_interval")]
    #[schemars(length(min = 2, max = 16))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]{1,5}(s|m|h))+$') && duration(self) <= duration('24h')").message("interval must be 0s, or from 1s to 24h, such as 1h"))]
    pub interval: String,
}

impl InventorySpec {
    fn default_interval() -> String {
        "1h".to_owned()
    }

    /// The time between two reads, at most 24 h; `None` if reads are off. One hour for an unreadable text.
    pub fn interval(&self) -> Option<Duration> {
        let interval = span(&self.interval).map_or(Duration::from_secs(3600), |span| span.min(DAY));
        (!interval.is_zero()).then_some(interval)
    }
}

impl Default for InventorySpec {
    fn default() -> Self {
        Self {
            interval: Self::default_interval(),
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Whether packages are really deleted.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Packages are deleted.
    #[default]
    Enforce,
    /// No DELETE is ever sent.
    Observe,
}
