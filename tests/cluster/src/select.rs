//! Label and field selectors.

use serde_json::Value;

use crate::kinds::Kind;
use crate::meta;
use crate::refusal::Refusal;

/// A parsed label and field selector.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selector {
    fields: Vec<(String, bool, String)>,
    labels: Vec<Label>,
}

#[derive(Debug, Clone)]
enum Label {
    Has(String, bool),
    In(String, bool, Vec<String>),
}

impl Selector {
    pub fn read(fields: &str, labels: &str, kind: &Kind) -> Result<Self, Refusal> {
        let mut selector = Self::default();
        for term in fields.split(',').filter(|term| !term.is_empty()) {
            let (field, equal, value) = if let Some((field, value)) = term.split_once("!=") {
                (field, false, value)
            } else if let Some((field, value)) = term.split_once('=') {
                (field, true, value.trim_start_matches('='))
            } else {
                let why = format!("invalid field selector: {term}");
                return Err(Refusal::bad_request(why));
            };
            let own = ["metadata.name", "metadata.namespace"].contains(&field);
            if !own && !kind.selectable.iter().any(|known| known == field) {
                let why = format!("field label not supported: {field}");
                return Err(Refusal::bad_request(why));
            }
            selector
                .fields
                .push((field.to_owned(), equal, value.to_owned()));
        }
        for term in terms(labels) {
            selector.labels.push(label(term.trim()));
        }
        Ok(selector)
    }

    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.labels.is_empty()
    }

    /// The name that the selector requires; `None` where it requires none.
    pub fn name(&self) -> Option<&str> {
        let mut fields = self.fields.iter();
        let named = fields.find(|(field, equal, _)| field == "metadata.name" && *equal);
        named.map(|(_, _, name)| name.as_str())
    }

    pub fn matches(&self, object: &Value) -> bool {
        let value = |field: &str| match field {
            "metadata.name" => meta::text(object, "name").to_owned(),
            "metadata.namespace" => meta::text(object, "namespace").to_owned(),
            path => {
                let found = path.split('.').fold(object, |value, name| &value[name]);
                found.as_str().map_or_else(|| shown(found), str::to_owned)
            }
        };
        let label = |key: &str| object["metadata"]["labels"][key].as_str();
        self.fields
            .iter()
            .all(|(field, equal, wanted)| (value(field) == *wanted) == *equal)
            && self.labels.iter().all(|one| match one {
                Label::Has(key, wanted) => label(key).is_some() == *wanted,
                Label::In(key, wanted, values) => {
                    label(key).is_some_and(|label| values.iter().any(|v| v == label)) == *wanted
                }
            })
    }
}

fn shown(value: &Value) -> String {
    if value.is_null() {
        String::new()
    } else {
        value.to_string()
    }
}

/// The terms of a label selector. Commas within parentheses don't separate terms.
fn terms(labels: &str) -> Vec<&str> {
    let mut depth = 0;
    let parts = labels.split(move |c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    });
    parts.filter(|term| !term.trim().is_empty()).collect()
}

fn label(term: &str) -> Label {
    let list = |values: &str| {
        let values = values.trim().trim_start_matches('(').trim_end_matches(')');
        values
            .split(',')
            .map(|value| value.trim().to_owned())
            .collect()
    };
    if let Some((key, values)) = term.split_once(" notin ") {
        Label::In(key.trim().to_owned(), false, list(values))
    } else if let Some((key, values)) = term.split_once(" in ") {
        Label::In(key.trim().to_owned(), true, list(values))
    } else if let Some((key, value)) = term.split_once("!=") {
        Label::In(key.to_owned(), false, vec![value.to_owned()])
    } else if let Some((key, value)) = term.split_once('=') {
        let value = value.trim_start_matches('=');
        Label::In(key.to_owned(), true, vec![value.to_owned()])
    } else if let Some(key) = term.strip_prefix('!') {
        Label::Has(key.to_owned(), false)
    } else {
        Label::Has(term.to_owned(), true)
    }
}
