//! What is read from the statuses of Platforms at the start, and what is written there from then on.

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::jiff::Timestamp;

use super::groups::Bearers;
use super::record::{self, Record};
use super::unused::Unused;
use super::{Guards, State};
use crate::api::names::ObjectKey;
use crate::api::platform::PlatformStatus;

/// What a Platform should say of its guard.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// This.
    Record(Box<Record>),
    /// What its guard says once the record that is being written stands or has failed.
    UnderWay,
}

impl Guards {
    /// Takes over what the statuses of all Platforms say, each with the name and uid of its Platform and what is `unused`
    /// of its record; from now on deletions are judged.
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
            // Any later record voids it.
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
        // What was reserved counts as sent by now.
        for (platform, before, present) in elsewhere {
            let group = state.groups.of(&present, &platform);
            state.carry(&platform, &before, group);
            self.check(state, group, now);
        }
        // It may be called again.
        let _ = self.loaded.set(());
        self.due.notify_one();
    }

    /// A person releases the hold `id` on `platform`. Another id releases nothing. Whoever writes the records tells of it with
    /// the next one, and is not woken: the annotation stays, and is read again each time.
    pub fn release(&self, platform: &ObjectKey, id: &str, now: Timestamp) {
        let mut state = self.lock();
        if let Some(guard) = state.guard_on(platform) {
            guard.release(id, now, fastrand::u32(..));
        }
    }

    /// Whether a hold waits to know what the credential of `platform` is worth, since a person has released it there by
    /// its id, or has raised the bound there that it began with. Those come back whose credentials decide that, unless
    /// they are known to be accepted.
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

    /// What every Platform should say, those records that should be written at once being proposed anew; nothing of guards
    /// of which a record is `under_way`, by their number.
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

    /// `record` is safe in the status of a Platform.
    pub fn recorded(&self, record: &Record) {
        let mut state = self.lock();
        if let Some(guard) = state.groups.guard(record.group) {
            let woken = guard.recorded(record.told());
            // What came meanwhile is told by the next one.
            self.tell_due(guard);
            self.wake(woken);
        }
    }

    /// `record` could not be written to the status of any Platform.
    pub fn not_recorded(&self, record: &Record) {
        let mut state = self.lock();
        if let Some(guard) = state.groups.guard(record.group) {
            (guard.untold, guard.unrecorded) = (true, true);
        }
    }

    /// From now on nothing is counted, so nothing that has to be is sent; what is left unused of the records.
    pub fn close(&self) -> Unused {
        let mut state = self.lock();
        state.closed = true;
        let State { groups, .. } = &*state;
        groups.unused()
    }

    /// What every Platform should say while nothing is being written.
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
