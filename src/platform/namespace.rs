//! The parts of a Namespace that the operator uses.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Labels, deletion and version of one Namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Namespace {
    pub labels: BTreeMap<String, String>,
    pub terminating: bool,
    /// The resource version, which grows with each change; `None` if it is not a number.
    pub version: Option<u64>,
}

impl From<ObjectMeta> for Namespace {
    fn from(meta: ObjectMeta) -> Self {
        Self {
            labels: meta.labels.unwrap_or_default(),
            terminating: meta.deletion_timestamp.is_some(),
            version: meta
                .resource_version
                .and_then(|version| version.parse().ok()),
        }
    }
}
