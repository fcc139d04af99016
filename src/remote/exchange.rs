//! The port to the platform: one request out, and its answer or why there is none. All that is told apart by sockets and TLS
//! is behind it; what an answer means, and how long a call may take, is not.

use futures::future::BoxFuture;
use reqwest::Method;
use reqwest::header::HeaderMap;

use super::answer::{BodyFault, Trouble};

/// Sends requests to one endpoint.
pub trait Exchange: Send + Sync {
    /// Sends `request` once: it follows no redirect and repeats nothing that may have reached the platform. Who drops it
    /// before its end sends nothing that isn't sent by then.
    fn exchange(&self, request: Request) -> BoxFuture<'_, Result<Reply, NoReply>>;
}

/// A request. What it carries is secret, so it isn't printed.
pub struct Request {
    /// What is done.
    pub method: Method,
    /// To what, from the endpoint on, with its query.
    pub path: String,
    /// Beside those that every request carries.
    pub headers: HeaderMap,
    /// The body, where it has one.
    pub body: Option<Vec<u8>>,
    /// The most that is read of the answer, unpacked, in bytes.
    pub bound: usize,
}

/// The head of an answer, and its body to come.
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// Reads the body, unpacked.
    pub body: BoxFuture<'static, Result<Vec<u8>, BodyFault>>,
}

/// Why no answer came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoReply {
    /// What kept it away.
    pub trouble: Trouble,
    /// What to tell people.
    pub message: String,
}
