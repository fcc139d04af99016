//! Faults that tests and demos switch on: the affected calls, how often, and the effect.

use serde::{Deserialize, Serialize};

use super::answer::{HTML, HttpAnswer, Shape};
use super::out_of_range::OutOfRange;
use super::route::{Route, RoutedRequest};

/// The effect of a fault on a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum FaultKind {
    /// A proxy answers 403 with HTML.
    Html403,
    /// A proxy answers 403 with an empty body.
    Empty403,
    /// A proxy answers 404 with HTML and no code.
    #[serde(rename = "bare-404")]
    Bare404,
    /// The connection breaks before the platform receives the call.
    DropBefore,
    /// The call is never answered and has no effect.
    Hang,
    /// The service answers with this status and body; the call has no effect.
    Status {
        /// The HTTP status, 200 to 599.
        status: u16,
        /// The body; empty by default.
        #[serde(default)]
        body: String,
        /// The content type of the body; JSON by default.
        #[serde(default, rename = "contentType")]
        content_type: Option<String>,
    },
    /// The service answers 500 with its own code: 50252 for calls about tokens, 120001 for all others.
    InternalError,
    /// The service answers 200 with an error code in the body; the call has no effect.
    #[serde(rename = "code-in-200")]
    CodeIn200 {
        /// The code.
        code: String,
    },
    /// The call takes effect, then a gateway answers with this status and body in place of the platform.
    AnswerAfter {
        /// The HTTP status, 200 to 599.
        status: u16,
        /// The body; empty by default.
        #[serde(default)]
        body: String,
        /// The content type of the body; JSON by default.
        #[serde(default, rename = "contentType")]
        content_type: Option<String>,
    },
    /// The call takes effect, then the connection breaks.
    DropAfter,
    /// The call takes effect, then its answer is delayed.
    Delay {
        /// The delay in milliseconds.
        ms: u64,
    },
}

/// Where on the path of a call a fault acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In front of the gateway: the call isn't counted.
    Proxy,
    /// In place of the service: the gateway has counted and admitted the call.
    Service,
    /// On the path of the answer.
    Answer,
}

impl FaultKind {
    /// The name of the fault in the ledger.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Html403 => "html403",
            Self::Empty403 => "empty403",
            Self::Bare404 => "bare-404",
            Self::DropBefore => "drop-before",
            Self::Hang => "hang",
            Self::Status { .. } => "status",
            Self::InternalError => "internal-error",
            Self::CodeIn200 { .. } => "code-in-200",
            Self::AnswerAfter { .. } => "answer-after",
            Self::DropAfter => "drop-after",
            Self::Delay { .. } => "delay",
        }
    }

    /// Where the fault acts.
    pub fn place(&self) -> Place {
        match self {
            Self::Html403 | Self::Empty403 | Self::Bare404 | Self::DropBefore | Self::Hang => {
                Place::Proxy
            }
            Self::Status { .. } | Self::InternalError | Self::CodeIn200 { .. } => Place::Service,
            Self::AnswerAfter { .. } | Self::DropAfter | Self::Delay { .. } => Place::Answer,
        }
    }

    /// The answer in place of the platform's; `None` where the fault sends none.
    pub fn answer(&self, route: Route<'_>) -> Option<HttpAnswer> {
        match self {
            Self::Html403 => Some(HttpAnswer::html(
                403,
                "Forbidden",
                "Request forbidden by administrative rules.",
            )),
            Self::Empty403 => Some(HttpAnswer {
                status: 403,
                content_type: Some(HTML.to_owned()),
                body: Vec::new(),
                code: None,
            }),
            Self::Bare404 => Some(HttpAnswer::html(404, "Not Found", "No such page.")),
            Self::Status {
                status,
                body,
                content_type,
            }
            | Self::AnswerAfter {
                status,
                body,
                content_type,
            } => Some(HttpAnswer {
                status: *status,
                content_type: content_type
                    .clone()
                    .or_else(|| (*status != 204).then(|| super::answer::JSON.to_owned())),
                body: body.clone().into_bytes(),
                code: None,
            }),
            Self::InternalError => {
                let code = if route.is_about_tokens() {
                    "50252"
                } else {
                    "120001"
                };
                Some(HttpAnswer::error(
                    500,
                    Shape::A,
                    code,
                    "Internal server error.",
                ))
            }
            Self::CodeIn200 { code } => Some(HttpAnswer::error(
                200,
                Shape::A,
                code,
                "Switched on by a fault.",
            )),
            Self::DropBefore | Self::Hang | Self::DropAfter | Self::Delay { .. } => None,
        }
    }

    /// Checks the status and the content type.
    ///
    /// # Errors
    /// The first value that isn't allowed.
    pub fn check(&self) -> Result<(), OutOfRange> {
        match self {
            Self::Status {
                status,
                content_type,
                ..
            }
            | Self::AnswerAfter {
                status,
                content_type,
                ..
            } => {
                let fits = (200..600).contains(status);
                OutOfRange::unless(fits, "status", "from 200 to 599")?;
                let plain = |text: &String| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
                let fits = content_type.as_ref().is_none_or(plain);
                OutOfRange::unless(fits, "contentType", "printable ASCII")
            }
            Self::Html403
            | Self::Empty403
            | Self::Bare404
            | Self::DropBefore
            | Self::Hang
            | Self::InternalError
            | Self::CodeIn200 { .. }
            | Self::DropAfter
            | Self::Delay { .. } => Ok(()),
        }
    }
}

/// The calls that a fault affects. A field without a value matches every call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Match {
    /// The HTTP method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The path without the query; a trailing `*` matches any rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The id of the package in the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_id: Option<String>,
    /// The id of the calling application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
}

impl Match {
    fn meets(&self, request: &RoutedRequest, route: Route<'_>, application: Option<&str>) -> bool {
        let path = |wanted: &str| match wanted.strip_suffix('*') {
            Some(start) => request.path.starts_with(start),
            None => request.path == wanted,
        };
        self.method
            .as_ref()
            .is_none_or(|method| *method == request.method)
            && self.path.as_deref().is_none_or(path)
            && self
                .file_id
                .as_deref()
                .is_none_or(|id| route.file_id() == Some(id))
            && self
                .application
                .as_deref()
                .is_none_or(|id| application == Some(id))
    }
}

/// How many times a fault acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Times {
    /// On this many further calls.
    Left(u32),
    /// On every call.
    Always(Forever),
}

/// The JSON value for "every call".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Forever {
    /// `"forever"`.
    Forever,
}

impl Default for Times {
    fn default() -> Self {
        Self::Left(1)
    }
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The number of the fault, assigned by the simulator.
    #[serde(default)]
    pub id: u64,
    /// The affected calls.
    #[serde(default, rename = "match")]
    pub calls: Match,
    /// How many times the fault acts; once by default.
    #[serde(default)]
    pub times: Times,
    /// The effect.
    pub kind: FaultKind,
}

/// The active faults, oldest first.
#[derive(Debug, Default)]
pub struct Faults {
    list: Vec<Fault>,
    last: u64,
}

impl Faults {
    /// Activates a fault and assigns its number.
    pub fn add(&mut self, fault: Fault) -> Fault {
        self.last += 1;
        let fault = Fault {
            id: self.last,
            ..fault
        };
        self.list.push(fault.clone());
        fault
    }

    /// The faults that still can act.
    pub fn list(&self) -> &[Fault] {
        &self.list
    }

    /// Deactivates a fault. Returns whether it was active.
    pub fn remove(&mut self, id: u64) -> bool {
        let before = self.list.len();
        self.list.retain(|fault| fault.id != id);
        self.list.len() < before
    }

    /// Deactivates all faults.
    pub fn clear(&mut self) {
        self.list.clear();
    }

    /// Returns the oldest fault at `place` that affects the call, and counts one more use of this fault.
    pub fn take(
        &mut self,
        place: Place,
        request: &RoutedRequest,
        route: Route<'_>,
        application: Option<&str>,
    ) -> Option<FaultKind> {
        let index = self.list.iter().position(|fault| {
            fault.kind.place() == place
                && fault.times != Times::Left(0)
                && fault.calls.meets(request, route, application)
        })?;
        let fault = self.list.get_mut(index)?;
        let kind = fault.kind.clone();
        match &mut fault.times {
            Times::Left(left) => {
                *left -= 1;
                if *left == 0 {
                    self.list.remove(index);
                }
            }
            Times::Always(Forever::Forever) => {}
        }
        Some(kind)
    }
}
