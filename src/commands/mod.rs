//! The commands of `vpo`, one file each.

pub mod crds;
pub mod hold;
mod output;
pub mod queue;
pub mod run;
pub mod simulate;
