//! The shared turn of several objects that name one package.

use tokio::time::Instant;

use super::{Core, LaneId};
use crate::api::names::ObjectKey;
use crate::session::packages::{Follower, Left, TurnPlace};
use crate::session::{PackageKey, Standing, Ticket};

impl Core {
    /// See [`super::super::Session::request`].
    pub(in crate::session) fn request_turn(
        &mut self,
        id: LaneId,
        mut ticket: Ticket,
        package: &PackageKey,
        now: Instant,
    ) -> Standing {
        let Some(lane) = self.lanes.get_mut(&id) else {
            return Standing::Absent;
        };
        match lane.packages.join(package, &ticket) {
            TurnPlace::Holder(priority) => {
                ticket.priority = priority;
                self.request(id, &ticket, now)
            }
            TurnPlace::Behind {
                ahead,
                holder,
                priority,
            } => {
                lane.queue.prioritise(&holder, priority);
                Standing::Behind { ahead }
            }
        }
    }

    /// See [`super::super::Session::standing`].
    pub(in crate::session) fn stands(
        &self,
        id: LaneId,
        uid: &str,
        package: &PackageKey,
        now: Instant,
    ) -> Standing {
        let lane = self.lanes.get(&id);
        match lane.and_then(|lane| lane.packages.ahead(package, uid)) {
            Some(ahead) => Standing::Behind {
                ahead: ahead.clone(),
            },
            None => self.standing(id, uid, now),
        }
    }

    /// See [`super::super::Session::behind`].
    pub(in crate::session) fn behind(
        &self,
        id: LaneId,
        uid: &str,
        package: &PackageKey,
    ) -> Vec<String> {
        let lane = self.lanes.get(&id);
        lane.map_or_else(Vec::new, |lane| lane.packages.behind(package, uid))
    }

    /// See [`super::super::Session::serve`].
    pub(in crate::session) fn serve(
        &mut self,
        id: LaneId,
        uid: &str,
        package: &PackageKey,
    ) -> Vec<Follower> {
        let lane = self.lanes.get_mut(&id);
        lane.map_or_else(Vec::new, |lane| lane.packages.serve(package, uid))
    }

    /// See [`super::super::Session::withdraw`].
    pub(in crate::session) fn leave(
        &mut self,
        id: LaneId,
        uid: &str,
        package: &PackageKey,
    ) -> Vec<ObjectKey> {
        self.withdraw(id, uid);
        let Some(lane) = self.lanes.get_mut(&id) else {
            return Vec::new();
        };
        let Left { followers, holder } = lane.packages.leave(package, uid);
        if let Some((holder, priority)) = holder {
            lane.queue.prioritise(&holder, priority);
        }
        followers
    }
}
