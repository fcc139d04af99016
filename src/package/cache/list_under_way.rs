//! The list of the watch that is coming in.

use std::collections::HashSet;

use super::packed::Packed;
use super::shown::ShownObjects;
use super::{Changes, Wakes};
use crate::api::names::ObjectKey;

/// The contents of the list so far. Nearly all objects are in the cache already, so only differing objects are stored.
#[derive(Default)]
pub(super) struct ListUnderWay {
    pub(super) seen: HashSet<ObjectKey>,
    pub(super) differing: Vec<Packed>,
}

impl ShownObjects {
    /// Replaces the shown objects by the contents of the list.
    pub(super) fn replace(&mut self, listing: ListUnderWay) -> Changes {
        let ListUnderWay { seen, differing } = listing;
        let missing = self.objects.keys().filter(|key| !seen.contains(*key));
        // All objects are woken: the watch may have missed changes before this list, and any object may have waited for
        // the end of the list.
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
