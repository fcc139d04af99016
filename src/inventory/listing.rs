//! The packages of one application as the platform lists them, packed to save memory: an application may have ten
//! thousand.

#![deny(clippy::wildcard_enum_match_arm)]

use crate::api::condition::cut;
use crate::api::names::FileId;
use crate::api::version_package::PackageIdentity;
use crate::plain::plain;
use crate::remote::wire::CategoryInfo;

/// The separator of the fields of a packed text.
const SEPARATOR: char = '\u{1f}';
/// Highest length of a field in bytes, as in `status.package`.
const LONGEST: usize = 256;
/// Highest length of the upload time in bytes.
const LONGEST_TIME: usize = 64;

/// The bytes that an allocator uses for a block of `bytes`: 8 more, rounded up to a multiple of 16.
fn piece(bytes: usize) -> usize {
    (bytes + 8).next_multiple_of(16)
}

/// One package: its id and the platform's data of it, in one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListedPackage {
    text: Box<str>,
    /// Whether no object stands for the package, as of the end of the read.
    pub(super) unmanaged: bool,
}

impl ListedPackage {
    /// Packs the platform's data of a package; `None` if the package has no id.
    pub(super) fn pack(said: &CategoryInfo) -> Option<Self> {
        let id = said.file_id.as_deref().filter(|id| !id.is_empty())?;
        let fields = [
            &said.name,
            &said.version,
            &said.file_type,
            &said.device_type,
            &said.model,
            &said.manufacturer_name,
        ];
        let mut text = cut(id, LONGEST).replace(SEPARATOR, " ");
        let time = (&said.upload_time, LONGEST_TIME);
        for (field, longest) in fields
            .map(|field| (field, LONGEST))
            .into_iter()
            .chain([time])
        {
            text.push(SEPARATOR);
            // `plain` removes control characters, the separator among them.
            text.push_str(&plain(cut(field.as_deref().unwrap_or_default(), longest)));
        }
        Some(Self {
            text: text.into_boxed_str(),
            unmanaged: false,
        })
    }

    /// The size of the packed text in bytes.
    pub(super) fn bytes(&self) -> usize {
        piece(self.text.len())
    }

    /// The id of the package.
    pub(super) fn id(&self) -> &str {
        self.text.split(SEPARATOR).next().unwrap_or_default()
    }

    /// The platform's data of the package; empty fields become `None`.
    pub(super) fn identity(&self) -> PackageIdentity {
        let mut fields = self.text.split(SEPARATOR).skip(1);
        let mut next = || {
            let field = fields.next().filter(|field| !field.is_empty());
            field.map(str::to_owned)
        };
        PackageIdentity {
            name: next(),
            version: next(),
            file_type: next(),
            device_type: next(),
            model: next(),
            manufacturer_name: next(),
            upload_time: next(),
        }
    }
}

/// Packages sorted by id, each id once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Listing(Vec<ListedPackage>);

impl Listing {
    /// Sorts the packages by id; of several entries with one id, the first is kept.
    pub(super) fn new(mut entries: Vec<ListedPackage>) -> Self {
        entries.sort_by(|a, b| a.id().cmp(b.id()));
        entries.dedup_by(|later, first| later.id() == first.id());
        entries.shrink_to_fit();
        Self(entries)
    }

    /// The number of packages.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// All packages, sorted by id.
    pub(super) fn entries(&self) -> &[ListedPackage] {
        &self.0
    }

    /// All packages, sorted by id, for marking those without an object.
    pub(super) fn entries_mut(&mut self) -> &mut [ListedPackage] {
        &mut self.0
    }

    /// Whether the package is listed.
    pub(super) fn has(&self, id: &str) -> bool {
        self.place(id).is_ok()
    }

    /// The platform's data of the package, if the package is listed.
    pub(super) fn identity(&self, file: &FileId) -> Option<PackageIdentity> {
        let place = self.place(file.as_str()).ok()?;
        self.0.get(place).map(ListedPackage::identity)
    }

    /// The number of packages without an object.
    pub(super) fn unmanaged(&self) -> usize {
        self.0.iter().filter(|entry| entry.unmanaged).count()
    }

    /// Adds and updates packages from `newer`; packages that are only in `self` stay unchanged. Returns whether
    /// anything has changed.
    pub(super) fn amend(&mut self, newer: Self) -> bool {
        let mut differs = false;
        let mut added = Vec::new();
        for entry in newer.0 {
            match self.place(entry.id()).map(|place| self.0.get_mut(place)) {
                Ok(Some(known)) => {
                    differs |= known.text != entry.text;
                    known.text = entry.text;
                }
                Ok(None) | Err(_) => added.push(entry),
            }
        }
        if !added.is_empty() {
            differs = true;
            added.append(&mut self.0);
            *self = Self::new(added);
        }
        differs
    }

    fn place(&self, id: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|entry| entry.id().cmp(id))
    }

    /// The size of the listing in bytes, as an allocator counts it.
    pub(super) fn bytes(&self) -> usize {
        let texts = self.0.iter().map(ListedPackage::bytes);
        piece(self.0.capacity() * size_of::<ListedPackage>()) + texts.sum::<usize>()
    }
}
