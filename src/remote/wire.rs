//! The JSON and paths of the platform's API, shared by client and simulator.

use serde::{Deserialize, Serialize};

/// The path of a login.
pub const LOGIN_PATH: &str = "/iocm/app/sec/v1.1.0/login";
/// The path of the packages; one package is `{CATEGORY_PATH}/{fileId}`.
pub const CATEGORY_PATH: &str = "/iodm/northbound/v1.5.0/category";
/// The header that carries the id of the application.
pub const APP_KEY: &str = "app_key";

/// The platform's codes that this product tells apart; `remote::codes` names their sources.
pub mod code {
    /// The application made too many calls.
    pub const THROTTLED: &str = "1010009";
    /// Too many calls in China Telecom's edition; an invalid token in a sister gateway.
    pub const THROTTLED_OR_TOKEN: &str = "1010004";
    /// The `app_key` or the access token is invalid.
    pub const TOKEN_INVALID: &str = "1010005";
    /// The device or the package file doesn't exist.
    pub const NOT_FOUND: &str = "123002";
}

/// The message by which code 1010004 is recognised as too many calls.
pub const THROTTLE_TEXT: &str = "app throttle exceed";

/// One version package: the eleven fields of the platform's `CategoryInfo`, all of them strings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CategoryInfo {
    /// The id of the package.
    pub file_id: Option<String>,
    /// The name of the package.
    pub name: Option<String>,
    /// The version of the package, in no fixed form.
    pub version: Option<String>,
    /// `firmwarePackage` or `softwarePackage`.
    pub file_type: Option<String>,
    /// The type of device that the package is for.
    pub device_type: Option<String>,
    /// The device model that the package is for.
    pub model: Option<String>,
    /// The device manufacturer that the package is for.
    pub manufacturer_name: Option<String>,
    /// The protocol of the device, such as `CoAP`.
    pub protocol_type: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// When the package was built, in no fixed form.
    pub date: Option<String>,
    /// When the package was uploaded, in UTC: `yyyyMMdd'T'HHmmss'Z'`.
    pub upload_time: Option<String>,
}
