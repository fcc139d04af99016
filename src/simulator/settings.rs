//! What the simulator is told at its start, and the switches that can be turned while it runs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::answer::Shape;
use super::out_of_range::OutOfRange;
use super::quota::Limit;
use crate::remote::wire::code;

/// Everything that the simulator is told at its start.
#[derive(Debug, Clone)]
pub struct SimulatorSettings {
    /// Where the platform listens, with TLS.
    pub listen: SocketAddr,
    /// Where the ledger and the switches are, in plain HTTP.
    pub admin: SocketAddr,
    /// The folder of the certificates.
    pub tls_dir: PathBuf,
    /// What clients have to show.
    pub client_cert: ClientCert,
    /// The applications; the first one is meant where none is named.
    pub applications: Vec<Registration>,
    /// A JSON file of packages, beside those preloaded by number.
    pub packages_file: Option<PathBuf>,
    /// Where packages are kept across restarts.
    pub state: Option<PathBuf>,
    /// The quota of every application.
    pub limit: Limit,
    /// The switches as they stand at the start.
    pub switches: Switches,
}

/// One application as it is registered at the start.
#[derive(Debug, Clone)]
pub struct Registration {
    /// Its `appId`, sent as `app_key`.
    pub app_id: String,
    /// Its secret.
    pub secret: SecretString,
    /// How many packages it starts with.
    pub packages: u32,
}

/// Whether a client has to show a certificate. One that is shown is always verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ClientCert {
    /// Nobody gets in without.
    Required,
    /// Asked for; a client may have none.
    Requested,
    /// Not asked for.
    None,
}

/// The code of the throttle answer, which differs by edition of the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub enum ThrottleCode {
    /// Huawei Cloud.
    #[serde(rename = "1010009")]
    #[value(name = "1010009")]
    HuaweiCloud,
    /// China Telecom.
    #[serde(rename = "1010004")]
    #[value(name = "1010004")]
    ChinaTelecom,
}

impl ThrottleCode {
    /// The code as it is sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HuaweiCloud => code::THROTTLED,
            Self::ChinaTelecom => code::THROTTLED_OR_TOKEN,
        }
    }
}

/// What a list does with its filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filters {
    /// Only what matches is listed.
    Honoured,
    /// Everything is listed.
    Ignored,
}

/// The word for a failed task; the table and the example of the documentation differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailedWord {
    /// As in the table.
    #[serde(rename = "failed")]
    Failed,
    /// As in the example.
    #[serde(rename = "FAIL")]
    Fail,
}

/// What can be turned while the simulator runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Switches {
    /// The code of the throttle answer.
    pub throttle_code: ThrottleCode,
    /// Its shape.
    pub throttle_shape: Shape,
    /// Its HTTP status, 400 to 599.
    pub throttle_status: u16,
    /// Whether logins and refreshes count against the quota.
    pub count_logins: bool,
    /// Whether a token is accepted beside the `app_key` of another application, or of none that there is.
    pub token_of_any_app: bool,
    /// The status of a deletion: 200 or 204.
    pub delete_status: u16,
    /// What lists do with filters.
    pub filters: Filters,
    /// The word for a failed task.
    pub failed_word: FailedWord,
    /// How long an access token lives.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub token_lifetime: Duration,
    /// How long every answer is held back after the call took effect.
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
    /// Whether the numbers are in their ranges.
    ///
    /// # Errors
    /// The first that isn't.
    pub fn check(&self) -> Result<(), OutOfRange> {
        let fits = (400..600).contains(&self.throttle_status);
        OutOfRange::unless(fits, "throttleStatus", "from 400 to 599")?;
        let fits = [200, 204].contains(&self.delete_status);
        OutOfRange::unless(fits, "deleteStatus", "200 or 204")?;
        let fits = self.token_lifetime >= Duration::from_secs(1);
        OutOfRange::unless(fits, "tokenLifetime", "at least 1s")
    }
}
