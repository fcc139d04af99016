//! The audit log of the API server: the honest way to count its calls.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use serde_json::Value;

/// One request that the API server answered; a watch as of its start.
#[derive(Debug, Clone)]
pub struct AuditEvent {
    /// get, list, watch, create, update, patch, delete or deletecollection.
    pub verb: String,
    /// The API group of the kind; empty for the core one.
    pub group: String,
    /// The plural of the kind, such as `versionpackages`; empty for requests without one.
    pub resource: String,
    /// Such as `status`; mostly empty.
    pub subresource: String,
    /// The namespace; empty where there is none.
    pub namespace: String,
    /// The name; empty for a list and a watch.
    pub name: String,
    /// Who asked, such as `system:serviceaccount:iodm-system:vpo`.
    pub user: String,
    /// Which credential of that user it was: each token has an id of its own.
    pub credential: String,
    /// The program that asked, in its own words.
    pub user_agent: String,
    /// The status of the answer.
    pub code: u16,
    /// When the request came in, in RFC 3339 with microseconds.
    pub time: String,
}

impl AuditEvent {
    /// Whether it only reads.
    pub fn reads(&self) -> bool {
        matches!(self.verb.as_str(), "get" | "list" | "watch")
    }
}

/// Every request whose line begins at or after `start`, in bytes, so far. The line of an answer may come a moment after
/// the answer itself.
pub fn read(log: &Path, start: u64) -> Vec<AuditEvent> {
    let mut file = File::open(log).expect("the audit log can be opened");
    let mut text = String::new();
    file.seek(SeekFrom::Start(start))
        .and_then(|_| file.read_to_string(&mut text))
        .expect("the audit log can be read");
    // The last line may be half written.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole
        .lines()
        .map(|line| serde_json::from_str(line).expect("an audit line is JSON"))
        .filter(|event: &Value| {
            // A watch has a line at its start and one at its end, everything else only the latter.
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

/// Where the next line begins, in bytes.
pub fn end(log: &Path) -> u64 {
    let text = std::fs::read(log).expect("the audit log can be read");
    let whole = text.iter().rposition(|byte| *byte == b'\n');
    whole.map_or(0, |end| u64::try_from(end + 1).expect("a length"))
}
