//! How many calls may go: a log of answer times, kept so that no window can hold more than the limit.
//!
//! A call counts from the moment its permit is given until a window after its answer. The platform
//! counts it when it arrives, which is between the two; so whatever the jitter, and whichever kind of
//! window the platform keeps, it never counts more than the limit.

#![deny(clippy::wildcard_enum_match_arm)]

mod share;

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use self::share::Share;
use super::call_log::{MOST_IN_FLIGHT, Past};

/// Whether one more call may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// Now.
    Now,
    /// Not before this instant, if nothing else happens.
    At(Instant),
    /// Not before one that is out comes back.
    AfterAnswer,
}

/// Adds an answer to a log of them, which is in order. The log keeps all of the window, and of older ones so many that the
/// bounds are full; the latest of those that it drops comes back.
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

/// The answer of a log that has to be a window old before the next call goes, where `free` calls fit into a window beside
/// those that are out.
pub(super) fn blocking(answers: &VecDeque<Instant>, free: usize) -> Option<Instant> {
    let index = answers.len().checked_sub(free)?;
    answers.get(index).copied()
}

/// The call budget of one application.
pub(super) struct Budget {
    limit: usize,
    window: Duration,
    /// When calls were answered, or are given up; in order. At least the last `limit` of them.
    answers: VecDeque<Instant>,
    /// What was up to here is not in the log, and counts as a whole limit until it's a window old.
    forgotten: Instant,
    /// Those of the answers in the window that were refusals for too many calls; in order.
    refusals: VecDeque<Instant>,
    /// What others leave of the limit.
    share: Share,
    in_flight: usize,
    /// The end of the pause after a throttle answer; kept until a call after it was understood.
    pause: Option<Instant>,
}

impl Budget {
    /// `limit` calls in each `window`, of which the one up to `assumed_used_at` counts as used.
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

    /// Changes the bounds; what the log has lost since then counts as used.
    pub(super) fn resize(&mut self, limit: usize, window: Duration) {
        self.limit = limit;
        self.window = window;
    }

    /// Whether one more call may go.
    pub(super) fn room(&self, now: Instant) -> Room {
        self.room_within(self.fits(now), now)
    }

    /// Whether a call may go that nobody waits for: it leaves half of the window to those who may come.
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
        // The call goes once fewer than this many answers are younger than the window.
        let free = fits - self.in_flight;
        let blocking = blocking(&self.answers, free);
        let at = blocking.map_or(self.forgotten, |stamp| self.forgotten.max(stamp)) + self.window;
        let grows = self.share.grows().filter(|grows| *grows > now);
        let at = grows.filter(|_| at > now).map_or(at, |grows| at.min(grows));
        let spread = self.share.spread(self.limit, self.window, now);
        let at = spread.map_or(at, |spread| at.max(spread));
        if at <= now { Room::Now } else { Room::At(at) }
    }

    /// When a login makes sense, for which there is room now: where a call can follow while its token serves, which is for
    /// `serves`. `None` where none ever can: the login takes the only call of each window. `spare` as in [`Self::spare_room`].
    pub(super) fn login(&self, serves: Duration, spare: bool, now: Instant) -> Option<Room> {
        let part = |calls: usize| if spare { calls.div_ceil(2) } else { calls };
        let (limit, fits) = (part(self.limit), part(self.fits(now)));
        // Whatever else goes, the next call goes a window after the login. What others take, they may leave again.
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
            // So late that the token isn't due to be renewed by then.
            Some(next) if next > now + serves => Room::At(next - serves / 2),
            Some(_) | None => Room::Now,
        })
    }

    /// Takes a slot for one call, where there is room.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let free = self.room(now) == Room::Now;
        if free {
            let used = self.used(now);
            self.share.took(used, self.limit, self.window, now);
            self.in_flight += 1;
        }
        free
    }

    /// Gives the slot of a call back that was not made.
    pub(super) fn give_back(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// A call ended. It counts from `stamp`: its answer, or for a lost one the end of its time-out.
    pub(super) fn ended(&mut self, stamp: Instant, now: Instant) {
        self.give_back();
        let bounds = (self.limit, self.window);
        if let Some(dropped) = log(&mut self.answers, stamp, bounds, now) {
            self.forgotten = self.forgotten.max(dropped);
        }
    }

    /// A call that went at `started` was refused for too many. The share falls to what others leave,
    /// and nothing goes for a tenth of a window (half of one with no call of ours in it), then one
    /// call alone.
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

    /// A call that went at `started` was understood and has ended; after a pause the others may go
    /// again.
    pub(super) fn understood(&mut self, started: Instant, now: Instant) {
        if self.pause.is_some_and(|until| until <= started) {
            self.pause = None;
        }
        let own = self.fitting(now);
        self.share.understood(started, own, now);
    }

    /// When the pause ends or ended, as long as no call after it was understood.
    pub(super) fn paused_until(&self) -> Option<Instant> {
        self.pause
    }

    /// Until when a refusal keeps the next call from going, or kept the one that is out: the end of the pause, or later
    /// where there is no room by then. `None` once calls can go.
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

    /// How many calls one window may hold now: the limit, less what others seem to take.
    pub(super) fn fits(&self, now: Instant) -> usize {
        self.share
            .fits(self.used(now), self.limit, self.window, now)
    }

    /// How many calls one window may hold at most.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// How long a call counts after its answer.
    pub(super) fn window(&self) -> Duration {
        self.window
    }

    /// Calls and permits that are out.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Calls that count now, those that are out included.
    pub(super) fn used(&self, now: Instant) -> usize {
        let counted = self.in_flight + self.answers.len() - self.older(now);
        if self.forgotten + self.window > now {
            counted.max(self.limit)
        } else {
            counted
        }
    }

    /// Whether more is out than the bounds allow, as after a change of them.
    pub(super) fn overdrawn(&self, now: Instant) -> bool {
        self.in_flight > 0 && self.used(now) > self.limit
    }

    /// About how long until the call at `position` (1 is the next) may go, answers being quick.
    pub(super) fn estimate(&self, position: usize, now: Instant) -> Duration {
        let used = self.used(now);
        let fits = self.fits(now);
        let ahead = fits.saturating_sub(used);
        let throttled = self.throttled_until(now);
        let start = throttled.map_or(now, |until| until.max(now));
        // The first one goes alone then, to try whether there is more than is known of.
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

    /// Takes over what is known of the time before, in place of a past that counts as used. Nothing has
    /// been sent since.
    pub(super) fn inherit(&mut self, past: Past) {
        self.forgotten = past.forgotten;
        self.answers = past.stamps.into();
        self.pause = past.throttle.and_then(|throttle| throttle.pause);
        self.share = past.throttle.map(Share::inherited).unwrap_or_default();
    }

    /// What is known of the calls that have ended.
    pub(super) fn past(&self, now: Instant) -> Past {
        Past {
            window: self.window,
            forgotten: self.forgotten,
            stamps: self.answers.iter().copied().collect(),
            throttle: self.share.told(self.pause, self.window, now),
        }
    }

    /// How many more calls fit into the window now, the pause and the number that may be out aside.
    pub(super) fn free(&self, now: Instant) -> usize {
        self.fits(now).saturating_sub(self.used(now))
    }

    /// How many calls could begin from `now` until `until` at most.
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

    /// When the last call of the log has left the window.
    pub(super) fn spent_until(&self) -> Instant {
        let last = self.answers.back().copied();
        last.map_or(self.forgotten, |stamp| stamp.max(self.forgotten)) + self.window
    }

    /// How many answers in the window were none that refused a call for too many.
    fn fitting(&self, now: Instant) -> usize {
        let refused = self.refusals.iter().rev();
        let refused = refused.take_while(|stamp| **stamp + self.window > now);
        let young = self.answers.len() - self.older(now);
        young.saturating_sub(refused.count())
    }

    /// How many answers of the log are a window old or older.
    fn older(&self, now: Instant) -> usize {
        self.answers
            .partition_point(|stamp| *stamp + self.window <= now)
    }
}

#[cfg(test)]
mod tests;
