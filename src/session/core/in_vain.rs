//! Logins that are in vain: a login is a call too, and its token may be over before the quota allows for the next one.
//!
//! Such a login waits until a call can follow. Where none ever can (a quota of one call, and tokens that live no longer
//! than its window), one login an hour is made, and all who wait say `QuotaTooSmall`.

use std::time::Duration;

use tokio::time::Instant;

use super::turn::LaneTurn;
use super::{Core, Lane, LaneId};
use crate::session::budget::Room;

/// Where no call can ever follow, the next login finds out after so long whether tokens live longer by then.
const PACE: Duration = Duration::from_secs(3600);

impl Core {
    /// What is done in place of a login whose token would be over before a call can follow.
    pub(super) fn login_in_vain(&self, lane: &Lane, spare: bool, now: Instant) -> Option<LaneTurn> {
        let (last, _) = lane.tokens.last()?;
        let again = match self.budget.login(lane.tokens.serves()?, spare, now) {
            Some(Room::Now) => return None,
            Some(Room::At(at)) => Some(at),
            Some(Room::AfterAnswer) => None,
            None if last + PACE <= now => return None,
            None => Some(last + PACE),
        };
        Some(LaneTurn::Wait(again))
    }

    /// Whether a renewed token would be due to be renewed before a call can follow, so that the old one serves to its end.
    pub(super) fn renewal_in_vain(&self, lane: &Lane, spare: bool, now: Instant) -> bool {
        let serves = lane.tokens.serves_unrenewed();
        serves.is_some_and(|serves| self.budget.login(serves, spare, now) != Some(Room::Now))
    }

    /// How long a token lives, where each is over before the quota allows for a call with it.
    pub(super) fn only_logins(&self, id: LaneId, now: Instant) -> Option<Duration> {
        let tokens = &self.lanes.get(&id)?.tokens;
        let never = self.budget.login(tokens.serves()?, false, now).is_none();
        tokens.last().filter(|_| never).map(|(_, life)| life)
    }

    /// When the next login goes, where it is only tried.
    pub(super) fn next_login(&self, id: LaneId, now: Instant) -> Option<Instant> {
        self.only_logins(id, now)?;
        let (last, _) = self.lanes.get(&id)?.tokens.last()?;
        Some(last + PACE)
    }
}
