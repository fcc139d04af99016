//! A request as the API server reads its path, query and headers.

use std::collections::BTreeMap;

use http::Method;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName, USER_AGENT};
use serde_json::Value;

use crate::refusal::Refusal;

/// A request for a resource.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub method: Method,
    pub group: String,
    pub version: String,
    pub namespace: Option<String>,
    pub plural: String,
    pub name: Option<String>,
    pub subresource: String,
    pub query: BTreeMap<String, String>,
    pub content_type: String,
    /// Whether the answer is to hold only the metadata.
    pub metadata_only: bool,
    pub agent: String,
    pub body: Vec<u8>,
}

impl Call {
    /// Parses a request; `None` where the path has no resource.
    pub fn read(parts: &http::request::Parts, body: Vec<u8>) -> Option<Self> {
        let mut path = parts.uri.path().trim_start_matches('/').split('/');
        let (group, version) = match path.next()? {
            "api" => (String::new(), path.next()?.to_owned()),
            "apis" => (path.next()?.to_owned(), path.next()?.to_owned()),
            _ => return None,
        };
        let rest: Vec<String> = path.map(decoded).collect();
        let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
        let (namespace, rest) = match rest[..] {
            // A namespace itself, and the objects in it.
            ["namespaces", space, ref rest @ ..]
                if !rest.is_empty() && !["status", "finalize"].contains(&rest[0]) =>
            {
                (Some(space.to_owned()), rest)
            }
            _ => (None, &rest[..]),
        };
        let header = |name: HeaderName| {
            let value = parts
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let accept = header(ACCEPT);
        Some(Self {
            method: parts.method.clone(),
            group,
            version,
            namespace,
            plural: (*rest.first()?).to_owned(),
            name: rest.get(1).map(|name| (*name).to_owned()),
            subresource: rest.get(2).copied().unwrap_or_default().to_owned(),
            query: pairs(parts.uri.query().unwrap_or_default()),
            content_type: header(CONTENT_TYPE),
            metadata_only: accept.contains("as=PartialObjectMetadata"),
            agent: header(USER_AGENT),
            body,
        })
    }

    pub fn param(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    pub fn flag(&self, name: &str) -> bool {
        matches!(self.param(name), "true" | "1")
    }

    /// Whether the request is a dry run. The options of a DELETE are in its body, where it has one; those in the query
    /// are then ignored.
    pub fn is_tried(&self) -> bool {
        if self.method == Method::DELETE && !self.body.is_empty() {
            let options: Value = serde_json::from_slice(&self.body).unwrap_or_default();
            let tried = options["dryRun"].as_array();
            return tried.is_some_and(|all| all.iter().any(|one| one == "All"));
        }
        self.param("dryRun") == "All"
    }

    pub fn is_watch(&self) -> bool {
        self.method == Method::GET && self.name.is_none() && self.flag("watch")
    }

    /// The verb of the request, as in roles.
    pub fn verb(&self) -> &'static str {
        match (self.method.as_str(), &self.name) {
            ("GET", None) if self.is_watch() => "watch",
            ("GET", None) => "list",
            ("GET", Some(_)) => "get",
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            ("DELETE", None) => "deletecollection",
            ("DELETE", Some(_)) => "delete",
            _ => "",
        }
    }

    /// The field manager of the request.
    pub fn manager(&self) -> String {
        let named = self.param("fieldManager");
        if named.is_empty() {
            self.agent.split('/').next().unwrap_or_default().to_owned()
        } else {
            named.to_owned()
        }
    }

    /// Parses the body of a create or replace.
    pub fn object(&self, kind: &str) -> Result<Value, Refusal> {
        let unreadable = |why: String| {
            Refusal::bad_request(format!(
                "the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; json parse error: {why}"
            ))
        };
        let object: Value =
            serde_json::from_slice(&self.body).map_err(|error| unreadable(error.to_string()))?;
        if object.is_object() {
            Ok(object)
        } else {
            Err(unreadable("it is no object".to_owned()))
        }
    }
}

fn pairs(query: &str) -> BTreeMap<String, String> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let split = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(&value.replace('+', " ")))
    };
    pairs.map(split).collect()
}

/// Decodes percent escapes.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| {
                text.get(at + 1..at + 3)
                    .and_then(|code| u8::from_str_radix(code, 16).ok())
            })
            .flatten();
        plain.push(escaped.unwrap_or(bytes[at]));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&plain).into_owned()
}
