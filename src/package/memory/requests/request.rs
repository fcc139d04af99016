//! When a deletion was first seen. The status stores that moment, and the grace period runs from it.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use crate::api::version_package::Deletion;
use crate::object::Object;
use crate::object::asking::asking;
use crate::package::decide::Now;

/// A stored time is rounded up, so it may be this far ahead of the clock although no clock was set.
pub(super) const ROUNDED: Duration = Duration::from_secs(1);

/// The moment at which the request for a deletion was first seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeletionRequest {
    /// The moment by the wall clock, rounded up to whole seconds as the API stores it.
    pub at: Timestamp,
    /// The same moment by the steady clock.
    pub since: Instant,
}

impl DeletionRequest {
    /// A request that is first seen at `now`.
    pub fn new(now: Now) -> Self {
        let at = whole(now.wall);
        Self {
            at,
            since: now.tick + between(now.wall, at),
        }
    }

    /// The request that the status of `object` stores, or a new one; `None` if the object asks for no deletion.
    pub fn read(object: &Object, now: Now) -> Option<Self> {
        asking(object, now.wall)?;
        let deletion = object.status.deletion.as_ref();
        let retired = object.is_retired(now.wall);
        let same = deletion.filter(|d| d.is_of(object.deleted_at, retired));
        let same = same.filter(|d| !(retired && may_be_anew(object, d)));
        let stored = same.and_then(|deletion| deletion.requested_at.as_ref());
        Some(stored.map_or_else(|| Self::new(now), |stored| Self::stored(stored.0, now)))
    }

    /// The request, moved to `anew` if `anew` is later.
    #[must_use]
    pub fn not_before(self, anew: Option<Instant>, now: Now) -> Self {
        let Some(anew) = anew.filter(|anew| *anew > self.since) else {
            return self;
        };
        let ahead = anew.saturating_duration_since(now.tick);
        let passed = now.tick.saturating_duration_since(anew);
        let later = now.wall.checked_add(ahead).unwrap_or(now.wall);
        let at = later.checked_sub(passed).unwrap_or(later);
        Self {
            at: whole(at),
            since: anew,
        }
    }

    /// Restores a request from a stored time. A time in the future means that a clock was set or that another node's
    /// clock was ahead; the request then counts as new.
    fn stored(at: Timestamp, now: Now) -> Self {
        let ahead = between(now.wall, at);
        if ahead > ROUNDED {
            return Self::new(now);
        }
        // The steady clock may not reach back that far, for example after a boot. The request then counts as new, too.
        match now.tick.checked_sub(between(at, now.wall)) {
            Some(since) => Self {
                at,
                since: since + ahead,
            },
            None => Self::new(now),
        }
    }
}

/// Whether the retirement in `stored` may have been called off and made again while no process ran. The generation
/// shows an edit of the spec since then; the deletion of the object itself counts as one generation.
fn may_be_anew(object: &Object, stored: &Deletion) -> bool {
    if stored.object_deleted_at.is_some() {
        return false;
    }
    let edits = object
        .status
        .observed_generation
        .map(|of| object.generation - of);
    let by_deletion = i64::from(object.deleted_at.is_some());
    edits.is_none_or(|edits| !(0..=by_deletion).contains(&edits))
}

/// `time` rounded up to whole seconds.
fn whole(time: Timestamp) -> Timestamp {
    let floor = Timestamp::from_second(time.as_second()).unwrap_or(time);
    let up = |floor: Timestamp| floor.checked_add(Duration::from_secs(1)).unwrap_or(floor);
    // Before the epoch, `as_second` cuts towards zero, which already rounds up.
    if floor < time { up(floor) } else { floor }
}

/// The time from `from` to `to`; zero if `to` is earlier.
pub(super) fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or(Duration::ZERO)
}
