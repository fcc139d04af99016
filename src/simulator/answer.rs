//! Answers of the platform in both error shapes, and their verdicts in the ledger.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The content type of all answers except a 204 and a proxy's page. Java clients need the charset.
pub const JSON: &str = "application/json;charset=UTF-8";
/// The content type of a proxy's page.
pub const HTML: &str = "text/html";

/// One answer to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The content type; `None` for a 204.
    pub content_type: Option<String>,
    /// The body; empty where there is none.
    pub body: Vec<u8>,
    /// The platform's code in the body, for the ledger.
    pub code: Option<String>,
}

/// The two shapes of an error body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub enum Shape {
    /// The services' shape: `error_code` and `error_desc`.
    #[value(name = "A")]
    A,
    /// The gateway's shape: `resultcode` and `resultmsg`.
    #[value(name = "B")]
    B,
}

/// An error of the platform: status, code and message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal(pub u16, pub &'static str, pub &'static str);

impl HttpAnswer {
    /// A 200 with a JSON body.
    pub fn ok(body: &Value) -> Self {
        Self::json(200, body, None)
    }

    /// A 200 with an empty body and a content type: the vendor's Java client needs both.
    pub fn empty_ok() -> Self {
        Self {
            status: 200,
            content_type: Some(JSON.to_owned()),
            body: Vec::new(),
            code: None,
        }
    }

    /// A 204.
    pub fn no_content() -> Self {
        Self {
            status: 204,
            content_type: None,
            body: Vec::new(),
            code: None,
        }
    }

    /// An error in the given shape. Codes are always JSON strings.
    pub fn error(status: u16, shape: Shape, code: &str, text: &str) -> Self {
        let body = match shape {
            Shape::A => json!({"error_code": code, "error_desc": text}),
            Shape::B => json!({"resultcode": code, "resultmsg": text}),
        };
        Self::json(status, &body, Some(code.to_owned()))
    }

    /// An HTML page of a proxy.
    pub fn html(status: u16, title: &str, sentence: &str) -> Self {
        Self {
            status,
            content_type: Some(HTML.to_owned()),
            body: format!("<html><body><h1>{status} {title}</h1>\n{sentence}\n</body></html>\n")
                .into_bytes(),
            code: None,
        }
    }

    fn json(status: u16, body: &Value, code: Option<String>) -> Self {
        Self {
            status,
            content_type: Some(JSON.to_owned()),
            body: body.to_string().into_bytes(),
            code,
        }
    }
}

impl From<Refusal> for HttpAnswer {
    /// The answer of a service that refuses a call.
    fn from(Refusal(status, code, text): Refusal) -> Self {
        Self::error(status, Shape::A, code, text)
    }
}

/// The result of a call in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// A login returned a token.
    LoggedIn,
    /// A refresh returned a token.
    Refreshed,
    /// A logout ended a token.
    LoggedOut,
    /// A login or refresh had wrong credentials.
    CredentialsRefused,
    /// The application is frozen.
    Frozen,
    /// The call exceeded the quota.
    Throttled,
    /// The `app_key` was missing or unknown, or the token wasn't the valid one.
    TokenRefused,
    /// A page of packages or tasks was returned.
    Listed,
    /// One package or task was returned.
    Shown,
    /// The call deleted a package.
    Deleted,
    /// The call created a task.
    TaskCreated,
    /// The package or task doesn't exist.
    NotFound,
    /// The request violates a rule of the platform.
    BadRequest,
    /// The path doesn't exist, or doesn't support the method.
    UnknownPath,
    /// A fault answered in place of the platform; the call had no effect.
    Fault,
}
