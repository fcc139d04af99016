//! Logins in vain: a login uses a call of the quota too, and its token may expire before the quota allows a call with
//! this token.
//!
//! Such a login waits until a call can follow it. If no call can ever follow (a quota of one call, and tokens that live
//! no longer than its window), the session logs in once an hour, and waiting objects show `QuotaTooSmall`.

use std::time::Duration;

use tokio::time::Instant;

use super::turn::LaneTurn;
use super::{Core, Lane, LaneId};
use crate::session::budget::Room;

/// The interval of logins where no call can follow; each login checks whether tokens live longer by now.
const PACE: Duration = Duration::from_secs(3600);

impl Core {
    /// Returns the wait that replaces a login whose token would expire before a call can follow; `None` if the login
    /// may be made.
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

    /// Whether a renewed token would be due for renewal before a call can follow. In that case the old token is used to
    /// its end.
    pub(super) fn renewal_in_vain(&self, lane: &Lane, spare: bool, now: Instant) -> bool {
        let serves = lane.tokens.serves_unrenewed();
        serves.is_some_and(|serves| self.budget.login(serves, spare, now) != Some(Room::Now))
    }

    /// Returns the lifetime of tokens, if each token expires before the quota allows a call with this token.
    pub(super) fn only_logins(&self, id: LaneId, now: Instant) -> Option<Duration> {
        let tokens = &self.lanes.get(&id)?.tokens;
        let never = self.budget.login(tokens.serves()?, false, now).is_none();
        tokens.last().filter(|_| never).map(|(_, life)| life)
    }

    /// Returns the time at which the next login is made, if no call can follow logins.
    pub(super) fn next_login(&self, id: LaneId, now: Instant) -> Option<Instant> {
        self.only_logins(id, now)?;
        let (last, _) = self.lanes.get(&id)?.tokens.last()?;
        Some(last + PACE)
    }
}
