//! Reads the API server's audit log, the reliable source for counting its calls.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use serde_json::Value;

/// One request that the API server answered; for a watch its start.
#[derive(Debug, Clone)]
pub struct AuditEvent {
    /// The verb: get, list, watch, create, update, patch, delete or deletecollection.
    pub verb: String,
    /// The API group of the kind; empty for the core one.
    pub group: String,
    /// The plural of the kind, such as `versionpackages`; empty for requests without one.
    pub resource: String,
    /// The subresource, such as `status`; mostly empty.
    pub subresource: String,
    /// The namespace; empty for a cluster-wide request.
    pub namespace: String,
    /// The name; empty for a list or a watch.
    pub name: String,
    /// The user, such as `system:serviceaccount:iodm-system:vpo`.
    pub user: String,
    /// The id of the user's credential: each token has its own.
    pub credential: String,
    /// The user agent.
    pub user_agent: String,
    /// The status of the answer.
    pub code: u16,
    /// When the request arrived, in RFC 3339 with microseconds.
    pub time: String,
}

impl AuditEvent {
    /// Whether the request only reads.
    pub fn reads(&self) -> bool {
        matches!(self.verb.as_str(), "get" | "list" | "watch")
    }
}

/// All requests so far whose line begins at the byte offset `start` or later. The line may be written a moment after
/// the answer.
pub fn read(log: &Path, start: u64) -> Vec<AuditEvent> {
    let mut file = File::open(log).expect("the audit log can be opened");
    let mut text = String::new();
    file.seek(SeekFrom::Start(start))
        .and_then(|_| file.read_to_string(&mut text))
        .expect("the audit log can be read");
    // The last line may be incomplete.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole
        .lines()
        .map(|line| serde_json::from_str(line).expect("an audit line is JSON"))
        .filter(|event: &Value| {
            // A watch has a line at its start and one at its end; other requests only the latter.
            (event["verb"] == "watch") == (event["stage"] == "ResponseStarted")
        })
        .map(|event| {
            let text = |pointer| {
                let value = event.pointer(pointer).and_then(Value::as_str);
                value.unwrap_or_default().to_owned()
            };
            AuditEvent {
                verb: text("/verb"),
                group: text("/objectRef/apiGroup"),
                resource: text("/objectRef/resource"),
                subresource: text("/objectRef/subresource"),
                namespace: text("/objectRef/namespace"),
                name: text("/objectRef/name"),
                user: text("/user/username"),
                credential: text("/user/extra/authentication.kubernetes.io~1credential-id/0"),
                user_agent: text("/userAgent"),
                code: event["responseStatus"]["code"]
                    .as_u64()
                    .and_then(|code| u16::try_from(code).ok())
                    .unwrap_or_default(),
                time: text("/requestReceivedTimestamp"),
            }
        })
        .collect()
}

/// The byte offset of the next line.
pub fn end(log: &Path) -> u64 {
    let text = std::fs::read(log).expect("the audit log can be read");
    let whole = text.iter().rposition(|byte| *byte == b'\n');
    whole.map_or(0, |end| u64::try_from(end + 1).expect("a length"))
}
