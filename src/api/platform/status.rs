//! The status of a `Platform`: conditions, session, hold and the counts of the guard.

use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::Platform;
use crate::api::names::AppId;
use crate::api::status::{OwnStatus, schema_of};

/// The state of the platform, as the operator last found it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PlatformStatus {
    /// The generation that this status describes; -1 before the first reconciliation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1))]
    pub observed_generation: Option<i64>,
    /// Ready is always present; Reconciling or Stalled only while true, and never both.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The uid of the Platform that this status was written for. For a Platform with another uid only the counted deletions in status.guard count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub uid: Option<String>,
    /// The last value of the annotation iodm.dev/requested-at that the operator acted on; the condition Ready tells the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_requested_at: Option<String>,
    /// The session with the platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionStatus>,
    /// The numbers of objects that refer to this Platform, by state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packages: Option<PackageCounts>,
    /// The objects that wait for a call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueStatus>,
    /// The mass deletion that waits for a person; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldStatus>,
    /// The counts of the guard, stored here so that they survive a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<GuardStatus>,
}

impl OwnStatus for PlatformStatus {
    const TELLING: &'static [&'static str] = &[
        "observedGeneration",
        "lastHandledRequestedAt",
        "session",
        "packages",
        "queue",
    ];
    const DATED: &'static [&'static str] = &["guard", "hold"];
    const OUTLIVING: &'static [&'static str] = &["guard"];

    fn schema() -> Option<&'static JSONSchemaProps> {
        static SCHEMA: LazyLock<Option<JSONSchemaProps>> = LazyLock::new(schema_of::<Platform>);
        SCHEMA.as_ref()
    }

    fn conditions(&mut self) -> &mut Vec<Condition> {
        &mut self.conditions
    }

    fn of_another(self) -> Self {
        // Sent deletions also count for a new Platform with the same name. A release doesn't: it counts only for the
        // objects that existed when it was given.
        let guard = self.guard.map(|guard| GuardStatus {
            released: Vec::new(),
            ..guard
        });
        Self {
            guard,
            ..Self::default()
        }
    }
}

/// A mass deletion that waits for a person. The same on every Platform that counts together with this one.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct HoldStatus {
    /// The id of the hold. The annotation iodm.dev/release-hold with this value frees its objects.
    #[schemars(length(max = 64))]
    pub id: String,
    /// When the hold began.
    pub since: Time,
    /// The number of held deletions.
    #[schemars(range(min = 0))]
    pub count: i32,
    /// The number of deletions that the guard counted against the bound: those held, and those sent in the same window.
    #[schemars(range(min = 0))]
    pub counted: i32,
    /// The exceeded bound, in one sentence.
    #[schemars(length(max = 1024))]
    pub reason: String,
    /// The Platform whose bound was exceeded, as namespace/name; empty where it isn't known.
    #[schemars(length(max = 320))]
    pub platform: String,
    /// The uid of that Platform. A raised bound of another Platform with the same name releases nothing.
    #[schemars(length(max = 64))]
    pub platform_uid: String,
    /// The number of deletions that the bound allowed when the hold began, or after a raise that was too small to end the hold.
    #[schemars(range(min = 0))]
    pub bound: i32,
}

/// The counts of the guard for this Platform and those that count together with it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct GuardStatus {
    /// The number of this record. It grows with each changed record. A leader that stops reports its unused reservations to the next leader; the report names the record by this number.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub record: i64,
    /// The id of the group of Platforms that count together: records with the same id are about the same deletions.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub group: i64,
    /// The application whose deletions are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(max = 256))]
    pub application: Option<AppId>,
    /// The deletions sent within the longest window, by time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub sent: Vec<SentDeletions>,
    /// The reservation: deletions that may be sent before the next write of this status. After a restart they count as sent.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub reserved: i32,
    /// The holds that a person released and whose objects aren't all deleted yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub released: Vec<ReleasedHold>,
}

/// The deletions sent in one period of time.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SentDeletions {
    /// The id of the period: records of several Platforms with the same id count once. 0 in records of an earlier version.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub number: i64,
    /// The start of the period.
    pub from: Time,
    /// The end of the period. The deletions count until one window after it.
    pub until: Time,
    /// The number of deletions sent.
    #[schemars(range(min = 0))]
    pub count: i32,
}

/// A hold that a person released.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ReleasedHold {
    /// The id of the hold.
    #[schemars(length(max = 64))]
    pub id: String,
    /// When the operator read the release.
    pub time: Time,
    /// The number of deletions that the release freed.
    #[schemars(range(min = 0))]
    pub count: i32,
}

/// The session of one application, as of the last write of the status.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SessionStatus {
    /// The application that the credentials belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(max = 256))]
    pub app_id: Option<AppId>,
    /// When the current access token expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_expires: Option<Time>,
    /// The number of calls in the last window, including in-flight calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub calls_in_window: Option<i32>,
    /// Until when the session pauses after the platform refused a call because there were too many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttled_until: Option<Time>,
}

/// The numbers of objects of one Platform, by state.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PackageCounts {
    /// The number of wanted packages.
    #[schemars(range(min = 0))]
    pub active: i32,
    /// The number of retired objects whose packages are gone.
    #[schemars(range(min = 0))]
    pub retired: i32,
    /// The number of deletions in progress.
    #[schemars(range(min = 0))]
    pub waiting: i32,
    /// The number of deletions that a person or a guard holds.
    #[schemars(range(min = 0))]
    pub held: i32,
    /// The number of objects with an error that a person has to repair.
    #[schemars(range(min = 0))]
    pub stalled: i32,
    /// The number of packages on the platform that no object claims, as of the last inventory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub unmanaged: Option<i32>,
}

/// The queue of the application.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct QueueStatus {
    /// The number of objects that wait for a call.
    #[schemars(range(min = 0))]
    pub length: i32,
    /// The estimated wait of the last object in the queue, such as 3m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub estimated_time: Option<String>,
}
