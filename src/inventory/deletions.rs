//! The DELETEs of one application: what the reads of the application's list have to know of them.

use std::collections::VecDeque;

use super::Now;
use super::listing::Listing;
use crate::api::names::FileId;

/// Highest number of deleted packages of an application that are kept for the next read. The oldest ones are dropped
/// first, and are not reported if they are listed again.
pub(super) const REMEMBERED: usize = 10_000;

/// Counts of DELETEs. If two marks are equal and not busy, no DELETE was in flight between them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct DeletionMark {
    begun: u64,
    under_way: u64,
}

impl DeletionMark {
    /// Whether a DELETE is in flight.
    pub(super) fn is_busy(self) -> bool {
        self.under_way > 0
    }
}

/// A package that the platform reported as deleted or as unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Deleted {
    /// The id of the package.
    pub(super) file: FileId,
    /// When the platform answered.
    pub(super) answered: Now,
}

/// The DELETEs of one application.
#[derive(Debug, Default)]
pub(super) struct Deletions {
    begun: u64,
    ended: u64,
    recent: VecDeque<Deleted>,
}

impl Deletions {
    /// Counts a DELETE that begins.
    pub(super) fn begins(&mut self) {
        self.begun += 1;
    }

    /// Counts a DELETE that ended, or wasn't sent.
    pub(super) fn ends(&mut self) {
        self.ended += 1;
    }

    /// Records that the platform reported `file` as deleted.
    pub(super) fn deleted(&mut self, file: &FileId, now: Now) {
        if self.recent.len() >= REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(Deleted {
            file: file.clone(),
            answered: now,
        });
    }

    /// The present counts of DELETEs.
    pub(super) fn mark(&self) -> DeletionMark {
        DeletionMark {
            begun: self.begun,
            under_way: self.begun.saturating_sub(self.ended),
        }
    }

    /// Removes the packages whose deletion was answered before `begun`, the start of the read that found `listing`. Of
    /// the removed packages, returns those that `listing` still contains.
    pub(super) fn listed_again(&mut self, begun: Now, listing: &Listing) -> Vec<Deleted> {
        let (before, since) = std::mem::take(&mut self.recent)
            .into_iter()
            .partition::<VecDeque<_>, _>(|deleted| deleted.answered.tick < begun.tick);
        self.recent = since;
        let listed = |deleted: &Deleted| listing.has(deleted.file.as_str());
        before.into_iter().filter(listed).collect()
    }
}
