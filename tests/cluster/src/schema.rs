//! The structural schema of a definition: validation, defaults and merge rules.

use std::collections::BTreeMap;

use serde_json::Value;

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
    /// Any value, kept as it is.
    Any,
}

/// How a list is merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum List {
    Atomic,
    Set,
    Map(Vec<String>),
}

/// A rule in CEL.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub text: String,
    pub message: String,
}

/// The schema of one value.
#[derive(Debug, Clone)]
pub(crate) struct Schema {
    pub kind: Type,
    pub nullable: bool,
    pub preserve: bool,
    /// Whether an object is merged as a whole.
    pub atomic: bool,
    pub list: List,
    pub properties: BTreeMap<String, Schema>,
    pub additional: Option<Box<Schema>>,
    pub items: Option<Box<Schema>>,
    pub required: Vec<String>,
    pub default: Option<Value>,
    pub allowed: Vec<Value>,
    pub format: String,
    pub bounds: Bounds,
    pub rules: Vec<Rule>,
}

/// The limits of a value.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bounds {
    pub min_length: Option<u64>,
    pub max_length: Option<u64>,
    pub min_items: Option<u64>,
    pub max_items: Option<u64>,
    pub max_properties: Option<u64>,
    pub minimum: Option<f64>,
    pub maximum: Option<f64>,
}

impl Schema {
    /// A schema without constraints.
    pub fn of(kind: Type) -> Self {
        Self {
            kind,
            nullable: false,
            preserve: kind == Type::Any,
            atomic: false,
            list: List::Atomic,
            properties: BTreeMap::new(),
            additional: None,
            items: None,
            required: Vec::new(),
            default: None,
            allowed: Vec::new(),
            format: String::new(),
            bounds: Bounds::default(),
            rules: Vec::new(),
        }
    }

    /// The schema of an object with these fields.
    pub fn object(fields: impl IntoIterator<Item = (&'static str, Self)>) -> Self {
        let fields = fields.into_iter();
        Self {
            properties: fields.map(|(name, of)| (name.to_owned(), of)).collect(),
            ..Self::of(Type::Object)
        }
    }

    /// The schema of a map from strings to values.
    pub fn map(of: Self) -> Self {
        Self {
            additional: Some(Box::new(of)),
            ..Self::of(Type::Object)
        }
    }

    /// The schema of a list.
    pub fn list(list: List, items: Self) -> Self {
        Self {
            list,
            items: Some(Box::new(items)),
            ..Self::of(Type::Array)
        }
    }

    /// Parses a schema of a definition.
    pub fn read(schema: &Value) -> Self {
        let kind = match schema["type"].as_str() {
            Some("object") => Type::Object,
            Some("array") => Type::Array,
            Some("string") => Type::String,
            Some("integer") => Type::Integer,
            Some("number") => Type::Number,
            Some("boolean") => Type::Boolean,
            _ => Type::Any,
        };
        let part = |name: &str| {
            let part = schema.get(name).filter(|part| part.is_object())?;
            Some(Box::new(Self::read(part)))
        };
        let texts = |name: &str| -> Vec<String> {
            let texts = schema[name].as_array().into_iter().flatten();
            texts.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let list = match schema["x-kubernetes-list-type"].as_str() {
            Some("set") => List::Set,
            Some("map") => List::Map(texts("x-kubernetes-list-map-keys")),
            _ => List::Atomic,
        };
        let properties = schema["properties"].as_object().into_iter().flatten();
        let flag = |name: &str| schema[name] == true;
        Self {
            kind,
            nullable: flag("nullable"),
            preserve: flag("x-kubernetes-preserve-unknown-fields"),
            atomic: schema["x-kubernetes-map-type"] == "atomic",
            list,
            properties: properties
                .map(|(name, property)| (name.clone(), Self::read(property)))
                .collect(),
            additional: part("additionalProperties"),
            items: part("items"),
            required: texts("required"),
            default: schema.get("default").cloned(),
            allowed: schema["enum"].as_array().cloned().unwrap_or_default(),
            format: schema["format"].as_str().unwrap_or_default().to_owned(),
            bounds: Bounds::read(schema),
            rules: rules(schema),
        }
    }

    /// The schema of a field.
    pub fn field(&self, name: &str) -> Option<&Self> {
        self.properties.get(name).or(self.additional.as_deref())
    }

    /// All rules in the schema.
    pub fn all_rules(&self) -> Vec<&str> {
        let mut all: Vec<&str> = self.rules.iter().map(|rule| &*rule.text).collect();
        let parts = [self.additional.as_deref(), self.items.as_deref()];
        for part in self.properties.values().chain(parts.into_iter().flatten()) {
            all.extend(part.all_rules());
        }
        all
    }
}

impl Bounds {
    fn read(schema: &Value) -> Self {
        let whole = |name: &str| schema[name].as_u64();
        let number = |name: &str| schema[name].as_f64();
        Self {
            min_length: whole("minLength"),
            max_length: whole("maxLength"),
            min_items: whole("minItems"),
            max_items: whole("maxItems"),
            max_properties: whole("maxProperties"),
            minimum: number("minimum"),
            maximum: number("maximum"),
        }
    }
}

fn rules(schema: &Value) -> Vec<Rule> {
    let rules = schema["x-kubernetes-validations"].as_array();
    let text = |rule: &Value, name: &str| rule[name].as_str().unwrap_or_default().to_owned();
    rules
        .into_iter()
        .flatten()
        .map(|rule| Rule {
            text: text(rule, "rule"),
            message: text(rule, "message"),
        })
        .collect()
}
