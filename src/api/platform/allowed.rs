//! Which namespaces may refer to a `Platform`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::KubeSchema;
use kube::core::{ParseExpressionError, Selector};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The namespaces whose objects may refer to a Platform.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(validation = Rule::new("self.from == 'Selector' ? has(self.selector) : !has(self.selector)").message("allowedNamespaces.selector must be given with from: Selector, and only then"))]
#[x_kube(validation = Rule::new("!has(self.selector) || !has(self.selector.matchExpressions) || self.selector.matchExpressions.all(e, e.operator in ['In', 'NotIn'] ? has(e.values) && size(e.values) > 0 : e.operator in ['Exists', 'DoesNotExist'] && !(has(e.values) && size(e.values) > 0))").message("allowedNamespaces.selector.matchExpressions takes the operators In and NotIn with values, Exists and DoesNotExist without"))]
#[x_kube(validation = Rule::new("!has(self.selector) || !has(self.selector.matchExpressions) || self.selector.matchExpressions.all(e, e.key.matches('^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$'))").message("allowedNamespaces.selector.matchExpressions.key must be a label key, such as team or example.com/team"))]
pub struct AllowedNamespaces {
    /// Same: only the Platform's own namespace. All: every namespace. Selector: namespaces whose labels match. Default: Same.
    #[serde(default)]
    pub from: AllowedFrom,
    /// Which labels a namespace must have; required with from: Selector, and given only then. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

impl AllowedNamespaces {
    /// Which labels a namespace must have, with `from: Selector`.
    ///
    /// # Errors
    /// The part of the selector that can't be used. `In` and `NotIn` without values are an error here, as they are for
    /// the API server: kube alone would let `NotIn` without values match every namespace.
    pub fn labels(&self) -> Result<Option<Selector>, UnusableSelector> {
        if self.from != AllowedFrom::Selector {
            return Ok(None);
        }
        let selector = self.selector.clone().ok_or(UnusableSelector::Missing)?;
        for rule in selector.match_expressions.iter().flatten() {
            let valueless = rule.values.as_ref().is_none_or(Vec::is_empty);
            if matches!(rule.operator.as_str(), "In" | "NotIn") && valueless {
                return Err(UnusableSelector::NoValues {
                    operator: rule.operator.clone(),
                    key: rule.key.clone(),
                });
            }
            if !matches!(
                rule.operator.as_str(),
                "In" | "NotIn" | "Exists" | "DoesNotExist"
            ) {
                return Err(UnusableSelector::Operator {
                    operator: rule.operator.clone(),
                    key: rule.key.clone(),
                });
            }
        }
        let read: Result<Selector, ParseExpressionError> = selector.try_into();
        read.map(Some)
            .map_err(|error| UnusableSelector::Refused(error.to_string()))
    }
}

/// Why a selector can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnusableSelector {
    /// `from` is `Selector`, but the selector is missing.
    #[error("it is missing")]
    Missing,
    /// `In` or `NotIn` has no values.
    #[error("operator {operator} of key {key} needs values")]
    NoValues {
        /// The operator of the expression (such as `In`), as written.
        operator: String,
        /// The label key of the expression that lacks values.
        key: String,
    },
    /// The operator of an expression isn't one of the four that a selector can have.
    #[error("operator {operator:?} of key {key} is none of In, NotIn, Exists and DoesNotExist")]
    Operator {
        /// The operator of the expression, as written.
        operator: String,
        /// The label key of the expression with this operator.
        key: String,
    },
    /// kube refuses it.
    #[error("{0}")]
    Refused(String),
}

/// How allowed namespaces are chosen.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AllowedFrom {
    /// Only the Platform's own namespace.
    #[default]
    Same,
    /// Every namespace.
    All,
    /// Namespaces whose labels match.
    Selector,
}
