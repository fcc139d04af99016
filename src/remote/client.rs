//! Calls to one endpoint with one set of TLS settings.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, sleep_until};
use url::form_urlencoded;

use super::answer::{self, Answer, BodyFault, Call, Detail, Trouble};
use super::exchange::{Exchange, NoReply, Reply, Request};
use super::https::Pool;
use super::mask::Mask;
use super::pages::Page;
use super::reply::Login;
use super::tls::{TlsError, TlsSettings};
use super::wire::{APP_KEY, CATEGORY_PATH, CategoryInfo, LOGIN_PATH};
use super::{pages, reply};
use crate::api::names::{AppId, Endpoint, FileId};

/// The size limit of an uncompressed answer, in bytes.
const BODY_BOUND: usize = 64 * 1024;
/// The size limit of a page of the list, which holds up to 100 packages, in bytes.
const PAGE_BOUND: usize = 1024 * 1024;
/// The time limits of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Limit for connecting, including the TLS handshake. 5 s by default.
    pub connect: Duration,
    /// Limit for the whole call. 15 s by default.
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

/// How many secrets are masked in all answers, in addition to those of the call itself.
const HIDDEN: usize = 8;
/// How long a TLS failure is assumed to hold for later calls too.
const BROKEN_FOR: Duration = Duration::from_secs(600);

/// A TLS failure that a call met.
#[derive(Debug, Clone)]
pub struct Broken {
    /// The error as it is shown to people.
    pub detail: Detail,
    /// The kind of the failure.
    pub trouble: Trouble,
    /// When the call met the failure.
    pub at: Instant,
}

/// The access token of a call.
#[derive(Debug, Clone)]
pub struct Authorization {
    token: SecretString,
    /// The secret of the login that returned the token. It is never sent; it is masked where the platform repeats it.
    login: Option<SecretString>,
}

impl Authorization {
    /// An authorization with `token` and the secret of the login that returned it; `None` where the token came from
    /// elsewhere.
    pub fn new(token: SecretString, login: Option<SecretString>) -> Self {
        Self { token, login }
    }

    fn secrets(&self) -> Vec<&SecretString> {
        [&self.token].into_iter().chain(&self.login).collect()
    }
}

/// Creates the connection to an endpoint. Opens no TCP connection yet. A parameter of the operator, so that tests can
/// replace it.
pub type Connect =
    Arc<dyn Fn(&Endpoint, &TlsSettings) -> Result<Connection, TlsError> + Send + Sync>;

/// The [`Connect`] that makes HTTPS connections with these time limits.
pub fn https(timeouts: Timeouts) -> Connect {
    Arc::new(move |endpoint, tls| Connection::new(endpoint, tls, timeouts))
}

/// The client of one endpoint.
///
/// Each method sends one request, once: it follows no redirect and repeats no request that may have reached the
/// platform.
pub struct Connection {
    endpoint: Endpoint,
    exchange: Box<dyn Exchange>,
    /// The time limit of a whole call.
    total: Duration,
    trusted: Option<usize>,
    /// The TLS failure of the last call, where it takes a person to repair it.
    broken: Mutex<Option<Broken>>,
    /// Secrets that are masked in the answers to all calls, oldest first.
    hidden: Mutex<Vec<SecretString>>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// Prepares calls to `endpoint` over HTTPS. Opens no TCP connection yet.
    ///
    /// # Errors
    /// The TLS settings are unusable.
    pub fn new(
        endpoint: &Endpoint,
        tls: &TlsSettings,
        timeouts: Timeouts,
    ) -> Result<Self, TlsError> {
        let (pool, trusted) = Pool::new(endpoint, tls, timeouts.connect)?;
        Ok(Self {
            trusted,
            ..Self::over(Box::new(pool), endpoint, timeouts.total)
        })
    }

    /// A client of `endpoint` that sends its calls through `exchange`, each with the time limit `total`.
    pub fn over(exchange: Box<dyn Exchange>, endpoint: &Endpoint, total: Duration) -> Self {
        Self {
            endpoint: endpoint.clone(),
            exchange,
            total,
            trusted: None,
            broken: Mutex::default(),
            hidden: Mutex::default(),
        }
    }

    /// How many certificates were read from `ca.crt`; `None` where the system's certificates are trusted.
    pub fn trusted(&self) -> Option<usize> {
        self.trusted
    }

    /// The TLS failure of the last call, where it takes a person to repair it. `None` after ten minutes, as the
    /// platform may have another certificate by then.
    pub fn broken(&self) -> Option<Broken> {
        let broken = self.broken.lock().clone();
        broken.filter(|broken| broken.at.elapsed() < BROKEN_FOR)
    }

    /// Masks `secrets` in all answers from now on: the platform may repeat other values of the credentials Secret, or
    /// earlier ones. The eight newest secrets are kept.
    pub fn hide(&self, secrets: Vec<SecretString>) {
        let mut hidden = self.hidden.lock();
        for secret in secrets {
            hidden.retain(|known| known.expose_secret() != secret.expose_secret());
            hidden.push(secret);
        }
        let more = hidden.len().saturating_sub(HIDDEN);
        hidden.drain(..more);
    }

    /// The secrets that are masked in all answers.
    pub fn hidden(&self) -> Vec<SecretString> {
        self.hidden.lock().clone()
    }

    fn mask(&self, secrets: &[&SecretString]) -> Mask {
        let hidden = self.hidden.lock();
        let all = secrets.iter().copied().chain(hidden.iter());
        Mask::of(all.map(ExposeSecret::expose_secret))
    }

    /// Sets the state after a call that met a TLS failure.
    #[cfg(test)]
    pub(crate) fn set_broken(&self) {
        *self.broken.lock() = Some(Broken {
            detail: Detail::default(),
            trouble: Trouble::CertificateNotTrusted(answer::CertificateFault::Issuer),
            at: Instant::now(),
        });
    }

    /// Logs in and returns the access token.
    ///
    /// # Errors
    /// The meaning of any answer without a token.
    pub async fn login(&self, app_id: &AppId, secret: &SecretString) -> Result<Login, Answer> {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("appId", app_id.as_str())
            .append_pair("secret", secret.expose_secret())
            .finish();
        let mask = self.mask(&[secret]);
        let content = HeaderValue::from_static("application/x-www-form-urlencoded");
        let request = Request {
            method: Method::POST,
            path: LOGIN_PATH.to_owned(),
            headers: HeaderMap::from_iter([(CONTENT_TYPE, content)]),
            body: Some(form.into_bytes()),
            bound: BODY_BOUND,
        };
        let (status, body) = self.call(Call::Login, request, &mask).await?;
        reply::login(&body).map_err(|lack| not_understood(status, lack))
    }

    /// Deletes one package.
    pub async fn delete(
        &self,
        app_id: &AppId,
        authorization: &Authorization,
        file_id: &FileId,
    ) -> Answer {
        let request = match package(Method::DELETE, app_id, authorization, file_id) {
            Ok(request) => request,
            Err(answer) => return answer,
        };
        match self
            .call(Call::Delete, request, &self.mask(&authorization.secrets()))
            .await
        {
            Ok((status, _)) => Answer::Done(status),
            Err(answer) => answer,
        }
    }

    /// Looks one package up.
    ///
    /// # Errors
    /// The meaning of any answer without the package.
    pub async fn show(
        &self,
        app_id: &AppId,
        authorization: &Authorization,
        file_id: &FileId,
    ) -> Result<CategoryInfo, Answer> {
        let request = package(Method::GET, app_id, authorization, file_id)?;
        let mask = self.mask(&authorization.secrets());
        let (status, body) = self.call(Call::Show, request, &mask).await?;
        reply::package(&body, file_id, &mask).map_err(|lack| not_understood(status, lack))
    }

    /// Reads one page of the list, of at most 100 packages. The first page is 0; [`pages::next_page`] tells which one
    /// follows.
    ///
    /// # Errors
    /// The meaning of any answer without a page.
    pub async fn list(
        &self,
        app_id: &AppId,
        authorization: &Authorization,
        page: u32,
    ) -> Result<Page, Answer> {
        self.list_some(app_id, authorization, page, pages::PAGE_SIZE)
            .await
    }

    /// Reads a list of one entry, to test whether the platform accepts the token.
    ///
    /// # Errors
    /// The meaning of any answer without a page.
    pub async fn list_one(
        &self,
        app_id: &AppId,
        authorization: &Authorization,
    ) -> Result<Page, Answer> {
        self.list_some(app_id, authorization, 0, 1).await
    }

    async fn list_some(
        &self,
        app_id: &AppId,
        authorization: &Authorization,
        page: u32,
        size: u32,
    ) -> Result<Page, Answer> {
        let path = format!("{CATEGORY_PATH}?pageNo={page}&pageSize={size}");
        let request = Request {
            bound: PAGE_BOUND,
            ..authorized(Method::GET, path, app_id, authorization)?
        };
        let mask = self.mask(&authorization.secrets());
        let (status, body) = self.call(Call::List, request, &mask).await?;
        reply::page(&body, &mask).map_err(|lack| not_understood(status, lack))
    }

    /// Sends one request and reads the answer: status and body of a success, else the meaning of the answer.
    async fn call(
        &self,
        call: Call,
        request: Request,
        mask: &Mask,
    ) -> Result<(u16, Vec<u8>), Answer> {
        let deadline = Instant::now() + self.total;
        let reply = in_time(deadline, self.exchange.exchange(request)).await;
        let reply = reply.unwrap_or_else(|| {
            Err(NoReply {
                trouble: Trouble::TimedOut,
                message: "no answer within the time-out".to_owned(),
            })
        });
        let reply = reply.map_err(|NoReply { trouble, message }| {
            let message = mask.clean(&message, answer::MAX_MESSAGE);
            let detail = Detail {
                message,
                ..Detail::default()
            };
            (detail, trouble)
        });
        let failed = reply.as_ref().err();
        let failed = failed.filter(|(_, trouble)| trouble.needs_person());
        *self.broken.lock() = failed.map(|(detail, trouble)| Broken {
            detail: detail.clone(),
            trouble: *trouble,
            at: Instant::now(),
        });
        let Reply { status, body, .. } =
            reply.map_err(|(detail, trouble)| Answer::Unavailable(detail, trouble))?;
        let body = in_time(deadline, body).await;
        let body = body.unwrap_or(Err(BodyFault::TimedOut));
        let read = body.as_deref().map_err(|fault| *fault);
        match (answer::read(call, status, read, mask), body) {
            (Answer::Done(_), Ok(body)) => Ok((status, body)),
            (answer, _) => Err(answer),
        }
    }
}

/// The result of `comes`, or `None` after the deadline. The deadline is checked first: a process that was suspended
/// until then sends nothing any more.
async fn in_time<T>(deadline: Instant, comes: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = sleep_until(deadline) => None,
        came = comes => Some(came),
    }
}

fn package(
    method: Method,
    app_id: &AppId,
    authorization: &Authorization,
    file_id: &FileId,
) -> Result<Request, Answer> {
    // A FileId holds only unreserved characters, so the path needs no encoding.
    let path = format!("{CATEGORY_PATH}/{}", file_id.as_str());
    authorized(method, path, app_id, authorization)
}

/// A request with the application's headers, or the answer to return where the token can't stand in a header.
fn authorized(
    method: Method,
    path: String,
    app_id: &AppId,
    authorization: &Authorization,
) -> Result<Request, Answer> {
    let unsent = |what: &str| {
        Answer::TokenRefused(Detail {
            message: format!(
                "nothing was sent: the {what} holds characters that no header can carry"
            ),
            ..Detail::default()
        })
    };
    let token = HeaderValue::try_from(format!("Bearer {}", authorization.token.expose_secret()));
    let mut token = token.map_err(|_| unsent("access token"))?;
    token.set_sensitive(true);
    let app_key = HeaderValue::try_from(app_id.as_str()).map_err(|_| unsent("appId"))?;
    let app = (HeaderName::from_static(APP_KEY), app_key);
    Ok(Request {
        method,
        path,
        headers: HeaderMap::from_iter([app, (AUTHORIZATION, token)]),
        body: None,
        bound: BODY_BOUND,
    })
}

/// The meaning of a 2xx answer that lacks the result of the call.
fn not_understood(status: u16, lack: &str) -> Answer {
    Answer::Unexpected(Detail {
        http_status: Some(status),
        code: None,
        message: lack.to_owned(),
    })
}
