//! Taking permits back: unused ones, and those of a lane that may not call any more.

use super::{Core, LaneId};
use crate::api::names::ObjectKey;

impl Core {
    pub(super) fn take_permit_back(&mut self, uid: &str) -> Option<ObjectKey> {
        let permit = self.permits.remove(uid)?;
        self.budget.give_back();
        self.lease_bounds.give_back();
        if permit.probe
            && let Some(lane) = self.lanes.get_mut(&permit.lane)
        {
            lane.health.probe_returned();
        }
        Some(permit.key)
    }

    pub(super) fn void_permits(&mut self, id: LaneId) {
        self.void_permits_of(|lane| lane == id);
    }

    pub(super) fn void_all_permits(&mut self) {
        self.void_permits_of(|_| true);
    }

    pub(super) fn void_permits_of(&mut self, concerned: impl Fn(LaneId) -> bool) {
        let uids: Vec<_> = self
            .permits
            .iter()
            .filter(|(_, permit)| concerned(permit.lane))
            .map(|(uid, _)| uid.clone())
            .collect();
        for uid in uids {
            let key = self.take_permit_back(&uid);
            self.woken.extend(key);
        }
    }
}
