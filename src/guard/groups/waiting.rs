//! The credentials that a hold waits for: a Platform of another group can end the hold only once the platform has
//! accepted these credentials.

use std::collections::BTreeSet;

use super::Groups;
use crate::api::names::{AppId, ObjectKey};

impl Groups {
    /// See [`crate::guard::Guards::waits_for`].
    pub(in crate::guard) fn waiting_for(
        &mut self,
        application: &AppId,
        platform: &ObjectKey,
        released: Option<&str>,
    ) -> Vec<ObjectKey> {
        let Some(footing) = self.footing(application, platform).cloned() else {
            return Vec::new();
        };
        let Some(own) = self.known(application, platform) else {
            return Vec::new();
        };
        let Some(bound) = self
            .all
            .get(&own)
            .and_then(|group| group.guard.bounds.get(platform))
            .cloned()
        else {
            return Vec::new();
        };
        let mut waiting = BTreeSet::new();
        for (number, group) in &self.all {
            if *number == own
                || group.application != *application
                || !group.guard.waits_for(released, platform, &bound)
            {
                continue;
            }
            let here = |platform: &&ObjectKey| {
                let theirs = self.footing(application, platform);
                theirs.filter(|theirs| theirs.key == footing.key)
            };
            let mut theirs = group
                .platforms
                .iter()
                .filter(|p| here(p).is_some())
                .peekable();
            if theirs.peek().is_none() {
                continue;
            }
            let is_proven =
                |platform: &&ObjectKey| here(platform).is_some_and(|theirs| theirs.proven);
            let theirs: Vec<_> = theirs.collect();
            if !theirs.iter().any(is_proven) {
                waiting.extend(theirs.into_iter().cloned());
            }
            if !footing.proven {
                waiting.insert(platform.clone());
            }
        }
        waiting.into_iter().collect()
    }
}
