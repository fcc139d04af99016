//! The merge rules of the built-in kinds, for the fields that the operator writes, and the metadata of all kinds.

use std::sync::LazyLock;

use crate::schema::{List, Schema, Type};

fn text() -> Schema {
    Schema::of(Type::String)
}

fn whole() -> Schema {
    Schema::of(Type::Integer)
}

fn any() -> Schema {
    Schema::of(Type::Any)
}

fn atomic() -> Schema {
    Schema {
        atomic: true,
        ..Schema::of(Type::Object)
    }
}

fn list(of: Schema) -> Schema {
    Schema::list(List::Atomic, of)
}

pub(crate) fn secret() -> Schema {
    Schema::object([
        ("data", Schema::map(text())),
        ("stringData", Schema::map(text())),
        ("type", text()),
        ("immutable", any()),
    ])
}

pub(crate) fn config_map() -> Schema {
    Schema::object([
        ("data", Schema::map(text())),
        ("binaryData", Schema::map(text())),
        ("immutable", any()),
    ])
}

pub(crate) fn lease() -> Schema {
    let spec = Schema::object([
        ("acquireTime", text()),
        ("holderIdentity", text()),
        ("leaseDurationSeconds", whole()),
        ("leaseTransitions", whole()),
        ("preferredHolder", text()),
        ("renewTime", text()),
        ("strategy", text()),
    ]);
    Schema::object([("spec", spec)])
}

pub(crate) fn namespace() -> Schema {
    let spec = Schema::object([("finalizers", list(text()))]);
    let status = Schema::object([("conditions", list(any())), ("phase", text())]);
    Schema::object([("spec", spec), ("status", status)])
}

pub(crate) fn event() -> Schema {
    let series = Schema::object([("count", whole()), ("lastObservedTime", text())]);
    Schema::object([
        ("action", text()),
        ("deprecatedCount", whole()),
        ("deprecatedFirstTimestamp", text()),
        ("deprecatedLastTimestamp", text()),
        ("deprecatedSource", any()),
        ("eventTime", text()),
        ("note", text()),
        ("reason", text()),
        ("regarding", atomic()),
        ("related", atomic()),
        ("reportingController", text()),
        ("reportingInstance", text()),
        ("series", series),
        ("type", text()),
    ])
}

pub(crate) fn binding() -> Schema {
    Schema::object([("roleRef", atomic()), ("subjects", list(any()))])
}

pub(crate) fn definition() -> Schema {
    Schema::object([("spec", any()), ("status", any())])
}

/// The metadata of every kind.
pub(crate) static METADATA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::object([
        ("name", text()),
        ("generateName", text()),
        ("namespace", text()),
        ("uid", text()),
        ("resourceVersion", text()),
        ("selfLink", text()),
        ("generation", Schema::of(Type::Integer)),
        ("creationTimestamp", text()),
        ("deletionTimestamp", text()),
        ("deletionGracePeriodSeconds", Schema::of(Type::Integer)),
        ("labels", Schema::map(text())),
        ("annotations", Schema::map(text())),
        ("finalizers", Schema::list(List::Set, text())),
        (
            "ownerReferences",
            Schema::list(List::Map(vec!["uid".to_owned()]), atomic()),
        ),
        (
            "managedFields",
            Schema::list(List::Atomic, Schema::of(Type::Any)),
        ),
    ])
});
