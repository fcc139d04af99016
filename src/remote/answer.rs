//! What an answer of the platform means: one pure function from status and body.
//!
//! Nothing is guessed. Only a 2xx with an empty body or `{}`, or a 404 with the platform's own code 123002, ends a
//! deletion. A bare 404 comes from a wrong host or path as easily as from a missing package, so it proves nothing. A
//! 2xx with any other body may be a gateway's refusal ([`Answer::Unproven`]). A look-up is made next, in the seat of
//! the object and as one more call of the budget. If the look-up gets a 404 with 123002, the outcome is `Deleted`. If
//! the look-up shows the package, or proves nothing either, the reason is `UnexpectedAnswer`. Until then the answer to
//! the DELETE is kept only in memory. After a restart a second DELETE is sent, and its answer shows whether the package
//! is gone. If the answer to a DELETE was lost, the DELETE is sent again, too. The code 123002 in the second answer
//! then proves that the first DELETE worked.
//!
//! Only the platform's own codes mean that credentials are refused. Of the body of an answer to a login, nothing but a
//! known code is ever shown.

#![deny(clippy::wildcard_enum_match_arm)]

mod status_and_code;
mod trouble;

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use self::status_and_code::{by_code, by_status, unread};
pub use self::trouble::{BodyFault, CertificateFault, ClientFault, TlsFault, Trouble};
use super::codes::{self, Class};
use super::mask::Mask;
use super::wire::THROTTLE_TEXT;

/// The longest code that is shown, in characters.
const MAX_CODE: usize = 32;
/// The longest part of a code that is searched for secrets, in bytes.
const LONGEST_CODE: usize = 1024;
/// The longest message that is shown, in characters.
pub(super) const MAX_MESSAGE: usize = 256;

/// The kind of a call. Some answers have a meaning only for some kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// A login.
    Login,
    /// The look-up of one package.
    Show,
    /// One page of the list of packages.
    List,
    /// The deletion of one package.
    Delete,
}

impl Call {
    /// The name of the kind: one of four fixed words, for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Show => "show",
            Self::List => "list",
            Self::Delete => "delete",
        }
    }
}

/// The meaning of an answer. The variants are the rows of the answer table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Success: a 2xx with the body that the platform documents. Holds the HTTP status, for the audit log.
    Done(u16),
    /// A 2xx to a delete with an unexpected body. Only a look-up tells whether the package was deleted.
    Unproven(Detail),
    /// A 404 with code 123002 to a delete or a look-up: the package doesn't exist.
    AlreadyGone(Detail),
    /// The platform refused the call, because the application made too many calls.
    Throttled(Detail),
    /// The access token is not (or no longer) valid.
    TokenRefused(Detail),
    /// The platform refused `appId` and `secret`.
    CredentialsRefused(Detail),
    /// The platform doesn't accept the `fileId` as an id.
    InvalidFileId(Detail),
    /// The platform refuses the application itself.
    ApplicationRefused(Detail),
    /// An answer that proves nothing: the host or path is wrong, or the platform has changed. Such an answer is never
    /// taken as proof of a deletion.
    Unexpected(Detail),
    /// It is unknown whether the call took effect; a second try will tell.
    Unavailable(Detail, Trouble),
}

impl Answer {
    /// The name of the variant: one of a fixed set of words, for logs and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Done(_) => "Done",
            Self::Unproven(_) => "Unproven",
            Self::AlreadyGone(_) => "AlreadyGone",
            Self::Throttled(_) => "Throttled",
            Self::TokenRefused(_) => "TokenRefused",
            Self::CredentialsRefused(_) => "CredentialsRefused",
            Self::InvalidFileId(_) => "InvalidFileId",
            Self::ApplicationRefused(_) => "ApplicationRefused",
            Self::Unexpected(_) => "Unexpected",
            Self::Unavailable(..) => "Unavailable",
        }
    }

    /// The HTTP status of the answer; `None` where no answer came.
    pub fn http_status(&self) -> Option<u16> {
        match self {
            Self::Done(status) => Some(*status),
            Self::Unproven(detail)
            | Self::AlreadyGone(detail)
            | Self::Throttled(detail)
            | Self::TokenRefused(detail)
            | Self::CredentialsRefused(detail)
            | Self::InvalidFileId(detail)
            | Self::ApplicationRefused(detail)
            | Self::Unexpected(detail)
            | Self::Unavailable(detail, _) => detail.http_status,
        }
    }

    /// Status, code and message of the answer; `None` for [`Answer::Done`].
    pub fn detail(&self) -> Option<&Detail> {
        match self {
            Self::Done(_) => None,
            Self::Unproven(detail)
            | Self::AlreadyGone(detail)
            | Self::Throttled(detail)
            | Self::TokenRefused(detail)
            | Self::CredentialsRefused(detail)
            | Self::InvalidFileId(detail)
            | Self::ApplicationRefused(detail)
            | Self::Unexpected(detail)
            | Self::Unavailable(detail, _) => Some(detail),
        }
    }
}

/// Status, code and message of an answer, safe to be shown to people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Detail {
    /// The HTTP status; `None` where no answer came.
    pub http_status: Option<u16>,
    /// The platform's code, at most 32 characters; `None` where the answer has none.
    pub code: Option<String>,
    /// The platform's message or our own description; at most 256 characters, without secrets.
    pub message: String,
}

impl fmt::Display for Detail {
    /// Writes the status, the code and the message, as far as they are present.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.http_status.map(|status| format!("HTTP {status}"));
        let code = self.code.as_ref().map(|code| format!("code {code}"));
        let text = (!self.message.is_empty()).then(|| self.message.clone());
        let parts: Vec<String> = [status, code, text].into_iter().flatten().collect();
        if parts.is_empty() {
            f.write_str("no answer")
        } else {
            f.write_str(&parts.join(", "))
        }
    }
}

/// Classifies the answer to `call`, given its status and its uncompressed body.
///
/// A known code takes precedence over the status, because the platform uses one code under several statuses. The
/// secrets of `mask` are masked in the result. Of the answer to a login only a known code is kept, because anything
/// else may contain a token.
pub(crate) fn read(call: Call, status: u16, body: Result<&[u8], BodyFault>, mask: &Mask) -> Answer {
    let text = match body {
        Ok(bytes) => String::from_utf8_lossy(bytes),
        Err(fault) => return unread(call, status, fault),
    };
    let body = Body::of(&text);
    let class = body.code().and_then(codes::class);
    let detail = Detail {
        http_status: Some(status),
        code: body
            .code()
            .filter(|_| call != Call::Login || class.is_some())
            .map(|code| shown_code(code, mask)),
        message: match call {
            Call::Login => body.kind(status, class).to_owned(),
            Call::Show | Call::List | Call::Delete => body.message(status, mask),
        },
    };
    match class {
        Some(class) => by_code(call, status, class, body.is_throttle_text(), detail),
        None => by_status(call, status, &body, detail),
    }
}

/// The form of a body.
enum Body<'a> {
    Empty,
    /// A JSON object, with the code and the text of either error shape, where it has them.
    Object {
        code: Option<Cow<'a, str>>,
        text: Option<Cow<'a, str>>,
        /// Whether the object has no fields.
        bare: bool,
    },
    Html,
    Other(&'a str),
}

/// Both error shapes: the services use `error_*`, the gateway `result*` (reference, section 6). Raw values accept any
/// type; the other fields of the body aren't kept in memory.
#[derive(Deserialize)]
struct ErrorBody<'a> {
    #[serde(borrow)]
    error_code: Option<&'a RawValue>,
    #[serde(borrow)]
    error_desc: Option<&'a RawValue>,
    #[serde(borrow)]
    resultcode: Option<&'a RawValue>,
    #[serde(borrow)]
    resultmsg: Option<&'a RawValue>,
}

impl<'a> Body<'a> {
    fn of(text: &'a str) -> Self {
        let text = text.trim_matches(|c: char| c == '\u{feff}' || c.is_whitespace());
        match text.bytes().next() {
            None => Self::Empty,
            Some(b'<') => Self::Html,
            // The derived deserializer would accept an array as well.
            Some(b'{') => match serde_json::from_str::<ErrorBody<'a>>(text) {
                Ok(body) => Self::Object {
                    code: scalar(body.error_code).or_else(|| scalar(body.resultcode)),
                    text: scalar(body.error_desc).or_else(|| scalar(body.resultmsg)),
                    bare: text
                        .strip_prefix('{')
                        .and_then(|text| text.strip_suffix('}'))
                        .is_some_and(|inside| inside.trim().is_empty()),
                },
                Err(_) => Self::Other(text),
            },
            Some(_) if text.contains("</") => Self::Html,
            Some(_) => Self::Other(text),
        }
    }

    fn code(&self) -> Option<&str> {
        match self {
            Self::Object { code, .. } => code.as_deref(),
            Self::Empty | Self::Html | Self::Other(_) => None,
        }
    }

    fn is_throttle_text(&self) -> bool {
        match self {
            Self::Object { text, .. } => text
                .as_deref()
                .is_some_and(|text| text.to_lowercase().contains(THROTTLE_TEXT)),
            Self::Empty | Self::Html | Self::Other(_) => false,
        }
    }

    /// The platform's own message where it is readable, else our description of the body.
    fn message(&self, status: u16, mask: &Mask) -> String {
        let message = match self {
            _ if is_redirect(status) => return self.kind(status, None).to_owned(),
            Self::Object {
                text: Some(text), ..
            } if !text.starts_with('<') => mask.clean(text, MAX_MESSAGE),
            Self::Other(text) if !text.contains(char::REPLACEMENT_CHARACTER) => {
                mask.clean(text, MAX_MESSAGE)
            }
            Self::Object { code: Some(_), .. } => return "a code without a text".to_owned(),
            Self::Empty | Self::Object { code: None, .. } | Self::Html | Self::Other(_) => {
                return self.kind(status, None).to_owned();
            }
        };
        if message.trim().is_empty() {
            "a text without a visible character".to_owned()
        } else {
            message
        }
    }

    /// A description of the body that repeats nothing of it.
    fn kind(&self, status: u16, class: Option<Class>) -> &'static str {
        match self {
            _ if is_redirect(status) => "a redirect, which is never followed",
            Self::Empty => "an answer without a body",
            Self::Object { code: None, .. } => "a JSON object without a code",
            Self::Object { code: Some(_), .. } => class.map_or("an unknown code", Class::words),
            Self::Html => "an HTML page",
            Self::Other(text) if text.contains(char::REPLACEMENT_CHARACTER) => {
                "a body that is not text"
            }
            Self::Other(_) => "a body that is not one JSON object",
        }
    }
}

fn is_redirect(status: u16) -> bool {
    (300..=399).contains(&status)
}

/// A string without its quotes, or any other value in its JSON form; `None` for null and blank values.
fn scalar(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
    let raw = raw?.get();
    let text = serde_json::from_str::<String>(raw).map_or(Cow::Borrowed(raw), Cow::Owned);
    let trimmed = text.trim();
    match trimmed {
        "" | "null" => None,
        _ if trimmed.len() == text.len() => Some(text),
        _ => Some(Cow::Owned(trimmed.to_owned())),
    }
}

/// The masked code, safe to be shown. Each stripped character leaves a `?`, so an unknown code can't look like a known
/// one.
fn shown_code(code: &str, mask: &Mask) -> String {
    let printable = |c: char| if c.is_ascii_graphic() { c } else { '?' };
    let masked = mask.hide(code, LONGEST_CODE);
    let printable: String = masked.chars().map(printable).collect();
    mask.clean(&printable, MAX_CODE)
}

#[cfg(test)]
mod tests;
