//! The JSON of the platform, as client and simulator both speak it.

use serde::{Deserialize, Serialize};

/// Where a login is posted to.
pub const LOGIN_PATH: &str = "/iocm/app/sec/v1.1.0/login";
/// Where the packages are; one package is `{CATEGORY_PATH}/{fileId}`.
pub const CATEGORY_PATH: &str = "/iodm/northbound/v1.5.0/category";
/// The header that names the application.
pub const APP_KEY: &str = "app_key";

/// The platform's codes that this product tells apart (platform reference, section 11).
pub mod code {
    /// Too many calls of this application.
    pub const THROTTLED: &str = "1010009";
    /// Too many calls in China Telecom's edition; an invalid token in a sister gateway.
    pub const THROTTLED_OR_TOKEN: &str = "1010004";
    /// `app_key` or access token invalid.
    pub const TOKEN_INVALID: &str = "1010005";
    /// Device or package file not found.
    pub const NOT_FOUND: &str = "123002";
}

/// The text by which a 1010004 is known to mean too many calls.
pub const THROTTLE_TEXT: &str = "app throttle exceed";

/// One version package, with the eleven fields of the platform's `CategoryInfo`, all of them texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CategoryInfo {
    /// The id of the package.
    pub file_id: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// Its version, in no fixed form.
    pub version: Option<String>,
    /// `firmwarePackage` or `softwarePackage`.
    pub file_type: Option<String>,
    /// The type of device that it is for.
    pub device_type: Option<String>,
    /// The model that it is for.
    pub model: Option<String>,
    /// The manufacturer that it is for.
    pub manufacturer_name: Option<String>,
    /// Such as `CoAP`.
    pub protocol_type: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// When it was built, in no fixed form.
    pub date: Option<String>,
    /// When it was uploaded, UTC, `yyyyMMdd'T'HHmmss'Z'`.
    pub upload_time: Option<String>,
}
