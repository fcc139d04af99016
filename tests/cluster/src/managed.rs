//! Ownership of fields: what an update takes over, and what an apply adds, takes over and removes.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::fields::Fields;
use crate::refusal::Refusal;
use crate::schema::Schema;
use crate::typed;

/// The manager of fields that existed before the first apply.
const BEFORE: &str = "before-first-apply";

/// The identity of a manager, and its kind of write.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Manager {
    pub applies: bool,
    pub name: String,
    /// The apiVersion; empty for a manager that applies, as it stays the same one in every version.
    pub version: String,
    pub subresource: String,
}

/// The fields that a manager owns.
#[derive(Debug, Clone, PartialEq)]
struct Owned {
    version: String,
    time: String,
    fields: Fields,
}

/// All managers of an object.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Managers(BTreeMap<Manager, Owned>);

/// The view of one request on the fields of a kind.
pub(crate) struct View<'a> {
    /// The schema of the whole object, including the metadata.
    pub schema: &'a Schema,
    /// The fields that a writer of this part of the object doesn't own.
    pub ignored: &'a Fields,
    pub version: &'a str,
    pub now: &'a str,
}

impl Managers {
    pub fn read(object: &Value) -> Self {
        let entries = object["metadata"]["managedFields"].as_array();
        let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        let read = |entry: &Value| {
            let applies = entry["operation"] == "Apply";
            let version = text(entry, "apiVersion");
            let manager = Manager {
                applies,
                name: text(entry, "manager"),
                version: if applies {
                    String::new()
                } else {
                    version.clone()
                },
                subresource: text(entry, "subresource"),
            };
            let fields = Fields::read(&entry["fieldsV1"]);
            let time = text(entry, "time");
            (
                manager,
                Owned {
                    version,
                    time,
                    fields,
                },
            )
        };
        Self(entries.into_iter().flatten().map(read).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes the managers into an object.
    pub fn write(&self, object: &mut Value) {
        let Some(metadata) = object["metadata"].as_object_mut() else {
            return;
        };
        let mut entries: Vec<(&Manager, &Owned)> = self.0.iter().collect();
        entries.sort_by_key(|(manager, owned)| (!manager.applies, &owned.time, *manager));
        let entries: Vec<Value> = entries.into_iter().map(entry).collect();
        if entries.is_empty() {
            metadata.remove("managedFields");
        } else {
            metadata.insert("managedFields".to_owned(), json!(entries));
        }
    }

    /// Records the changes of an update.
    pub fn update(&mut self, old: &Value, new: &Value, manager: Manager, view: &View<'_>) {
        let is_new = old["metadata"]["uid"].is_null();
        // An object that doesn't fit the schema is ignored: it is about to be refused, or isn't stored.
        let reads = |object| typed::fits(object, view.schema);
        if (self.is_empty() && !is_new) || !reads(old) || !reads(new) {
            return;
        }
        self.take(old, new, manager, view);
    }

    fn take(&mut self, old: &Value, new: &Value, manager: Manager, view: &View<'_>) {
        let changed = typed::compare(old, new, view.schema).without(view.ignored);
        let written = changed.added.union(&changed.modified);
        self.lose(&written.union(&changed.removed));
        let written = written.difference(&STRIPPED);
        if !written.is_empty() {
            let owned = self.0.entry(manager).or_insert_with(|| Owned {
                version: view.version.to_owned(),
                time: String::new(),
                fields: Fields::default(),
            });
            owned.fields = owned.fields.union(&written);
            view.now.clone_into(&mut owned.time);
        }
    }

    fn lose(&mut self, fields: &Fields) {
        for owned in self.0.values_mut() {
            owned.fields = owned.fields.difference(fields);
        }
        self.0.retain(|_, owned| !owned.fields.is_empty());
    }

    /// The result of applying `applied` to `live`.
    pub fn apply(
        &mut self,
        live: &Value,
        applied: &Value,
        manager: &Manager,
        force: bool,
        view: &View<'_>,
    ) -> Result<Value, Refusal> {
        if self.is_empty() && !live["metadata"]["uid"].is_null() {
            let nothing =
                json!({"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": {}});
            let before = Manager {
                applies: false,
                name: BEFORE.to_owned(),
                version: view.version.to_owned(),
                subresource: manager.subresource.clone(),
            };
            self.take(&nothing, live, before, view);
        }
        let merged = typed::merge(live, applied, Some(view.schema));
        let own = typed::fields(applied, view.schema).without(view.ignored);
        let last = self.0.remove(manager).map(|owned| owned.fields);
        let object = match &last {
            Some(last) => self.prune(&merged, last, &own, view.schema),
            None => merged,
        };
        let changed = typed::compare(live, &object, view.schema).without(view.ignored);
        let written = changed.added.union(&changed.modified);
        let mut conflicts: Vec<(&Manager, Fields)> = self
            .0
            .iter()
            .map(|(other, owned)| (other, owned.fields.intersection(&written)))
            .filter(|(_, fields)| !fields.is_empty())
            .collect();
        conflicts.sort_by_key(|(other, _)| (&other.name, !other.applies));
        if !force && !conflicts.is_empty() {
            return Err(refused(&conflicts, view));
        }
        self.lose(&written.union(&changed.removed));
        let fields = own.difference(&STRIPPED);
        if !fields.is_empty() {
            let owned = Owned {
                version: view.version.to_owned(),
                time: view.now.to_owned(),
                fields,
            };
            self.0.insert(manager.clone(), owned);
        }
        Ok(object)
    }

    /// Removes the fields that the manager applied before and applies no longer, unless another manager owns them.
    fn prune(&self, merged: &Value, last: &Fields, own: &Fields, schema: &Schema) -> Value {
        let some = Some(schema);
        let last = last.with_named(some);
        let pruned = typed::remove(merged, &last, some);
        let all = self
            .0
            .values()
            .fold(own.clone(), |all, owned| all.union(&owned.fields));
        let present = typed::fields(merged, schema).with_named(some);
        let kept = typed::fields(&pruned, schema).with_named(some);
        let gone = present.difference(&kept.union(&all.with_named(some)));
        let pruned = typed::remove(merged, &gone, some);
        let kept = typed::fields(&pruned, schema).with_named(some);
        let gone = present.difference(&kept).intersection(&last);
        typed::remove(merged, &gone, some)
    }
}

fn entry((manager, owned): (&Manager, &Owned)) -> Value {
    let operation = if manager.applies { "Apply" } else { "Update" };
    let mut entry = json!({
        "manager": manager.name, "operation": operation, "apiVersion": owned.version,
        "time": owned.time, "fieldsType": "FieldsV1", "fieldsV1": owned.fields.write(),
    });
    if !manager.subresource.is_empty() {
        entry["subresource"] = json!(manager.subresource);
    }
    entry
}

/// The fields that the API server sets itself, and that nobody owns.
static STRIPPED: LazyLock<Fields> = LazyLock::new(|| {
    Fields::of(&[
        &["apiVersion"],
        &["kind"],
        &["metadata"],
        &["metadata", "name"],
        &["metadata", "namespace"],
        &["metadata", "creationTimestamp"],
        &["metadata", "selfLink"],
        &["metadata", "uid"],
        &["metadata", "clusterName"],
        &["metadata", "generation"],
        &["metadata", "managedFields"],
        &["metadata", "resourceVersion"],
    ])
});

/// The refusal for a conflict between managers.
fn refused(conflicts: &[(&Manager, Fields)], view: &View<'_>) -> Refusal {
    let mut causes = Vec::new();
    let mut lines = Vec::new();
    for (manager, fields) in conflicts {
        let mut called = format!("{:?}", manager.name);
        if !manager.subresource.is_empty() {
            called = format!("{called} with subresource {:?}", manager.subresource);
        }
        if !manager.applies {
            called = format!("{called} using {}", view.version);
        }
        let message = format!("conflict with {called}");
        let told = fields.told();
        for field in &told {
            causes.push(
                json!({"reason": "FieldManagerConflict", "message": message, "field": field}),
            );
        }
        lines.push((message, told));
    }
    let count = causes.len();
    let message = match &lines[..] {
        [(message, told)] if count == 1 => {
            format!("Apply failed with 1 conflict: {message}: {}", told.concat())
        }
        _ => {
            let lists = lines.iter().map(|(message, told)| {
                format!(
                    "{}s{}:\n- {}",
                    &message[..8],
                    &message[8..],
                    told.join("\n- ")
                )
            });
            let lists: Vec<String> = lists.collect();
            format!("Apply failed with {count} conflicts: {}", lists.join("\n"))
        }
    };
    Refusal::new(409, "Conflict", message).because(Value::Array(causes))
}
