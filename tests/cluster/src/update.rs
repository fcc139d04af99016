//! Updates: which changes are allowed, and which fields stay as they were.

use serde_json::{Value, json};

use crate::kinds::{DEFINITIONS, Kind};
use crate::managed::Managers;
use crate::read::decode;
use crate::refusal::{Cause, Refusal};
use crate::state::State;
use crate::store::Kept;
use crate::write::Write;
use crate::{built_in, meta, validate};

impl State {
    /// Replaces the stored object by `new`, if the rules allow it; `managers` own its fields.
    pub(crate) fn update(
        &mut self,
        write: &Write<'_>,
        mut new: Value,
        kept: &Kept,
        managers: &Managers,
    ) -> Result<Value, Refusal> {
        let kind = write.kind;
        let old = decode(kind, kept);
        let name = meta::text(&old, "name").to_owned();
        check_version(&new, kept, kind, &name)?;
        managers.write(&mut new);
        prepare(&mut new, &old, write);
        let mut causes = meta::check_update(&new, &old);
        causes.extend(built_in::check(&new, kind));
        if kind.custom {
            causes.extend(validate::validate(
                &new,
                Some(&old),
                &kind.schema,
                write.status,
            ));
        }
        if !causes.is_empty() {
            let group = built_in::group_of_refusal(kind);
            return Err(Refusal::invalid(group, &kind.called, &name, &causes));
        }
        self.admit(write, "UPDATE", &new, Some(&old))?;
        let is_over = meta::is_going(&new)
            && meta::finalizers(&new).is_empty()
            && new["spec"]["finalizers"]
                .as_array()
                .is_none_or(Vec::is_empty);
        if is_over {
            new["metadata"]["resourceVersion"] = json!(kept.version.to_string());
            self.take_out(&write.key);
            return Ok(new);
        }
        // Only the stored object loses its selfLink: the answer to a write that removes the object holds the link that
        // was sent.
        if let Some(metadata) = new["metadata"].as_object_mut() {
            metadata.remove("resourceVersion");
            metadata.remove("selfLink");
        }
        if !is_same(&new, &kept.object) {
            self.put(write.key.clone(), new);
        }
        self.reread(write)
    }
}

fn check_version(new: &Value, kept: &Kept, kind: &Kind, name: &str) -> Result<(), Refusal> {
    match meta::text(new, "resourceVersion") {
        "" | "0" if kind.unconditional => Ok(()),
        "" | "0" => {
            let why = "must be specified for an update";
            let cause = Cause::invalid("metadata.resourceVersion", &json!(0), why);
            Err(Refusal::invalid(&kind.group, &kind.plural, name, &[cause]))
        }
        text => match text.parse::<u64>() {
            Ok(version) if version == kept.version => Ok(()),
            Ok(_) => Err(Refusal::modified(kind, name)),
            Err(_) => Err(Refusal::plain(format!(
                "strconv.ParseUint: parsing {text:?}: invalid syntax"
            ))),
        },
    }
}

/// Restores the fields that an update can't change.
fn prepare(new: &mut Value, old: &Value, write: &Write<'_>) {
    let kind = write.kind;
    let managed = new["metadata"].get("managedFields").cloned();
    if kind.has_status && write.status {
        let status = new.get("status").cloned();
        *new = old.clone();
        set(new, "status", status);
        set(&mut new["metadata"], "managedFields", managed);
    } else if kind.has_status {
        set(new, "status", old.get("status").cloned());
    }
    let before = &old["metadata"];
    let metadata = &mut new["metadata"];
    for name in ["generation", "creationTimestamp"] {
        set(metadata, name, before.get(name).cloned());
    }
    if before.get("deletionTimestamp").is_some() {
        metadata["deletionTimestamp"] = before["deletionTimestamp"].clone();
    }
    let grace = "deletionGracePeriodSeconds";
    if metadata.get(grace).is_none() {
        set(metadata, grace, before.get(grace).cloned());
    }
    if metadata.get("uid").is_none() {
        metadata["uid"] = before["uid"].clone();
    }
    let counts = kind.custom || kind.resource() == DEFINITIONS;
    if counts && !write.status && is_changed(new, old, kind.has_status) {
        let generation = before["generation"].as_u64().unwrap_or(0);
        new["metadata"]["generation"] = json!(generation + 1);
    }
}

fn set(object: &mut Value, name: &str, value: Option<Value>) {
    if let Some(fields) = object.as_object_mut() {
        match value {
            Some(value) => fields.insert(name.to_owned(), value),
            None => fields.remove(name),
        };
    }
}

/// Whether anything except metadata and status differs.
fn is_changed(new: &Value, old: &Value, has_status: bool) -> bool {
    !is_equal_but_for(new, old, |name| {
        name == "metadata" || has_status && name == "status"
    })
}

/// Whether nothing differs except the times of managed fields.
fn is_same(new: &Value, old: &Value) -> bool {
    fn entries(object: &Value) -> &[Value] {
        let entries = object["metadata"]["managedFields"].as_array();
        entries.map_or(&[][..], Vec::as_slice)
    }
    let (managers, before) = (entries(new), entries(old));
    let mut pairs = managers.iter().zip(before);
    is_equal_but_for(new, old, |name| name == "metadata")
        && is_equal_but_for(&new["metadata"], &old["metadata"], |name| {
            name == "managedFields"
        })
        && managers.len() == before.len()
        && pairs.all(|(new, old)| is_equal_but_for(new, old, |name| name == "time"))
}

/// Whether two objects are equal except for some fields.
fn is_equal_but_for(one: &Value, other: &Value, leaves: impl Fn(&str) -> bool) -> bool {
    let (Some(fields), Some(others)) = (one.as_object(), other.as_object()) else {
        return one == other;
    };
    let rest = |(name, _): &(&String, &Value)| !leaves(name);
    fields.iter().filter(rest).eq(others.iter().filter(rest))
}
