//! PUT, and the three kinds of PATCH.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::kinds::Kind;
use crate::managed::Managers;
use crate::read::{Form, decode};
use crate::refusal::{Cause, Refusal};
use crate::request::Call;
use crate::state::{Naive, State};
use crate::store::Kept;
use crate::write::{STRICT, Write};
use crate::{built_in, events, meta, typed};

impl State {
    pub(crate) fn replace(
        &mut self,
        user: &str,
        call: &Call,
        kind: &Arc<Kind>,
        name: &str,
    ) -> Result<(u16, Value), Refusal> {
        let write = Self::write(user, call, kind, name);
        let mut new = Self::read_whole(&write)?;
        built_in::default(&mut new, kind);
        let Some(kept) = self.store.get(&write.key).cloned() else {
            let wanted = meta::text(&new, "uid");
            if kind.put_creates && !wanted.is_empty() {
                return Err(another(&write, name, wanted, ""));
            }
            if kind.put_creates {
                return self.put_new(&write, new);
            }
            return Err(Refusal::not_found(kind, name));
        };
        let old = decode(kind, &kept);
        let (wanted, uid) = (meta::text(&new, "uid"), meta::text(&old, "uid"));
        if !wanted.is_empty() && wanted != uid {
            return Err(another(&write, name, wanted, uid));
        }
        let managers = self.taken_over(&write, &old, &new);
        let object = self.update(&write, new, &kept, &managers)?;
        Ok((200, Form::of(call).show(events::shown(object, call))))
    }

    fn put_new(&mut self, write: &Write<'_>, mut new: Value) -> Result<(u16, Value), Refusal> {
        let mut managers = Managers::default();
        let manager = Self::manager(write, false);
        self.viewed(write, |view| {
            managers.update(&built_in::empty(write.kind), &new, manager, view);
        });
        managers.write(&mut new);
        Ok((201, self.add(write, new)?))
    }

    /// The managers after an update from `old` to `new`.
    fn taken_over(&self, write: &Write<'_>, old: &Value, new: &Value) -> Managers {
        let entries = new["metadata"]["managedFields"].as_array();
        let reset = entries.is_some_and(|all| all.len() == 1 && all[0] == json!({}));
        let mut managers = match (reset, write.status) {
            (true, false) => Managers::default(),
            (_, true) => Managers::read(old),
            (false, false) => Some(Managers::read(new))
                .filter(|managers| !managers.is_empty())
                .unwrap_or_else(|| Managers::read(old)),
        };
        let manager = Self::manager(write, false);
        self.viewed(write, |view| managers.update(old, new, manager, view));
        managers
    }

    pub(crate) fn patch(
        &mut self,
        user: &str,
        call: &Call,
        kind: &Arc<Kind>,
        name: &str,
    ) -> Result<(u16, Value), Refusal> {
        let write = Self::write(user, call, kind, name);
        let media = call
            .content_type
            .split(';')
            .next()
            .unwrap_or_default()
            .trim();
        let merges = match media {
            "application/apply-patch+yaml" => return self.apply(&write, name),
            "application/json-patch+json" => false,
            "application/merge-patch+json" => true,
            "application/strategic-merge-patch+json" if !kind.custom => true,
            _ => return Err(unknown_media(kind)),
        };
        let kept = self.store.get(&write.key).cloned();
        let kept = kept.ok_or_else(|| Refusal::not_found(kind, name))?;
        let old = decode(kind, &kept);
        let mut new = events::shown(old.clone(), call);
        let text = &call.body;
        if merges {
            json_patch::merge(&mut new, &merge_patch(text)?);
        } else {
            operate(&mut new, text)?;
        }
        if let Some(why) = meta::misread(&new) {
            return Err(misfit(&new.to_string(), &why));
        }
        for field in ["apiVersion", "kind"] {
            if !new[field].is_string() {
                return Err(no_type(field));
            }
        }
        let is_strict = call.param("fieldValidation") == "Strict";
        let patched = if is_strict {
            new.to_string()
        } else {
            String::new()
        };
        let read = Self::read_body(&write, new, false);
        let mut new = read.map_err(|refusal| match refusal.message.split_once(STRICT) {
            Some((_, unknown)) => misfit(&patched, &format!("{STRICT}{unknown}")),
            None => refusal,
        })?;
        built_in::default(&mut new, kind);
        let managers = self.taken_over(&write, &old, &new);
        let object = self.update(&write, new, &kept, &managers)?;
        Ok((200, Form::of(call).show(events::shown(object, call))))
    }

    fn apply(&mut self, write: &Write<'_>, name: &str) -> Result<(u16, Value), Refusal> {
        let (call, kind) = (write.call, write.kind);
        if call.param("fieldManager").is_empty() {
            let cause = Cause::required("fieldManager", "is required for apply patch");
            return Err(Refusal::invalid(
                "meta.k8s.io",
                "PatchOptions",
                "",
                &[cause],
            ));
        }
        let mut applied: Value = serde_json::from_slice(&call.body)
            .map_err(|error| Refusal::bad_request(format!("error decoding YAML: {error}")))?;
        let kept = self.store.get(&write.key).cloned();
        if kept.is_none() && write.status {
            return Err(Refusal::not_found(kind, name));
        }
        if applied["metadata"]
            .get("managedFields")
            .is_some_and(|fields| !fields.is_null())
        {
            return Err(Refusal::bad_request("metadata.managedFields must be nil"));
        }
        for (field, value) in [
            ("apiVersion", kind.api_version()),
            ("kind", kind.called.clone()),
        ] {
            if applied[field].is_null() {
                applied[field] = json!(value);
            }
        }
        if let Some(why) = typed::misfit(&applied, &kind.whole) {
            let version = kind.api_version();
            return Err(Refusal::plain(format!(
                "failed to create typed patch object (/{name}; {version}, Kind={}): {why}",
                kind.called
            )));
        }
        let wanted = meta::text(&applied, "uid");
        if kept.is_none() && !wanted.is_empty() {
            let why = format!(
                "uid mismatch: the provided object specified uid {wanted}, and no existing object was found"
            );
            return Err(Refusal::conflict(kind, name, &why));
        }
        let nothing =
            || json!({"apiVersion": kind.api_version(), "kind": kind.called, "metadata": {}});
        let live = kept
            .as_ref()
            .map_or_else(nothing, |kept| decode(kind, kept));
        let mut managers = Managers::read(&live);
        if self.naive == Some(Naive::StatusApplyKeepsUid) && write.status {
            let (wanted, uid) = (meta::text(&applied, "uid"), meta::text(&live, "uid"));
            if !wanted.is_empty() && wanted != uid {
                return Err(another(write, name, wanted, uid));
            }
        }
        let manager = Self::manager(write, true);
        let force = call.flag("force");
        let mut new = self.viewed(write, |view| {
            managers.apply(&live, &applied, &manager, force, view)
        })?;
        if self.naive == Some(Naive::StatusApplyReplaces) && write.status {
            new["status"] = applied["status"].clone();
        }
        let mut new = Self::read_body(write, new, true)?;
        built_in::default(&mut new, kind);
        let Some(kept) = kept else {
            managers.write(&mut new);
            return Ok((201, self.add(write, new)?));
        };
        let object = self.update(write, new, &kept, &managers)?;
        Ok((200, object))
    }
}

/// The refusal to replace an object with another uid.
fn another(write: &Write<'_>, name: &str, wanted: &str, uid: &str) -> Refusal {
    let (kind, path) = (write.kind, &write.key.path);
    // A dry run is refused before it reaches the store.
    let store = if write.call.is_tried() {
        ""
    } else {
        "/registry"
    };
    let folder = if kind.custom {
        format!("{}/{}", kind.group, kind.plural)
    } else {
        kind.plural.clone()
    };
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: {store}/{folder}/{path}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {wanted}, UID in object meta: {uid}"
    );
    Refusal::conflict(kind, name, &why)
}

/// The refusal of a patch whose result doesn't fit the kind.
fn misfit(patched: &str, why: &str) -> Refusal {
    let why = format!("Invalid value: {patched:?}: {why}");
    Refusal::invalid("", "", "", &[Cause::new("FieldValueInvalid", "patch", why)])
}

fn unknown_media(kind: &Kind) -> Refusal {
    let more = if kind.custom {
        ""
    } else {
        ", application/strategic-merge-patch+json"
    };
    Refusal::new(
        415,
        "UnsupportedMediaType",
        format!(
            "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml{more}"
        ),
    )
}

fn merge_patch(text: &[u8]) -> Result<Value, Refusal> {
    let Ok(patch) = serde_json::from_slice::<Value>(text) else {
        return Err(Refusal::bad_request("invalid JSON patch"));
    };
    if patch.is_object() {
        return Ok(patch);
    }
    let kind = match patch {
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::Null | Value::Object(_) => "null",
    };
    Err(Refusal::bad_request(format!(
        "error decoding patch: json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
    )))
}

fn operate(object: &mut Value, text: &[u8]) -> Result<(), Refusal> {
    let undecoded =
        |error: serde_json::Error| Refusal::bad_request(format!("error decoding patch: {error}"));
    let value: Value = serde_json::from_slice(text).map_err(undecoded)?;
    if !value.is_array() {
        let why = "json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp";
        return Err(Refusal::bad_request(format!("error decoding patch: {why}")));
    }
    let patch: json_patch::Patch = serde_json::from_value(value).map_err(undecoded)?;
    json_patch::patch(object, &patch).map_err(|_| Refusal {
        details: Some(json!({})),
        ..Refusal::new(
            422,
            "Invalid",
            "the server rejected our request due to an error in our request",
        )
    })
}

fn no_type(field: &str) -> Refusal {
    let what = if field == "kind" { "Kind" } else { field };
    let words = format!("Object '{what}' is missing in 'object has no {field} field'");
    let refusal = Refusal::new(
        500,
        "InternalError",
        format!("Internal error occurred: {words}"),
    );
    refusal.because(json!([{"message": words}]))
}

/// The version of a stored object, as text.
pub(crate) fn version_of(kept: &Kept) -> String {
    kept.version.to_string()
}
