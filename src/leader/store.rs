//! Reads the Lease from the API server, and writes it only over the version that was read.

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use tokio::time::{Instant, timeout};

use super::evaluate::{LeaseStep, LeaseView, evaluate};
use super::{Leader, lease};
use crate::api::names::FIELD_MANAGER;
use crate::kube_error::words;
use crate::raw::Lean;

/// The reason why a write was not made.
pub(super) enum Refused {
    /// The Lease has changed since it was read.
    Outrun,
    /// The API server did not answer, or refused the request.
    Failed(String),
}

impl Leader {
    /// Reads the Lease and decides on the next step.
    pub(super) async fn look(&mut self) -> Result<LeaseStep, Refused> {
        let read = timeout(self.settings.request(), self.api.get_opt(lease::NAME));
        let lease = match read.await {
            Ok(Ok(lease)) => lease.map(|Lean(lease)| lease),
            Ok(Err(error)) => return Err(Refused::Failed(words(&error))),
            Err(_) => return Err(Refused::late()),
        };
        let now = Instant::now();
        self.remember(lease, now);
        let view = self.last.as_ref().map(|(_, view)| view);
        Ok(evaluate(view, &self.me, now))
    }

    /// Resource versions only grow, so a smaller one shows that the store was restored, and that all watches wait for
    /// versions which the store has yet to reach.
    fn compare_version(&mut self, lease: Option<&Lease>, now: Instant) {
        let Some(version) = lease.and_then(lease::version) else {
            return;
        };
        if version < self.newest {
            let newest = self.newest;
            let why = format!(
                "the API server went back in time: version {newest} of the Lease was seen before, and now it shows the older version {version}"
            );
            self.sight.begin_anew(&why, now);
        }
        self.newest = version;
    }

    /// A written Lease has a newer version than every version that was `seen` before, if the store keeps the Lease and
    /// the objects together. If the last renewal got a newer version and this write doesn't, the store was restored.
    /// The comparison shows the restore even if the Lease had not changed since the backup.
    pub(super) fn compare_write(&mut self, written: &Lease, seen: u64, now: Instant) {
        let Some(version) = lease::version(written) else {
            return;
        };
        let newer = version > seen;
        if self.writes_are_newest && !newer {
            let why = format!(
                "the API server went back in time: version {seen} of an object was seen before, and a later write of the Lease got the version {version}, which isn't newer"
            );
            self.sight.begin_anew(&why, now);
        }
        self.writes_are_newest = newer;
    }

    /// Takes in a version of the Lease that was read at `now`; `None` if no Lease exists.
    pub(super) fn remember(&mut self, lease: Option<Lease>, now: Instant) {
        self.compare_version(lease.as_ref(), now);
        match (lease, &mut self.last) {
            (None, None) => {}
            (None, Some((lease, view))) => {
                view.gone = true;
                // The next write creates the Lease, since there is no version to replace.
                lease.metadata.resource_version = None;
                lease.metadata.uid = None;
            }
            (Some(lease), Some((known, view))) if !view.gone && same_version(known, &lease) => {}
            (Some(lease), last) => {
                let view = LeaseView {
                    seen: lease::seen(&lease, self.settings.duration),
                    since: now,
                    gone: false,
                };
                *last = Some((lease, view));
            }
        }
        let view = self.last.as_ref().map(|(_, view)| view);
        let holder = view.filter(|view| !view.gone);
        let holder = holder.map_or("", |view| view.seen.holder.as_str());
        self.holder.send_if_modified(|known| {
            let other = known != holder;
            if other {
                holder.clone_into(known);
            }
            other
        });
    }

    /// Replaces the version that `lease` was made from, and no other; creates the Lease if `lease` has no version.
    pub(super) async fn put(&self, lease: &Lease) -> Result<Lease, Refused> {
        let create = lease.metadata.resource_version.is_none();
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let lease = Lean(lease.clone());
        let write = async {
            if create {
                self.api.create(&params, &lease).await
            } else {
                self.api.replace(lease::NAME, &params, &lease).await
            }
        };
        match timeout(self.settings.request(), write).await {
            Ok(Ok(Lean(lease))) => Ok(lease),
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => {
                // If the namespace is missing, a create is answered with 404, too. No read of the Lease would show the
                // missing namespace.
                if create && status.code == 404 {
                    Err(Refused::Failed(status.message))
                } else {
                    Err(Refused::Outrun)
                }
            }
            Ok(Err(error)) => Err(Refused::Failed(words(&error))),
            Err(_) => Err(Refused::late()),
        }
    }
}

impl Refused {
    fn late() -> Self {
        Self::Failed("the API server did not answer in time".to_owned())
    }
}

fn same_version(a: &Lease, b: &Lease) -> bool {
    let (a, b) = (&a.metadata, &b.metadata);
    a.uid == b.uid && a.resource_version == b.resource_version
}
