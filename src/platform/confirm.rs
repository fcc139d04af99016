//! The last look before a permit is used: a GET of the Platform, and of the Namespace where a
//! selector asks, so that the emergency stop needs no healthy watch.

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

/// How old a read may be when it comes to be acted on, from the moment it began.
pub const LASTS: Duration = Duration::from_secs(1);

impl Directory {
    /// The same as [`Self::resolve`], with the Platform (and the Namespace, where a selector asks)
    /// read by a GET that began no longer than a second ago; one GET serves all who ask soon after it.
    ///
    /// Of mode and allowed namespaces the stricter of read and cache counts, since either may be
    /// the newer one; a newer read becomes known to everybody. Where the caches already say that no
    /// call can be made, nothing is read.
    ///
    /// # Errors
    /// When they can't be read, or not soon enough, or differ from what the caches hold in anything but mode and allowed
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
            // One was created since.
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

        // Asked anew after the reads: the caches may have moved on meanwhile.
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

    /// Reads both definitions, or what a read not older than half a second has shown of them; tells when that began.
    ///
    /// # Errors
    /// When one can't be read, or is not the version that was compared with this binary.
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

    /// Whether `platform` really allows no objects of `namespace`, by GETs of both that are not older than half a second, and
    /// when the first of them began. What they show becomes known to everybody.
    ///
    /// # Errors
    /// When they can't be read.
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

    /// Reads a Platform, and tells when that began; one that is newer than what is known becomes known to everybody.
    pub(super) async fn read_platform(
        &self,
        key: &ObjectKey,
    ) -> Result<(PlatformRead, Instant), Unconfirmed> {
        let (read, begun) = self.reads.platform(key, || self.uid(key)).await?;
        self.overtake(NewerRead::Platform(key.clone(), read.clone()));
        Ok((read, begun))
    }

    /// The same for a Namespace.
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
