//! The call budget: a log of answer times, which ensures that no window holds more calls than the limit.
//!
//! A call counts from the grant of its permit until one window after its answer. The platform counts the call at its
//! arrival, which lies between these two times. So the platform never counts more calls than the limit, however the
//! delays vary and whichever kind of window the platform uses.

#![deny(clippy::wildcard_enum_match_arm)]

mod share;

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use self::share::Share;
use super::call_log::{MOST_IN_FLIGHT, Past};

/// Whether there is room for one more call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// There is room now.
    Now,
    /// There is no room before this instant, if nothing else changes.
    At(Instant),
    /// There is no room before a call in flight has ended.
    AfterAnswer,
}

/// Inserts the answer time `stamp` into the ordered log `answers`. The log keeps all answers of the window, and as many
/// older ones as the limit allows. Returns the latest answer that was dropped.
pub(super) fn log(
    answers: &mut VecDeque<Instant>,
    stamp: Instant,
    (limit, window): (usize, Duration),
    now: Instant,
) -> Option<Instant> {
    let index = answers.partition_point(|other| *other <= stamp);
    answers.insert(index, stamp);
    let mut dropped = None;
    while answers.len() > limit
        && answers
            .front()
            .is_some_and(|oldest| *oldest + window <= now)
    {
        dropped = answers.pop_front();
    }
    dropped
}

/// Returns the answer that has to be one window old before the next call is made, if `free` calls fit into the window
/// beside the calls in flight.
pub(super) fn blocking(answers: &VecDeque<Instant>, free: usize) -> Option<Instant> {
    let index = answers.len().checked_sub(free)?;
    answers.get(index).copied()
}

/// The call budget of one application.
pub(super) struct Budget {
    limit: usize,
    window: Duration,
    /// The times at which calls were answered or given up, in order; at least the last `limit` of them.
    answers: VecDeque<Instant>,
    /// Calls up to this time aren't in the log. Together they count as a whole limit until this time is one window old.
    forgotten: Instant,
    /// The times of the answers in the window that refused a call because of the rate limit, in order.
    refusals: VecDeque<Instant>,
    /// The part of the limit that others leave.
    share: Share,
    in_flight: usize,
    /// The end of the pause after a throttle answer; kept until a call after the pause was understood.
    pause: Option<Instant>,
}

impl Budget {
    /// Creates a budget of `limit` calls in each `window`; the window up to `assumed_used_at` counts as fully used.
    pub(super) fn new(limit: usize, window: Duration, assumed_used_at: Instant) -> Self {
        Self {
            limit,
            window,
            answers: VecDeque::new(),
            forgotten: assumed_used_at,
            refusals: VecDeque::new(),
            share: Share::default(),
            in_flight: 0,
            pause: None,
        }
    }

    /// Changes the bounds; answers that the log has dropped count as a whole limit until they are a window old.
    pub(super) fn resize(&mut self, limit: usize, window: Duration) {
        self.limit = limit;
        self.window = window;
    }

    /// Returns whether there is room for one more call.
    pub(super) fn room(&self, now: Instant) -> Room {
        self.room_within(self.fits(now), now)
    }

    /// Returns whether there is room for a spare call, which leaves half of the window to objects that may come.
    pub(super) fn spare_room(&self, now: Instant) -> Room {
        self.room_within(self.fits(now).div_ceil(2), now)
    }

    fn room_within(&self, fits: usize, now: Instant) -> Room {
        if let Some(until) = self.pause {
            if now < until {
                return Room::At(until);
            }
            if self.in_flight > 0 {
                return Room::AfterAnswer;
            }
        }
        let most = self.share.most_in_flight(self.limit, self.window, now);
        if self.in_flight >= fits.min(most).min(MOST_IN_FLIGHT) {
            return Room::AfterAnswer;
        }
        // The call is made once fewer than `free` answers are younger than the window.
        let free = fits - self.in_flight;
        let blocking = blocking(&self.answers, free);
        let at = blocking.map_or(self.forgotten, |stamp| self.forgotten.max(stamp)) + self.window;
        let grows = self.share.grows().filter(|grows| *grows > now);
        let at = grows.filter(|_| at > now).map_or(at, |grows| at.min(grows));
        let spread = self.share.spread(self.limit, self.window, now);
        let at = spread.map_or(at, |spread| at.max(spread));
        if at <= now { Room::Now } else { Room::At(at) }
    }

    /// Returns the time at which a login makes sense, given that there is room for the login now. A login makes sense
    /// if a call can follow while its token is usable; a token is usable for the time `serves`. `None` if no call can
    /// ever follow, because the login takes the only call of each window. `spare` halves the budget as in
    /// [`Self::spare_room`].
    pub(super) fn login(&self, serves: Duration, spare: bool, now: Instant) -> Option<Room> {
        let part = |calls: usize| if spare { calls.div_ceil(2) } else { calls };
        let (limit, fits) = (part(self.limit), part(self.fits(now)));
        // The next call can be made one window after the login at the latest, so a token that lives that long is never
        // in vain. If only a lowered share leaves no room for a call after the login, the login is made too, because
        // the share may grow again.
        if self.window <= serves || (fits < 2 && limit >= 2) {
            return Some(Room::Now);
        }
        if limit < 2 {
            return None;
        }
        let Some(free) = fits
            .checked_sub(self.in_flight + 1)
            .filter(|free| *free > 0)
        else {
            return Some(Room::AfterAnswer);
        };
        let next = blocking(&self.answers, free).map(|stamp| stamp + self.window);
        Some(match next {
            // The login is made so late that the token isn't due for renewal when the call is made.
            Some(next) if next > now + serves => Room::At(next - serves / 2),
            Some(_) | None => Room::Now,
        })
    }

    /// Takes a slot for one call, if there is room. Returns whether there was room.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let free = self.room(now) == Room::Now;
        if free {
            let used = self.used(now);
            self.share.took(used, self.limit, self.window, now);
            self.in_flight += 1;
        }
        free
    }

    /// Gives back the slot of a call that was not made.
    pub(super) fn give_back(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Ends a call, which counts for one window after `stamp`: the time of its answer or, for a lost call, the end of
    /// its time-out.
    pub(super) fn ended(&mut self, stamp: Instant, now: Instant) {
        self.give_back();
        let bounds = (self.limit, self.window);
        if let Some(dropped) = log(&mut self.answers, stamp, bounds, now) {
            self.forgotten = self.forgotten.max(dropped);
        }
    }

    /// Ends a call that was sent at `started` and refused by the rate limit. The share falls to the number of calls
    /// that the others leave, and no call is made for a tenth of a window (half a window if the window holds no call of
    /// ours). After that, a single call is made, with no other call in flight.
    pub(super) fn refused(&mut self, started: Instant, now: Instant) {
        let own = self.fitting(now);
        let pause = self.share.refused(started, own, self.window, now);
        let until = now + pause;
        self.pause = Some(self.pause.map_or(until, |earlier| earlier.max(until)));
        while self
            .refusals
            .front()
            .is_some_and(|stamp| *stamp + self.window <= now)
        {
            self.refusals.pop_front();
        }
        self.refusals.push_back(now);
        self.ended(now, now);
    }

    /// Learns from an understood answer to a call that was sent at `started`. If that call was sent after the end of a
    /// pause, the other calls may be made again.
    pub(super) fn understood(&mut self, started: Instant, now: Instant) {
        if self.pause.is_some_and(|until| until <= started) {
            self.pause = None;
        }
        let own = self.fitting(now);
        self.share.understood(started, own, now);
    }

    /// Returns the end of the pause, in the past or the future; `None` once a call after the pause was understood.
    pub(super) fn paused_until(&self) -> Option<Instant> {
        self.pause
    }

    /// Returns the time until which a refusal delays the next call, or delayed the call in flight. This time is the end
    /// of the pause, or later if there is no room at the end of the pause. `None` once calls can be made.
    pub(super) fn throttled_until(&self, now: Instant) -> Option<Instant> {
        let pause = self.pause?;
        match self.room(now.max(pause)) {
            Room::Now if pause <= now => None,
            Room::At(at) => Some(at),
            Room::Now | Room::AfterAnswer => {
                Some(self.share.last().map_or(pause, |last| last.max(pause)))
            }
        }
    }

    /// Returns how many calls one window may hold now: the limit, less the calls that others seem to make.
    pub(super) fn fits(&self, now: Instant) -> usize {
        self.share
            .fits(self.used(now), self.limit, self.window, now)
    }

    /// Returns how many calls one window may hold at most.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Returns how long a call counts after its answer.
    pub(super) fn window(&self) -> Duration {
        self.window
    }

    /// Returns the number of calls in flight and unused permits.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Returns the number of calls that count now, with calls in flight.
    pub(super) fn used(&self, now: Instant) -> usize {
        let counted = self.in_flight + self.answers.len() - self.older(now);
        if self.forgotten + self.window > now {
            counted.max(self.limit)
        } else {
            counted
        }
    }

    /// Whether more calls count than the limit allows while some of them are in flight, for example after a change of
    /// the bounds.
    pub(super) fn overdrawn(&self, now: Instant) -> bool {
        self.in_flight > 0 && self.used(now) > self.limit
    }

    /// Returns the estimated time until the call at `position` (1 is the next call) may be made, if answers come fast.
    pub(super) fn estimate(&self, position: usize, now: Instant) -> Duration {
        let used = self.used(now);
        let fits = self.fits(now);
        let ahead = fits.saturating_sub(used);
        let throttled = self.throttled_until(now);
        let start = throttled.map_or(now, |until| until.max(now));
        // After a throttle, the first call is made with no other call in flight, to test the rate limit.
        if throttled.is_some() && position == 1 {
            return start.saturating_duration_since(now);
        }
        let turn = if position <= ahead {
            now
        } else {
            let turn = position - ahead - 1;
            let (rounds, index) = (turn / fits.max(1), turn % fits.max(1));
            let over = used.saturating_sub(fits);
            let logged = self.answers.get(self.older(now) + over + index).copied();
            let stamp = if self.forgotten + self.window > now {
                self.forgotten
            } else {
                logged.unwrap_or(now)
            };
            let rounds = u32::try_from(rounds).unwrap_or(u32::MAX);
            stamp + self.window + self.window.saturating_mul(rounds)
        };
        turn.max(start).saturating_duration_since(now)
    }

    /// Replaces the assumed past by the known past of the former leader. The session has sent nothing since.
    pub(super) fn inherit(&mut self, past: Past) {
        self.forgotten = past.forgotten;
        self.answers = past.stamps.into();
        self.pause = past.throttle.and_then(|throttle| throttle.pause);
        self.share = past.throttle.map(Share::inherited).unwrap_or_default();
    }

    /// Returns what is known about the ended calls.
    pub(super) fn past(&self, now: Instant) -> Past {
        Past {
            window: self.window,
            forgotten: self.forgotten,
            stamps: self.answers.iter().copied().collect(),
            throttle: self.share.told(self.pause, self.window, now),
        }
    }

    /// Returns how many more calls fit into the window now, without regard to the pause and the bound on calls in
    /// flight.
    pub(super) fn free(&self, now: Instant) -> usize {
        self.fits(now).saturating_sub(self.used(now))
    }

    /// Returns an upper bound of the calls that could begin from `now` until `until`.
    pub(super) fn room_until(&self, until: Instant, now: Instant) -> usize {
        let span = until.saturating_duration_since(now).as_nanos();
        let rounds = span.checked_div(self.window.as_nanos()).unwrap_or(0);
        if rounds > 0 {
            let rounds = usize::try_from(rounds).unwrap_or(usize::MAX);
            return self.limit.saturating_mul(rounds.saturating_add(1));
        }
        let paused = self.pause.is_some_and(|end| end > until);
        if paused || self.forgotten + self.window > until {
            return 0;
        }
        let counting = self.in_flight + self.answers.len() - self.older(until);
        self.limit.saturating_sub(counting)
    }

    /// Returns the time at which the last logged call leaves the window.
    pub(super) fn spent_until(&self) -> Instant {
        let last = self.answers.back().copied();
        last.map_or(self.forgotten, |stamp| stamp.max(self.forgotten)) + self.window
    }

    /// Returns the number of answers in the window that weren't refusals by the rate limit.
    fn fitting(&self, now: Instant) -> usize {
        let refused = self.refusals.iter().rev();
        let refused = refused.take_while(|stamp| **stamp + self.window > now);
        let young = self.answers.len() - self.older(now);
        young.saturating_sub(refused.count())
    }

    /// Returns the number of logged answers that are at least a window old.
    fn older(&self, now: Instant) -> usize {
        self.answers
            .partition_point(|stamp| *stamp + self.window <= now)
    }
}

#[cfg(test)]
mod tests;
