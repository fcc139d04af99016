//! Deletion: immediate, or a mark while finalizers remain.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::kinds::Kind;
use crate::read::decode;
use crate::refusal::{Refusal, without_empty};
use crate::replace::version_of;
use crate::request::Call;
use crate::select::Selector;
use crate::state::State;
use crate::write::Write;
use crate::{events, meta};

/// The finalizers that ask the garbage collector for its work.
pub(crate) const ORPHAN: &str = "orphan";
pub(crate) const FOREGROUND: &str = "foregroundDeletion";

/// The options of a deletion.
struct Options(Value);

impl Options {
    fn read(call: &Call) -> Result<Self, Refusal> {
        let mut options = if call.body.is_empty() {
            json!({})
        } else {
            serde_json::from_slice(&call.body)
                .map_err(|error| Refusal::bad_request(error.to_string()))?
        };
        let policy = call.param("propagationPolicy");
        if call.body.is_empty() && !policy.is_empty() {
            options["propagationPolicy"] = json!(policy);
        }
        Ok(Self(options))
    }

    fn wanted(&self, name: &str) -> Option<&str> {
        self.0["preconditions"][name].as_str()
    }

    /// The finalizers of an object after the deletion was requested.
    fn finalizers<'a>(&self, present: Vec<&'a str>) -> Vec<&'a str> {
        let mut rest = present;
        let policy = self.0["propagationPolicy"].as_str();
        let asks = match policy {
            None => return rest,
            Some("Orphan") => Some(ORPHAN),
            Some("Foreground") => Some(FOREGROUND),
            Some(_) => None,
        };
        rest.retain(|one| ![ORPHAN, FOREGROUND].contains(one));
        rest.extend(asks);
        rest
    }
}

impl State {
    pub(crate) fn delete(
        &mut self,
        user: &str,
        call: &Call,
        kind: &Arc<Kind>,
        name: &str,
    ) -> Result<(u16, Value), Refusal> {
        let options = Options::read(call)?;
        let write = Self::write(user, call, kind, name);
        let (code, object) = self.end(&write, &options, name)?;
        let whole = object["kind"] != "Status";
        let object = if whole {
            events::shown(object, call)
        } else {
            object
        };
        Ok((code, object))
    }

    fn end(
        &mut self,
        write: &Write<'_>,
        options: &Options,
        name: &str,
    ) -> Result<(u16, Value), Refusal> {
        let kind = write.kind;
        let kept = self.store.get(&write.key).cloned();
        let kept = kept.ok_or_else(|| Refusal::not_found(kind, name))?;
        let mut object = decode(kind, &kept);
        self.admit_deletion(write, &object)?;
        let uid = meta::text(&object, "uid").to_owned();
        if let Some(wanted) = options.wanted("uid").filter(|wanted| *wanted != uid) {
            let why = format!(
                "the UID in the precondition ({wanted}) does not match the UID in record ({uid}). The object might have been deleted and then recreated"
            );
            return Err(unmet(kind, name, &why));
        }
        let version = version_of(&kept);
        if let Some(wanted) = options
            .wanted("resourceVersion")
            .filter(|wanted| *wanted != version)
        {
            let why = format!(
                "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record ({version}). The object might have been modified"
            );
            return Err(unmet(kind, name, &why));
        }
        if kind.plural == "namespaces" {
            return Ok((200, self.end_namespace(write, object)));
        }
        let present: Vec<String> = meta::finalizers(&object)
            .into_iter()
            .map(str::to_owned)
            .collect();
        let finalizers = options.finalizers(present.iter().map(String::as_str).collect());
        if finalizers.is_empty() {
            self.take_out(&write.key);
            let details =
                json!({"name": name, "group": kind.group, "kind": kind.plural, "uid": uid});
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                "details": without_empty(details),
            });
            return Ok((200, status));
        }
        object["metadata"]["finalizers"] = json!(finalizers);
        self.mark(&mut object);
        object["metadata"]["deletionGracePeriodSeconds"] = json!(0);
        object["metadata"]
            .as_object_mut()
            .map(|fields| fields.remove("resourceVersion"));
        if object != *kept.object {
            self.put(write.key.clone(), object);
        }
        let kept = self.store.get(&write.key).cloned().unwrap_or(kept);
        Ok((200, decode(kind, &kept)))
    }

    /// Marks an object for deletion, unless it is marked already.
    fn mark(&self, object: &mut Value) {
        if meta::is_going(object) {
            return;
        }
        object["metadata"]["deletionTimestamp"] = json!(self.now());
        if let Some(generation) = object["metadata"]["generation"].as_u64() {
            object["metadata"]["generation"] = json!(generation + 1);
        }
    }

    fn end_namespace(&mut self, write: &Write<'_>, mut object: Value) -> Value {
        if !meta::is_going(&object) {
            self.mark(&mut object);
            object["status"]["phase"] = json!("Terminating");
            object["metadata"]
                .as_object_mut()
                .map(|fields| fields.remove("resourceVersion"));
            let version = self.put(write.key.clone(), object.clone());
            object["metadata"]["resourceVersion"] = json!(version.to_string());
        }
        object
    }

    pub(crate) fn delete_all(
        &mut self,
        user: &str,
        call: &Call,
        kind: &Arc<Kind>,
    ) -> Result<(u16, Value), Refusal> {
        let options = Options::read(call)?;
        let listed = self.list(call, kind)?;
        let selector = Selector::read(
            call.param("fieldSelector"),
            call.param("labelSelector"),
            kind,
        )?;
        let all = self.store.at(self.store.version(), &kind.resource());
        for (key, kept) in all {
            let object = decode(kind, &kept);
            if key.is_in(call.namespace.as_deref()) && selector.matches(&object) {
                let name = meta::text(&object, "name").to_owned();
                let write = Self::write(user, call, kind, &name);
                self.end(&write, &options, &name)?;
            }
        }
        Ok((200, listed))
    }
}

/// The refusal for an unmet precondition. Its message holds the kind where other messages hold the resource.
fn unmet(kind: &Kind, name: &str, why: &str) -> Refusal {
    let dot = if kind.group.is_empty() { "" } else { "." };
    let (called, group) = (&kind.called, &kind.group);
    let words = format!("Operation cannot be fulfilled on {called}{dot}{group} \"{name}\": {why}");
    Refusal::new(409, "Conflict", words).of(kind, name, called)
}
