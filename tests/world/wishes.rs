//! The wishes of people and Git for objects, as of their last change.

use std::fmt;

/// Namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub namespace: String,
    pub name: String,
}

impl Key {
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The wished fate of the package of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The package is to stay.
    Stay,
    /// The object is retired: the package is to be deleted.
    Retired,
    /// The object is deleted: package and object are to be deleted.
    Deleted,
}

/// The wish for one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    pub platform: String,
    /// The application that people mean, even while a Secret names another one.
    pub application: String,
    pub file: String,
    pub fate: Fate,
    /// Whether the package is to stay when the object is deleted.
    pub retain: bool,
    pub paused: bool,
    /// Whether the object expects other package data than the actual ones.
    pub mistaken: bool,
}

impl Wish {
    /// Whether the package is to be deleted.
    pub fn asks(&self) -> bool {
        match self.fate {
            Fate::Stay => false,
            Fate::Retired => true,
            Fate::Deleted => !self.retain,
        }
    }

    /// Whether both wishes are for the same package.
    pub fn is_for(&self, other: &Self) -> bool {
        self.application == other.application && self.file == other.file
    }

    /// Whether this wish wants the package of another object to stay.
    pub fn wants(&self, other: &Self) -> bool {
        self.fate == Fate::Stay && self.is_for(other)
    }
}
