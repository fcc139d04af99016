//! The check right before a permit is used: a GET of the Platform and, for a selector, of the Namespace. With this
//! GET, the emergency stop works without a healthy watch.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::namespace::Namespace;
use super::object::{PlatformObject, Wanted};
use super::reads::{NewerRead, PlatformRead};
use super::unconfirmed::Unconfirmed;
use super::{Directory, Resolution, Usable};
use crate::api::names::ObjectKey;
use crate::api::platform::Mode;
use crate::sight::WatchKind;

/// Highest age of a read when it is acted on, from the start of its GET.
pub const LASTS: Duration = Duration::from_secs(1);

impl Directory {
    /// Resolves as [`Self::resolve`] does, and confirms the result by a GET of the Platform (and of the Namespace,
    /// for a selector) that began at most one second ago. All callers within half a second share one GET.
    ///
    /// For the mode and the allowed namespaces, the stricter of the read value and the cached value applies, since
    /// either value may be the newer one. A newer read updates the directory for all objects. If the caches already say
    /// that no call can be made, nothing is read.
    ///
    /// # Errors
    /// If an object can't be read in time, or if it differs from the caches in anything but mode and allowed
    /// namespaces. Then no permit may be used.
    pub async fn confirm(
        &self,
        platform: &ObjectKey,
        namespace: &str,
    ) -> Result<Resolution, Unconfirmed> {
        if !matches!(self.resolve(platform, namespace), Resolution::Usable(_)) {
            return Ok(self.resolve(platform, namespace));
        }
        let not_shown = || Unconfirmed::NotShown(platform.clone());
        let (defined, read) =
            tokio::join!(self.confirm_definitions(), self.read_platform(platform));
        let defined = defined?;
        let (read, begun) = read?;
        let begun = begun.min(defined);
        let read = match read {
            PlatformRead::Found(read) => read,
            PlatformRead::Gone { uid } if self.view().uid(platform) == uid.as_deref() => {
                return Ok(Resolution::NotFound);
            }
            // A Platform of this name was created after the GET began.
            PlatformRead::Gone { .. } => return Err(not_shown()),
        };
        let wanted = read.wanted.as_ref().map_err(Clone::clone)?;
        let (labels, begun) = if wanted.allowed.needs_labels() {
            match self.read_namespace(namespace).await? {
                (Some(read), other) => (Some(read), begun.min(other)),
                (None, _) => return Ok(Resolution::NotAllowed),
            }
        } else {
            (None, begun)
        };
        if begun.elapsed() > LASTS {
            return Err(Unconfirmed::Old(platform.clone()));
        }

        // The caches are read again, since they may have changed during the GETs.
        let view = self.view();
        let Resolution::Usable(cached) = view.resolve(platform, namespace) else {
            return Ok(view.resolve(platform, namespace));
        };
        let agrees = view
            .platforms
            .get(platform)
            .is_some_and(|entry| same_but_for_permission(&entry.object, &read));
        if !agrees {
            return Err(not_shown());
        }
        let labels = labels.as_ref().map(|read| &read.labels);
        match wanted
            .allowed
            .admits(&platform.namespace, namespace, labels)
        {
            Some(true) => Ok(Resolution::Usable(Usable {
                mode: stricter(cached.mode, wanted.spec.mode),
                ..cached
            })),
            Some(false) | None => Ok(Resolution::NotAllowed),
        }
    }

    /// Confirms, by reads no older than half a second, that both definitions still have the versions that were compared
    /// with this binary. Returns the start of the older read.
    ///
    /// # Errors
    /// If a definition can't be read, or has another version than the one that was compared with this binary.
    async fn confirm_definitions(&self) -> Result<Instant, Unconfirmed> {
        let [packages, platforms] = WatchKind::DEFINITIONS.map(|kind| async move {
            let (read, begun) = self.reads.definition(kind).await?;
            match self.sight.compared(kind) {
                Some(compared) if compared == read => Ok(begun),
                _ => Err(Unconfirmed::Uncompared),
            }
        });
        let (packages, platforms) = tokio::join!(packages, platforms);
        Ok(packages?.min(platforms?))
    }

    /// Reads whether `platform` allows no objects of `namespace`, by GETs of the Platform and of the Namespace that are
    /// no older than half a second. Returns the result and the start of the first GET. A newer read updates the
    /// directory for all objects.
    ///
    /// # Errors
    /// If one of the objects can't be read.
    pub async fn confirm_refusal(
        &self,
        platform: &ObjectKey,
        namespace: &str,
    ) -> Result<(bool, Instant), Unconfirmed> {
        let (read, begun) = self.read_platform(platform).await?;
        let PlatformRead::Found(read) = read else {
            return Ok((false, begun));
        };
        let Ok(wanted) = &read.wanted else {
            return Ok((false, begun));
        };
        let (labels, begun) = if wanted.allowed.needs_labels() {
            let (labels, other) = self.read_namespace(namespace).await?;
            (labels, begun.min(other))
        } else {
            (None, begun)
        };
        let labels = labels.as_ref().map(|read| &read.labels);
        let admitted = wanted
            .allowed
            .admits(&platform.namespace, namespace, labels);
        Ok((admitted == Some(false), begun))
    }

    /// Reads a Platform and returns the start of the GET too. A read that is newer than the directory updates the
    /// directory.
    pub(super) async fn read_platform(
        &self,
        key: &ObjectKey,
    ) -> Result<(PlatformRead, Instant), Unconfirmed> {
        let (read, begun) = self.reads.platform(key, || self.uid(key)).await?;
        self.overtake(NewerRead::Platform(key.clone(), read.clone()));
        Ok((read, begun))
    }

    /// Reads a Namespace in the same way; `None` if it does not exist.
    pub(super) async fn read_namespace(
        &self,
        name: &str,
    ) -> Result<(Option<Arc<Namespace>>, Instant), Unconfirmed> {
        let (read, begun) = self.reads.namespace(name).await?;
        if let Some(read) = &read {
            self.overtake(NewerRead::Namespace(name.to_owned(), Arc::clone(read)));
        }
        Ok((read, begun))
    }
}

fn stricter(a: Mode, b: Mode) -> Mode {
    match (a, b) {
        (Mode::Enforce, Mode::Enforce) => Mode::Enforce,
        (Mode::Observe, _) | (_, Mode::Observe) => Mode::Observe,
    }
}

fn same_but_for_permission(cached: &PlatformObject, read: &PlatformObject) -> bool {
    let (Ok(a), Ok(b)) = (&cached.wanted, &read.wanted) else {
        return false;
    };
    let rest = |wanted: &Wanted| {
        let mut spec = wanted.spec.clone();
        spec.mode = Mode::default();
        spec.allowed_namespaces = crate::api::platform::AllowedNamespaces::default();
        spec
    };
    cached.uid == read.uid && cached.deleted_at == read.deleted_at && rest(a) == rest(b)
}

#[cfg(test)]
mod tests;
