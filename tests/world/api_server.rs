//! The connection of one operator process to the API server. It delays, refuses or loses requests and answers, and
//! records them.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use cluster_in_memory::Server;
use futures::future::BoxFuture;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;
use tokio::time::{Sleep, sleep};
use tower::{BoxError, Service};
use version_package_operator::api_server::READ_TIMEOUT;

use crate::around::Around;
use crate::faults::{Fault, Faults, SLOW, To};
use crate::life::Life;

/// The connection of one process to the API server.
#[derive(Clone)]
pub struct Port {
    pub around: Around,
    pub server: Server,
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
        let around = self.around.clone();
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        around.travel().await;
        let text = String::from_utf8_lossy(&body);
        let asked = format!("{} {} {text}", parts.method, parts.uri);
        let query = parts.uri.query();
        let watches = query.is_some_and(|query| query.contains("watch=true"));
        let fault = match parts.method {
            Method::GET if watches => around.meet(To::Watch).await,
            Method::GET => around.meet(To::Read).await,
            _ => around.meet(To::Write).await,
        };
        if fault == Some(Fault::Lost) {
            around
                .trace
                .say(&around.who, format_args!("{asked} is lost"));
            return Err("the connection broke".into());
        }
        let answer = if let Some(Fault::Refused(code)) = fault {
            refused(code)
        } else {
            let request = Request::from_parts(parts, Full::new(body));
            let Ok(answer) = self.server.call(request).await;
            around.record.take_changes(&around.who);
            answer.map(BodyExt::boxed_unsync)
        };
        let code = answer.status().as_u16();
        around
            .trace
            .say(&around.who, format_args!("{asked} -> {code}"));
        around.happened(fault).await;
        around.travel().await;
        match fault {
            Some(Fault::Unanswered) => return Err("the connection broke".into()),
            Some(Fault::Hung) => {
                sleep(READ_TIMEOUT).await;
                return Err("no answer in time".into());
            }
            Some(Fault::Slow) => sleep(SLOW).await,
            Some(_) | None => {}
        }
        Ok(answer.map(|body| Answer {
            body,
            life: around.life,
            faults: watches.then_some(around.faults),
            late: None,
        }))
    }
}

fn refused(code: u16) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    let reason = match code {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        422 => "Invalid",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
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

/// The delay of a late watch line.
const LATE: Duration = Duration::from_secs(20);

/// The body of an answer. It yields nothing more once its process has ended.
pub struct Answer {
    body: UnsyncBoxBody<Bytes, Infallible>,
    life: Life,
    /// The faults, for a watch.
    faults: Option<Faults>,
    /// A delayed line.
    late: Option<(Pin<Box<Sleep>>, Frame<Bytes>)>,
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
        if self.late.is_none() {
            let polled = Pin::new(&mut self.body).poll_frame(context);
            let Poll::Ready(Some(Ok(frame))) = polled else {
                return polled;
            };
            if !self.faults.as_ref().is_some_and(Faults::is_late) {
                return Poll::Ready(Some(Ok(frame)));
            }
            self.late = Some((Box::pin(sleep(LATE)), frame));
        }
        let Some((until, frame)) = self.late.take() else {
            return Poll::Pending;
        };
        self.wait(until, frame, context)
    }
}

impl Answer {
    fn wait(
        &mut self,
        mut until: Pin<Box<Sleep>>,
        frame: Frame<Bytes>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if until.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Ok(frame)));
        }
        self.late = Some((until, frame));
        Poll::Pending
    }
}
