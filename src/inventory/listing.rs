//! The packages of one application as the platform listed them, packed: ten thousand must cost little.

#![deny(clippy::wildcard_enum_match_arm)]

use crate::api::condition::cut;
use crate::api::names::FileId;
use crate::api::version_package::PackageIdentity;
use crate::plain::plain;
use crate::remote::wire::CategoryInfo;

/// Between the fields of a packed text.
const SEPARATOR: char = '\u{1f}';
/// The most that is kept of one field, in bytes: what `status.package` takes.
const LONGEST: usize = 256;
/// The same for the time of the upload.
const LONGEST_TIME: usize = 64;

/// The bytes that an allocator gives for so many: in steps of 16, 8 more for each piece.
fn piece(bytes: usize) -> usize {
    (bytes + 8).next_multiple_of(16)
}

/// One package: its id and what is said of it in one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListedPackage {
    text: Box<str>,
    /// Whether no object stands for it, as of the end of the reading.
    pub(super) unmanaged: bool,
}

impl ListedPackage {
    /// Packs what the platform says of a package; `None` where it names none.
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
            // Without control characters, the separator among them.
            text.push_str(&plain(cut(field.as_deref().unwrap_or_default(), longest)));
        }
        Some(Self {
            text: text.into_boxed_str(),
            unmanaged: false,
        })
    }

    /// The bytes of its text.
    pub(super) fn bytes(&self) -> usize {
        piece(self.text.len())
    }

    /// The id of the package.
    pub(super) fn id(&self) -> &str {
        self.text.split(SEPARATOR).next().unwrap_or_default()
    }

    /// What the platform says of it; an empty text says nothing.
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

/// Packages by their ids, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Listing(Vec<ListedPackage>);

impl Listing {
    /// Of several entries with one id the first counts.
    pub(super) fn new(mut entries: Vec<ListedPackage>) -> Self {
        entries.sort_by(|a, b| a.id().cmp(b.id()));
        entries.dedup_by(|later, first| later.id() == first.id());
        entries.shrink_to_fit();
        Self(entries)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them, by id.
    pub(super) fn entries(&self) -> &[ListedPackage] {
        &self.0
    }

    /// All of them, by id, to be marked.
    pub(super) fn entries_mut(&mut self) -> &mut [ListedPackage] {
        &mut self.0
    }

    /// Whether the package is listed.
    pub(super) fn has(&self, id: &str) -> bool {
        self.place(id).is_ok()
    }

    /// What is said of the package, if it is listed.
    pub(super) fn identity(&self, file: &FileId) -> Option<PackageIdentity> {
        let place = self.place(file.as_str()).ok()?;
        self.0.get(place).map(ListedPackage::identity)
    }

    /// How many no object stands for.
    pub(super) fn unmanaged(&self) -> usize {
        self.0.iter().filter(|entry| entry.unmanaged).count()
    }

    /// Takes over what `newer` says of packages; those that it doesn't list stay as they are. Whether anything
    /// is different then.
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

    /// The bytes that it holds, as an allocator counts them.
    pub(super) fn bytes(&self) -> usize {
        let texts = self.0.iter().map(ListedPackage::bytes);
        piece(self.0.capacity() * size_of::<ListedPackage>()) + texts.sum::<usize>()
    }
}
