//! The report `/inventory`: packages that no object stands for. `vpo inventory` requests it.

use axum::http::StatusCode;
use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::desk::{self, Desk, REPORT, ReportRefusal, key};
use crate::inventory::{NoRoom, Shown, Unmanaged};
use crate::session::SessionKey;

/// The path of the report.
pub const PATH: &str = "/inventory";

/// What the report is about: all applications, or only the application of one Platform.
#[derive(Debug, Default, Deserialize)]
pub struct InventoryQuery {
    platform: Option<String>,
}

/// The report on all inventories.
pub type InventoryReport = desk::DeskReport<ApplicationInventory>;

/// The inventory of one application.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationInventory {
    /// The application that owns the packages.
    pub app_id: String,
    /// The endpoint of the platform.
    pub endpoint: String,
    /// The Platforms that share this inventory, as `namespace/name`.
    pub platforms: Vec<String>,
    /// Whether the list is read at all; `false` if every Platform has the `inventory.interval` 0s.
    pub on: bool,
    /// The last complete read; `null` before the first.
    pub reading: Option<ShownReading>,
    /// The error of the last read; `null` if the read succeeded.
    pub trouble: Option<ReadingTrouble>,
    /// The packages that no object stands for, as of the last complete read.
    pub unmanaged: Vec<Package>,
}

/// One complete read of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownReading {
    /// When the read began.
    pub begun: Timestamp,
    /// When the read ended.
    pub ended: Timestamp,
    /// How long ago the read ended, in seconds.
    pub age_seconds: u64,
    /// The number of packages in the list.
    pub packages: usize,
}

/// The error of a failed read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadingTrouble {
    /// When the read ended.
    pub time: Timestamp,
    /// The error, in one sentence.
    pub message: String,
}

/// One package in the platform's list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Package {
    /// The id of the package.
    pub file_id: String,
    /// The name of the package.
    pub name: Option<String>,
    /// The version of the package.
    pub version: Option<String>,
    /// `firmwarePackage` or `softwarePackage`.
    pub file_type: Option<String>,
    /// The type of device that the package is for.
    pub device_type: Option<String>,
    /// The device model that the package is for.
    pub model: Option<String>,
    /// The device manufacturer that the package is for.
    pub manufacturer_name: Option<String>,
    /// When the package was uploaded, in the platform's own format.
    pub upload_time: Option<String>,
    /// When the platform confirmed the deletion of the package; `null` if it didn't.
    pub deleted_at: Option<Timestamp>,
}

impl Desk {
    /// The report on the inventories.
    ///
    /// # Errors
    /// This process doesn't lead, the requested Platform doesn't exist, or the report would be too large.
    pub fn inventory(&self, ask: &InventoryQuery) -> Result<InventoryReport, ReportRefusal> {
        self.leads("inventory")?;
        let now = self.clock.wall();
        let mut room = REPORT;
        let mut shown = |key: &SessionKey| {
            let shown = self.inventory.show(key, &mut room)?;
            Some(shown.map(|shown| application(key, shown, now)))
        };
        let (applications, unusable_platforms) = match &ask.platform {
            None => {
                let all = self.inventory.applications();
                (
                    all.iter().filter_map(shown).collect(),
                    self.unusable_platforms(),
                )
            }
            Some(platform) => {
                let session = self.session_of(&key(platform)?, "inventory")?;
                let one = shown(session.key()).ok_or_else(|| {
                    let error = "the inventory of this Platform is about to begin; try again in a few seconds";
                    ReportRefusal::new(StatusCode::SERVICE_UNAVAILABLE, error)
                })?;
                (one.map(|one| vec![one]), Vec::new())
            }
        };
        let mut applications: Vec<_> = applications.map_err(|NoRoom| ReportRefusal::too_large())?;
        applications.sort_by(|a, b| (&a.app_id, &a.endpoint).cmp(&(&b.app_id, &b.endpoint)));
        Ok(InventoryReport {
            time: now,
            applications,
            unusable_platforms,
        })
    }
}

fn application(key: &SessionKey, shown: Shown, now: Timestamp) -> ApplicationInventory {
    let reading = |(begun, ended, packages): (Timestamp, Timestamp, usize)| ShownReading {
        begun,
        ended,
        age_seconds: u64::try_from(now.duration_since(ended).as_secs()).unwrap_or(0),
        packages,
    };
    ApplicationInventory {
        app_id: key.app_id.to_string(),
        endpoint: key.endpoint.to_string(),
        platforms: shown.platforms.iter().map(ToString::to_string).collect(),
        on: shown.reads,
        reading: shown.reading.map(reading),
        trouble: shown.trouble.map(|trouble| ReadingTrouble {
            time: trouble.time,
            message: trouble.message,
        }),
        unmanaged: shown.unmanaged.into_iter().map(Package::from).collect(),
    }
}

impl From<Unmanaged> for Package {
    fn from(unmanaged: Unmanaged) -> Self {
        let identity = unmanaged.identity;
        Self {
            file_id: unmanaged.file_id,
            name: identity.name,
            version: identity.version,
            file_type: identity.file_type,
            device_type: identity.device_type,
            model: identity.model,
            manufacturer_name: identity.manufacturer_name,
            upload_time: identity.upload_time,
            deleted_at: unmanaged.deleted,
        }
    }
}
