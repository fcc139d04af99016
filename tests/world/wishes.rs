//! What people and Git want of an object, as they last said it.

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

/// What is to become of the package of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is to be there.
    Stay,
    /// The object is retired: the package is to go.
    Retired,
    /// The object is deleted: package and object are to go.
    Deleted,
}

/// What is wanted of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    pub platform: String,
    /// The application that people mean, whatever a Secret says for a while.
    pub application: String,
    pub file: String,
    pub fate: Fate,
    /// Deleting the object is to leave the package where it is.
    pub retain: bool,
    pub paused: bool,
    /// It expects what the package isn't.
    pub mistaken: bool,
}

impl Wish {
    /// Whether its package is to go.
    pub fn asks(&self) -> bool {
        match self.fate {
            Fate::Stay => false,
            Fate::Retired => true,
            Fate::Deleted => !self.retain,
        }
    }

    /// Whether both are for one package.
    pub fn is_for(&self, other: &Self) -> bool {
        self.application == other.application && self.file == other.file
    }

    /// Whether it wants the package of another object to stay.
    pub fn wants(&self, other: &Self) -> bool {
        self.fate == Fate::Stay && self.is_for(other)
    }
}
