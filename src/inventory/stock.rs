//! What is known of one application at one endpoint, and how it is shown.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;

use super::Taken;
use super::deletions::Deletions;
use super::listing::{ListedPackage, Listing};
use super::walk::Reading;
use crate::api::names::ObjectKey;
use crate::api::version_package::PackageIdentity;
use crate::clock::Now;

/// The bytes that the names of its fields take where a package is shown.
pub(super) const FIELDS: usize = 128;

/// What is known of one application at one endpoint.
#[derive(Default)]
pub(super) struct Stock {
    /// Those whose packages they are.
    pub(super) platforms: Vec<ObjectKey>,
    /// Whether the list is read at all.
    pub(super) reads: bool,
    pub(super) listing: Listing,
    /// The bytes that it takes.
    pub(super) kept: usize,
    /// The last reading that proves what isn't there.
    pub(super) proof: Option<Proof>,
    /// Packages that are listed although they were deleted, and when the platform said that they were.
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

/// Why the last try came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListTrouble {
    /// When it ended.
    pub time: Timestamp,
    /// What went wrong, in a sentence.
    pub message: String,
}

/// The inventory of one application, to be shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// The Platforms of the application.
    pub platforms: Vec<ObjectKey>,
    /// Whether the list is read at all.
    pub reads: bool,
    /// When the last reading began and ended, and how many packages it found.
    pub reading: Option<(Timestamp, Timestamp, usize)>,
    /// Why the last try came to nothing, where it did.
    pub trouble: Option<ListTrouble>,
    /// The packages that no object stands for.
    pub unmanaged: Vec<Unmanaged>,
}

/// A package that no object stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmanaged {
    /// Its id.
    pub file_id: String,
    /// What the platform says of it.
    pub identity: PackageIdentity,
    /// When the platform said that it is gone, where it did.
    pub deleted: Option<Timestamp>,
}

/// What is to be shown is too much.
#[derive(Debug, PartialEq, Eq)]
pub struct NoRoom;

impl Stock {
    /// As it is shown; its packages take their bytes from `room`.
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

    /// Takes a reading in, which ended at `now`; `deletions` are those of the application.
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

    /// Remembers a trouble; whether it is another one than the last.
    pub(super) fn fails(&mut self, message: String, now: Now) -> bool {
        let last = self.trouble.replace(ListTrouble {
            time: now.wall,
            message,
        });
        last.map(|last| last.message) != self.trouble.as_ref().map(|new| new.message.clone())
    }
}
