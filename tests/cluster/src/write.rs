//! The common steps of creates and updates.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::admission::{Attempt, admit};
use crate::kinds::{DEFINITIONS, Kind};
use crate::managed::{Manager, Managers, View};
use crate::read::{Form, decode};
use crate::refusal::{Cause, Refusal};
use crate::request::Call;
use crate::state::{Naive, State};
use crate::store::Key;
use crate::{built_in, coerce, events, meta, validate};

/// The prefix of the message about unknown fields.
pub(crate) const STRICT: &str = "strict decoding error: ";

/// A write in progress.
pub(crate) struct Write<'a> {
    pub user: &'a str,
    pub call: &'a Call,
    pub kind: &'a Arc<Kind>,
    pub key: Key,
    pub status: bool,
}

impl State {
    pub(crate) fn write<'a>(
        user: &'a str,
        call: &'a Call,
        kind: &'a Arc<Kind>,
        name: &str,
    ) -> Write<'a> {
        Write {
            user,
            call,
            kind,
            key: Self::key(call, kind, name),
            status: call.subresource == "status",
        }
    }

    /// Parses the object in a body.
    pub(crate) fn read_whole(write: &Write<'_>) -> Result<Value, Refusal> {
        let kind = write.kind;
        let object = write.call.object(&kind.called)?;
        if let Some(why) = meta::misread(&object) {
            let (kind, version) = (&kind.called, &kind.version);
            return Err(Refusal::bad_request(format!(
                "{kind} in version {version:?} cannot be handled as a {kind}: {why}"
            )));
        }
        Self::read_body(write, object, false)
    }

    /// Parses a body as an object of its kind; `applied` marks the result of an apply.
    pub(crate) fn read_body(
        write: &Write<'_>,
        mut object: Value,
        applied: bool,
    ) -> Result<Value, Refusal> {
        let (call, kind) = (write.call, write.kind);
        let expected = events::version(kind, call);
        let version = object["apiVersion"].as_str().unwrap_or(&expected);
        if version != expected {
            return Err(Refusal::bad_request(format!(
                "the API version in the data ({version}) does not match the expected API version ({expected})"
            )));
        }
        let called = object["kind"].as_str().unwrap_or(&kind.called);
        if called != kind.called {
            let group = &kind.group;
            let why = format!("must be {}", kind.called);
            let cause = Cause::invalid("kind", &called.into(), &why);
            return Err(Refusal::invalid(
                group,
                called,
                meta::text(&object, "name"),
                &[cause],
            ));
        }
        events::kept(&mut object, call);
        if !object["metadata"].is_object() {
            object["metadata"] = json!({});
        }
        object["apiVersion"] = json!(kind.api_version());
        object["kind"] = json!(kind.called);
        if kind.custom {
            let mut unknown = meta::unknown(&object);
            unknown.extend(coerce::prune(&mut object, &kind.schema));
            if call.param("fieldValidation") == "Strict" && !unknown.is_empty() {
                let (kind, version) = (&kind.called, &kind.version);
                let told = unknown.iter().map(|path| format!("unknown field {path:?}"));
                let told: Vec<String> = told.collect();
                return Err(Refusal::bad_request(format!(
                    "{kind} in version {version:?} cannot be handled as a {kind}: {STRICT}{}",
                    told.join(", ")
                )));
            }
            if !applied {
                coerce::drop_nulls(&mut object, &kind.schema);
            }
            coerce::default(&mut object, &kind.schema);
        }
        // The result of an apply is stored as merged, including nulls in labels; reads remove them.
        if !applied {
            meta::tidy(&mut object);
        }
        Self::check_place(write, &mut object)?;
        Ok(object)
    }

    /// Sets a missing namespace to that of the path, and refuses another one.
    fn check_place(write: &Write<'_>, object: &mut Value) -> Result<(), Refusal> {
        let space = write.call.namespace.as_deref();
        if let Some(space) = space.filter(|_| write.kind.namespaced) {
            let own = meta::text(object, "namespace");
            if own.is_empty() {
                object["metadata"]["namespace"] = json!(space);
            } else if own != space {
                return Err(Refusal::bad_request(
                    "the namespace of the provided object does not match the namespace sent on the request",
                ));
            }
        }
        let own = meta::text(object, "name");
        if let Some(name) = &write.call.name {
            if own.is_empty() && write.kind.custom {
                object["metadata"]["name"] = json!(name);
            } else if own != name {
                return Err(Refusal::bad_request(format!(
                    "the name of the object ({own}) does not match the name on the URL ({name})"
                )));
            }
        }
        Ok(())
    }

    pub(crate) fn manager(write: &Write<'_>, applies: bool) -> Manager {
        let version = events::version(write.kind, write.call);
        Manager {
            applies,
            name: write.call.manager(),
            version: if applies { String::new() } else { version },
            subresource: if write.status {
                "status".into()
            } else {
                String::new()
            },
        }
    }

    /// Calls `look` with this write's view on managed fields.
    pub(crate) fn viewed<T>(&self, write: &Write<'_>, look: impl FnOnce(&View<'_>) -> T) -> T {
        let ignored = write.kind.ignored(write.status);
        look(&View {
            schema: &write.kind.whole,
            ignored: &ignored,
            version: &events::version(write.kind, write.call),
            now: &self.now(),
        })
    }

    pub(crate) fn create(
        &mut self,
        user: &str,
        call: &Call,
        kind: &Arc<Kind>,
    ) -> Result<(u16, Value), Refusal> {
        let mut write = Self::write(user, call, kind, "");
        let mut object = Self::read_whole(&write)?;
        let prefix = meta::text(&object, "generateName").to_owned();
        if meta::text(&object, "name").is_empty() && !prefix.is_empty() {
            let ending: String = (0..5)
                .map(|_| {
                    self.chance
                        .choice(b"bcdfghjklmnpqrstvwxz2456789")
                        .map_or('b', |c| char::from(*c))
                })
                .collect();
            object["metadata"]["name"] = json!(format!("{prefix}{ending}"));
        }
        write.key = Self::key(call, kind, meta::text(&object, "name"));
        meta::wipe(&mut object);
        built_in::default(&mut object, kind);
        let mut managers = Managers::default();
        let nothing = built_in::empty(kind);
        let manager = Self::manager(&write, false);
        self.viewed(&write, |view| {
            managers.update(&nothing, &object, manager, view);
        });
        managers.write(&mut object);
        let object = self.add(&write, object)?;
        Ok((201, Form::of(call).show(events::shown(object, call))))
    }

    /// Stores a new object with known managers.
    pub(crate) fn add(&mut self, write: &Write<'_>, mut object: Value) -> Result<Value, Refusal> {
        let kind = write.kind;
        let name = meta::text(&object, "name").to_owned();
        if let Some(space) = write.call.namespace.as_deref() {
            match self.namespace_is_going(space) {
                None => {
                    let spaces = self.kinds.find("", "v1", "namespaces");
                    let spaces = spaces.as_deref().unwrap_or(kind);
                    return Err(Refusal::not_found(spaces, space));
                }
                Some(true) => return Err(ending(kind, &name, space)),
                Some(false) => {}
            }
        }
        let version = meta::text(&object, "resourceVersion").to_owned();
        let uid = self.uid();
        let now = self.now();
        let metadata = &mut object["metadata"];
        for gone in [
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "resourceVersion",
            "generation",
            "selfLink",
        ] {
            metadata.as_object_mut().map(|fields| fields.remove(gone));
        }
        metadata["uid"] = json!(uid);
        metadata["creationTimestamp"] = json!(now);
        if kind.custom || kind.resource() == DEFINITIONS {
            metadata["generation"] = json!(1);
        }
        if kind.custom && kind.has_status {
            object.as_object_mut().map(|fields| fields.remove("status"));
        }
        built_in::complete(&mut object, kind);
        let mut causes = meta::check(&object, kind);
        causes.extend(built_in::check(&object, kind));
        if kind.custom {
            causes.extend(validate::validate(&object, None, &kind.schema, false));
        }
        if !causes.is_empty() {
            let group = built_in::group_of_refusal(kind);
            return Err(Refusal::invalid(group, &kind.called, &name, &causes));
        }
        self.admit(write, "CREATE", &object, None)?;
        if !matches!(&*version, "" | "0") && write.call.method == http::Method::POST {
            let why = "resourceVersion should not be set on objects to be created";
            return Err(Refusal::plain(why));
        }
        if let Some(present) = self.store.get(&write.key) {
            let refusal = Refusal::exists(kind, &name, meta::is_going(&present.object));
            let generated = !meta::text(&object, "generateName").is_empty();
            return Err(if generated {
                refusal.once_more()
            } else {
                refusal
            });
        }
        if kind.resource() == DEFINITIONS {
            crate::kinds::established(&mut object, &now);
        }
        self.put(write.key.clone(), object);
        self.reread(write)
    }

    /// The current object of a write.
    pub(crate) fn reread(&self, write: &Write<'_>) -> Result<Value, Refusal> {
        let kept = self.store.get(&write.key);
        let kept = kept.ok_or_else(|| Refusal::not_found(write.kind, &write.key.path))?;
        Ok(decode(write.kind, kept))
    }

    /// Stores an object. A definition is served from then on.
    pub(crate) fn put(&mut self, key: Key, object: Value) -> u64 {
        if key.resource == DEFINITIONS {
            self.kinds.define(&object);
        }
        self.store.put(key, object)
    }

    pub(crate) fn uid(&mut self) -> String {
        let bits = self.chance.u128(..);
        let hex = format!("{bits:032x}");
        let variant = ["8", "9", "a", "b"][(bits & 3) as usize];
        format!(
            "{}-{}-4{}-{variant}{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[13..16],
            &hex[17..20],
            &hex[20..]
        )
    }

    pub(crate) fn admit(
        &self,
        write: &Write<'_>,
        operation: &'static str,
        object: &Value,
        old: Option<&Value>,
    ) -> Result<(), Refusal> {
        let resource = write.kind.resource();
        let attempt = Attempt {
            user: write.user,
            operation,
            resource: &resource,
            subresource: &write.call.subresource,
            object,
            old,
        };
        let code = if self.naive == Some(Naive::DenialIsForbidden) {
            403
        } else {
            422
        };
        let name = meta::text(object, "name");
        admit(&self.policies, &attempt, write.kind, name, code)
    }

    /// Asks the policies whether an object may be deleted.
    pub(crate) fn admit_deletion(&self, write: &Write<'_>, object: &Value) -> Result<(), Refusal> {
        self.admit(write, "DELETE", object, Some(object))
    }

    /// Removes an object from the store.
    pub(crate) fn take_out(&mut self, key: &Key) {
        if key.resource == DEFINITIONS {
            self.kinds.forget(&key.path);
        }
        self.store.remove(key);
    }
}

/// The refusal to create an object in a namespace that is being deleted.
fn ending(kind: &Kind, name: &str, space: &str) -> Refusal {
    let why =
        format!("unable to create new content in namespace {space} because it is being terminated");
    let cause = json!({
        "reason": "NamespaceTerminating", "message": format!("namespace {space} is being terminated"),
        "field": "metadata.namespace",
    });
    Refusal::forbidden(kind, name, &why).because(json!([cause]))
}
