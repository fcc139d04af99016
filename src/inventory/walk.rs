//! One walk over the pages of the list, and whether the walk can prove that a package is missing.
//!
//! The platform promises no order and no stable pages: a deleted package shifts all packages behind it to places that
//! the walk may have passed already. So a read proves that a package is missing only if three things are true: every
//! page reported the same total, the walk read as many distinct packages as this total says, and no DELETE of ours was
//! in flight meanwhile. The proof counts only for objects that were seen before the walk began. Any other read still
//! fills identities and lists existing packages, and is tried again. A deletion and an upload by others between the
//! same two pages can't be detected. They may make one package look missing until the next read, which delays no
//! deletion.

#![deny(clippy::wildcard_enum_match_arm)]

use std::fmt;

use super::Now;
use super::deletions::DeletionMark;
use super::listing::{ListedPackage, Listing};
use crate::remote::pages::{Next, Page, next_page};

/// A walk in progress.
#[derive(Debug)]
pub(super) struct Walk {
    begun: Now,
    mark: DeletionMark,
    entries: Vec<ListedPackage>,
    /// The size in bytes of the packages read so far.
    bytes: usize,
    /// The number of packages read so far, including those without an id.
    read: u64,
    total: Option<u64>,
    flaw: Option<Flaw>,
}

/// The reason why a read can't prove that a package is missing: the platform promises no order and no stable pages, so
/// a package that comes or goes may move another package past the walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// The total changed from one page to the next.
    TotalChanged,
    /// The number of distinct packages differs from the total, or a package was read twice.
    Uneven {
        /// The number of distinct packages that were read.
        distinct: usize,
        /// The total that the platform reported.
        total: u64,
    },
    /// A package has no id.
    Nameless,
    /// The list has more pages than a walk may read.
    TooLong,
    /// A DELETE of ours was in flight during the walk.
    Deleting,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TotalChanged => f.write_str("the list changed while it was read"),
            Self::Uneven { distinct, total } => write!(
                f,
                "the platform speaks of {total} packages, but its pages hold {distinct} different ones"
            ),
            Self::Nameless => f.write_str("the list holds a package without a fileId"),
            Self::TooLong => {
                f.write_str("the list has more packages than the operator reads at most")
            }
            Self::Deleting => f.write_str("packages were deleted while the list was read"),
        }
    }
}

/// The result of a complete walk.
#[derive(Debug)]
pub(super) struct Reading {
    /// When the walk began.
    pub(super) begun: Now,
    /// The packages that the walk found.
    pub(super) listing: Listing,
    /// Why the read can't prove that a package is missing; `None` if it can.
    pub(super) flaw: Option<Flaw>,
}

impl Walk {
    /// Starts a walk at page 0; `mark` is the present count of DELETEs.
    pub(super) fn new(begun: Now, mark: DeletionMark) -> Self {
        Self {
            begun,
            flaw: mark.is_busy().then_some(Flaw::Deleting),
            mark,
            entries: Vec::new(),
            bytes: 0,
            read: 0,
            total: None,
        }
    }

    /// Adds one page; returns which page follows.
    pub(super) fn take(&mut self, number: u32, page: &Page) -> Next {
        let next = next_page(number, self.read, page);
        let total = *self.total.get_or_insert(page.total_count);
        if total != page.total_count {
            self.flaw.get_or_insert(Flaw::TotalChanged);
        }
        if next == Next::TooMany {
            self.flaw.get_or_insert(Flaw::TooLong);
        }
        self.read = self.read.saturating_add(page.data.len() as u64);
        for said in &page.data {
            match ListedPackage::pack(said) {
                Some(entry) => {
                    self.bytes += size_of::<ListedPackage>() + entry.bytes();
                    self.entries.push(entry);
                }
                None => {
                    self.flaw.get_or_insert(Flaw::Nameless);
                }
            }
        }
        next
    }

    /// The size in bytes of the packages read so far.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Ends the walk; `now` is the present count of DELETEs.
    pub(super) fn end(self, now: DeletionMark) -> Reading {
        let total = self.total.unwrap_or_default();
        let listing = Listing::new(self.entries);
        let distinct = listing.len();
        let even = distinct as u64 == total && self.read == total;
        let uneven = (!even).then_some(Flaw::Uneven { distinct, total });
        let deleting = (now != self.mark).then_some(Flaw::Deleting);
        Reading {
            begun: self.begun,
            listing,
            flaw: self.flaw.or(deleting).or(uneven),
        }
    }
}
