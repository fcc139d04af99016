//! Policies that deny writes, as a `ValidatingAdmissionPolicy` does.

use std::fmt;

use serde_json::Value;

use crate::kinds::Kind;
use crate::refusal::Refusal;

/// A write in the form that a policy checks.
#[derive(Debug)]
pub struct Attempt<'a> {
    /// The user; empty for an admin.
    pub user: &'a str,
    /// The operation: `CREATE`, `UPDATE` or `DELETE`.
    pub operation: &'static str,
    /// The plural and group, such as `versionpackages.iodm.dev`.
    pub resource: &'a str,
    /// The subresource `status`, or empty.
    pub subresource: &'a str,
    /// The object after the write; for a deletion the current one.
    pub object: &'a Value,
    /// The object before the write.
    pub old: Option<&'a Value>,
}

/// A policy whose condition is a function of the test.
pub struct Policy {
    /// The name of the policy.
    pub name: String,
    /// The name of the policy's binding.
    pub binding: String,
    /// The message of a denial.
    pub message: String,
    /// Whether the policy denies a write.
    pub denies: Box<dyn Fn(&Attempt<'_>) -> bool + Send>,
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Asks all policies. `code` is the answer to a denial without a reason of its own.
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
