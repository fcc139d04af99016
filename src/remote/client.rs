//! The HTTP client of one endpoint with one set of TLS settings.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use reqwest::header::{ACCEPT, AUTHORIZATION, HOST, HeaderMap, HeaderValue};
use reqwest::{Client, Method, RequestBuilder, redirect, retry};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::address::Address;
use super::answer::{self, Answer, Call, Detail};
use super::failure::Shown;
use super::mask::Mask;
use super::tls::{self, Identity, TlsError, TlsSettings};
use super::wire::{APP_KEY, CATEGORY_PATH, CategoryInfo, LOGIN_PATH};
use super::{body, failure, pages, reply};
use crate::api::names::{AppId, Endpoint, FileId};

/// The most that is read of an answer, unpacked, in bytes.
const BODY_BOUND: usize = 64 * 1024;
/// The same for a page of the list, which holds up to 100 packages.
const PAGE_BOUND: usize = 1024 * 1024;
/// How long a connection is kept unused. The platform's own clients let go after 15 s; being earlier
/// than the platform avoids sending into a connection that it is closing.
const IDLE: Duration = Duration::from_secs(10);
const USER_AGENT: &str = concat!("version-package-operator/", env!("CARGO_PKG_VERSION"));

/// How long calls may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a connection stands, TLS included. 5 s by default.
    pub connect: Duration,
    /// The whole call. 15 s by default.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            total: Duration::from_secs(15),
        }
    }
}

/// A login that succeeded.
#[derive(Debug)]
pub struct Login {
    /// The token for all other calls.
    pub access_token: SecretString,
    /// How long it lives: 1 s to one day.
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
///
/// Each method sends one request, once: it follows no redirect and repeats nothing that may have
/// reached the platform. `HTTPS_PROXY` and `NO_PROXY` of the environment count, as everywhere.
pub struct Connection {
    endpoint: Endpoint,
    /// What every URL begins with.
    base: String,
    http: Client,
    identity: Arc<Identity>,
    trusted: Option<usize>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// What a login posts.
#[derive(Serialize)]
struct LoginForm<'a> {
    #[serde(rename = "appId")]
    app_id: &'a str,
    secret: &'a str,
}

impl Connection {
    /// Prepares calls to `endpoint`; connects to nothing yet.
    ///
    /// # Errors
    /// When the TLS settings can't be used.
    pub fn new(
        endpoint: &Endpoint,
        tls: &TlsSettings,
        timeouts: Timeouts,
    ) -> Result<Self, TlsError> {
        let prepared = tls::prepare(tls)?;
        let address = Address::new(endpoint, tls.server_name.as_deref());
        let mut headers =
            HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        let mut builder = Client::builder();
        if let Some(other) = address.other_name {
            headers.insert(HOST, other.host);
            // No proxy stands before the endpoint, or this name wouldn't be asked for.
            builder = builder.dns_resolver(other.lookup).no_proxy();
        }
        let http = builder
            .tls_backend_preconfigured(prepared.config)
            .https_only(true)
            .http1_only()
            .redirect(redirect::Policy::none())
            .referer(false)
            .retry(retry::never())
            .connect_timeout(timeouts.connect)
            .timeout(timeouts.total)
            .pool_idle_timeout(IDLE)
            .user_agent(USER_AGENT)
            .default_headers(headers)
            .build()
            .map_err(|_| TlsError::Setup)?;
        Ok(Self {
            endpoint: endpoint.clone(),
            base: address.base,
            http,
            identity: prepared.identity,
            trusted: prepared.trusted,
        })
    }

    /// How many certificates were read from `ca.crt`; `None` where the system's are trusted.
    pub fn trusted(&self) -> Option<usize> {
        self.trusted
    }

    /// Logs in.
    ///
    /// # Errors
    /// Any answer but a token.
    pub async fn login(&self, app_id: &AppId, secret: &SecretString) -> Result<Login, Answer> {
        let request = self
            .http
            .post(format!("{}{LOGIN_PATH}", self.base))
            .form(&LoginForm {
                app_id: app_id.as_str(),
                secret: secret.expose_secret(),
            });
        let (status, body) = self.call(Call::Login, request, secret).await?;
        reply::login(&body).map_err(|lack| not_understood(status, lack))
    }

    /// Deletes one package.
    pub async fn delete(&self, app_id: &AppId, token: &SecretString, file_id: &FileId) -> Answer {
        let request = match self.package(Method::DELETE, app_id, token, file_id) {
            Ok(request) => request,
            Err(answer) => return answer,
        };
        match self.call(Call::Delete, request, token).await {
            Ok((status, _)) => Answer::Done(status),
            Err(answer) => answer,
        }
    }

    /// Looks one package up.
    ///
    /// # Errors
    /// Any answer but the package.
    pub async fn show(
        &self,
        app_id: &AppId,
        token: &SecretString,
        file_id: &FileId,
    ) -> Result<CategoryInfo, Answer> {
        let request = self.package(Method::GET, app_id, token, file_id)?;
        let (status, body) = self.call(Call::Show, request, token).await?;
        reply::package(&body, file_id, &Mask::of(token.expose_secret()))
            .map_err(|lack| not_understood(status, lack))
    }

    /// Reads one page of the list; page 0 is the first, of at most 100 packages. What follows it is
    /// told by [`pages::next_page`].
    ///
    /// # Errors
    /// Any answer but a page.
    pub async fn list(
        &self,
        app_id: &AppId,
        token: &SecretString,
        page: u32,
    ) -> Result<Page, Answer> {
        self.list_some(app_id, token, page, pages::PAGE_SIZE).await
    }

    /// Reads a list of one entry, to find out what a token is worth.
    ///
    /// # Errors
    /// Any answer but a page.
    pub async fn list_one(&self, app_id: &AppId, token: &SecretString) -> Result<Page, Answer> {
        self.list_some(app_id, token, 0, 1).await
    }

    async fn list_some(
        &self,
        app_id: &AppId,
        token: &SecretString,
        page: u32,
        size: u32,
    ) -> Result<Page, Answer> {
        let url = format!("{}{CATEGORY_PATH}?pageNo={page}&pageSize={size}", self.base);
        let request = self.authorized(Method::GET, url, app_id, token)?;
        let (status, body) = self.call(Call::List, request, token).await?;
        reply::page(&body, &Mask::of(token.expose_secret()))
            .map_err(|lack| not_understood(status, lack))
    }

    fn package(
        &self,
        method: Method,
        app_id: &AppId,
        token: &SecretString,
        file_id: &FileId,
    ) -> Result<RequestBuilder, Answer> {
        // A FileId holds only characters that stand for themselves in a path, so nothing is encoded.
        let url = format!("{}{CATEGORY_PATH}/{}", self.base, file_id.as_str());
        self.authorized(method, url, app_id, token)
    }

    /// A request as the application, or the answer to give where its token can't be sent at all.
    fn authorized(
        &self,
        method: Method,
        url: String,
        app_id: &AppId,
        token: &SecretString,
    ) -> Result<RequestBuilder, Answer> {
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))
            .map_err(|_| {
                Answer::TokenRefused(Detail {
                    message: "nothing was sent: the access token holds characters that no header can carry"
                        .to_owned(),
                    ..Detail::default()
                })
            })?;
        bearer.set_sensitive(true);
        Ok(self
            .http
            .request(method, url)
            .header(APP_KEY, app_id.as_str())
            .header(AUTHORIZATION, bearer))
    }

    /// Sends one request and reads its answer: status and body where it was understood.
    async fn call(
        &self,
        call: Call,
        request: RequestBuilder,
        secret: &SecretString,
    ) -> Result<(u16, Vec<u8>), Answer> {
        let response = request.send().await.map_err(|error| {
            let shown = Shown {
                is_there: self.identity.is_there(),
                asked: self.identity.was_asked_for(),
                validity: self.identity.validity,
            };
            let now = Timestamp::now().as_second();
            let (trouble, message) = failure::explain(&error.without_url(), shown, now);
            let message = answer::shown(&message, answer::MAX_MESSAGE, secret);
            let detail = Detail {
                message,
                ..Detail::default()
            };
            Answer::Unavailable(detail, trouble)
        })?;
        let status = response.status().as_u16();
        let bound = match call {
            Call::List => PAGE_BOUND,
            Call::Login | Call::Show | Call::Delete => BODY_BOUND,
        };
        let body = body::read(response, bound).await;
        let read = body.as_deref().map_err(|fault| *fault);
        match (answer::read(call, status, read, secret), body) {
            (Answer::Done(_), Ok(body)) => Ok((status, body)),
            (answer, _) => Err(answer),
        }
    }
}

/// A 2xx of the right form that lacks what the call was for.
fn not_understood(status: u16, lack: &str) -> Answer {
    Answer::Unexpected(Detail {
        http_status: Some(status),
        code: None,
        message: lack.to_owned(),
    })
}
