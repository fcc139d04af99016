//! In which namespace the one Lease of the cluster is: that of the `ServiceAccount` in the operator's `ClusterRoleBinding`.
//!
//! Two processes with Leases in two namespaces would both lead. The binding is one for the whole cluster, so a process
//! that was given another namespace than the binding names doesn't lead.
//!
//! The binding is read before a process takes the Lease, and again with every renewal.

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
/// Where such bindings are.
const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";

/// What the role behind the binding lets its subject list.
const PLATFORMS: &str = "/apis/iodm.dev/v1alpha1/platforms";
/// After so long no window of a quota holds a call of who led elsewhere.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// Who told this process the namespace of its Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A flag, or its environment variable.
    Flag,
    /// The pod that it runs in.
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

/// What the binding was found to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BindingReading {
    /// It names this `ServiceAccount` and no other.
    Names(Account),
    /// It names so many.
    Ambiguous(usize),
    /// There is no binding.
    Absent,
    /// This process has none of the rights that the binding gives, so it names somebody else.
    Unbound,
    /// It can't be read.
    Failed(String),
}

/// A `ServiceAccount`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Account {
    /// Its namespace.
    pub(super) namespace: String,
    /// Its name.
    pub(super) name: String,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Why a process may not lead; the text is for people.
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
        /// What takes the process out of the way.
        remedy: String,
    },
    /// The binding names none, or several.
    #[error(
        "the ClusterRoleBinding {BINDING} names {0} ServiceAccounts, so which namespace holds the one Lease is not known: leave exactly one there"
    )]
    Ambiguous(usize),
    /// There is no binding, and an installation makes one.
    #[error(
        "there is no ClusterRoleBinding {BINDING}, whose ServiceAccount tells in which namespace the one Lease of the cluster is (this process was given {own}): kubectl apply -k manifests/install"
    )]
    AbsentInPod { own: String },
    /// There is no binding, and nobody says where the Lease is.
    #[error(
        "there is no ClusterRoleBinding {BINDING}, whose ServiceAccount tells in which namespace the one Lease of the cluster is: give --namespace, the same to each process, or kubectl apply -k manifests/install"
    )]
    Absent,
    /// The binding gives this process nothing any more.
    #[error(
        "the ClusterRoleBinding {BINDING} gives this process, which was given the namespace {own} {given}, no rights any more, so it names the ServiceAccount of another namespace; take this installation off, or mend the binding: kubectl get clusterrolebinding {BINDING} -o yaml"
    )]
    Unbound { own: String, given: Source },
    /// The binding can't be read.
    #[error(
        "the ClusterRoleBinding {BINDING}, whose ServiceAccount tells in which namespace the one Lease of the cluster is (this process was given {own}), can't be read: {error}"
    )]
    Unreadable { own: String, error: String },
    /// The binding has named another namespace until a moment ago.
    #[error(
        "the ClusterRoleBinding {BINDING} names the namespace {own} only since a moment: a process elsewhere may still lead until its Lease of {lease} s ends"
    )]
    Moved {
        own: String,
        /// How long that Lease lasts, in seconds.
        lease: u64,
    },
}

/// The namespace that this process was given, and what the binding has said of it.
#[derive(Debug, Clone)]
pub(super) struct Home {
    namespace: String,
    source: Source,
    /// Whether this process runs with the `ServiceAccount` of a pod.
    in_pod: bool,
    /// Whether the binding has let another process lead while this one looked, and since when it doesn't any more.
    moved: Option<Moved>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moved {
    /// The last reading says so.
    Away,
    /// Every reading since then names this process.
    Back(Instant),
}

impl Home {
    /// The namespace that this process was given, by `source`.
    pub(super) fn new(namespace: String, source: Source, in_pod: bool) -> Self {
        Self {
            namespace,
            source,
            in_pod,
            moved: None,
        }
    }

    /// Whether this process may begin to lead after a reading at `now`. A leader
    /// elsewhere learns of a change of the binding with its next renewal, at the latest when its Lease of `duration` ends.
    ///
    /// # Errors
    /// Where it may not.
    pub(super) fn may_begin(
        &mut self,
        reading: &BindingReading,
        duration: Duration,
        now: Instant,
    ) -> Result<(), MayNotLead> {
        let verdict = self.judge(reading);
        self.moved = match (reading, &verdict, self.moved) {
            // It tells nothing new.
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

    /// Whether, as of `now`, windows may hold calls that stand in another Lease: the binding let another process lead while
    /// this one waited, at the latest until its Lease of `duration` ended.
    pub(super) fn has_moved(&self, duration: Duration, now: Instant) -> bool {
        match self.moved {
            Some(Moved::Away) => true,
            Some(Moved::Back(since)) => now < since + duration + REMEMBERED,
            None => false,
        }
    }

    /// Why a term ends after a reading; nothing where it goes on. One that only can't be read lets nobody else begin.
    pub(super) fn ends_term(&self, reading: &BindingReading) -> Option<MayNotLead> {
        match reading {
            BindingReading::Names(_) | BindingReading::Absent | BindingReading::Unbound => {
                self.judge(reading).err()
            }
            BindingReading::Ambiguous(_) | BindingReading::Failed(_) => None,
        }
    }

    /// Whether a process may lead after `reading`.
    ///
    /// # Errors
    /// Where it may not.
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

/// Reads the binding.
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
    // An API server that has just started forbids everything until it has read its roles, this too.
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
    // A right of its own that is missing, or all that the binding gives?
    let request = Request::new(PLATFORMS).list(&ListParams::default().limit(1));
    let request = request.map_err(kube::Error::BuildRequest)?;
    match client.request::<Raw>(request).await {
        Err(error) if is_forbidden(&error) => Ok(BindingReading::Unbound),
        Ok(_) | Err(_) => Ok(BindingReading::Failed(refusal)),
    }
}

/// What the binding says.
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

/// What the binding says; only its subjects are read.
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
