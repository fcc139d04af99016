//! Refusals with the messages of the API server.

use serde_json::{Value, json};

use crate::kinds::Kind;

/// A refused request, the source of a `Status`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    pub code: u16,
    /// The reason; empty where the API server sets none.
    pub reason: &'static str,
    pub message: String,
    pub details: Option<Value>,
    /// Further fields of `metadata`.
    pub metadata: Value,
}

/// The error of one field.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cause {
    pub reason: &'static str,
    pub field: String,
    pub message: String,
}

impl Cause {
    pub fn new(reason: &'static str, field: impl Into<String>, message: impl Into<String>) -> Self {
        let (field, message) = (field.into(), message.into());
        Self {
            reason,
            field,
            message,
        }
    }

    pub fn invalid(field: impl Into<String>, value: &Value, why: &str) -> Self {
        let message = format!("Invalid value: {}: {why}", shown(value));
        Self::new("FieldValueInvalid", field, message)
    }

    pub fn required(field: impl Into<String>, why: &str) -> Self {
        let colon = if why.is_empty() { "" } else { ": " };
        let message = format!("Required value{colon}{why}");
        Self::new("FieldValueRequired", field, message)
    }

    pub fn forbidden(field: impl Into<String>, why: &str) -> Self {
        Self::new("FieldValueForbidden", field, format!("Forbidden: {why}"))
    }

    fn to_json(&self) -> Value {
        json!({"reason": self.reason, "message": self.message, "field": self.field})
    }
}

/// A value in a message: objects and lists are compact JSON.
fn shown(value: &Value) -> String {
    value.to_string()
}

impl Refusal {
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: None,
            metadata: json!({}),
        }
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// A failure for which the API server has no message of its own.
    pub fn plain(message: impl Into<String>) -> Self {
        Self::new(500, "", message)
    }

    pub fn not_found(kind: &Kind, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", kind.resource());
        Self::new(404, "NotFound", message).of(kind, name, &kind.plural)
    }

    /// The refusal to create an existing object; `going` where it is being deleted.
    pub fn exists(kind: &Kind, name: &str, going: bool) -> Self {
        let going = if going {
            "object is being deleted: "
        } else {
            ""
        };
        let message = format!("{going}{} \"{name}\" already exists", kind.resource());
        Self::new(409, "AlreadyExists", message).of(kind, name, &kind.plural)
    }

    /// The same for a generated name.
    pub fn once_more(mut self) -> Self {
        self.message += ", the server was not able to generate a unique name for the object";
        if let Some(details) = &mut self.details {
            details["retryAfterSeconds"] = json!(1);
        }
        self
    }

    pub fn conflict(kind: &Kind, name: &str, why: &str) -> Self {
        let resource = kind.resource();
        let message = format!("Operation cannot be fulfilled on {resource} \"{name}\": {why}");
        Self::new(409, "Conflict", message).of(kind, name, &kind.plural)
    }

    pub fn modified(kind: &Kind, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(kind, name, why)
    }

    pub fn forbidden(kind: &Kind, name: &str, why: &str) -> Self {
        let quoted = if name.is_empty() {
            String::new()
        } else {
            format!(" \"{name}\"")
        };
        let message = format!("{}{quoted} is forbidden: {why}", kind.resource());
        Self::new(403, "Forbidden", message).of(kind, name, &kind.plural)
    }

    /// The refusal of an invalid object; `called` is the kind, or the resource where the storage refuses.
    pub fn invalid(group: &str, called: &str, name: &str, causes: &[Cause]) -> Self {
        let dot = if group.is_empty() { "" } else { "." };
        let mut told: Vec<String> = Vec::new();
        for cause in causes {
            let text = format!("{}: {}", cause.field, cause.message);
            if !told.contains(&text) {
                told.push(text);
            }
        }
        let list = match &told[..] {
            [one] => one.clone(),
            _ => format!("[{}]", told.join(", ")),
        };
        let message = format!("{called}{dot}{group} \"{name}\" is invalid: {list}");
        let mut details = json!({"group": group, "kind": called, "name": name});
        details["causes"] = causes.iter().map(Cause::to_json).collect();
        Self {
            details: Some(without_empty(details)),
            ..Self::new(422, "Invalid", message)
        }
    }

    pub fn of(self, kind: &Kind, name: &str, called: &str) -> Self {
        let details = json!({"name": name, "group": kind.group, "kind": called});
        Self {
            details: Some(without_empty(details)),
            ..self
        }
    }

    /// The refusal with these causes.
    pub fn because(mut self, causes: Value) -> Self {
        let details = self.details.get_or_insert_with(|| json!({}));
        details["causes"] = causes;
        self
    }

    pub fn to_json(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": self.metadata, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = json!(self.reason);
        }
        if let Some(details) = &self.details {
            status["details"] = details.clone();
        }
        status
    }
}

/// Removes empty strings, as details omit them.
pub(crate) fn without_empty(mut details: Value) -> Value {
    if let Some(fields) = details.as_object_mut() {
        fields.retain(|_, value| value != "");
    }
    details
}
