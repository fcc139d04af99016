//! The guard's records in the statuses of Platforms: reading them at the start, and the records to write from then on.

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::jiff::Timestamp;

use super::groups::Bearers;
use super::record::{self, Record};
use super::unused::Unused;
use super::{Guards, State};
use crate::api::names::ObjectKey;
use crate::api::platform::PlatformStatus;

/// The record of the guard that the status of a Platform should contain.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// The status should contain this record.
    Record(Box<Record>),
    /// The record isn't known before the write in flight for its guard has succeeded or failed.
    UnderWay,
}

impl Guards {
    /// Loads the records from the statuses of all Platforms, each with the name and the uid of its Platform, and with
    /// the `unused` reservations of the former leader. From now on deletions are judged.
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
            // A later record voids the unused reservations of this one.
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
        // The reservations count as sent by now.
        for (platform, before, present) in elsewhere {
            let group = state.groups.of(&present, &platform);
            state.carry(&platform, &before, group);
            self.check(state, group, now);
        }
        // This may be called again; only the first call sets the flag.
        let _ = self.loaded.set(());
        self.due.notify_one();
    }

    /// Releases the hold on `platform` at a person's request, if `id` is the id of the present hold. The writer of the
    /// records isn't woken: the next record contains the release, and the annotation stays and is read again each time.
    pub fn release(&self, platform: &ObjectKey, id: &str, now: Timestamp) {
        let mut state = self.lock();
        if let Some(guard) = state.guard_on(platform) {
            guard.release(id, now, fastrand::u32(..));
        }
    }

    /// Finds the holds of other groups that could end because of `platform`: a person has released the hold on
    /// `platform` by its id, or has raised there the bound that the hold began with. Such a hold waits
    /// until the credentials of both groups are proven. Returns the Platforms whose credentials have yet to be proven.
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
    /// at once. A guard whose number is `under_way` has a record in flight and proposes none.
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

    /// Returns the records of all Platforms while no record is in flight.
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
