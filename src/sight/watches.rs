//! What is watched, and what is known of each watch.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::SightTrouble;
use crate::api::names::ObjectKey;

/// What is watched.
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
    /// Those without which nothing is known.
    pub(super) const ALL: [Self; 5] = [
        Self::Packages,
        Self::Platforms,
        Self::Namespaces,
        Self::PackageDefinition,
        Self::PlatformDefinition,
    ];
    /// Those that define the objects of this operator.
    pub const DEFINITIONS: [Self; 2] = [Self::PackageDefinition, Self::PlatformDefinition];

    /// What defines it.
    pub(super) fn definition(self) -> Option<Self> {
        match self {
            Self::Packages => Some(Self::PackageDefinition),
            Self::Platforms => Some(Self::PlatformDefinition),
            Self::Namespaces | Self::PackageDefinition | Self::PlatformDefinition => None,
        }
    }

    /// For people.
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

/// What one watch is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    /// All objects of a kind.
    All(WatchKind),
    /// One Secret. Whether it can be read is the matter of the Platforms that name it.
    Secret(ObjectKey),
}

impl Subject {
    /// What defines it, where that may lose fields of ours.
    pub(super) fn definition(&self) -> Option<WatchKind> {
        match self {
            Self::All(kind) => kind.definition(),
            Self::Secret(_) => None,
        }
    }

    /// For people.
    pub(super) fn name(&self) -> String {
        match self {
            Self::All(kind) => kind.name().to_owned(),
            Self::Secret(secret) => format!("Secret {secret}"),
        }
    }
}

/// What is known of one watch.
#[derive(Default)]
pub(super) struct Watch {
    /// The last round of which a list is complete.
    pub(super) listed: Option<u64>,
    /// The newest version that was seen.
    pub(super) newest: u64,
    /// Whether something may have been missed since that list.
    pub(super) blind: bool,
    /// Since when nothing but failures came, and the last of them.
    pub(super) failing: Option<(Instant, String)>,
}

impl Watch {
    /// Why the watch of `subject` fails, where it has for so long.
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
