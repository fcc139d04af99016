//! The API server as one process of the operator reaches it: requests and answers take their time, may be refused or lost,
//! and are written down.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use cluster_in_memory::Server;
use futures::future::BoxFuture;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;
use tower::{BoxError, Service};

use crate::chance::Chance;
use crate::life::Life;
use crate::trace::Trace;

/// What becomes of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// It is refused with this code.
    Refused(u16),
    /// It never arrives.
    Lost,
    /// It takes effect, and nobody is told.
    Unanswered,
}

/// What is to become of the next writes, whoever makes them.
#[derive(Debug, Clone, Default)]
pub struct Mishaps(Arc<Mutex<VecDeque<Mishap>>>);

impl Mishaps {
    pub fn add(&self, mishap: Mishap) {
        self.lock().push_back(mishap);
    }

    fn next(&self) -> Option<Mishap> {
        self.lock().pop_front()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Mishap>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The way from one process to the API server.
#[derive(Clone)]
pub struct Port {
    pub who: String,
    pub server: Server,
    pub life: Life,
    pub chance: Chance,
    pub mishaps: Mishaps,
    pub trace: Trace,
}

impl Service<Request<kube::client::Body>> for Port {
    type Response = Response<Answer>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<kube::client::Body>) -> Self::Future {
        Box::pin(self.clone().send(request))
    }
}

impl Port {
    async fn send(
        mut self,
        request: Request<kube::client::Body>,
    ) -> Result<Response<Answer>, BoxError> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        self.life.goes_on().await;
        self.chance.travel().await;
        self.life.goes_on().await;
        let (method, uri) = (&parts.method, &parts.uri);
        let asked = format!("{method} {uri} {}", String::from_utf8_lossy(&body));
        let mishap = if parts.method == Method::GET {
            None
        } else {
            self.mishaps.next()
        };
        if mishap == Some(Mishap::Lost) {
            self.trace.say(&self.who, format_args!("{asked} is lost"));
            return Err("the connection broke".into());
        }
        let answer = if let Some(Mishap::Refused(code)) = mishap {
            refused(code)
        } else {
            let Ok(answer) = self
                .server
                .call(Request::from_parts(parts, Full::new(body)))
                .await;
            answer.map(BodyExt::boxed_unsync)
        };
        let code = answer.status().as_u16();
        self.trace.say(&self.who, format_args!("{asked} -> {code}"));
        self.chance.travel().await;
        self.life.goes_on().await;
        if mishap == Some(Mishap::Unanswered) {
            return Err("the connection broke".into());
        }
        Ok(answer.map(|body| Answer {
            body,
            life: self.life,
        }))
    }
}

fn refused(code: u16) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    let reason = match code {
        403 => "Forbidden",
        409 => "Conflict",
        422 => "Invalid",
        429 => "TooManyRequests",
        _ => "InternalError",
    };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "refused by chance", "reason": reason, "code": code,
    });
    let body = Full::new(Bytes::from(status.to_string()));
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}

/// The body of an answer: nothing more comes of it once its process has ended.
pub struct Answer {
    body: UnsyncBoxBody<Bytes, Infallible>,
    life: Life,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.life.is_over() {
            return Poll::Pending;
        }
        Pin::new(&mut self.body).poll_frame(context)
    }
}
