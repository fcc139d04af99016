//! Writes of statuses and finalizers, for both kinds: one merge patch against the resourceVersion that the decision was
//! based on.
//!
//! A uid wouldn't protect the status: the API server ignores a uid in a write to the status of a custom resource. An
//! apply wouldn't do either: it never removes what another manager owns. The resourceVersion protects status and
//! finalizers: an object that has changed since the decision, or another object of the same name, is left alone.
//!
//! A write has one of these ends:
//!
//! - A 409 is a conflict if the watch shows another version within 5 s. The write is tried again with the object's next
//!   event; a permit and its intent survive three conflicts.
//! - Any other 409, and any other 4xx but 401, 404 and 429, is a refusal. The refusal is reported in the words of the
//!   server or policy that refuses, and the write is tried again with pauses of up to a minute.
//! - After a 404, the watch tells whether the object is deleted.
//! - If a write is accepted but not stored as it was sent, an admission policy or webhook has changed it. That is a
//!   refusal too.

use std::time::Duration;

use hyper::Request as HttpRequest;
use kube::api::{Patch, PatchParams, Request};
use kube::{Client, Resource};
use serde_json::{Value, json};

use crate::api::names::{FIELD_MANAGER, ObjectKey};
use crate::raw::Raw;

/// The time limit of one write.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// How long the watch may take to show the other version of a conflict. After that the conflict counts as a refusal.
pub const CONFLICT_BOUND: Duration = Duration::from_secs(5);

/// The object of a write, in the version that the decision was based on.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Namespace and name.
    pub key: &'a ObjectKey,
    /// The uid.
    pub uid: &'a str,
    /// The resourceVersion.
    pub version: &'a str,
}

/// The result of a write.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// The API server accepted the write; holds the new object.
    Taken(Value),
    /// The object has another version, which the watch is about to show. Holds the API server's message, in case the
    /// watch doesn't.
    Conflict(String),
    /// The object doesn't exist. The watch tells whether it is deleted.
    Gone,
    /// The API server or an admission policy refused the write; holds the message.
    Refused(String),
    /// The write got no answer, or one that isn't a decision about it; holds the message.
    Failed(String),
}

impl End {
    /// Whether an accepted write changed the resourceVersion: the watch echoes only such a write.
    pub fn changed(&self, target: &Target<'_>) -> bool {
        match self {
            Self::Taken(object) => {
                object["metadata"]["resourceVersion"].as_str() != Some(target.version)
            }
            Self::Conflict(_) | Self::Gone | Self::Refused(_) | Self::Failed(_) => false,
        }
    }
}

/// Writes the whole status.
pub async fn status<Kind: Resource<DynamicType = ()>>(
    client: &Client,
    target: &Target<'_>,
    status: &Value,
) -> End {
    let body = status_body(target, status);
    let params = params();
    let request = request::<Kind>(target).patch_subresource(
        "status",
        &target.key.name,
        &params,
        &Patch::Merge(&body),
    );
    send(client, request.map_err(|error| error.to_string())).await
}

/// Writes the list of finalizers. Afterwards the finalizer `ours` must be stored exactly if it is in the list.
pub async fn finalizers<Kind: Resource<DynamicType = ()>>(
    client: &Client,
    target: &Target<'_>,
    finalizers: &[&str],
    ours: &str,
) -> End {
    let body = finalizers_body(target, finalizers);
    let params = params();
    let request = request::<Kind>(target).patch(&target.key.name, &params, &Patch::Merge(&body));
    let end = send(client, request.map_err(|error| error.to_string())).await;
    as_wanted(end, finalizers.contains(&ours), ours)
}

/// Checks an accepted write of finalizers, which an admission policy may have changed.
fn as_wanted(end: End, wanted: bool, ours: &str) -> End {
    let End::Taken(object) = &end else { return end };
    let stored = object["metadata"]["finalizers"].as_array();
    let is_there = stored.is_some_and(|all| all.iter().any(|one| one == ours));
    match (wanted, is_there) {
        (true, false) => End::Refused(format!(
            "the write was taken, but without the finalizer {ours}: an admission policy or webhook takes it out"
        )),
        (false, true) => End::Refused(format!(
            "the write was taken, but the finalizer {ours} is still there: an admission policy or webhook puts it back"
        )),
        (true, true) | (false, false) => end,
    }
}

/// The patch of the status.
pub fn status_body(target: &Target<'_>, status: &Value) -> Value {
    json!({"metadata": {"resourceVersion": target.version}, "status": status})
}

/// The patch of the finalizers. The uid protects a new object of the same name.
pub fn finalizers_body(target: &Target<'_>, finalizers: &[&str]) -> Value {
    json!({"metadata": {
        "uid": target.uid,
        "resourceVersion": target.version,
        "finalizers": finalizers,
    }})
}

fn params() -> PatchParams {
    PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

fn request<Kind: Resource<DynamicType = ()>>(target: &Target<'_>) -> Request {
    Request::new(Kind::url_path(&(), Some(&target.key.namespace)))
}

async fn send(client: &Client, request: Result<HttpRequest<Vec<u8>>, String>) -> End {
    let request = match request {
        Ok(request) => request,
        Err(error) => return End::Failed(error),
    };
    // The answer is parsed tolerantly: an object that fails to decode would look like a failed write.
    match tokio::time::timeout(TIMEOUT, client.request::<Raw>(request)).await {
        Ok(Ok(Raw {
            metadata,
            data: mut object,
            ..
        })) => {
            object["metadata"] = json!(metadata);
            End::Taken(object)
        }
        Ok(Err(error)) => refusal(&error),
        Err(_) => End::Failed("the API server did not answer in time".to_owned()),
    }
}

/// The result of a write that failed with `error`.
fn refusal(error: &kube::Error) -> End {
    let kube::Error::Api(answer) = error else {
        return End::Failed(error.to_string());
    };
    let words = answer.message.clone();
    match answer.code {
        409 => End::Conflict(words),
        _ if is_denied(&words) => End::Refused(words),
        404 => End::Gone,
        // The request wasn't judged: the API server asks for a login or a pause.
        401 | 429 => End::Failed(words),
        400..=499 => End::Refused(words),
        _ => End::Failed(words),
    }
}

/// Whether a webhook or an admission policy denied the write. A webhook chooses the code of its denial, but not how the
/// API server's message begins (`ToStatusErr` of k8s.io/apiserver); a policy chooses among a few codes.
fn is_denied(words: &str) -> bool {
    let by_webhook = words.starts_with("admission webhook ");
    let by_policy = words.contains(": ValidatingAdmissionPolicy '");
    (by_webhook && words.contains(" denied the request"))
        || (by_policy && words.contains(" denied request: "))
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn answered(code: u16) -> End {
        let status = Status::failure("because", "R").with_code(code);
        refusal(&kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn a_refusal_differs_from_a_conflict_and_from_a_failing_api_server() {
        for code in [400, 403, 405, 413, 415, 422] {
            assert_eq!(answered(code), End::Refused("because".into()), "{code}");
        }
        for code in [401, 429, 500, 502, 503, 504] {
            assert_eq!(answered(code), End::Failed("because".into()), "{code}");
        }
        assert_eq!(answered(404), End::Gone);
        assert_eq!(answered(409), End::Conflict("because".into()));
    }

    #[test]
    fn a_denial_is_a_refusal_with_any_code_but_that_of_a_conflict() {
        let denials = [
            "admission webhook \"w.example.org\" denied the request: because",
            "admission webhook \"w.example.org\" denied the request without explanation",
            "versionpackages.iodm.dev \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: because",
        ];
        for code in [401, 403, 404, 422, 429, 500, 503] {
            for words in denials {
                let status = Status::failure(words, "").with_code(code);
                let end = refusal(&kube::Error::Api(Box::new(status)));
                assert_eq!(end, End::Refused(words.to_owned()), "{code}");
            }
        }
        let status = Status::failure("failed calling webhook", "").with_code(500);
        let end = refusal(&kube::Error::Api(Box::new(status)));
        assert_eq!(end, End::Failed("failed calling webhook".to_owned()));
    }

    #[test]
    fn a_write_of_finalizers_that_is_stored_otherwise_counts_as_refused() {
        let taken = |all: &[&str]| End::Taken(json!({"metadata": {"finalizers": all}}));
        assert_eq!(as_wanted(taken(&["a", "b"]), true, "a"), taken(&["a", "b"]));
        assert_eq!(as_wanted(taken(&["b"]), false, "a"), taken(&["b"]));
        assert!(matches!(
            as_wanted(taken(&["b"]), true, "a"),
            End::Refused(_)
        ));
        assert!(matches!(
            as_wanted(taken(&["a"]), false, "a"),
            End::Refused(_)
        ));
        assert_eq!(as_wanted(End::Gone, true, "a"), End::Gone);
    }

    #[test]
    fn a_write_applies_only_to_the_version_that_it_was_decided_on() {
        let key = ObjectKey::new("fleet", "a");
        let target = Target {
            key: &key,
            uid: "uid-a",
            version: "7",
        };
        let body = status_body(&target, &json!({"phase": "Active"}));
        assert_eq!(body["metadata"], json!({"resourceVersion": "7"}));
        let body = finalizers_body(&target, &["a/b"]);
        assert_eq!(
            body["metadata"],
            json!({"uid": "uid-a", "resourceVersion": "7", "finalizers": ["a/b"]})
        );
        let taken = |version: &str| End::Taken(json!({"metadata": {"resourceVersion": version}}));
        assert!(taken("8").changed(&target) && !taken("7").changed(&target));
    }
}
