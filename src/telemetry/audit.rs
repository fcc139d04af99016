//! The audit trail: one JSON line on standard output for each deletion, logs being on standard error.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;

use crate::api::names::{AppId, FileId};
use crate::api::version_package::Outcome;

/// How one deletion ended: who, what, when, outcome, codes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename = "PackageDeletion", rename_all = "camelCase")]
pub struct AuditRecord {
    /// When the outcome was known.
    pub time: Timestamp,
    /// The namespace of the object.
    pub namespace: String,
    /// The name of the object.
    pub name: String,
    /// The uid of the object: names repeat, uids don't.
    pub uid: String,
    /// The package on the platform.
    pub file_id: FileId,
    /// The application that it belongs to, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application: Option<AppId>,
    /// How it ended.
    pub outcome: Outcome,
    /// The HTTP status of the last answer, where a call was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// The platform's code in the last answer, if it carried one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Calls made for this deletion.
    pub attempts: u32,
    /// Since when the deletion was wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_at: Option<Timestamp>,
    /// From then to the outcome, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

/// Writes `record` as one line to standard output. Done before the finalizer goes.
///
/// # Errors
/// When standard output takes nothing any more.
pub fn write(record: &AuditRecord) -> io::Result<()> {
    write_to(&mut io::stdout().lock(), record)
}

/// The line is made first and written at once, so that no reader ever sees half of one.
fn write_to(out: &mut impl Write, record: &AuditRecord) -> io::Result<()> {
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    out.write_all(&line)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> AuditRecord {
        AuditRecord {
            time: "2026-07-01T10:00:03Z".parse().unwrap(),
            namespace: "fleet".to_owned(),
            name: "meter\nfw".to_owned(),
            uid: "u-1".to_owned(),
            file_id: "a1".parse().unwrap(),
            application: Some("app-1".parse().unwrap()),
            outcome: Outcome::AlreadyGone,
            http_status: Some(404),
            code: Some("123002".to_owned()),
            attempts: 2,
            requested_at: Some("2026-07-01T10:00:00Z".parse().unwrap()),
            duration_ms: Some(3000),
        }
    }

    fn line(record: &AuditRecord) -> serde_json::Value {
        let mut out = Vec::new();
        write_to(&mut out, record).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches('\n').count(), 1, "one line: {text:?}");
        assert!(text.ends_with('\n'));
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_deletion_is_one_json_line_with_who_what_when_outcome_and_codes() {
        assert_eq!(
            line(&record()),
            serde_json::json!({
                "kind": "PackageDeletion", "time": "2026-07-01T10:00:03Z",
                "namespace": "fleet", "name": "meter\nfw", "uid": "u-1",
                "fileId": "a1", "application": "app-1", "outcome": "AlreadyGone",
                "httpStatus": 404, "code": "123002", "attempts": 2,
                "requestedAt": "2026-07-01T10:00:00Z", "durationMs": 3000,
            })
        );
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let bare = AuditRecord {
            application: None,
            http_status: None,
            code: None,
            requested_at: None,
            duration_ms: None,
            outcome: Outcome::Retained,
            ..record()
        };
        let line = line(&bare);
        assert_eq!(line["outcome"], "Retained");
        for key in [
            "application",
            "httpStatus",
            "code",
            "requestedAt",
            "durationMs",
        ] {
            assert!(line.get(key).is_none(), "{key}");
        }
    }
}
