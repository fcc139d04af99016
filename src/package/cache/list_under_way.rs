//! A list of the watch while it comes in.

use std::collections::HashSet;

use super::packed::Packed;
use super::shown::ShownObjects;
use super::{Changes, Wakes};
use crate::api::names::ObjectKey;

/// What a list has brought. Nearly all of it is shown already, and needs no second place.
#[derive(Default)]
pub(super) struct ListUnderWay {
    pub(super) seen: HashSet<ObjectKey>,
    pub(super) differing: Vec<Packed>,
}

impl ShownObjects {
    /// Shows what a list has brought, and nothing else.
    pub(super) fn replace(&mut self, listing: ListUnderWay) -> Changes {
        let ListUnderWay { seen, differing } = listing;
        let missing = self.objects.keys().filter(|key| !seen.contains(*key));
        // Every key: a list ends a time of blindness, and whoever waited for sight has to look.
        let mut wake: Vec<ObjectKey> = missing.cloned().collect();
        wake.sort_unstable();
        let removed = wake.iter().filter_map(|key| self.remove(key));
        let mut gone: Vec<String> = removed.map(|old| old.uid.to_string()).collect();
        let new = seen.len().saturating_sub(self.objects.len());
        self.objects.reserve(new);
        gone.extend(differing.into_iter().filter_map(|object| self.put(object)));
        wake.extend(self.keys());
        Changes {
            wakes: Wakes {
                now: wake,
                later: Vec::new(),
            },
            gone,
            listed: true,
        }
    }
}
