//! Exchanges over HTTPS.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::jiff::Timestamp;
use reqwest::header::{ACCEPT, HOST, HeaderMap, HeaderValue};
use reqwest::{Client, redirect, retry};

use super::address::Address;
use super::exchange::{Exchange, NoReply, Reply, Request};
use super::failure::ShownCertificate;
use super::tls::{self, Identity, TlsError, TlsSettings};
use super::{body, failure};
use crate::api::names::Endpoint;

/// How long an idle connection is kept. The platform's own clients close after 15 s; closing before the platform does
/// avoids sending a request into a connection that is closing.
const IDLE: Duration = Duration::from_secs(10);
const USER_AGENT: &str = concat!("version-package-operator/", env!("CARGO_PKG_VERSION"));

/// A connection pool to one endpoint. Honours `HTTPS_PROXY` and `NO_PROXY`.
pub(super) struct Pool {
    /// The beginning of every URL: scheme, host, port and the path of the endpoint.
    base: String,
    http: Client,
    identity: Arc<Identity>,
}

impl Pool {
    /// A pool that allows `connect` for connecting, including the TLS handshake. Also returns how many certificates
    /// were read from `ca.crt`; `None` where the system's certificates are trusted.
    pub(super) fn new(
        endpoint: &Endpoint,
        tls: &TlsSettings,
        connect: Duration,
    ) -> Result<(Self, Option<usize>), TlsError> {
        let prepared = tls::prepare(tls)?;
        let address = Address::new(endpoint, tls.server_name.as_deref());
        let mut headers =
            HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        let mut builder = Client::builder();
        if let Some(other) = address.other_name {
            headers.insert(HOST, other.host);
            // The override exists only without a proxy, so reqwest must not look for one.
            builder = builder.dns_resolver(other.lookup).no_proxy();
        }
        let http = builder
            .tls_backend_preconfigured(prepared.config)
            .https_only(true)
            .http1_only()
            .redirect(redirect::Policy::none())
            .referer(false)
            .retry(retry::never())
            .connect_timeout(connect)
            .pool_idle_timeout(IDLE)
            .user_agent(USER_AGENT)
            .default_headers(headers)
            .build()
            .map_err(|_| TlsError::Setup)?;
        let pool = Self {
            base: address.base,
            http,
            identity: prepared.identity,
        };
        Ok((pool, prepared.trusted))
    }

    async fn send(&self, request: Request) -> Result<Reply, NoReply> {
        let Request {
            method,
            path,
            headers,
            body,
            bound,
        } = request;
        let sending = self.http.request(method, format!("{}{path}", self.base));
        let mut sending = sending.headers(headers);
        if let Some(body) = body {
            sending = sending.body(body);
        }
        let response = sending.send().await.map_err(|error| self.why(error))?;
        Ok(Reply {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: body::read(response, bound).boxed(),
        })
    }

    fn why(&self, error: reqwest::Error) -> NoReply {
        let shown = ShownCertificate {
            is_there: self.identity.is_there(),
            asked: self.identity.was_asked_for(),
            validity: self.identity.validity,
        };
        let now = Timestamp::now().as_second();
        let (trouble, message) = failure::explain(&error.without_url(), shown, now);
        NoReply { trouble, message }
    }
}

impl Exchange for Pool {
    fn exchange(&self, request: Request) -> BoxFuture<'_, Result<Reply, NoReply>> {
        self.send(request).boxed()
    }
}
