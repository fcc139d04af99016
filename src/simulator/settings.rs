//! The settings of the simulator, and the switches that can be changed while it runs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::answer::Shape;
use super::out_of_range::OutOfRange;
use super::quota::Limit;
use crate::remote::wire::code;

/// The settings of the simulator.
#[derive(Debug, Clone)]
pub struct SimulatorSettings {
    /// The address of the platform, with TLS.
    pub listen: SocketAddr,
    /// The address of the admin port, in plain HTTP.
    pub admin: SocketAddr,
    /// The folder of the certificates.
    pub tls_dir: PathBuf,
    /// Whether clients must present a certificate.
    pub client_cert: ClientCert,
    /// The applications. The first one is the default of requests to the admin port.
    pub applications: Vec<Registration>,
    /// A JSON file of packages in addition to the numbered examples.
    pub packages_file: Option<PathBuf>,
    /// The file that keeps the packages across restarts.
    pub state: Option<PathBuf>,
    /// The quota of every application.
    pub limit: Limit,
    /// The initial switches.
    pub switches: Switches,
}

/// One application at the start.
#[derive(Debug, Clone)]
pub struct Registration {
    /// The `appId`, sent as `app_key`.
    pub app_id: String,
    /// The secret.
    pub secret: SecretString,
    /// The number of example packages.
    pub packages: u32,
}

/// Whether a client must present a certificate. A presented certificate is always verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ClientCert {
    /// A certificate is required.
    Required,
    /// A certificate is requested; a client may have none.
    Requested,
    /// No certificate is requested.
    None,
}

/// The code of the throttle answer, which depends on the edition of the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub enum ThrottleCode {
    /// Huawei Cloud's code.
    #[serde(rename = "1010009")]
    #[value(name = "1010009")]
    HuaweiCloud,
    /// China Telecom's code.
    #[serde(rename = "1010004")]
    #[value(name = "1010004")]
    ChinaTelecom,
}

impl ThrottleCode {
    /// The code in the answer.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HuaweiCloud => code::THROTTLED,
            Self::ChinaTelecom => code::THROTTLED_OR_TOKEN,
        }
    }
}

/// How a list treats filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filters {
    /// Only matching entries are listed.
    Honoured,
    /// All entries are listed.
    Ignored,
}

/// The word for a failed task, which differs between the table and the example of the documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailedWord {
    /// The word in the table.
    #[serde(rename = "failed")]
    Failed,
    /// The word in the example.
    #[serde(rename = "FAIL")]
    Fail,
}

/// The switches that can be changed while the simulator runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Switches {
    /// The code of the throttle answer.
    pub throttle_code: ThrottleCode,
    /// The shape of the throttle answer.
    pub throttle_shape: Shape,
    /// The HTTP status of the throttle answer, 400 to 599.
    pub throttle_status: u16,
    /// Whether logins and refreshes count against the quota.
    pub count_logins: bool,
    /// Whether a token is accepted together with the `app_key` of another or an unknown application.
    pub token_of_any_app: bool,
    /// The HTTP status of a deletion: 200 or 204.
    pub delete_status: u16,
    /// How lists treat filters.
    pub filters: Filters,
    /// The word for a failed task.
    pub failed_word: FailedWord,
    /// The lifetime of an access token.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub token_lifetime: Duration,
    /// How long every answer is delayed after the call took effect.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub answer_delay: Duration,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            throttle_code: ThrottleCode::HuaweiCloud,
            throttle_shape: Shape::B,
            throttle_status: 403,
            count_logins: true,
            token_of_any_app: false,
            delete_status: 200,
            filters: Filters::Honoured,
            failed_word: FailedWord::Failed,
            token_lifetime: Duration::from_secs(60 * 60),
            answer_delay: Duration::ZERO,
        }
    }
}

impl Switches {
    /// Checks that the numbers are within their ranges.
    ///
    /// # Errors
    /// The first number that is out of its range.
    pub fn check(&self) -> Result<(), OutOfRange> {
        let fits = (400..600).contains(&self.throttle_status);
        OutOfRange::unless(fits, "throttleStatus", "from 400 to 599")?;
        let fits = [200, 204].contains(&self.delete_status);
        OutOfRange::unless(fits, "deleteStatus", "200 or 204")?;
        let fits = self.token_lifetime >= Duration::from_secs(1);
        OutOfRange::unless(fits, "tokenLifetime", "at least 1s")
    }
}
