//! The calls to one endpoint with one set of TLS settings.

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

/// The most that is read of an answer, unpacked, in bytes.
const BODY_BOUND: usize = 64 * 1024;
/// The same for a page of the list, which holds up to 100 packages.
const PAGE_BOUND: usize = 1024 * 1024;
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

/// So many secrets are hidden beside those of a call.
const HIDDEN: usize = 8;
/// So long what kept a call from being made says something of the next one.
const BROKEN_FOR: Duration = Duration::from_secs(600);

/// A TLS failure.
#[derive(Debug, Clone)]
pub struct Broken {
    /// What it was.
    pub detail: Detail,
    /// Its kind.
    pub trouble: Trouble,
    /// When a call met it.
    pub at: Instant,
}

/// What a call is made with.
#[derive(Debug, Clone)]
pub struct Authorization {
    token: SecretString,
    /// What it was obtained with; never sent, and never shown, whatever the platform repeats.
    login: Option<SecretString>,
}

impl Authorization {
    /// A token that came from a login with this secret, or that was handed in.
    pub fn new(token: SecretString, login: Option<SecretString>) -> Self {
        Self { token, login }
    }

    fn secrets(&self) -> Vec<&SecretString> {
        [&self.token].into_iter().chain(&self.login).collect()
    }
}

/// Prepares calls to an endpoint, as the operator is started with; connects to nothing yet.
pub type Connect =
    Arc<dyn Fn(&Endpoint, &TlsSettings) -> Result<Connection, TlsError> + Send + Sync>;

/// Calls over HTTPS, within these times.
pub fn https(timeouts: Timeouts) -> Connect {
    Arc::new(move |endpoint, tls| Connection::new(endpoint, tls, timeouts))
}

/// Calls to one endpoint.
///
/// Each method sends one request, once: it follows no redirect and repeats nothing that may have
/// reached the platform.
pub struct Connection {
    endpoint: Endpoint,
    exchange: Box<dyn Exchange>,
    /// How long a whole call may take.
    total: Duration,
    trusted: Option<usize>,
    /// Why the last call over it was not made, where only a person can mend that, and when.
    broken: Mutex<Option<Broken>>,
    /// What is shown of no answer, whatever call it answers; the newest last.
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
    /// Prepares calls to `endpoint` over HTTPS; connects to nothing yet.
    ///
    /// # Errors
    /// When the TLS settings can't be used.
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

    /// Calls to `endpoint` by `exchange`, each within `total`.
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

    /// How many certificates were read from `ca.crt`; `None` where the system's are trusted.
    pub fn trusted(&self) -> Option<usize> {
        self.trusted
    }

    /// Why the last call over it was not made, where that is a TLS failure that only a person can mend. After ten minutes
    /// nothing is known of it any more: the platform may have another certificate.
    pub fn broken(&self) -> Option<Broken> {
        let broken = self.broken.lock().clone();
        broken.filter(|broken| broken.at.elapsed() < BROKEN_FOR)
    }

    /// Hides these in all answers, beside what a call is made with: the platform may repeat what stands in the Secret beside
    /// a login, or stood there before. The last eight are known.
    pub fn hide(&self, secrets: Vec<SecretString>) {
        let mut hidden = self.hidden.lock();
        for secret in secrets {
            hidden.retain(|known| known.expose_secret() != secret.expose_secret());
            hidden.push(secret);
        }
        let more = hidden.len().saturating_sub(HIDDEN);
        hidden.drain(..more);
    }

    /// What is hidden in all answers.
    pub fn hidden(&self) -> Vec<SecretString> {
        self.hidden.lock().clone()
    }

    fn mask(&self, secrets: &[&SecretString]) -> Mask {
        let hidden = self.hidden.lock();
        let all = secrets.iter().copied().chain(hidden.iter());
        Mask::of(all.map(ExposeSecret::expose_secret))
    }

    /// As if a call over it had just met a TLS failure.
    #[cfg(test)]
    pub(crate) fn set_broken(&self) {
        *self.broken.lock() = Some(Broken {
            detail: Detail::default(),
            trouble: Trouble::CertificateNotTrusted(answer::CertificateFault::Issuer),
            at: Instant::now(),
        });
    }

    /// Logs in.
    ///
    /// # Errors
    /// Any answer but a token.
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
    /// Any answer but the package.
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

    /// Reads one page of the list; page 0 is the first, of at most 100 packages. What follows it is
    /// told by [`pages::next_page`].
    ///
    /// # Errors
    /// Any answer but a page.
    pub async fn list(
        &self,
        app_id: &AppId,
        authorization: &Authorization,
        page: u32,
    ) -> Result<Page, Answer> {
        self.list_some(app_id, authorization, page, pages::PAGE_SIZE)
            .await
    }

    /// Reads a list of one entry, to find out what a token is worth.
    ///
    /// # Errors
    /// Any answer but a page.
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

    /// Sends one request and reads its answer: status and body where it was understood.
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

/// What comes before the deadline, which is looked at first: who stood still until then sends nothing any more.
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
    // A FileId holds only characters that stand for themselves in a path, so nothing is encoded.
    let path = format!("{CATEGORY_PATH}/{}", file_id.as_str());
    authorized(method, path, app_id, authorization)
}

/// A request as the application, or the answer to give where its token can't be sent at all.
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

/// A 2xx of the right form that lacks what the call was for.
fn not_understood(status: u16, lack: &str) -> Answer {
    Answer::Unexpected(Detail {
        http_status: Some(status),
        code: None,
        message: lack.to_owned(),
    })
}
