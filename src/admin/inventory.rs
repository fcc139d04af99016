//! Which packages no object stands for: what `vpo inventory` asks for.

use axum::http::StatusCode;
use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::desk::{self, Desk, REPORT, ReportRefusal, key};
use crate::inventory::{NoRoom, Shown, Unmanaged};
use crate::session::SessionKey;

/// Where it is asked for.
pub const PATH: &str = "/inventory";

/// What is asked for: all applications, or that of one Platform.
#[derive(Debug, Default, Deserialize)]
pub struct InventoryQuery {
    platform: Option<String>,
}

/// The inventories as they are now.
pub type InventoryReport = desk::DeskReport<ApplicationInventory>;

/// The inventory of one application.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationInventory {
    /// Whose packages they are.
    pub app_id: String,
    /// Where the platform is.
    pub endpoint: String,
    /// The Platforms that share this inventory, as `namespace/name`.
    pub platforms: Vec<String>,
    /// Whether it is read at all: not where every `inventory.interval` is 0s.
    pub on: bool,
    /// The last reading that counts, if there was one.
    pub reading: Option<ShownReading>,
    /// Why the last try came to nothing, where it did.
    pub trouble: Option<ReadingTrouble>,
    /// The packages that no object stands for, as of that reading.
    pub unmanaged: Vec<Package>,
}

/// One reading of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownReading {
    /// When it began.
    pub begun: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// How long ago that was.
    pub age_seconds: u64,
    /// How many packages it found.
    pub packages: usize,
}

/// Why there was no other reading since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadingTrouble {
    /// When the last try ended.
    pub time: Timestamp,
    /// What went wrong, in a sentence.
    pub message: String,
}

/// One package, as the platform lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Package {
    /// Its id.
    pub file_id: String,
    /// Its name.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// `firmwarePackage` or `softwarePackage`.
    pub file_type: Option<String>,
    /// The type of device that it is for.
    pub device_type: Option<String>,
    /// The model that it is for.
    pub model: Option<String>,
    /// The manufacturer that it is for.
    pub manufacturer_name: Option<String>,
    /// When it was uploaded, in the platform's own form.
    pub upload_time: Option<String>,
    /// When the platform said that it is deleted, where it did.
    pub deleted_at: Option<Timestamp>,
}

impl Desk {
    /// The inventories as they are now.
    ///
    /// # Errors
    /// When this process doesn't lead, the Platform that is asked for isn't there, or the report would be too large.
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
