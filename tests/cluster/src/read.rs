//! Reads: one object, the pages of a list, and the events of a watch.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::kinds::{EVENTS, Kind};
use crate::refusal::Refusal;
use crate::request::Call;
use crate::select::Selector;
use crate::state::State;
use crate::store::{Change, Kept, Key};
use crate::{coerce, events, meta};

/// The form of an object in an answer: whole, or only its metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Whole,
    Metadata,
}

impl Form {
    pub fn of(call: &Call) -> Self {
        if call.metadata_only {
            Self::Metadata
        } else {
            Self::Whole
        }
    }

    pub fn show(self, object: Value) -> Value {
        match self {
            Self::Whole => object,
            Self::Metadata => json!({
                "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"],
            }),
        }
    }
}

/// An object as its kind shows it now: pruned, with defaults and with its version.
pub(crate) fn decode(kind: &Arc<Kind>, kept: &Kept) -> Value {
    let read = || (Arc::clone(kind), read(kind, kept));
    let (shown_by, shown) = kept.shown.get_or_init(read);
    // The definition may have changed since.
    if Arc::ptr_eq(shown_by, kind) {
        shown.clone()
    } else {
        self::read(kind, kept)
    }
}

fn read(kind: &Kind, kept: &Kept) -> Value {
    let mut object = (*kept.object).clone();
    if kind.custom {
        coerce::prune(&mut object, &kind.schema);
        coerce::drop_nulls(&mut object, &kind.schema);
        coerce::default(&mut object, &kind.schema);
    }
    meta::tidy(&mut object);
    object["apiVersion"] = json!(kind.api_version());
    object["kind"] = json!(kind.called);
    object["metadata"]["resourceVersion"] = json!(kept.version.to_string());
    object
}

impl State {
    pub(crate) fn get(&self, call: &Call, kind: &Arc<Kind>, name: &str) -> Result<Value, Refusal> {
        let kept = self.store.get(&Self::key(call, kind, name));
        let kept = kept.ok_or_else(|| {
            // The refusal for an event names the group of the path, which may be the core group.
            let mut asked = Kind::clone(kind);
            asked.group.clone_from(&call.group);
            Refusal::not_found(&asked, name)
        })?;
        Ok(Form::of(call).show(events::shown(decode(kind, kept), call)))
    }

    pub(crate) fn list(&self, call: &Call, kind: &Arc<Kind>) -> Result<Value, Refusal> {
        let selector = Selector::read(
            call.param("fieldSelector"),
            call.param("labelSelector"),
            kind,
        )?;
        let limit: usize = call.param("limit").parse().unwrap_or(0);
        let (version, start) = self.place(call)?;
        let now = self.store.version();
        if version > now {
            return Err(too_large(version, now));
        }
        let resource = kind.resource();
        let mut found = Vec::new();
        let mut left = 0;
        let mut next = None;
        for (key, kept) in self.store.at(version, &resource) {
            let is_other = selector.name().is_some_and(|name| !key.is_of(name));
            if !key.is_in(call.namespace.as_deref()) || key.path <= start || is_other {
                continue;
            }
            if limit > 0 && found.len() == limit {
                left += 1;
                continue;
            }
            let object = decode(kind, &kept);
            if selector.matches(&object) {
                next = Some(key.path);
                found.push(Form::of(call).show(events::shown(object, call)));
            }
        }
        let mut metadata = json!({"resourceVersion": version.to_string()});
        let whole = Form::of(call) == Form::Whole;
        if kind.custom && whole {
            metadata["continue"] = json!("");
        }
        if let Some(next) = next.filter(|_| left > 0) {
            metadata["continue"] = json!(token(version, &next));
            if selector.is_empty() {
                metadata["remainingItemCount"] = json!(left);
            }
        }
        let form = Form::of(call);
        if !kind.custom && whole {
            for item in found.iter_mut().filter_map(Value::as_object_mut) {
                item.remove("apiVersion");
                item.remove("kind");
            }
        }
        let (called, of) = match form {
            Form::Whole => (format!("{}List", kind.called), events::version(kind, call)),
            Form::Metadata => ("PartialObjectMetadataList".into(), "meta.k8s.io/v1".into()),
        };
        let none = !whole && found.is_empty();
        let items = if none { Value::Null } else { json!(found) };
        Ok(json!({"kind": called, "apiVersion": of, "metadata": metadata, "items": items}))
    }

    /// The version of a list, and the path after which the page begins.
    fn place(&self, call: &Call) -> Result<(u64, String), Refusal> {
        let now = self.store.version();
        let token = call.param("continue");
        if token.is_empty() {
            let version = call.param("resourceVersion");
            if version.is_empty() {
                return Ok((now, String::new()));
            }
            let wanted: u64 = version.parse().map_err(|_| {
                Refusal::bad_request(format!("invalid resource version: {}", unparsed(version)))
            })?;
            if call.param("resourceVersionMatch") == "Exact" {
                return if wanted < self.store.compacted() {
                    Err(expired(
                        "The resourceVersion for the provided list is too old.",
                    ))
                } else {
                    Ok((wanted, String::new()))
                };
            }
            return Ok((wanted.max(now), String::new()));
        }
        let (version, start) = untoken(token)
            .ok_or_else(|| Refusal::bad_request(format!("invalid continue token: {token}")))?;
        if version < self.store.compacted() {
            let words = "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";
            let mut refusal = expired(words);
            refusal.metadata = json!({"continue": self::token(now, &start)});
            return Err(refusal);
        }
        Ok((version, start))
    }
}

/// The message for an unreadable version.
pub(crate) fn unparsed(version: &str) -> String {
    format!(
        "resourceVersion: Invalid value: {version:?}: strconv.ParseUint: parsing {version:?}: invalid syntax"
    )
}

fn too_large(version: u64, now: u64) -> Refusal {
    let words = format!("Timeout: Too large resource version: {version}, current: {now}");
    let details = json!({
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    });
    Refusal {
        details: Some(details),
        ..Refusal::new(504, "Timeout", words)
    }
}

/// The refusal for a compacted version.
pub(crate) fn expired(words: &str) -> Refusal {
    Refusal::new(410, "Expired", words)
}

/// A continue token, in hexadecimal so that clients treat it as opaque.
fn token(version: u64, path: &str) -> String {
    let text = format!("{version} {path}");
    let digits = text.bytes().map(|byte| format!("{byte:02x}"));
    digits.collect()
}

fn untoken(token: &str) -> Option<(u64, String)> {
    let pairs = (0..token.len()).step_by(2);
    let bytes = pairs.map(|at| u8::from_str_radix(token.get(at..at + 2)?, 16).ok());
    let text = String::from_utf8(bytes.collect::<Option<Vec<u8>>>()?).ok()?;
    let (version, path) = text.split_once(' ')?;
    Some((version.parse().ok()?, path.to_owned()))
}

/// The subject of a watch.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    pub resource: String,
    pub namespace: Option<String>,
    pub selector: Selector,
    pub call: Call,
}

impl Watched {
    /// The watch event of a change; `None` where the change is of another object.
    pub fn event(&self, change: &Change, kind: &Arc<Kind>) -> Option<Value> {
        if change.key.resource != self.resource || !change.key.is_in(self.namespace.as_deref()) {
            return None;
        }
        let read = |kept: &Option<Kept>| {
            let object = kept.as_ref().map(|kept| decode(kind, kept));
            object.filter(|object| self.selector.matches(object))
        };
        let (before, after) = (read(&change.before), read(&change.after));
        let (called, mut object) = match (before, after) {
            (None, None) => return None,
            (None, Some(after)) => ("ADDED", after),
            (Some(_), Some(after)) => ("MODIFIED", after),
            (Some(before), None) => ("DELETED", before),
        };
        object["metadata"]["resourceVersion"] = json!(change.version.to_string());
        Some(self.line(called, object))
    }

    fn line(&self, called: &str, object: Value) -> Value {
        let object = Form::of(&self.call).show(events::shown(object, &self.call));
        json!({"type": called, "object": object})
    }

    /// A bookmark for a version.
    pub fn bookmark(&self, kind: &Kind, version: u64) -> Value {
        let metadata = json!({"resourceVersion": version.to_string()});
        let object = json!({
            "kind": kind.called, "apiVersion": events::version(kind, &self.call), "metadata": metadata,
        });
        let object = Form::of(&self.call).show(object);
        json!({"type": "BOOKMARK", "object": object})
    }

    /// The initial events of a watch without a version.
    pub fn present(&self, state: &State, kind: &Arc<Kind>) -> Vec<Value> {
        let all = state.store.at(state.store.version(), &self.resource);
        let own = all
            .iter()
            .filter(|(key, _)| key.is_in(self.namespace.as_deref()));
        let objects = own.map(|(_, kept)| decode(kind, kept));
        objects
            .filter(|object| self.selector.matches(object))
            .map(|object| self.line("ADDED", object))
            .collect()
    }
}

impl State {
    /// The key of the object `name` of a call.
    pub(crate) fn key(call: &Call, kind: &Kind, name: &str) -> Key {
        let space = call.namespace.as_deref().filter(|_| kind.namespaced);
        Key::new(&kind.resource(), space, name)
    }

    /// Whether a namespace is being deleted; `None` where it doesn't exist.
    pub(crate) fn namespace_is_going(&self, name: &str) -> Option<bool> {
        let kept = self.store.get(&Key::new("namespaces", None, name))?;
        Some(meta::is_going(&kept.object))
    }

    /// The kind that a path serves. Events have two paths.
    pub(crate) fn kind_of(&self, call: &Call) -> Option<std::sync::Arc<Kind>> {
        if call.group.is_empty() && call.plural == "events" {
            return self.kinds.get(EVENTS);
        }
        self.kinds.find(&call.group, &call.version, &call.plural)
    }
}
