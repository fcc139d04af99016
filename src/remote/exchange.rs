//! The port to the platform: sends one request and returns the answer or the reason for its absence. Sockets and TLS
//! are behind the port; the meaning of answers and the time limit of calls are not.

use futures::future::BoxFuture;
use reqwest::Method;
use reqwest::header::HeaderMap;

use super::answer::{BodyFault, Trouble};

/// Sends requests to one endpoint.
pub trait Exchange: Send + Sync {
    /// Sends `request` once. Follows no redirect and repeats no request that may have reached the platform. When the
    /// future is dropped, nothing more is sent.
    ///
    /// # Errors
    /// No answer came; [`NoReply`] tells why.
    fn exchange(&self, request: Request) -> BoxFuture<'_, Result<Reply, NoReply>>;
}

/// A request. Its headers and body hold secrets, so the type has no `Debug`.
pub struct Request {
    /// The HTTP method.
    pub method: Method,
    /// The path and query, appended to the endpoint.
    pub path: String,
    /// The headers of this request; the headers common to all requests are added.
    pub headers: HeaderMap,
    /// The body; `None` for a request without one.
    pub body: Option<Vec<u8>>,
    /// The size limit of the uncompressed answer, in bytes.
    pub bound: usize,
}

/// The head of an answer, and the future that reads its body.
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// Reads the uncompressed body.
    pub body: BoxFuture<'static, Result<Vec<u8>, BodyFault>>,
}

/// The reason why no answer came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoReply {
    /// The kind of the failure.
    pub trouble: Trouble,
    /// The description for people.
    pub message: String,
}
