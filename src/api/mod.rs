//! What users write and read: the objects, their words and their rules. No I/O.

pub mod condition;
pub mod crds;
pub mod names;
pub mod outcome;
pub mod platform;
pub mod reason;
pub mod status;
pub mod values;
pub mod version_package;
