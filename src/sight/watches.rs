//! The kinds of watches, and the state of one watch.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::SightTrouble;
use crate::api::names::ObjectKey;

/// The kinds of objects that are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WatchKind {
    /// All `VersionPackage`s.
    Packages,
    /// All Platforms.
    Platforms,
    /// All Namespaces.
    Namespaces,
    /// The definition of `VersionPackage`.
    PackageDefinition,
    /// The definition of `Platform`.
    PlatformDefinition,
}

impl WatchKind {
    /// All kinds. When everything has to be listed again, nothing is sent until each running watch has made a new list.
    pub(super) const ALL: [Self; 5] = [
        Self::Packages,
        Self::Platforms,
        Self::Namespaces,
        Self::PackageDefinition,
        Self::PlatformDefinition,
    ];
    /// The `CustomResourceDefinition`s of this operator's objects.
    pub const DEFINITIONS: [Self; 2] = [Self::PackageDefinition, Self::PlatformDefinition];

    /// The definition of objects of this kind, where it is one of this operator's.
    pub(super) fn definition(self) -> Option<Self> {
        match self {
            Self::Packages => Some(Self::PackageDefinition),
            Self::Platforms => Some(Self::PlatformDefinition),
            Self::Namespaces | Self::PackageDefinition | Self::PlatformDefinition => None,
        }
    }

    /// The name of the kind for messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Packages => "VersionPackages",
            Self::Platforms => "Platforms",
            Self::Namespaces => "Namespaces",
            Self::PackageDefinition => "the CustomResourceDefinition of VersionPackage",
            Self::PlatformDefinition => "the CustomResourceDefinition of Platform",
        }
    }
}

/// The objects that one watch covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    /// All objects of a kind.
    All(WatchKind),
    /// One Secret. A failure to read it concerns only the Platforms that name it.
    Secret(ObjectKey),
}

impl Subject {
    /// The definition of the watched objects, where it is one of this operator's.
    pub(super) fn definition(&self) -> Option<WatchKind> {
        match self {
            Self::All(kind) => kind.definition(),
            Self::Secret(_) => None,
        }
    }

    /// The name of the watched objects for messages.
    pub(super) fn name(&self) -> String {
        match self {
            Self::All(kind) => kind.name().to_owned(),
            Self::Secret(secret) => format!("Secret {secret}"),
        }
    }
}

/// The state of one watch.
#[derive(Default)]
pub(super) struct Watch {
    /// The last round whose list is complete.
    pub(super) listed: Option<u64>,
    /// The newest known resource version.
    pub(super) newest: u64,
    /// Whether the watch may have missed changes since its last complete list.
    pub(super) blind: bool,
    /// The start of the present series of failures, and the message of the last failure.
    pub(super) failing: Option<(Instant, String)>,
}

impl Watch {
    /// The error of the watch of `subject`, if the watch has failed for at least `lasts`.
    pub(super) fn trouble(
        &self,
        subject: &Subject,
        lasts: Duration,
        now: Instant,
    ) -> Option<SightTrouble> {
        let (since, words) = self.failing.as_ref()?;
        let words = || format!("the watch of {} fails: {words}", subject.name());
        SightTrouble::lasting(*since, lasts, now, words)
    }
}
