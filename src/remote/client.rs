//! The HTTP client of one endpoint with one set of TLS settings.

use std::time::Duration;

use secrecy::SecretString;

use super::answer::{Answer, Detail, Trouble};
use super::tls::{TlsError, TlsSettings};
use super::wire::CategoryInfo;
use crate::api::names::{AppId, Endpoint, FileId};

/// How long calls may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a connection stands, TLS included. 5 s by default.
    pub connect: Duration,
    /// The whole call. 15 s by default.
    pub total: Duration,
}

/// A login that succeeded.
pub struct Login {
    /// The token for all other calls.
    pub access_token: SecretString,
    /// How long it lives.
    pub expires_in: Duration,
}

/// One page of the list of packages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The packages of this page.
    pub data: Vec<CategoryInfo>,
    /// How many there are over all pages.
    pub total_count: u64,
}

/// A connection pool to one endpoint.
pub struct Connection {
    _endpoint: Endpoint,
}

impl Connection {
    /// Prepares calls to `endpoint`; connects to nothing yet.
    ///
    /// # Errors
    /// When the TLS settings can't be used.
    pub fn new(
        endpoint: &Endpoint,
        _tls: &TlsSettings,
        _timeouts: Timeouts,
    ) -> Result<Self, TlsError> {
        Ok(Self {
            _endpoint: endpoint.clone(),
        })
    }

    /// Logs in.
    ///
    /// # Errors
    /// Any answer but a token.
    pub async fn login(&self, _app_id: &AppId, _secret: &SecretString) -> Result<Login, Answer> {
        Err(unbuilt())
    }

    /// Deletes one package.
    pub async fn delete(
        &self,
        _app_id: &AppId,
        _token: &SecretString,
        _file_id: &FileId,
    ) -> Answer {
        unbuilt()
    }

    /// Looks one package up.
    ///
    /// # Errors
    /// Any answer but the package.
    pub async fn show(
        &self,
        _app_id: &AppId,
        _token: &SecretString,
        _file_id: &FileId,
    ) -> Result<CategoryInfo, Answer> {
        Err(unbuilt())
    }

    /// Reads one page of the list; page 0 is the first, of at most 100 packages.
    ///
    /// # Errors
    /// Any answer but a page.
    pub async fn list(
        &self,
        _app_id: &AppId,
        _token: &SecretString,
        _page: u32,
    ) -> Result<Page, Answer> {
        Err(unbuilt())
    }
}

fn unbuilt() -> Answer {
    Answer::Unavailable(Detail::default(), Trouble::NotConnected)
}
