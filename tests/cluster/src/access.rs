//! Access control by the rules of roles, and the messages of refusals.

use serde_json::Value;

use crate::kinds::Kind;
use crate::refusal::Refusal;
use crate::request::Call;

/// The rules granted to a user.
#[derive(Debug, Clone)]
struct Grant {
    user: String,
    namespace: Option<String>,
    rules: Vec<Value>,
}

/// All grants.
#[derive(Debug, Clone, Default)]
pub(crate) struct Access(Vec<Grant>);

impl Access {
    /// Grants a user the `rules` of a role, in one namespace or everywhere.
    pub fn grant(&mut self, user: &str, namespace: Option<&str>, rules: &Value) {
        self.0.push(Grant {
            user: user.to_owned(),
            namespace: namespace.map(str::to_owned),
            rules: rules.as_array().cloned().unwrap_or_default(),
        });
    }

    /// Revokes all grants of a user.
    pub fn revoke(&mut self, user: &str) {
        self.0.retain(|grant| grant.user != user);
    }

    /// Refuses a call that no grant of the user allows. The user with an empty name is an admin and may do everything.
    pub fn check(&self, user: &str, call: &Call, kind: &Kind) -> Result<(), Refusal> {
        let selected = call.param("fieldSelector");
        let selected = selected
            .strip_prefix("metadata.name=")
            .filter(|name| !name.contains(','));
        let name = call.name.as_deref().or(selected).unwrap_or_default();
        let resource = match &call.subresource[..] {
            "" => call.plural.clone(),
            sub => format!("{}/{sub}", call.plural),
        };
        // A namespace counts as inside of itself.
        let space = match &call.name {
            Some(name) if kind.plural == "namespaces" => Some(name.as_str()),
            _ => call.namespace.as_deref(),
        };
        let verb = call.verb();
        let allowed = self.0.iter().any(|grant| {
            let applies = grant.namespace.is_none() || grant.namespace.as_deref() == space;
            let mut rules = grant.rules.iter();
            grant.user == user
                && applies
                && rules.any(|rule| allows(rule, verb, &call.group, &resource, name))
        });
        if user.is_empty() || allowed {
            return Ok(());
        }
        let place = space.map_or_else(
            || "at the cluster scope".to_owned(),
            |space| format!("in the namespace {space:?}"),
        );
        let group = &call.group;
        let why = format!(
            "User {user:?} cannot {verb} resource {resource:?} in API group {group:?} {place}"
        );
        Err(Refusal::forbidden(kind, name, &why))
    }
}

fn allows(rule: &Value, verb: &str, group: &str, resource: &str, name: &str) -> bool {
    let lists = |field: &str, wanted: &str| {
        let mut all = rule[field].as_array().into_iter().flatten();
        all.any(|one| one == wanted || one == "*")
    };
    let names = rule["resourceNames"]
        .as_array()
        .filter(|names| !names.is_empty());
    lists("verbs", verb)
        && lists("apiGroups", group)
        && lists("resources", resource)
        && names.is_none_or(|names| names.iter().any(|one| one == name && !name.is_empty()))
}
