//! The audit trail: one JSON line for each end of a package's life with us.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

/// One line of the audit trail. Never holds a secret.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditRecord {
    /// When it ended.
    pub time: Timestamp,
    /// `namespace/name` of the object.
    pub object: String,
    /// Its uid.
    pub uid: String,
    /// The package.
    pub file_id: Option<String>,
    /// The application that owns it.
    pub application: Option<String>,
    /// How it ended.
    pub outcome: &'static str,
    /// Who keeps the package, where it was handed over.
    pub kept_by: Option<String>,
    /// The HTTP status of the last call.
    pub http_status: Option<u16>,
    /// The platform's code of the last call.
    pub code: Option<String>,
    /// How many calls were made.
    pub attempts: i32,
    /// Since when the deletion was asked for.
    pub requested_at: Timestamp,
    /// How long the last call took, in milliseconds.
    pub duration_ms: Option<u64>,
}

impl AuditRecord {
    /// `took` in whole milliseconds.
    pub fn millis(took: Duration) -> u64 {
        u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Writes `record` as one line on the tracing target `audit`.
pub fn write(record: &AuditRecord) {
    match serde_json::to_string(record) {
        Ok(line) => tracing::info!(target: "audit", record = line, "audit"),
        Err(error) => {
            tracing::error!(target: "audit", %error, "an audit record could not be written")
        }
    }
}
