//! Events: said on transitions only, and never a failure of whoever says them.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;
use kube::runtime::events::{Event, EventType, Recorder};

use crate::api::condition::cut;
use crate::api::names::ObjectKey;

/// How long the API server may take for one.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The API's bound on a note, in bytes.
const NOTE_BOUND: usize = 1024;

/// Something for the person who reads events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Whether somebody has to act.
    pub warning: bool,
    /// The CamelCase word.
    pub reason: &'static str,
    /// One sentence.
    pub message: String,
}

/// How an event names the object `key` with this uid.
pub fn about<Kind: Resource<DynamicType = ()>>(key: &ObjectKey, uid: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some(Kind::api_version(&()).into_owned()),
        kind: Some(Kind::kind(&()).into_owned()),
        name: Some(key.name.to_string()),
        namespace: Some(key.namespace.to_string()),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    }
}

/// Publishes `note` about an object; tells whether that went well.
pub async fn publish(recorder: &Recorder, about: &ObjectReference, note: &Note) -> bool {
    let event = Event {
        type_: if note.warning {
            EventType::Warning
        } else {
            EventType::Normal
        },
        reason: note.reason.to_owned(),
        note: Some(cut(&note.message, NOTE_BOUND).to_owned()),
        action: "Delete".to_owned(),
        secondary: None,
    };
    match tokio::time::timeout(TIMEOUT, recorder.publish(&event, about)).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::debug!(%error, "an event could not be published");
            false
        }
        Err(_) => false,
    }
}
