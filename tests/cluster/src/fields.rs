//! Sets of fields, as in `managedFields`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::schema::Schema;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// A field, or a key of a map.
    Field(String),
    /// An item of a list with keys: its keys, as JSON.
    Keys(String),
    /// An item of a set: its value, as JSON.
    Value(String),
}

impl Step {
    fn read(text: &str) -> Option<Self> {
        let (mark, rest) = text.split_once(':')?;
        let canonical = || Some(serde_json::from_str::<Value>(rest).ok()?.to_string());
        match mark {
            "f" => Some(Self::Field(rest.to_owned())),
            "k" => canonical().map(Self::Keys),
            "v" => canonical().map(Self::Value),
            _ => None,
        }
    }

    fn write(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Keys(keys) => format!("k:{keys}"),
            Self::Value(value) => format!("v:{value}"),
        }
    }

    /// The step in the message of a conflict.
    pub fn told(&self) -> String {
        match self {
            Self::Field(name) => format!(".{name}"),
            Self::Keys(keys) => {
                let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
                let told: Vec<String> = keys.iter().map(|(k, v)| format!("{k}={v}")).collect();
                format!("[{}]", told.join(","))
            }
            Self::Value(value) => format!("[={value}]"),
        }
    }
}

/// A set of paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    steps: BTreeMap<Step, Node>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    member: bool,
    below: Fields,
}

impl Fields {
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    pub fn insert(&mut self, path: &[Step]) {
        let Some((first, rest)) = path.split_first() else {
            return;
        };
        let node = self.steps.entry(first.clone()).or_default();
        if rest.is_empty() {
            node.member = true;
        } else {
            node.below.insert(rest);
        }
    }

    /// A set of the given paths.
    pub fn of(paths: &[&[&str]]) -> Self {
        let mut fields = Self::default();
        for path in paths {
            let path: Vec<Step> = path.iter().map(|n| Step::Field((*n).to_owned())).collect();
            fields.insert(&path);
        }
        fields
    }

    /// Whether the set contains the step itself.
    pub fn has(&self, step: &Step) -> bool {
        self.steps.get(step).is_some_and(|node| node.member)
    }

    /// The part of the set below a step.
    pub fn below(&self, step: &Step) -> Option<&Self> {
        let below = self.steps.get(step).map(|node| &node.below);
        below.filter(|below| !below.is_empty())
    }

    pub fn union(&self, other: &Self) -> Self {
        let mut all = self.clone();
        for (step, node) in &other.steps {
            let into = all.steps.entry(step.clone()).or_default();
            into.member |= node.member;
            into.below = into.below.union(&node.below);
        }
        all
    }

    pub fn intersection(&self, other: &Self) -> Self {
        self.by(other, |a, b| a && b)
    }

    pub fn difference(&self, other: &Self) -> Self {
        self.by(other, |a, b| a && !b)
    }

    fn by(&self, other: &Self, member: fn(bool, bool) -> bool) -> Self {
        let nothing = Node::default();
        let mut steps = BTreeMap::new();
        for (step, node) in &self.steps {
            let with = other.steps.get(step).unwrap_or(&nothing);
            let node = Node {
                member: member(node.member, with.member),
                below: node.below.by(&with.below, member),
            };
            if node.member || !node.below.is_empty() {
                steps.insert(step.clone(), node);
            }
        }
        Self { steps }
    }

    /// The set without the paths of `other` and all paths below them.
    pub fn without(&self, other: &Self) -> Self {
        let mut steps = BTreeMap::new();
        for (step, node) in &self.steps {
            let mut node = node.clone();
            if let Some(with) = other.steps.get(step) {
                if with.member {
                    continue;
                }
                node.below = node.below.without(&with.below);
            }
            if node.member || !node.below.is_empty() {
                steps.insert(step.clone(), node);
            }
        }
        Self { steps }
    }

    /// The set with every step added that has members below it and is a field of the schema.
    pub fn with_named(&self, schema: Option<&Schema>) -> Self {
        let mut steps = BTreeMap::new();
        for (step, node) in &self.steps {
            let (named, of) = match step {
                Step::Field(name) => (
                    schema.is_some_and(|schema| schema.properties.contains_key(name)),
                    schema.and_then(|schema| schema.field(name)),
                ),
                Step::Keys(_) | Step::Value(_) => {
                    (false, schema.and_then(|schema| schema.items.as_deref()))
                }
            };
            let member = node.member || (named && !node.below.is_empty());
            let below = node.below.with_named(of);
            steps.insert(step.clone(), Node { member, below });
        }
        Self { steps }
    }

    /// Every path of the set, as in the message of a conflict.
    pub fn told(&self) -> Vec<String> {
        let mut all = Vec::new();
        self.tell("", &mut all);
        all
    }

    fn tell(&self, path: &str, all: &mut Vec<String>) {
        // Members come before the paths below other steps.
        for (step, node) in &self.steps {
            if node.member {
                all.push(format!("{path}{}", step.told()));
            }
        }
        for (step, node) in &self.steps {
            node.below.tell(&format!("{path}{}", step.told()), all);
        }
    }

    /// Parses `fieldsV1`.
    pub fn read(value: &Value) -> Self {
        let mut steps = BTreeMap::new();
        for (text, below) in value.as_object().into_iter().flatten() {
            let Some(step) = Step::read(text) else {
                continue;
            };
            let is_leaf = below.as_object().is_none_or(Map::is_empty);
            let member = is_leaf || below.get(".").is_some();
            let below = Self::read(below);
            steps.insert(step, Node { member, below });
        }
        Self { steps }
    }

    /// The set as `fieldsV1`.
    pub fn write(&self) -> Value {
        let mut fields = Map::new();
        for (step, node) in &self.steps {
            let mut below = node.below.write();
            if node.member && !node.below.is_empty() {
                below["."] = json!({});
            }
            fields.insert(step.write(), below);
        }
        Value::Object(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_set_is_read_back_unchanged() {
        let text = json!({"f:metadata": {"f:labels": {".": {}, "f:a": {}}}, "f:status": {"f:conditions": {
            "k:{\"type\":\"Ready\"}": {".": {}, "f:type": {}}}}});
        let fields = Fields::read(&text);
        assert_eq!(fields.write(), text);
        assert!(fields.difference(&fields).is_empty());
        assert_eq!(fields.union(&fields), fields);
        assert_eq!(fields.intersection(&fields), fields);
        let told = fields.told();
        assert!(
            told.contains(&".status.conditions[type=\"Ready\"].type".to_owned()),
            "{told:?}"
        );
        let rest = fields.without(&Fields::of(&[&["metadata"]]));
        assert_eq!(rest.told().len(), 2);
    }
}
