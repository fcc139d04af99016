//! What the operator says of a `Platform`: its conditions, its session, its hold and what the guard counts.

use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::Platform;
use crate::api::names::AppId;
use crate::api::status::{OwnStatus, schema_of};

/// What the operator last found of the platform.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PlatformStatus {
    /// The generation that this status speaks of; -1 before the first look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1))]
    pub observed_generation: Option<i64>,
    /// Ready always; Reconciling or Stalled only while true, never both.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The uid of the Platform that this status was written for; for another one only the deletions that it counts say something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub uid: Option<String>,
    /// The last value of the annotation iodm.dev/requested-at that was taken up; the condition Ready tells what came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_requested_at: Option<String>,
    /// The session with the platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionStatus>,
    /// The objects that refer to this Platform, counted by where they stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packages: Option<PackageCounts>,
    /// The objects that wait for a call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueStatus>,
    /// The mass deletion that waits for a person, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldStatus>,
    /// What the guard counts, kept here so that a restart forgets nothing.
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
        // What was sent was sent, whoever told of it; a release was for the objects of that time.
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
    /// Names it: the value of the annotation iodm.dev/release-hold that frees its objects.
    #[schemars(length(max = 64))]
    pub id: String,
    /// Since when it stands.
    pub since: Time,
    /// How many deletions it holds.
    #[schemars(range(min = 0))]
    pub count: i32,
    /// How many deletions the guard counted against the bound: those held and those sent in the same window.
    #[schemars(range(min = 0))]
    pub counted: i32,
    /// The bound that was passed, in a sentence.
    #[schemars(length(max = 1024))]
    pub reason: String,
    /// The Platform whose bound it was, as namespace/name; empty where that isn't known.
    #[schemars(length(max = 320))]
    pub platform: String,
    /// The uid of that Platform: a raised bound of another one of the same name releases nothing.
    #[schemars(length(max = 64))]
    pub platform_uid: String,
    /// How many deletions that bound let go when the hold began, or after a raise that was too small for it.
    #[schemars(range(min = 0))]
    pub bound: i32,
}

/// What the guard counts for this Platform and those that count together with it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct GuardStatus {
    /// Grows with each record that says something else, so that the next process knows which one the last words of the one before are about.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub record: i64,
    /// Names those that count together: the records of one name are of the same deletions.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub group: i64,
    /// Whose deletions are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(max = 256))]
    pub application: Option<AppId>,
    /// Deletions sent within the longest window, by time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub sent: Vec<SentDeletions>,
    /// Deletions that may be sent before the next write; after a restart they count as sent.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub reserved: i32,
    /// The holds that a person released and whose objects aren't all gone yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub released: Vec<ReleasedHold>,
}

/// Deletions sent in one stretch of time.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SentDeletions {
    /// Names the stretch: the same in the records of several Platforms counts once. 0 where a former version recorded it.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub number: i64,
    /// The start of the stretch.
    pub from: Time,
    /// The end of the stretch: they count until a window after it.
    pub until: Time,
    /// How many were sent.
    #[schemars(range(min = 0))]
    pub count: i32,
}

/// A hold that a person released.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ReleasedHold {
    /// Which one.
    #[schemars(length(max = 64))]
    pub id: String,
    /// When the release was read.
    pub time: Time,
    /// How many deletions it freed.
    #[schemars(range(min = 0))]
    pub count: i32,
}

/// The session of one application, as of the last write of the status.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SessionStatus {
    /// The application that the credentials name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(max = 256))]
    pub app_id: Option<AppId>,
    /// When the present access token ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_expires: Option<Time>,
    /// Calls made in the last window, those under way included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub calls_in_window: Option<i32>,
    /// Until when the session pauses because the platform refused a call for too many calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttled_until: Option<Time>,
}

/// Objects of one Platform, counted by where they stand.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PackageCounts {
    /// Wanted packages.
    #[schemars(range(min = 0))]
    pub active: i32,
    /// Retired packages that are gone.
    #[schemars(range(min = 0))]
    pub retired: i32,
    /// Deletions under way.
    #[schemars(range(min = 0))]
    pub waiting: i32,
    /// Deletions that a person or a guard holds.
    #[schemars(range(min = 0))]
    pub held: i32,
    /// Objects with something wrong that a person has to mend.
    #[schemars(range(min = 0))]
    pub stalled: i32,
    /// Packages on the platform that no object claims, as of the last inventory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub unmanaged: Option<i32>,
}

/// The queue of the application.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct QueueStatus {
    /// Objects that wait for a call.
    #[schemars(range(min = 0))]
    pub length: i32,
    /// About how long the last of them waits, such as 3m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub estimated_time: Option<String>,
}
