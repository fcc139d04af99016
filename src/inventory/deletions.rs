//! The deletions of one application, as far as readings of its list have to know of them.

use std::collections::VecDeque;

use super::Now;
use super::listing::Listing;
use crate::api::names::FileId;

/// So many deleted packages of an application are remembered for the next reading; of more the oldest are
/// forgotten, and not missed if they are listed again.
pub(super) const REMEMBERED: usize = 10_000;

/// Tells whether a DELETE began between two moments, or was under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct DeletionMark {
    begun: u64,
    under_way: u64,
}

impl DeletionMark {
    /// Whether a DELETE is under way.
    pub(super) fn is_busy(self) -> bool {
        self.under_way > 0
    }
}

/// A package that the platform said it deleted, or that it doesn't have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Deleted {
    /// Which one.
    pub(super) file: FileId,
    /// When the platform said so.
    pub(super) answered: Now,
}

/// The deletions of one application.
#[derive(Debug, Default)]
pub(super) struct Deletions {
    begun: u64,
    ended: u64,
    recent: VecDeque<Deleted>,
}

impl Deletions {
    /// A DELETE begins.
    pub(super) fn begins(&mut self) {
        self.begun += 1;
    }

    /// A DELETE ended, or wasn't sent.
    pub(super) fn ends(&mut self) {
        self.ended += 1;
    }

    /// The platform says that `file` is deleted.
    pub(super) fn deleted(&mut self, file: &FileId, now: Now) {
        if self.recent.len() >= REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(Deleted {
            file: file.clone(),
            answered: now,
        });
    }

    /// Where the count of deletions stands.
    pub(super) fn mark(&self) -> DeletionMark {
        DeletionMark {
            begun: self.begun,
            under_way: self.begun.saturating_sub(self.ended),
        }
    }

    /// Takes those out that were answered before `begun`, when a reading began that has ended with
    /// `listing`: those that are listed all the same.
    pub(super) fn listed_again(&mut self, begun: Now, listing: &Listing) -> Vec<Deleted> {
        let (before, since) = std::mem::take(&mut self.recent)
            .into_iter()
            .partition::<VecDeque<_>, _>(|deleted| deleted.answered.tick < begun.tick);
        self.recent = since;
        let listed = |deleted: &Deleted| listing.has(deleted.file.as_str());
        before.into_iter().filter(listed).collect()
    }
}
