//! The split and the merge of groups when the Platforms that count together change.

use std::collections::BTreeSet;

use k8s_openapi::jiff::Timestamp;

use super::classes::classes;
use super::{Group, Groups};
use crate::api::names::{AppId, ObjectKey};
use crate::guard::Population;
use crate::guard::application::ApplicationGuard;

impl Groups {
    /// Splits each group whose Platforms no longer count together, and merges groups whose Platforms now count
    /// together. Returns the numbers of the changed groups, and the objects to wake.
    pub(super) fn regroup(
        &mut self,
        application: &AppId,
        population: &Population,
        now: Timestamp,
    ) -> (Vec<u64>, Vec<ObjectKey>) {
        let Some(places) = self.places.get(application) else {
            return (Vec::new(), Vec::new());
        };
        let (mut changed, mut woken) = (Vec::new(), Vec::new());
        for class in classes(places) {
            let groups: BTreeSet<u64> = class
                .iter()
                .filter_map(|platform| self.known(application, platform))
                .collect();
            let same = groups.len() == 1
                && groups
                    .first()
                    .and_then(|group| self.all.get(group))
                    .is_some_and(|group| group.platforms.len() == class.len());
            if same {
                continue;
            }
            let mut joined: Option<ApplicationGuard> = None;
            for number in groups {
                let Some(guard) = self.take_out(number, &class, &mut changed, &mut woken) else {
                    continue;
                };
                match &mut joined {
                    Some(joined) => joined.absorb(guard, now),
                    None => joined = Some(guard),
                }
            }
            if let Some(guard) = joined {
                changed.push(self.put(application, class.into_iter().collect(), guard));
            }
        }
        for number in &changed {
            if let Some(group) = self.all.get_mut(number) {
                group.count(population);
            }
        }
        (changed, woken)
    }

    pub(super) fn known(&self, application: &AppId, platform: &ObjectKey) -> Option<u64> {
        Some(self.places.get(application)?.get(platform)?.group)
    }

    /// Removes a group. `class` has the Platforms that now count together. Returns the guard for the Platforms of the
    /// group that are in `class`. The other Platforms of the group form a new group.
    fn take_out(
        &mut self,
        number: u64,
        class: &BTreeSet<ObjectKey>,
        changed: &mut Vec<u64>,
        woken: &mut Vec<ObjectKey>,
    ) -> Option<ApplicationGuard> {
        let mut group = self.all.remove(&number)?;
        changed.retain(|other| *other != number);
        woken.extend(group.guard.stop_waiting());
        let (_, left): (Vec<_>, Vec<_>) = group
            .platforms
            .into_iter()
            .partition(|platform| class.contains(platform));
        if left.is_empty() {
            return Some(group.guard);
        }
        let homes = &self.homes;
        let leaves = |uid: &str| {
            homes
                .get(uid)
                .is_some_and(|home| class.contains(&home.platform))
        };
        let part = group.guard.part(class, leaves);
        changed.push(self.put(&group.application, left, group.guard));
        Some(part)
    }

    fn put(
        &mut self,
        application: &AppId,
        platforms: Vec<ObjectKey>,
        guard: ApplicationGuard,
    ) -> u64 {
        self.last += 1;
        let places = self.places.entry(application.clone()).or_default();
        for platform in &platforms {
            if let Some(place) = places.get_mut(platform) {
                place.group = self.last;
            }
        }
        let application = application.clone();
        let group = Group {
            application,
            platforms,
            guard,
        };
        self.all.insert(self.last, group);
        self.last
    }
}
