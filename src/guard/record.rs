//! The record of a guard in the statuses of its Platforms: writing and reading.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::application::{ApplicationGuard, Hold, Passed, Released};
use super::tally::Stretch;
use crate::api::names::{AppId, ObjectKey};
use crate::api::platform::{GuardStatus, HoldStatus, PlatformStatus, ReleasedHold, SentDeletions};

/// The most releases in a status. If a release is forgotten, its objects are held again.
const RELEASES: usize = 64;

/// The record of one guard.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The hold that stands.
    pub hold: Option<HoldStatus>,
    /// The counts, the reservation and the releases.
    pub guard: GuardStatus,
    /// Whether the record should be written at once.
    pub urgent: bool,
    /// If one status is enough for an urgent record: the Platform whose status should contain the record at once.
    /// `None` means that the statuses of all Platforms should contain the record.
    pub only: Option<ObjectKey>,
    /// The number of the record's guard; a guard with another number is another guard, even if it has the same
    /// Platforms.
    pub(super) group: u64,
    told: Vec<Arc<str>>,
}

impl Record {
    /// Whether the status of this Platform should contain the record at once.
    pub fn is_urgent_for(&self, platform: &ObjectKey) -> bool {
        self.urgent && self.only.as_ref().is_none_or(|only| only == platform)
    }

    /// Returns the number of the record's guard.
    pub fn group(&self) -> u64 {
        self.group
    }

    /// Returns the record for the status of this Platform, with only those releases that free objects of this Platform.
    pub(super) fn on(&self, platform: &ObjectKey, guard: &ApplicationGuard) -> Self {
        let mut record = self.clone();
        record.guard.released.retain(|released| {
            let mut known = guard.released.iter();
            known.any(|known| *known.id == *released.id && known.of.contains(platform))
        });
        record
    }

    /// Returns the ids of the releases in the record.
    pub(super) fn told(&self) -> &[Arc<str>] {
        &self.told
    }
}

/// Returns the record of the guard `group`: a new one if one is due, else the last one.
pub(super) fn of(
    (application, group): (&AppId, u64),
    guard: &mut ApplicationGuard,
    now: Timestamp,
) -> Record {
    let urgent = guard.is_due();
    let only = guard.due_only_on();
    if urgent || guard.shown.is_none() {
        guard.tidy(now);
        let (reserved, told) = guard.propose();
        let sent = guard.tally.stretches().map(|stretch| SentDeletions {
            number: stretch.number,
            from: Time(stretch.from),
            until: Time(stretch.until),
            count: number(stretch.count),
        });
        let released = guard.released.iter().rev().take(RELEASES).rev();
        let last = guard.shown.as_ref().map(|(shown, _)| shown);
        // The record that this process has read may keep its number only if the record reserves nothing. If the record
        // reserves deletions, the former leader may have passed on the unused part of this reservation under the
        // record's number.
        let read = guard.read.as_ref().filter(|read| read.reserved == 0);
        let last = last.or(read);
        // The record that was read is continued only if it is the record of this group alone.
        let last = last.filter(|last| guard.name == Some(last.group));
        let mut status = GuardStatus {
            record: last.map_or(0, |last| last.record),
            group: last.map_or(0, |last| last.group),
            application: Some(application.clone()),
            sent: sent.collect(),
            reserved: number(reserved),
            released: released
                .map(|released| ReleasedHold {
                    id: released.id.to_string(),
                    time: seconds(released.time),
                    count: number(released.count),
                })
                .collect(),
        };
        if last != Some(&status) {
            let name = guard.name.filter(|name| *name > 0);
            let name = name.unwrap_or_else(|| guard.numbers.next());
            (status.record, status.group) = (guard.numbers.next(), name);
            guard.name = Some(name);
        }
        guard.shown = Some((status, told));
    }
    let (status, told) = guard.shown.clone().unwrap_or_default();
    let held = guard.held();
    Record {
        hold: guard.hold.as_ref().map(|hold| hold_status(hold, held)),
        guard: status,
        urgent,
        only,
        group,
        told,
    }
}

fn hold_status(hold: &Hold, count: usize) -> HoldStatus {
    let bound = hold.bound.as_ref();
    HoldStatus {
        id: hold.id.to_string(),
        since: seconds(hold.since),
        count: number(count),
        counted: number(count + hold.sent),
        reason: hold.reason.clone(),
        platform: bound.map_or_else(String::new, |passed| passed.platform.to_string()),
        platform_uid: bound.map_or_else(String::new, |passed| passed.uid.clone()),
        bound: bound.map_or(0, |passed| number(passed.told)),
    }
}

/// Loads the status of `platform` into its guard; if several statuses differ, the stricter value applies. `unused` is
/// the number of reserved deletions that were never sent.
pub(super) fn load(
    guard: &mut ApplicationGuard,
    (platform, status, unused): (&ObjectKey, &PlatformStatus, usize),
    now: Timestamp,
) {
    let Some(counted) = &status.guard else { return };
    guard.numbers.pass(counted.record.max(counted.group));
    if guard
        .read
        .as_ref()
        .is_none_or(|read| read.record < counted.record)
    {
        guard.read = Some(counted.clone());
    }
    for sent in &counted.sent {
        guard.tally.merge(Stretch {
            number: sent.number,
            from: sent.from.0,
            until: sent.until.0,
            count: size(sent.count),
        });
    }
    // Reserved deletions that aren't known to be unused count as sent.
    let reserved = size(counted.reserved).saturating_sub(unused);
    let before = guard.reserved_before.entry(counted.group).or_default();
    *before = reserved.max(*before);
    for released in &counted.released {
        let mut known = guard.released.iter_mut();
        if let Some(known) = known.find(|known| *known.id == *released.id) {
            known.of.insert(platform.clone());
        } else {
            guard.released.push(Released {
                id: released.id.as_str().into(),
                time: released.time.0,
                count: size(released.count),
                of: [platform.clone()].into(),
                recorded: true,
            });
        }
    }
    let told = |hold: &&HoldStatus| counted.released.iter().any(|told| told.id == hold.id);
    if let Some(hold) = status.hold.as_ref().filter(|hold| !told(hold)) {
        let later = |known: &Hold| known.since < hold.since.0;
        if guard.hold.as_ref().is_none_or(later) {
            guard.hold = Some(loaded_hold(hold));
        }
    }
    guard.tidy(now);
}

fn loaded_hold(hold: &HoldStatus) -> Hold {
    let platform = hold.platform.split_once('/');
    Hold {
        id: hold.id.as_str().into(),
        since: hold.since.0,
        reason: hold.reason.clone(),
        bound: platform.map(|(namespace, name)| Passed {
            platform: ObjectKey::new(namespace, name),
            uid: hold.platform_uid.clone(),
            most: size(hold.bound),
            told: size(hold.bound),
            unseen: true,
        }),
        sent: size(hold.counted.saturating_sub(hold.count)),
    }
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn size(count: i32) -> usize {
    usize::try_from(count).unwrap_or(0)
}

/// The API keeps times in whole seconds. A finer time would differ from the stored time in every comparison.
fn seconds(time: Timestamp) -> Time {
    Time(Timestamp::from_second(time.as_second()).unwrap_or(time))
}
