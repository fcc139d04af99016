//! The commands of `vpo`, one file each.

mod admin_port;
pub mod crds;
pub mod hold;
pub mod inventory;
mod output;
pub mod queue;
pub mod run;
pub mod simulate;
mod table;
mod value;

pub use self::value::ignore_empty_environment;
