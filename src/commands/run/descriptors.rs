//! The limit of open files and connections of this process.

use std::fmt;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limits before and after the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Descriptors {
    before: Option<u64>,
    now: Option<u64>,
}

/// Raises the soft limit to the hard limit: each application holds connections, so a few hundred applications exceed
/// the usual limit of 1024.
pub(super) fn raise() -> Descriptors {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let taken = setrlimit(Resource::Nofile, raised);
    Descriptors {
        before: limit.current,
        now: taken.map_or(limit.current, |()| limit.maximum),
    }
}

impl fmt::Display for Descriptors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |limit: Option<u64>| {
            limit.map_or_else(|| "no limit".to_owned(), |limit| limit.to_string())
        };
        match (text(self.before), text(self.now)) {
            (before, now) if before == now => write!(f, "{now}"),
            (before, now) => write!(f, "{now}, raised from {before}"),
        }
    }
}
