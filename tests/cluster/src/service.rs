//! The HTTP service for a client: a request in, an answer out.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::Service;

use crate::Cluster;
use crate::request::Call;
use crate::state::Answer;
use crate::watch::Body;

/// The API server for one user.
#[derive(Debug, Clone)]
pub struct Server {
    cluster: Cluster,
    user: String,
}

impl Server {
    pub(crate) fn new(cluster: Cluster, user: &str) -> Self {
        let user = user.to_owned();
        Self { cluster, user }
    }

    fn answer(&self, parts: &http::request::Parts, body: Vec<u8>) -> Response<Body> {
        if parts.uri.path() == "/version" {
            return whole(200, &version());
        }
        let Some(call) = Call::read(parts, body) else {
            return nothing();
        };
        let answer = self.cluster.state().serve(&self.user, &call);
        match answer {
            Answer::Whole(code, value) => whole(code, &value),
            Answer::NoPath => nothing(),
            Answer::Watch(watching) => response(
                200,
                "application/json",
                Body::watch(self.cluster.clone(), watching),
            ),
        }
    }
}

fn version() -> Value {
    json!({"major": "1", "minor": "37", "gitVersion": "v1.37.2", "gitCommit": "", "gitTreeState": "archive",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "go1.26.8", "compiler": "gc", "platform": "linux/amd64"})
}

fn whole(code: u16, value: &Value) -> Response<Body> {
    let text = value.to_string() + "\n";
    response(code, "application/json", Body::whole(Bytes::from(text)))
}

fn nothing() -> Response<Body> {
    let body = Body::whole(Bytes::from_static(b"404 page not found\n"));
    response(404, "text/plain; charset=utf-8", body)
}

fn response(code: u16, media: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or_default();
    let media = http::HeaderValue::from_static(media);
    response.headers_mut().insert(CONTENT_TYPE, media);
    response
}

impl<B> Service<Request<B>> for Server
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let server = self.clone();
        let (parts, body) = request.into_parts();
        Box::pin(async move {
            // A body that breaks off counts as not received.
            let Ok(body) = body.collect().await else {
                return ready(Ok(whole(400, &json!({})))).await;
            };
            Ok(server.answer(&parts, body.to_bytes().to_vec()))
        })
    }
}
