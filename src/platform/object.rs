//! A `Platform` as the API server returned it. An object that can't be decoded keeps its name, so that it neither
//! vanishes nor ends the list of the others.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use kube::core::{Selector, SelectorExt};

use crate::api::names::{
    ABANDON_ANNOTATION, CONFIRM_ANNOTATION, IN_USE_FINALIZER, ObjectKey, RELEASE_HOLD_ANNOTATION,
    requested_at,
};
use crate::api::platform::{
    AllowedFrom, AllowedNamespaces, PlatformReason, PlatformSpec, PlatformStatus, UnreadableSpec,
    UnusableSelector,
};
use crate::api::status::{self, Bearer, Beside, ReadStatus};
use crate::raw::Raw;
use crate::sight::{Sight, WatchKind, lineage};
use crate::writes::Target;

/// The parts of one `Platform` that the operator uses.
#[derive(Clone, Debug)]
pub(super) struct PlatformObject {
    pub key: ObjectKey,
    pub uid: String,
    pub resource_version: String,
    pub generation: i64,
    /// The deletion timestamp, while the Platform is being deleted.
    pub deleted_at: Option<Timestamp>,
    pub finalizers: Vec<String>,
    /// Whether our finalizer is set; no object is accepted before.
    pub in_use: bool,
    /// The value of the annotation by which a person asks for a try now.
    pub requested_at: Option<String>,
    /// The value of the annotation by which a person releases a hold: the hold's id.
    pub release_hold: Option<String>,
    /// The value of the annotation by which a person gives the Platform up: the Platform's uid.
    pub abandon: Option<String>,
    /// The decoded spec, or why it can't be used.
    pub wanted: Result<Wanted, SpecFault>,
    /// The last status, as far as it can be read; of its conditions, only ours.
    pub status: PlatformStatus,
    /// The other contents of the status.
    pub beside: Beside,
}

/// The reason why a spec can't be used; its text is for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecFault {
    /// The spec can be read, but the Platform was written while its definition lacked fields.
    #[error(
        "the Platform was written while its CustomResourceDefinition lacked fields ({what}), and the values of these fields are lost. \
         Look at the spec of the Platform, then edit it or set the annotation {CONFIRM_ANNOTATION}: {uid} (if the annotation is there already, remove it first)"
    )]
    Lost {
        /// The fields that the definition lacked.
        what: String,
        /// The uid of the Platform.
        uid: String,
    },
    /// No part of the object can be read.
    #[error("the Platform can't be read: {0}")]
    Object(String),
    /// A field can't be read.
    #[error(transparent)]
    Field(#[from] UnreadableSpec),
    /// A field that the API server fills in is missing.
    #[error(
        "spec{0} is missing. The API server fills this field in, unless the CustomResourceDefinition lacks it: apply the definitions of this version"
    )]
    Missing(String),
    /// The selector of the allowed namespaces can't be used.
    #[error("spec.allowedNamespaces.selector can't be used: {0}")]
    Selector(#[from] UnusableSelector),
}

/// A decoded spec.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wanted {
    pub spec: PlatformSpec,
    pub allowed: Allowed,
}

/// The namespaces whose objects may refer to the `Platform`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Allowed {
    Same,
    All,
    Matching(Selector),
}

impl PlatformObject {
    /// The reason of the condition of a Platform whose spec can't be used.
    pub(super) fn undecodable(&self) -> PlatformReason {
        match self.wanted {
            Err(SpecFault::Lost { .. }) => PlatformReason::FieldsLost,
            _ => PlatformReason::Undecodable,
        }
    }

    /// Decodes the object that the API server returned after a write.
    pub(super) fn stored(object: &serde_json::Value) -> Self {
        Raw::of(&object.to_string()).into()
    }

    /// The precondition for a write: key, uid and resource version of this object.
    pub(super) fn target(&self) -> Target<'_> {
        Target {
            key: &self.key,
            uid: &self.uid,
            version: &self.resource_version,
        }
    }

    /// Whether a person gave this Platform up, although objects need it.
    pub(super) fn is_abandoned(&self) -> bool {
        self.abandon.as_ref() == Some(&self.uid)
    }

    /// Whether `other` is the same object (by uid) with the same spec, deletion, finalizer and request for a try.
    pub(super) fn wants_the_same_as(&self, other: &Self) -> bool {
        self.uid == other.uid
            && self.deleted_at == other.deleted_at
            && self.in_use == other.in_use
            && self.requested_at == other.requested_at
            && self.wanted == other.wanted
    }
}

impl PlatformObject {
    /// Decodes a Platform; its spec counts as lost if the Platform was written while its definition lacked fields.
    pub(super) fn judged(read: Raw, sight: &Sight, listed: bool) -> Self {
        let of = lineage(&read.metadata, &read.data["status"]);
        let mut object = Self::from(read);
        if let Some(what) = sight.doubts(WatchKind::Platforms, &of, listed) {
            let uid = object.uid.clone();
            object.wanted = Err(SpecFault::Lost { what, uid });
        }
        object
    }
}

impl From<Raw> for PlatformObject {
    fn from(mut read: Raw) -> Self {
        let meta = read.metadata;
        let status = read.data["status"].take();
        let spec = read.data["spec"].take();
        let wanted = match read.unreadable {
            Some(error) => Err(SpecFault::Object(error)),
            None => Wanted::read(spec),
        };
        let finalizers = meta.finalizers.unwrap_or_default();
        let mut annotations = meta.annotations.unwrap_or_default();
        let uid = meta.uid.unwrap_or_default();
        let bearer = Bearer {
            uid: &uid,
            created: meta.creation_timestamp.map(|time| time.0),
        };
        let ReadStatus { status, beside } = status::read::<PlatformStatus>(status, &bearer);
        Self {
            key: ObjectKey::new(
                meta.namespace.unwrap_or_default(),
                meta.name.unwrap_or_default(),
            ),
            generation: meta.generation.unwrap_or_default(),
            resource_version: meta.resource_version.unwrap_or_default(),
            deleted_at: meta.deletion_timestamp.map(|time| time.0),
            in_use: finalizers.iter().any(|one| one == IN_USE_FINALIZER),
            finalizers,
            requested_at: requested_at(&mut annotations),
            release_hold: annotations.remove(RELEASE_HOLD_ANNOTATION),
            abandon: annotations.remove(ABANDON_ANNOTATION),
            wanted,
            status,
            beside,
            uid,
        }
    }
}

/// The fields that the API server fills in by default. A Platform without one of them was read or written under a
/// definition that lacks the field, and the field's value may be lost.
pub(super) const DEFAULTED: [&str; 8] = [
    "/mode",
    "/allowedNamespaces/from",
    "/guard/gracePeriod",
    "/guard/maxDeletions",
    "/guard/window",
    "/inventory/interval",
    "/quota/calls",
    "/quota/window",
];

impl Wanted {
    fn read(spec: serde_json::Value) -> Result<Self, SpecFault> {
        let lacking = DEFAULTED
            .into_iter()
            .find(|field| spec.pointer(field).is_none());
        let spec = PlatformSpec::read(spec)?;
        if let Some(field) = lacking {
            return Err(SpecFault::Missing(field.replace('/', ".")));
        }
        let allowed = Allowed::read(&spec.allowed_namespaces)?;
        Ok(Self { spec, allowed })
    }
}

impl Allowed {
    fn read(field: &AllowedNamespaces) -> Result<Self, UnusableSelector> {
        match field.from {
            AllowedFrom::Same => Ok(Self::Same),
            AllowedFrom::All => Ok(Self::All),
            AllowedFrom::Selector => {
                let labels = field.labels()?;
                labels.map(Self::Matching).ok_or(UnusableSelector::Missing)
            }
        }
    }

    /// Whether the labels of the namespace are needed to decide.
    pub(super) fn needs_labels(&self) -> bool {
        matches!(self, Self::Matching(_))
    }

    /// Whether `namespace` may refer to a `Platform` in `home`; `None` while its labels are not known.
    pub(super) fn admits(
        &self,
        home: &str,
        namespace: &str,
        labels: Option<&BTreeMap<String, String>>,
    ) -> Option<bool> {
        match self {
            Self::Same => Some(home == namespace),
            Self::All => Some(true),
            Self::Matching(selector) => labels.map(|labels| selector.matches(labels)),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::crds;

    /// The Platform `iot/production`, with the given spec.
    pub(in crate::platform) fn platform(spec: &Value) -> PlatformObject {
        named("production", spec)
    }

    pub(in crate::platform) fn named(name: &str, spec: &Value) -> PlatformObject {
        object(&json!({
            "metadata": {"namespace": "iot", "name": name, "uid": format!("uid-{name}"), "generation": 3},
            "spec": spec
        }))
    }

    /// Adds the fields that the API server fills in by default.
    fn served(mut whole: Value) -> Value {
        let filled_in = json!({
            "mode": "Enforce", "allowedNamespaces": {"from": "Same"},
            "guard": {"gracePeriod": "30s", "maxDeletions": 50, "window": "10m"},
            "inventory": {"interval": "1h"}, "quota": {"calls": 100, "window": "60s"},
        });
        if let Some(spec) = whole["spec"].as_object_mut() {
            for (field, values) in filled_in.as_object().unwrap() {
                let given = spec.entry(field.as_str()).or_insert_with(|| json!({}));
                match (given.as_object_mut(), values.as_object()) {
                    (Some(given), Some(values)) => {
                        for (name, value) in values {
                            given.entry(name).or_insert_with(|| value.clone());
                        }
                    }
                    (Some(_), None) => *given = values.clone(),
                    (None, _) => {}
                }
            }
        }
        whole
    }

    #[test]
    fn the_defaulted_fields_are_those_of_the_definition() {
        let [_, definition] = crds::definitions();
        let mut ours = DEFAULTED.map(str::to_owned);
        ours.sort();
        assert_eq!(crds::defaulted(definition), ours);
    }

    #[test]
    fn a_platform_without_a_field_that_the_api_server_fills_in_cannot_be_read() {
        for field in DEFAULTED {
            let mut whole = served(json!({"metadata": {"name": "p"}, "spec": spec()}));
            let (parent, name) = field.rsplit_once('/').unwrap();
            let parent = whole["spec"].pointer_mut(parent).unwrap();
            parent.as_object_mut().unwrap().remove(name);
            let read: PlatformObject = serde_json::from_value::<Raw>(whole).unwrap().into();
            let why = read.wanted.unwrap_err().to_string();
            assert!(why.contains(&field.replace('/', ".")), "{why}");
        }
    }

    /// A Platform with our finalizer, unless `whole` lists finalizers.
    pub(in crate::platform) fn object(whole: &Value) -> PlatformObject {
        let mut whole = whole.clone();
        if whole["metadata"].get("finalizers").is_none() {
            whole["metadata"]["finalizers"] = json!([IN_USE_FINALIZER]);
        }
        serde_json::from_value::<Raw>(served(whole)).unwrap().into()
    }

    pub(in crate::platform) fn spec() -> Value {
        let given = json!({"endpoint": "https://iot.example.com:8743", "credentialsSecretRef": {"name": "iot-app"}});
        served(json!({"spec": given}))["spec"].take()
    }

    fn with_selector(selector: &Value) -> PlatformObject {
        let mut spec = spec();
        spec["allowedNamespaces"] = json!({"from": "Selector", "selector": selector});
        platform(&spec)
    }

    #[test]
    fn an_object_that_cannot_be_decoded_keeps_its_name_and_names_the_field() {
        let mut bad = spec();
        bad["quota"] = json!({"calls": "many", "window": "60s"});
        let read = platform(&bad);
        assert_eq!(read.key, ObjectKey::new("iot", "production"));
        assert_eq!((read.uid.as_str(), read.generation), ("uid-production", 3));
        let why = read.wanted.unwrap_err().to_string();
        assert!(why.contains("spec.quota.calls"), "{why}");

        let none = object(&json!({"metadata": {"namespace": "iot", "name": "p"}}));
        let why = none.wanted.unwrap_err().to_string();
        assert!(why.starts_with("spec can't be read"), "{why}");
    }

    #[test]
    fn a_status_that_cannot_be_read_does_not_make_the_spec_unreadable() {
        let read = object(
            &json!({"metadata": {"name": "p"}, "spec": spec(), "status": {"conditions": 7}}),
        );
        assert!(read.wanted.is_ok());
        assert_eq!(read.status, PlatformStatus::default());
    }

    #[test]
    fn a_selector_that_kubernetes_would_refuse_admits_nobody_and_names_the_field() {
        for rule in [
            json!({"key": "team", "operator": "NotIn", "values": []}),
            json!({"key": "team", "operator": "NotIn"}),
            json!({"key": "team", "operator": "In"}),
            json!({"key": "team", "operator": "Near", "values": ["a"]}),
        ] {
            let why = with_selector(&json!({"matchExpressions": [rule]}))
                .wanted
                .unwrap_err()
                .to_string();
            assert!(
                why.contains("spec.allowedNamespaces.selector") && why.contains("team"),
                "{why}"
            );
        }
    }

    #[test]
    fn a_selector_matches_as_kubernetes_does() {
        let admits = |selector: &Value, labels: &Value| {
            let labels = serde_json::from_value(labels.clone()).unwrap();
            let allowed = with_selector(selector).wanted.unwrap().allowed;
            allowed.admits("iot", "fleet", Some(&labels)).unwrap()
        };
        let team = json!({"matchLabels": {"team": "a"}});
        assert!(admits(&team, &json!({"team": "a", "x": "y"})));
        assert!(!admits(&team, &json!({"team": "b"})) && !admits(&team, &json!({})));
        assert!(admits(&json!({}), &json!({})));
        for (operator, values, with_a, with_b, without) in [
            ("In", json!(["a"]), true, false, false),
            ("NotIn", json!(["a"]), false, true, true),
            ("Exists", json!([]), true, true, false),
            ("DoesNotExist", json!([]), false, false, true),
        ] {
            let rule = json!({"matchExpressions": [{"key": "team", "operator": operator, "values": values}]});
            assert_eq!(admits(&rule, &json!({"team": "a"})), with_a, "{operator}");
            assert_eq!(admits(&rule, &json!({"team": "b"})), with_b, "{operator}");
            assert_eq!(admits(&rule, &json!({})), without, "{operator}");
        }
    }
}
