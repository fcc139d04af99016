//! Answers of the platform in their two error shapes, and what the ledger calls them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The content type of every answer but a 204 and what a proxy says. Java clients need the charset.
pub const JSON: &str = "application/json;charset=UTF-8";
/// The content type of a proxy.
pub const HTML: &str = "text/html";

/// One answer, before it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The content type; a 204 has none.
    pub content_type: Option<String>,
    /// The body, empty where there is none.
    pub body: Vec<u8>,
    /// The platform's code in the body, for the ledger.
    pub code: Option<String>,
}

/// The two shapes of an error body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub enum Shape {
    /// `error_code` and `error_desc`: the services.
    #[value(name = "A")]
    A,
    /// `resultcode` and `resultmsg`: the gateway in front of them.
    #[value(name = "B")]
    B,
}

/// An error of the platform: its status, code and text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal(pub u16, pub &'static str, pub &'static str);

impl HttpAnswer {
    /// 200 with a JSON body.
    pub fn ok(body: &Value) -> Self {
        Self::json(200, body, None)
    }

    /// 200 with no body at all, yet with a content type: the vendor's Java client needs both.
    pub fn empty_ok() -> Self {
        Self {
            status: 200,
            content_type: Some(JSON.to_owned()),
            body: Vec::new(),
            code: None,
        }
    }

    /// 204.
    pub fn no_content() -> Self {
        Self {
            status: 204,
            content_type: None,
            body: Vec::new(),
            code: None,
        }
    }

    /// An error in one of the shapes. Codes are always JSON strings.
    pub fn error(status: u16, shape: Shape, code: &str, text: &str) -> Self {
        let body = match shape {
            Shape::A => json!({"error_code": code, "error_desc": text}),
            Shape::B => json!({"resultcode": code, "resultmsg": text}),
        };
        Self::json(status, &body, Some(code.to_owned()))
    }

    /// A page of a proxy.
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
    /// The refusal of a service.
    fn from(Refusal(status, code, text): Refusal) -> Self {
        Self::error(status, Shape::A, code, text)
    }
}

/// What became of a call, as the ledger has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// A login gave a token.
    LoggedIn,
    /// A refresh gave a token.
    Refreshed,
    /// A token was given up.
    LoggedOut,
    /// A login or refresh with wrong credentials.
    CredentialsRefused,
    /// The application is frozen.
    Frozen,
    /// Over the quota.
    Throttled,
    /// No or an unknown `app_key`, or a token that isn't the live one.
    TokenRefused,
    /// A page of packages or tasks.
    Listed,
    /// One package or task.
    Shown,
    /// A package was deleted by this call.
    Deleted,
    /// A task was created.
    TaskCreated,
    /// The package or task isn't there.
    NotFound,
    /// The request breaks a rule of the platform.
    BadRequest,
    /// No such path, or not with this method.
    UnknownPath,
    /// A fault answered instead; nothing took place.
    Fault,
}
