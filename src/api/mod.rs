//! The API types: the two kinds, their reasons and their validation. No I/O.

pub mod condition;
pub mod crds;
pub mod names;
pub mod outcome;
pub mod platform;
pub mod reason;
pub mod status;
pub mod values;
pub mod version_package;
