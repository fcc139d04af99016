//! The inventory of one application at one endpoint, and its form for reports.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;

use super::Taken;
use super::deletions::Deletions;
use super::listing::{ListedPackage, Listing};
use super::walk::Reading;
use crate::api::names::ObjectKey;
use crate::api::version_package::PackageIdentity;
use crate::clock::Now;

/// The bytes that the field names of a package take in a report.
pub(super) const FIELDS: usize = 128;

/// The inventory of one application at one endpoint.
#[derive(Default)]
pub(super) struct Stock {
    /// The Platforms of the application.
    pub(super) platforms: Vec<ObjectKey>,
    /// Whether the list is read at all.
    pub(super) reads: bool,
    pub(super) listing: Listing,
    /// The size of the listing in bytes.
    pub(super) kept: usize,
    /// The last read without a flaw, which proves that unlisted packages are missing.
    pub(super) proof: Option<Proof>,
    /// Packages that are listed although they were deleted, each with the time at which the platform reported the
    /// deletion.
    pub(super) reappeared: BTreeMap<String, Timestamp>,
    pub(super) trouble: Option<ListTrouble>,
}

#[derive(Clone, Copy)]
pub(super) struct Proof {
    pub(super) begun: Now,
    pub(super) ended: Timestamp,
    pub(super) packages: usize,
    pub(super) unmanaged: usize,
}

/// The failure of the last read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListTrouble {
    /// When the read ended.
    pub time: Timestamp,
    /// The reason of the failure, as a sentence.
    pub message: String,
}

/// The inventory of one application in a report.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// The Platforms of the application.
    pub platforms: Vec<ObjectKey>,
    /// Whether the list is read at all.
    pub reads: bool,
    /// When the last complete read began and ended, and how many packages it found.
    pub reading: Option<(Timestamp, Timestamp, usize)>,
    /// The failure of the last read, if it failed.
    pub trouble: Option<ListTrouble>,
    /// The packages without an object.
    pub unmanaged: Vec<Unmanaged>,
}

/// A package without an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmanaged {
    /// The id of the package.
    pub file_id: String,
    /// The platform's data of the package.
    pub identity: PackageIdentity,
    /// When the platform reported the package as deleted, if it did.
    pub deleted: Option<Timestamp>,
}

/// The report would exceed its memory limit.
#[derive(Debug, PartialEq, Eq)]
pub struct NoRoom;

impl Stock {
    /// The inventory for a report; the size of its packages is subtracted from `room`.
    pub(super) fn shown(&self, room: &mut usize) -> Result<Shown, NoRoom> {
        let unmanaged = |entry: &&ListedPackage| entry.unmanaged;
        let entries = || self.listing.entries().iter().filter(unmanaged);
        let bytes: usize = entries().map(|entry| entry.bytes() + FIELDS).sum();
        *room = room.checked_sub(bytes).ok_or(NoRoom)?;
        let unmanaged = entries().map(|entry| Unmanaged {
            file_id: entry.id().to_owned(),
            identity: entry.identity(),
            deleted: self.reappeared.get(entry.id()).copied(),
        });
        Ok(Shown {
            platforms: self.platforms.clone(),
            reads: self.reads,
            reading: self
                .proof
                .map(|proof| (proof.begun.wall, proof.ended, proof.packages)),
            trouble: self.trouble.clone(),
            unmanaged: unmanaged.collect(),
        })
    }

    /// Stores a read that ended at `now`; `deletions` are the DELETEs of the application.
    pub(super) fn takes(
        &mut self,
        reading: Reading,
        deletions: Option<&mut Deletions>,
        now: Now,
    ) -> Taken {
        let Reading {
            begun,
            listing,
            flaw,
        } = reading;
        if let Some(flaw) = flaw {
            let tells = self.listing.amend(listing);
            self.kept = self.listing.bytes();
            return Taken {
                tells,
                another_trouble: self.fails(flaw.to_string(), now),
                reappeared: Vec::new(),
            };
        }
        let again = deletions.map_or_else(Vec::new, |all| all.listed_again(begun, &listing));
        self.reappeared.retain(|id, _| listing.has(id));
        self.reappeared.extend(
            again
                .iter()
                .map(|deleted| (deleted.file.to_string(), deleted.answered.wall)),
        );
        self.proof = Some(Proof {
            begun,
            ended: now.wall,
            packages: listing.len(),
            unmanaged: listing.unmanaged(),
        });
        self.kept = listing.bytes();
        self.listing = listing;
        self.trouble = None;
        Taken {
            tells: true,
            another_trouble: false,
            reappeared: again,
        }
    }

    /// Stores a failure; returns whether its message differs from the last one.
    pub(super) fn fails(&mut self, message: String, now: Now) -> bool {
        let last = self.trouble.replace(ListTrouble {
            time: now.wall,
            message,
        });
        last.map(|last| last.message) != self.trouble.as_ref().map(|new| new.message.clone())
    }
}
