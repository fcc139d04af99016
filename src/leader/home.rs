//! Determines the namespace of the cluster's one Lease: the namespace of the `ServiceAccount` in the operator's
//! `ClusterRoleBinding`.
//!
//! Two processes with Leases in two namespaces would both lead. The binding exists once in the cluster, so a process
//! with another namespace than the binding's doesn't lead.
//!
//! A process reads the binding before it takes the Lease, and again as often as it renews the Lease.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use kube::api::{GetParams, ListParams};
use kube::core::Request;
use serde_json::Value;
use tokio::time::{Instant, timeout};

use crate::kube_error::words;
use crate::raw::Raw;

/// The name of the `ClusterRoleBinding`.
pub const BINDING: &str = "version-package-operator";
/// The API path of `ClusterRoleBinding`s.
const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";

/// The API path of a list that the role behind the binding permits.
const PLATFORMS: &str = "/apis/iodm.dev/v1alpha1/platforms";
/// After this time no quota window contains a call of a leader in another namespace.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// The source of the namespace that this process was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A flag or its environment variable.
    Flag,
    /// The pod of this process.
    Pod,
    /// The context of a kubeconfig.
    Context,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flag => "(--namespace or POD_NAMESPACE)",
            Self::Pod => "(the one of its pod)",
            Self::Context => "(the one of the context of KUBECONFIG)",
        })
    }
}

/// The result of a read of the binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BindingReading {
    /// The binding names this one `ServiceAccount`.
    Names(Account),
    /// The binding names this number of `ServiceAccount`s, other than one.
    Ambiguous(usize),
    /// The binding does not exist.
    Absent,
    /// This process has none of the rights that the binding gives, so the binding names another `ServiceAccount`.
    Unbound,
    /// The binding can't be read.
    Failed(String),
}

/// Namespace and name of a `ServiceAccount`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Account {
    /// The namespace.
    pub(super) namespace: String,
    /// The name.
    pub(super) name: String,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The reason why this process may not lead; its text is for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum MayNotLead {
    /// The binding names another namespace than the one that the process was given.
    #[error(
        "this process was given the namespace {own} {given}, but the ClusterRoleBinding {BINDING} names the ServiceAccount {account}: only a process of the namespace {} may lead; {remedy}, or mend the binding",
        account.namespace
    )]
    Elsewhere {
        own: String,
        given: Source,
        account: Account,
        /// The advice how to stop this process from trying to lead.
        remedy: String,
    },
    /// The binding names no `ServiceAccount`, or several.
    #[error(
        "the ClusterRoleBinding {BINDING} names {0} ServiceAccounts, so which namespace holds the one Lease is not known: leave exactly one there"
    )]
    Ambiguous(usize),
    /// The binding does not exist, although this process runs in a pod, and an installation creates the binding.
    #[error(
        "there is no ClusterRoleBinding {BINDING}. The ServiceAccount in it decides in which namespace the one Lease of the cluster is (this process was given {own}). Create it: kubectl apply -k manifests/install"
    )]
    AbsentInPod { own: String },
    /// The binding does not exist, and no flag gives the namespace of the Lease.
    #[error(
        "there is no ClusterRoleBinding {BINDING}. The ServiceAccount in it decides in which namespace the one Lease of the cluster is. Give every process the same --namespace, or run kubectl apply -k manifests/install"
    )]
    Absent,
    /// The binding gives this process no rights any more.
    #[error(
        "this process was given the namespace {own} {given}, but the ClusterRoleBinding {BINDING} gives it no rights any more, so the binding names the ServiceAccount of another namespace. Take this installation off, or mend the binding: kubectl get clusterrolebinding {BINDING} -o yaml"
    )]
    Unbound { own: String, given: Source },
    /// The binding can't be read.
    #[error(
        "the ClusterRoleBinding {BINDING} can't be read: {error}. The ServiceAccount in it decides in which namespace the one Lease of the cluster is (this process was given {own})"
    )]
    Unreadable { own: String, error: String },
    /// The binding named another namespace until a moment ago.
    #[error(
        "the ClusterRoleBinding {BINDING} was changed to the namespace {own} a moment ago. A process of another namespace may still lead until its Lease of {lease} s ends; this process waits for that"
    )]
    Moved {
        own: String,
        /// The duration of the Lease, in seconds.
        lease: u64,
    },
}

/// The namespace that this process was given, and what is known of changes of the binding.
#[derive(Debug, Clone)]
pub(super) struct Home {
    namespace: String,
    source: Source,
    /// Whether this process runs with the `ServiceAccount` of a pod.
    in_pod: bool,
    /// Set once the binding has let a process of another namespace lead while this process waited. The value tells
    /// whether the binding still does so, and if not, since when it names this process again.
    moved: Option<Moved>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moved {
    /// By the last read, a process of another namespace may lead.
    Away,
    /// Every read since this time has named this process.
    Back(Instant),
}

impl Home {
    /// The state before the first read of the binding, with the namespace given by `source`.
    pub(super) fn new(namespace: String, source: Source, in_pod: bool) -> Self {
        Self {
            namespace,
            source,
            in_pod,
            moved: None,
        }
    }

    /// Whether this process may begin to lead, by a `reading` at `now`. A leader in another namespace learns of a
    /// change of the binding with its next renewal, at the latest when its Lease of `duration` ends.
    ///
    /// # Errors
    /// If this process may not lead, or not yet.
    pub(super) fn may_begin(
        &mut self,
        reading: &BindingReading,
        duration: Duration,
        now: Instant,
    ) -> Result<(), MayNotLead> {
        let verdict = self.judge(reading);
        self.moved = match (reading, &verdict, self.moved) {
            // A failed read shows no change.
            (BindingReading::Failed(_), _, moved) => moved,
            (_, Err(_), _) => Some(Moved::Away),
            (_, Ok(()), Some(Moved::Away)) => Some(Moved::Back(now)),
            (_, Ok(()), moved) => moved,
        };
        verdict?;
        match self.moved {
            Some(Moved::Back(since)) if now < since + duration => Err(MayNotLead::Moved {
                own: self.namespace.clone(),
                lease: duration.as_secs(),
            }),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether, at `now`, quota windows may contain calls that another Lease records. That is so if the binding let
    /// another process lead while this process waited. The other process led at the latest until its Lease of
    /// `duration` ended.
    pub(super) fn has_moved(&self, duration: Duration, now: Instant) -> bool {
        match self.moved {
            Some(Moved::Away) => true,
            Some(Moved::Back(since)) => now < since + duration + REMEMBERED,
            None => false,
        }
    }

    /// The reason to end the present term after a read; `None` if the term goes on. An unreadable or ambiguous
    /// binding lets no other process begin, so it ends no term.
    pub(super) fn ends_term(&self, reading: &BindingReading) -> Option<MayNotLead> {
        match reading {
            BindingReading::Names(_) | BindingReading::Absent | BindingReading::Unbound => {
                self.judge(reading).err()
            }
            BindingReading::Ambiguous(_) | BindingReading::Failed(_) => None,
        }
    }

    /// Judges by `reading` whether this process may lead.
    ///
    /// # Errors
    /// If this process may not lead.
    pub(super) fn judge(&self, reading: &BindingReading) -> Result<(), MayNotLead> {
        let own = self.namespace.clone();
        match reading {
            BindingReading::Names(account) if account.namespace == own => Ok(()),
            BindingReading::Names(account) => Err(MayNotLead::Elsewhere {
                own,
                given: self.source,
                account: account.clone(),
                remedy: if self.in_pod {
                    "take this installation off".to_owned()
                } else {
                    format!("give it --namespace={}", account.namespace)
                },
            }),
            BindingReading::Ambiguous(count) => Err(MayNotLead::Ambiguous(*count)),
            BindingReading::Absent if self.in_pod => Err(MayNotLead::AbsentInPod { own }),
            BindingReading::Absent => match self.source {
                Source::Flag => Ok(()),
                Source::Pod | Source::Context => Err(MayNotLead::Absent),
            },
            BindingReading::Unbound => Err(MayNotLead::Unbound {
                own,
                given: self.source,
            }),
            BindingReading::Failed(error) => Err(MayNotLead::Unreadable {
                own,
                error: error.clone(),
            }),
        }
    }
}

/// Reads the binding, within the timeout `patience`.
pub(super) async fn read(client: &kube::Client, patience: Duration) -> BindingReading {
    match timeout(patience, look(client)).await {
        Ok(Ok(reading)) => reading,
        Ok(Err(error)) => BindingReading::Failed(words(&error)),
        Err(_) => BindingReading::Failed("the API server did not answer in time".to_owned()),
    }
}

async fn look(client: &kube::Client) -> kube::Result<BindingReading> {
    match read_binding(client).await {
        Err(error) if is_forbidden(&error) => {}
        read => return read,
    }
    // An API server that has just started forbids every request until it has read its roles, the first read of the
    // binding included.
    match client.apiserver_version().await {
        Err(error) if is_forbidden(&error) => {
            return Ok(BindingReading::Failed(format!(
                "the API server forbids everything, as it does until it has read its roles: {}",
                words(&error)
            )));
        }
        answered => answered.map(drop)?,
    }
    let refusal = match read_binding(client).await {
        Err(error) if is_forbidden(&error) => words(&error),
        read => return read,
    };
    // This read tells whether only the right to read the binding is missing, or all rights that the binding gives.
    let request = Request::new(PLATFORMS).list(&ListParams::default().limit(1));
    let request = request.map_err(kube::Error::BuildRequest)?;
    match client.request::<Raw>(request).await {
        Err(error) if is_forbidden(&error) => Ok(BindingReading::Unbound),
        Ok(_) | Err(_) => Ok(BindingReading::Failed(refusal)),
    }
}

/// Reads the binding once.
async fn read_binding(client: &kube::Client) -> kube::Result<BindingReading> {
    let request = Request::new(BINDINGS).get(BINDING, &GetParams::default());
    let request = request.map_err(kube::Error::BuildRequest)?;
    match client.request::<Raw>(request).await {
        Ok(binding) => Ok(said(&binding.data)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(BindingReading::Absent),
        Err(error) => Err(error),
    }
}

fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}

/// Decodes the binding's subjects; its other fields are not used.
fn said(binding: &Value) -> BindingReading {
    let subjects = binding["subjects"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let accounts: BTreeSet<Account> = subjects
        .filter(|subject| subject["kind"] == "ServiceAccount")
        .map(|subject| Account {
            namespace: text(&subject["namespace"]),
            name: text(&subject["name"]),
        })
        .collect();
    let count = accounts.len();
    match accounts.into_iter().next() {
        Some(account) if count == 1 => BindingReading::Names(account),
        Some(_) | None => BindingReading::Ambiguous(count),
    }
}

#[cfg(test)]
mod tests;
