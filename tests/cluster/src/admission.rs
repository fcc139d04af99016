//! Policies that refuse writes, as a `ValidatingAdmissionPolicy` does.

use std::fmt;

use serde_json::Value;

use crate::kinds::Kind;
use crate::refusal::Refusal;

/// A write that a policy looks at.
#[derive(Debug)]
pub struct Attempt<'a> {
    /// Who writes; empty for an admin.
    pub user: &'a str,
    /// `CREATE`, `UPDATE` or `DELETE`.
    pub operation: &'static str,
    /// Plural and group, such as `versionpackages.iodm.dev`.
    pub resource: &'a str,
    /// `status`, or empty.
    pub subresource: &'a str,
    /// The object as it would be; of a deletion as it is.
    pub object: &'a Value,
    /// The object as it was.
    pub old: Option<&'a Value>,
}

/// Refuses what its test finds.
pub struct Policy {
    /// Its name.
    pub name: String,
    /// The name of its binding.
    pub binding: String,
    /// Why it refuses.
    pub message: String,
    /// What it refuses.
    pub denies: Box<dyn Fn(&Attempt<'_>) -> bool + Send>,
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Asks all policies; `code` is what a denial without a reason of its own is answered with.
pub(crate) fn admit(
    policies: &[Policy],
    attempt: &Attempt<'_>,
    kind: &Kind,
    name: &str,
    code: u16,
) -> Result<(), Refusal> {
    let Some(policy) = policies.iter().find(|policy| (policy.denies)(attempt)) else {
        return Ok(());
    };
    let why = format!(
        "ValidatingAdmissionPolicy '{}' with binding '{}' denied request: {}",
        policy.name, policy.binding, policy.message
    );
    let refusal = Refusal::forbidden(kind, name, &why);
    let causes = serde_json::json!([{"message": why}]);
    let reason = if code == 422 { "Invalid" } else { "Forbidden" };
    Err(Refusal {
        code,
        reason,
        ..refusal
    }
    .because(causes))
}
