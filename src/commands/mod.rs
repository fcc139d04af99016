//! The commands of `vpo`, one file each.

pub mod crds;
pub mod run;
pub mod simulate;
