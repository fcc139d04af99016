//! One walk over the pages of the list, and whether it can prove that a package is not there.
//!
//! The platform promises no order and no steady pages: a package that goes shifts all behind it, past a walk that has
//! read their place. So a reading proves that a package is not there only if every page told the same total, as many
//! different packages were read, and no DELETE of ours was under way meanwhile; and it proves that only to objects that
//! were seen before it began. Any other reading still fills identities and heals, and is tried again. What can't be
//! seen is somebody else's deletion and upload between the same two pages. It may call one package missing until the
//! next reading, which holds up nobody.

#![deny(clippy::wildcard_enum_match_arm)]

use std::fmt;

use super::Now;
use super::deletions::DeletionMark;
use super::listing::{ListedPackage, Listing};
use crate::remote::pages::{Next, Page, next_page};

/// A walk under way.
#[derive(Debug)]
pub(super) struct Walk {
    begun: Now,
    mark: DeletionMark,
    entries: Vec<ListedPackage>,
    /// The bytes of what it has met.
    bytes: usize,
    /// Packages read, those without an id too.
    read: u64,
    total: Option<u64>,
    flaw: Option<Flaw>,
}

/// Why a walk proves nothing about a package that it didn't meet: the platform promises no order and no
/// steady pages, so a package that comes or goes may push another one past the walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// The total changed from one page to the next.
    TotalChanged,
    /// The packages read aren't as many as the total, each once.
    Uneven {
        /// How many different packages were read.
        distinct: usize,
        /// How many there are, as the platform says.
        total: u64,
    },
    /// A package has no id.
    Nameless,
    /// The list is longer than a walk.
    TooLong,
    /// A DELETE of ours was under way.
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
            Self::TooLong => f.write_str("the list is longer than what is read of it"),
            Self::Deleting => f.write_str("packages were deleted while the list was read"),
        }
    }
}

/// A walk that reached its end.
#[derive(Debug)]
pub(super) struct Reading {
    /// When it began.
    pub(super) begun: Now,
    /// What it met.
    pub(super) listing: Listing,
    /// Why it proves nothing about what it didn't meet; `None` where it does.
    pub(super) flaw: Option<Flaw>,
}

impl Walk {
    /// Begins at page 0, with what was known of deletions then.
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

    /// Takes one page in; tells what follows it.
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

    /// The bytes of what it has met so far.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Ends, with what is known of deletions now.
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
