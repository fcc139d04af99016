//! The served kinds: built-in ones, and those of the definitions.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};

use crate::fields::Fields;
use crate::schema::{Schema, Type};
use crate::shapes;

/// A kind of object.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one way in which kinds differ"
)]
pub(crate) struct Kind {
    pub group: String,
    pub version: String,
    pub plural: String,
    /// The kind's name, as in the field `kind` of its objects.
    pub called: String,
    pub namespaced: bool,
    /// Whether the kind has a status subresource.
    pub has_status: bool,
    /// Whether a write may omit the resourceVersion.
    pub unconditional: bool,
    /// Whether a PUT creates a missing object.
    pub put_creates: bool,
    /// Whether the kind has a definition: its objects have a generation, and are pruned and validated by its schema.
    pub custom: bool,
    /// The selectable fields besides name and namespace.
    pub selectable: Vec<String>,
    /// The schema of the fields besides the metadata.
    pub schema: Schema,
    /// The schema including the metadata.
    pub whole: Schema,
    /// The definition; null for a built-in kind.
    definition: Value,
}

impl Kind {
    /// The group and version.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The plural with the group.
    pub fn resource(&self) -> String {
        if self.group.is_empty() {
            self.plural.clone()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// The fields that a writer of the status or of the rest doesn't own.
    pub fn ignored(&self, status: bool) -> Fields {
        match (self.has_status, status) {
            (false, _) => Fields::default(),
            (true, false) => Fields::of(&[&["status"]]),
            (true, true) => Fields::of(&[&["metadata"], &["spec"]]),
        }
    }

    /// The kind of a definition.
    fn read(definition: &Value) -> Option<Self> {
        let spec = &definition["spec"];
        let version = spec["versions"].as_array()?.first()?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let selectable = version["selectableFields"].as_array().into_iter().flatten();
        let kind = Self {
            group: text(&spec["group"]),
            version: text(&version["name"]),
            plural: text(&spec["names"]["plural"]),
            called: text(&spec["names"]["kind"]),
            namespaced: spec["scope"] == "Namespaced",
            has_status: version["subresources"].get("status").is_some(),
            unconditional: false,
            put_creates: false,
            custom: true,
            selectable: selectable
                .map(|field| text(&field["jsonPath"]).trim_start_matches('.').to_owned())
                .collect(),
            schema: Schema::read(&version["schema"]["openAPIV3Schema"]),
            whole: Schema::of(Type::Object),
            definition: spec.clone(),
        };
        Some(kind.whole())
    }

    fn built_in(group: &str, version: &str, plural: &str, kind: &str, schema: Schema) -> Self {
        let kind = Self {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: plural.to_owned(),
            called: kind.to_owned(),
            namespaced: true,
            has_status: false,
            unconditional: true,
            put_creates: false,
            custom: false,
            selectable: Vec::new(),
            schema,
            whole: Schema::of(Type::Object),
            definition: Value::Null,
        };
        kind.whole()
    }

    fn whole(mut self) -> Self {
        let mut whole = self.schema.clone();
        let text = || Schema::of(Type::String);
        let common = [
            ("apiVersion", text()),
            ("kind", text()),
            ("metadata", shapes::METADATA.clone()),
        ];
        let common = common.map(|(name, of)| (name.to_owned(), of));
        whole.properties.extend(common);
        self.whole = whole;
        self
    }
}

/// All kinds by plural and group.
#[derive(Debug, Clone)]
pub(crate) struct Kinds(BTreeMap<String, Arc<Kind>>);

/// The resource of the definitions themselves.
pub(crate) const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";
/// The resource under which events are stored.
pub(crate) const EVENTS: &str = "events.events.k8s.io";

impl Kinds {
    /// The built-in kinds.
    pub fn built_in() -> Self {
        static ALL: LazyLock<Kinds> = LazyLock::new(Kinds::make);
        ALL.clone()
    }

    fn make() -> Self {
        let kind = Kind::built_in;
        let all = [
            kind("", "v1", "secrets", "Secret", shapes::secret()),
            kind("", "v1", "configmaps", "ConfigMap", shapes::config_map()),
            Kind {
                unconditional: false,
                put_creates: true,
                ..kind(
                    "coordination.k8s.io",
                    "v1",
                    "leases",
                    "Lease",
                    shapes::lease(),
                )
            },
            Kind {
                namespaced: false,
                has_status: true,
                ..kind("", "v1", "namespaces", "Namespace", shapes::namespace())
            },
            kind("events.k8s.io", "v1", "events", "Event", shapes::event()),
            Kind {
                namespaced: false,
                ..kind(
                    "rbac.authorization.k8s.io",
                    "v1",
                    "clusterrolebindings",
                    "ClusterRoleBinding",
                    shapes::binding(),
                )
            },
            Kind {
                namespaced: false,
                has_status: true,
                unconditional: false,
                ..kind(
                    "apiextensions.k8s.io",
                    "v1",
                    "customresourcedefinitions",
                    "CustomResourceDefinition",
                    shapes::definition(),
                )
            },
        ];
        let all = all
            .into_iter()
            .map(|kind| (kind.resource(), Arc::new(kind)));
        Self(all.collect())
    }

    /// Adds or updates the kind of a definition. An unchanged definition keeps its kind, so that watches go on.
    pub fn define(&mut self, definition: &Value) {
        if let Some(kind) = Kind::read(definition) {
            let known = self.0.get(&kind.resource());
            if known.is_none_or(|known| known.definition != kind.definition) {
                self.0.insert(kind.resource(), Arc::new(kind));
            }
        }
    }

    /// Removes the kind of a definition.
    pub fn forget(&mut self, resource: &str) {
        self.0.remove(resource);
    }

    pub fn get(&self, resource: &str) -> Option<Arc<Kind>> {
        self.0.get(resource).cloned()
    }

    /// The kind of a path.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Kind>> {
        let found = self
            .0
            .values()
            .find(|kind| kind.group == group && kind.version == version && kind.plural == plural);
        found.cloned()
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.0.values()
    }
}

/// Sets the status of a definition that is served.
pub(crate) fn established(definition: &mut Value, now: &str) {
    let names = definition["spec"]["names"].clone();
    let condition = |type_: &str, reason: &str, message: &str| json!({"type": type_, "status": "True", "reason": reason, "message": message, "lastTransitionTime": now});
    let version = definition["spec"]["versions"][0]["name"].clone();
    definition["status"] = json!({
        "acceptedNames": names,
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
        "storedVersions": [version],
    });
}
