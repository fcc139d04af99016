//! The guard's records in the statuses of Platforms: reading them at the start, and the records to write from then on.

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::jiff::Timestamp;

use super::groups::Bearers;
use super::record::{self, Record};
use super::unused::Unused;
use super::{Guards, State};
use crate::api::names::ObjectKey;
use crate::api::platform::PlatformStatus;

/// The record that the status of a Platform should contain, if it is known.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// The status should contain this record.
    Record(Box<Record>),
    /// A record of the guard is being written. The next record isn't known before that write has succeeded or failed.
    UnderWay,
}

impl Guards {
    /// Loads the records of the guards. `statuses` has the status of each Platform, with the name and the uid of the
    /// Platform. `unused` has the reservations that the former leader didn't use. From now on deletions are judged.
    pub fn load<'a>(
        &self,
        statuses: impl Iterator<Item = (&'a ObjectKey, &'a str, &'a PlatformStatus)>,
        unused: &Unused,
        now: Timestamp,
    ) {
        let mut state = self.lock();
        let state = &mut *state;
        let (mut told, mut elsewhere) = (Vec::new(), Vec::new());
        let mut names = Bearers::new();
        for (platform, uid, status) in statuses {
            let Some(guard) = &status.guard else { continue };
            let Some(application) = guard.application.clone() else {
                continue;
            };
            let group = state.groups.of(&application, platform);
            told.push(group);
            let bearers = names.entry((application.clone(), guard.group));
            bearers.or_default().insert(group);
            let Some(own) = state.groups.guard(group) else {
                continue;
            };
            // The unused reservations belong to one record. If the status has a later record, they don't count.
            let left = unused
                .get(uid)
                .filter(|(record, _)| *record == guard.record);
            let left = left.map_or(0, |(_, left)| *left);
            record::load(own, (platform, status, left), now);
            if let Some(bound) = state.unplaced.remove(platform) {
                own.set_bound(platform, bound);
            }
            let present = state.platforms.entry(platform.clone());
            let present = present.or_insert_with(|| application.clone()).clone();
            if present != application {
                elsewhere.push((platform.clone(), application, present));
            }
        }
        if !std::mem::replace(&mut state.loaded, true) {
            told = state.groups.numbers();
        }
        told.sort_unstable();
        told.dedup();
        state.groups.name_all(names);
        for group in told {
            if let Some(guard) = state.groups.guard(group) {
                guard.loaded(now);
            }
            self.check(state, group, now);
        }
        // By now the guards have counted the reservations as sent. So if a Platform has moved to another application,
        // the counts that move with the Platform include the reservations.
        for (platform, before, present) in elsewhere {
            let group = state.groups.of(&present, &platform);
            state.carry(&platform, &before, group);
            self.check(state, group, now);
        }
        // `load` may be called again. Only its first call sets the flag.
        let _ = self.loaded.set(());
        self.due.notify_one();
    }

    /// Releases the hold on `platform` at a person's request, if `id` is the id of the present hold. This method
    /// doesn't wake the task that writes the records: the next record contains the release. Nothing is lost until then,
    /// because the annotation stays, and the task reads it again before each record.
    pub fn release(&self, platform: &ObjectKey, id: &str, now: Timestamp) {
        let mut state = self.lock();
        if let Some(guard) = state.guard_on(platform) {
            guard.release(id, now, fastrand::u32(..));
        }
    }

    /// Finds the holds of other groups that could end because of `platform`. There are two cases:
    /// - The release annotation of `platform` has the id of the hold.
    /// - The hold began because the bound of `platform` was exceeded, and a person has raised this bound.
    ///
    /// Such a hold waits until the credential of `platform` and a credential of the hold's group are proven. Returns
    /// the Platforms whose credentials have yet to be proven.
    pub fn waits_for(&self, platform: &ObjectKey, released: Option<&str>) -> Vec<ObjectKey> {
        let mut state = self.lock();
        let State {
            groups, platforms, ..
        } = &mut *state;
        let Some(application) = platforms.get(platform) else {
            return Vec::new();
        };
        groups.waiting_for(application, platform, released)
    }

    /// Returns what the status of each Platform should contain, and proposes new records where they should be written
    /// at once. `under_way` takes the number of a group, and tells whether a record of that group's guard is being
    /// written. If so, that guard proposes no record.
    pub fn records(
        &self,
        under_way: impl Fn(u64) -> bool,
        now: Timestamp,
    ) -> BTreeMap<ObjectKey, Told> {
        let mut state = self.lock();
        let State {
            groups,
            platforms,
            loaded,
            ..
        } = &mut *state;
        if !*loaded {
            return BTreeMap::new();
        }
        groups.tidy(
            |application, platform| platforms.get(platform) == Some(application),
            now,
        );
        let mut records: HashMap<u64, Record> = HashMap::new();
        let mut all = BTreeMap::new();
        for (platform, application) in &*platforms {
            let group = groups.of(application, platform);
            if under_way(group) {
                all.insert(platform.clone(), Told::UnderWay);
                continue;
            }
            let Some(guard) = groups.guard(group) else {
                continue;
            };
            let record = records
                .entry(group)
                .or_insert_with(|| record::of((application, group), guard, now));
            let record = Box::new(record.on(platform, guard));
            all.insert(platform.clone(), Told::Record(record));
        }
        all
    }

    /// Confirms that `record` is stored in the status of a Platform.
    pub fn recorded(&self, record: &Record) {
        let mut state = self.lock();
        if let Some(guard) = state.groups.guard(record.group) {
            let woken = guard.recorded(record.told());
            // The next record contains the changes made meanwhile.
            self.tell_due(guard);
            self.wake(woken);
        }
    }

    /// Reports that `record` couldn't be written to the status of any Platform.
    pub fn not_recorded(&self, record: &Record) {
        let mut state = self.lock();
        if let Some(guard) = state.groups.guard(record.group) {
            (guard.untold, guard.unrecorded) = (true, true);
        }
    }

    /// Stops the counting, so that no deletion that has to be counted is sent any more. Returns the unused reservations
    /// of the records.
    pub fn close(&self) -> Unused {
        let mut state = self.lock();
        state.closed = true;
        let State { groups, .. } = &*state;
        groups.unused()
    }

    /// Returns the records of all Platforms, as if no record were being written.
    #[cfg(test)]
    pub fn all_records(&self, now: Timestamp) -> HashMap<ObjectKey, Record> {
        let told = self.records(|_| false, now).into_iter();
        let records = told.filter_map(|(key, told)| match told {
            Told::Record(record) => Some((key, *record)),
            Told::UnderWay => None,
        });
        records.collect()
    }
}
