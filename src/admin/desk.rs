//! The data behind the reports of the admin port, and the refusal of a report.

use std::sync::Arc;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::api::names::ObjectKey;
use crate::clock::Clock;
use crate::inventory::Inventory;
use crate::package::cache::Cache;
use crate::package::memory::Memory;
use crate::platform::Directory;
use crate::session::{Session, Sessions};

/// The size limit of a report, in bytes.
pub(super) const REPORT: usize = 8 << 20;

/// The refusal of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportRefusal {
    /// The reason, in one sentence.
    pub error: String,
    #[serde(skip)]
    status: StatusCode,
}

impl ReportRefusal {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        let error = error.into();
        Self { error, status }
    }

    /// The refusal of a report that exceeds its size limit.
    pub(super) fn too_large() -> Self {
        let error = format!(
            "the report has more than {REPORT} bytes. Ask for one Platform only, or give a lower --limit. If the inventory of one Platform alone is too large, status.packages.unmanaged of that Platform has the number of the packages that the report would list"
        );
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, error)
    }

    /// The HTTP status of the refusal.
    #[cfg(test)]
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }
}

impl IntoResponse for ReportRefusal {
    fn into_response(self) -> Response {
        (self.status, Json(self)).into_response()
    }
}

/// A report on all applications.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeskReport<Application> {
    /// When the report was made, by the operator's clock.
    pub time: Timestamp,
    /// One entry for each application with a usable Platform.
    pub applications: Vec<Application>,
    /// The Platforms that no call can be made for, as `namespace/name`.
    pub unusable_platforms: Vec<String>,
}

/// The sources of the reports.
pub struct Desk {
    /// The sessions, with their queues.
    pub sessions: Arc<Sessions>,
    /// All Platforms.
    pub directory: Arc<Directory>,
    /// The packages that the platforms list.
    pub inventory: Arc<Inventory>,
    /// The cache of all `VersionPackages`.
    pub cache: Arc<Cache>,
    /// The places of objects in the queues.
    pub memory: Arc<Memory>,
    /// The clocks.
    pub clock: Clock,
    /// The identity of the Lease holder, as last seen; empty where there is none.
    pub holder: watch::Receiver<String>,
    /// The namespace of the Lease.
    pub namespace: String,
}

impl Desk {
    /// Refuses the report `what` unless this replica leads: another replica makes no calls and has no such data.
    pub(super) fn leads(&self, what: &str) -> Result<(), ReportRefusal> {
        if self.sessions.leads() {
            Ok(())
        } else {
            Err(standby(&self.holder.borrow(), &self.namespace, what))
        }
    }

    /// The session of `platform`, for the report `what`. Refuses an unknown Platform.
    pub(super) fn session_of(
        &self,
        platform: &ObjectKey,
        what: &str,
    ) -> Result<Arc<Session>, ReportRefusal> {
        let mut platforms = self.directory.platforms();
        let found = platforms.iter().find(|(key, _)| key == platform);
        match found {
            Some((_, Some(usable))) => Ok(usable.session.clone()),
            Some((_, None)) => {
                let ObjectKey { namespace, name } = platform;
                let error = format!(
                    "Platform {platform} has no {what}, since no call can be made for it: kubectl -n {namespace} describe platform {name} says why"
                );
                Err(ReportRefusal::new(StatusCode::NOT_FOUND, error))
            }
            None => {
                platforms.sort_by(|(a, _), (b, _)| a.cmp(b));
                let known: Vec<_> = platforms.iter().map(|(key, _)| key.to_string()).collect();
                Err(unknown_platform(platform, &known))
            }
        }
    }

    /// The Platforms that no call can be made for, as `namespace/name`, sorted.
    pub(super) fn unusable_platforms(&self) -> Vec<String> {
        let platforms = self.directory.platforms().into_iter();
        let unusable = platforms.filter(|(_, usable)| usable.is_none());
        let mut unusable: Vec<_> = unusable.map(|(key, _)| key.to_string()).collect();
        unusable.sort();
        unusable
    }
}

/// Parses `namespace/name`.
pub(super) fn key(text: &str) -> Result<ObjectKey, ReportRefusal> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
            Ok(ObjectKey::new(namespace, name))
        }
        Some(_) | None => {
            let error = format!("`{text}` is not of the form NAMESPACE/NAME");
            Err(ReportRefusal::new(StatusCode::BAD_REQUEST, error))
        }
    }
}

fn standby(holder: &str, namespace: &str, what: &str) -> ReportRefusal {
    let error = if holder.is_empty() {
        format!(
            "only the leader has the {what}. This replica isn't the leader, and no other replica is yet; try again in a few seconds"
        )
    } else {
        // The identity of a pod consists of its name and its uid.
        let pod = holder.rsplit_once('_').map_or(holder, |(pod, _)| pod);
        format!(
            "this replica doesn't lead, and so has no {what}; {pod} does: kubectl -n {namespace} port-forward pod/{pod} 8080"
        )
    };
    ReportRefusal::new(StatusCode::SERVICE_UNAVAILABLE, error)
}

fn unknown_platform(platform: &ObjectKey, known: &[String]) -> ReportRefusal {
    let error = if known.is_empty() {
        format!("there is no Platform {platform}; there are no Platforms at all")
    } else {
        format!(
            "there is no Platform {platform}; there are {}",
            known.join(", ")
        )
    };
    ReportRefusal::new(StatusCode::NOT_FOUND, error)
}
