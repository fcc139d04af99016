//! `VersionPackage`: one firmware or software package, declared by its team.

use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::READY;
use super::names::{AppId, Endpoint, FileId};
use super::outcome::Outcome;
use super::reason::{Phase, Reason};
use super::status::{OwnStatus, schema_of};

/// A firmware or software package on the platform. Deleting or retiring this object deletes the package there, which can't be undone.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "iodm.dev",
    version = "v1alpha1",
    kind = "VersionPackage",
    plural = "versionpackages",
    shortname = "vp",
    category = "iodm",
    namespaced,
    status = "VersionPackageStatus",
    derive = "PartialEq",
    selectable = ".spec.fileId",
    selectable = ".status.phase",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase", description = "Where the package stands, in one word"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", description = "Why it is in this phase"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.package.version", description = "The version that the platform last named"),
    printcolumn(name = "File-ID", type_ = "string", json_path = ".spec.fileId", priority = 1, description = "The platform's id of the package"),
    printcolumn(name = "Platform", type_ = "string", json_path = ".spec.platformRef.name", priority = 1, description = "The Platform that holds the package"),
    printcolumn(name = "Outcome", type_ = "string", json_path = ".status.deletion.outcome", priority = 1, description = "How the deletion ended"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("!has(oldSelf.status) || !has(oldSelf.status.deletion) || !has(oldSelf.status.deletion.outcome) || self.spec.lifecycle == 'Retired' || (oldSelf.spec.lifecycle == 'Active' && (!has(oldSelf.spec.retireAfter) || (has(self.spec.retireAfter) && self.spec.retireAfter <= oldSelf.spec.retireAfter)))")
        .message("spec.lifecycle and spec.retireAfter can't go back to a wanted package: the package is gone from the platform; create a new object for a new package")
)]
#[serde(rename_all = "camelCase")]
pub struct VersionPackageSpec {
    /// The Platform that holds the package. It can't be changed.
    #[x_kube(validation = Rule::new("self == oldSelf").message("platformRef can't be changed: delete this object with deletionPolicy Retain and create a new one"))]
    pub platform_ref: PlatformRef,

    /// The platform's id of the package: 1 to 256 letters, digits, '-', '.', '_' or '~'. It can't be changed.
    #[schemars(schema_with = "file_id_schema")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("fileId can't be changed: create a new object for another package"))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9._~-]+$') && self != '.' && self != '..'").message("fileId must be letters, digits, '-', '.', '_' or '~', and neither '.' nor '..'"))]
    pub file_id: FileId,

    /// Active: the package is wanted. Retired: it is deleted from the platform and the object stays. Retired can't go back once the package is gone. Default: Active.
    #[serde(default)]
    pub lifecycle: Lifecycle,

    /// The time (RFC 3339) from which an Active package counts as Retired; 9999-12-31T23:59:59Z is never. Default: never.
    #[serde(
        default,
        deserialize_with = "super::values::time_or_never",
        skip_serializing_if = "Option::is_none"
    )]
    #[x_kube(validation = Rule::new("self > timestamp('0001-01-01T00:00:00Z')").message("retireAfter must be a time such as 2026-12-24T00:00:00Z"))]
    pub retire_after: Option<Time>,

    /// What deleting this object means for the package. Delete: it is deleted from the platform first. Retain: it stays there, and the object goes at once. Default: Delete.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,

    /// What the platform must say of the package just before it is deleted: every field given must match exactly, or nothing is deleted. Default: the platform isn't asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
}

/// The expected data of a package; at least one field.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.name) || has(self.version) || has(self.fileType) || has(self.deviceType) || has(self.model) || has(self.manufacturerName)").message("expect must name at least one of name, version, fileType, deviceType, model and manufacturerName"))]
pub struct Expect {
    /// The name of the package. Default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub name: Option<String>,
    /// The version of the package. Default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub version: Option<String>,
    /// firmwarePackage or softwarePackage. Default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub file_type: Option<String>,
    /// The type of the devices that it is for. Default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub device_type: Option<String>,
    /// The model of the devices that it is for. Default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub model: Option<String>,
    /// The manufacturer of the devices that it is for. Default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub manufacturer_name: Option<String>,
}

/// A reference to a Platform.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct PlatformRef {
    /// The name of the Platform.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')").message("platformRef.name must be lower-case letters, digits, '-' or '.', with a letter or digit at both ends"))]
    pub name: String,

    /// The namespace of the Platform. If it is another namespace than the object's, the Platform has to allow the object's namespace with allowedNamespaces. Default: the namespace of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')").message("platformRef.namespace must be lower-case letters, digits or '-', with a letter or digit at both ends"))]
    pub namespace: Option<String>,
}

/// Whether the package is wanted.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lifecycle {
    /// The package is wanted.
    #[default]
    Active,
    /// The package is to be deleted from the platform; the object stays.
    Retired,
}

/// The fate of the package when the object is deleted.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeletionPolicy {
    /// The package is deleted from the platform before the object is released.
    #[default]
    Delete,
    /// The package stays on the platform.
    Retain,
}

/// The state of the package and its deletion, as the operator last found it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct VersionPackageStatus {
    /// The generation that this status describes; -1 before the first reconciliation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1))]
    pub observed_generation: Option<i64>,

    /// The state of the package in one word for people. Machines should read the conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,

    /// Ready is always present; Reconciling or Stalled only while true, and never both.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// The uid of the object that this status was written for. The status doesn't count for an object with another uid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub uid: Option<String>,

    /// The application that owns the package, kept from the first time that the Platform was resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(max = 256))]
    pub application: Option<AppId>,

    /// The endpoint of that application, normalised, followed by # and tls.serverName where the name isn't the host. Another endpoint may be another instance of the platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(max = 16384))]
    pub endpoint: Option<Endpoint>,

    /// The platform's data of the package, as of the last look-up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<PackageIdentity>,

    /// The last value of the annotation iodm.dev/requested-at that the operator acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_requested_at: Option<String>,

    /// The deletion of the package, from its request on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion: Option<Deletion>,
}

impl OwnStatus for VersionPackageStatus {
    const TELLING: &'static [&'static str] = &[
        "observedGeneration",
        "phase",
        "package",
        "lastHandledRequestedAt",
        "deletion.finishedAt",
        "deletion.lastError",
    ];
    const DATED: &'static [&'static str] = &["deletion"];
    const OUTLIVING: &'static [&'static str] = &[];

    fn schema() -> Option<&'static JSONSchemaProps> {
        static SCHEMA: LazyLock<Option<JSONSchemaProps>> =
            LazyLock::new(schema_of::<VersionPackage>);
        SCHEMA.as_ref()
    }

    fn conditions(&mut self) -> &mut Vec<Condition> {
        &mut self.conditions
    }

    fn of_another(self) -> Self {
        Self::default()
    }
}

impl VersionPackageStatus {
    /// Whether the condition Ready has this reason.
    pub fn says(&self, reason: Reason) -> bool {
        self.ready().is_some_and(|c| c.reason == reason.as_str())
    }

    /// Whether the message of the condition Ready begins with the text `with`.
    pub fn begins(&self, with: &str) -> bool {
        self.ready().is_some_and(|c| c.message.starts_with(with))
    }

    /// The condition Ready; `None` before the first reconciliation.
    pub fn ready(&self) -> Option<&Condition> {
        self.conditions.iter().find(|c| c.type_ == READY)
    }
}

/// The platform's data of a package.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PackageIdentity {
    /// The name of the package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub name: Option<String>,
    /// The version of the package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub version: Option<String>,
    /// firmwarePackage or softwarePackage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub file_type: Option<String>,
    /// The type of the devices that the package is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub device_type: Option<String>,
    /// The model of the devices that the package is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub model: Option<String>,
    /// The manufacturer of the devices that the package is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub manufacturer_name: Option<String>,
    /// When the package was uploaded, in the platform's own format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub upload_time: Option<String>,
}

/// The deletion of a package.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Deletion {
    /// The outcome of the deletion; absent until it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// When the operator first saw the request, rounded up to whole seconds; the grace period starts here. It starts again when another object stops keeping the package. Absent while a look-up is to tell whether the package exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_at: Option<Time>,
    /// The deletionTimestamp of the object, if the package is to be deleted because the object was deleted. Absent if the object was retired before it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_deleted_at: Option<Time>,
    /// The id of the mass-deletion hold that this deletion is part of; the release of the hold frees this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub hold: Option<String>,
    /// The random id of the current attempt, written before the call is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub intent: Option<String>,
    /// When the deletion ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// How many attempts were begun, including the current one and those given up before their call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub attempts: Option<i32>,
    /// The error of the last DELETE. Before the first DELETE: the error of the last look-up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
}

impl Deletion {
    /// Whether this record belongs to the current request, and not to an earlier request that was called off.
    /// `deleted_at` is the time at which the object was deleted; `retired` tells whether the object is retired. The
    /// first version stored the deletionTimestamp as the time of the request.
    pub fn is_of(&self, deleted_at: Option<Timestamp>, retired: bool) -> bool {
        let told = |time: &Option<Time>| time.as_ref().map(|time| time.0);
        match (deleted_at, told(&self.object_deleted_at)) {
            (None, _) => true,
            (Some(deleted), Some(of)) => of == deleted,
            (Some(deleted), None) => {
                retired || told(&self.requested_at).is_none_or(|at| at == deleted)
            }
        }
    }

    /// Whether an attempt was begun.
    pub fn is_attempted(&self) -> bool {
        self.attempts.is_some_and(|attempts| attempts > 0)
    }
}

/// The error of a call.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LastError {
    /// The HTTP status; absent where no answer came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 999))]
    pub http_status: Option<i32>,
    /// The platform's code; absent where the answer had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub code: Option<String>,
    /// The error, in one sentence.
    #[schemars(length(max = 1024))]
    pub message: String,
    /// When the error happened.
    pub time: Time,
}

fn file_id_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "string", "minLength": 1, "maxLength": 256})
}
