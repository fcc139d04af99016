//! The share: the part of the limit that is left beside others who call for the same application.
//!
//! The platform doesn't tell how many calls others make, but a refused call shows how many calls the others leave: as
//! many as our own calls in the window. So the share falls to the number of our own calls, and then grows by steps: one
//! more call and, where that succeeds, two more, four more, and so on. Each refused step costs a call, so steps are
//! paid for by credit: one in [`PRICE`] calls may be refused, and a session in debt waits longer before its next step.
//!
//! After others were noticed, calls are also spread out and few are in flight at a time, so that one call meets the
//! rate limit instead of twenty. The constants are tuned in the tests of this module, against neighbours of several
//! kinds on servers that count in four ways.
//!
//! After a refused call, all calls pause for a tenth of a window (longer after repeated refusals), and then a single
//! call is made, with no other call in flight. Calls are spread out, and few are in flight, until twenty windows after
//! the last refusal.

use std::time::Duration;

use tokio::time::Instant;

use crate::session::call_log::Throttle;

/// The credit that a refusal costs, in understood calls.
const PRICE: i32 = 25;
/// The highest credit that may be saved (`SAVED`) and the highest debt (`OWED`), both as a number of refusals.
const SAVED: i32 = 12;
const OWED: i32 = 4;
/// Successful steps follow each other after the window divided by this number.
const STEP: u32 = 20;
/// The largest step is the limit divided by this number.
const LARGEST_STEP: usize = 5;
/// The distance between calls is the window divided by this number and by the share.
const SPREAD: u32 = 6;
/// The number of windows without a refused call after which the share is the whole limit again. Knowledge of that age
/// is worthless, even if no call was made in that time.
const FORGET: u32 = 3;
/// The number of windows after a refusal in which calls are spread out and few are in flight.
const CARE: u32 = 20;

/// The part of the limit that others leave.
#[derive(Default)]
pub(super) struct Share {
    lowered: Option<Lowered>,
    /// When the share last fell. Only the refusal of a call that was sent after the previous fall makes the share fall.
    fell: Option<Instant>,
    /// The number of falls since the last understood call that was sent after a fall.
    falls: u32,
    /// The number of understood calls, less the price of the refused ones.
    credit: i32,
    /// When the last call was sent.
    last: Option<Instant>,
    /// The average time until an answer, weighted towards the last answers.
    answers_take: Duration,
}

/// A share that is lower than the limit.
struct Lowered {
    /// The number of our calls that fit into a window.
    fits: usize,
    /// The size of the next step, in calls.
    step: usize,
    /// The earliest time of the next step.
    grows: Instant,
    /// The time of the last step, until a call sent since then is understood.
    unproven: Option<Instant>,
}

impl Share {
    /// Creates the share that the former leader recorded; its steps begin at one call again.
    pub(super) fn inherited(throttle: Throttle) -> Self {
        let lowered = throttle.fits.map(|fits| Lowered {
            fits: fits.max(1),
            step: 1,
            grows: throttle.grows,
            unproven: None,
        });
        Self {
            lowered,
            fell: Some(throttle.refused),
            credit: throttle.credit.clamp(-PRICE * OWED, PRICE * SAVED),
            ..Self::default()
        }
    }

    /// Returns what the next leader needs to know, with the end of the `pause` after the last refusal; `None` if no
    /// refusal matters any more.
    pub(super) fn told(
        &self,
        pause: Option<Instant>,
        window: Duration,
        now: Instant,
    ) -> Option<Throttle> {
        let refused = self.fell.filter(|_| self.fell_within(CARE, window, now))?;
        let lowered = self.lowered.as_ref();
        Some(Throttle {
            refused,
            pause,
            fits: lowered.map(|lowered| lowered.fits),
            grows: lowered.map_or(refused, |lowered| lowered.grows),
            credit: self.credit,
        })
    }

    /// Returns how many calls the window may hold, while it holds `used` calls now.
    pub(super) fn fits(&self, used: usize, limit: usize, window: Duration, now: Instant) -> usize {
        match &self.lowered {
            Some(lowered) if self.fell_within(FORGET, window, now) => {
                let grows = lowered.unproven.is_none() && lowered.grows <= now;
                let fits = if grows && lowered.fits <= used {
                    used + lowered.step
                } else {
                    lowered.fits
                };
                fits.min(limit)
            }
            Some(_) | None => limit,
        }
    }

    /// Returns the time at which the share may grow, if growth depends on time alone.
    pub(super) fn grows(&self) -> Option<Instant> {
        let lowered = self.lowered.as_ref()?;
        lowered.unproven.is_none().then_some(lowered.grows)
    }

    /// Returns the time at which the last call was sent.
    pub(super) fn last(&self) -> Option<Instant> {
        self.last
    }

    /// Returns how many calls may be in flight: one more than twice the number that the pace needs.
    pub(super) fn most_in_flight(&self, limit: usize, window: Duration, now: Instant) -> usize {
        if !self.fell_within(CARE, window, now) {
            return limit;
        }
        let pace = limit as u128 * self.answers_take.as_nanos() / window.as_nanos().max(1);
        usize::try_from(1 + pace * 2).unwrap_or(limit)
    }

    /// Returns the earliest time of the next call, so that calls are spread out.
    pub(super) fn spread(&self, limit: usize, window: Duration, now: Instant) -> Option<Instant> {
        let last = self.last.filter(|_| self.fell_within(CARE, window, now))?;
        let fits = self.lowered.as_ref().map_or(limit, |lowered| lowered.fits);
        let fits = fits.max(limit / 10).max(1);
        Some(last + window / SPREAD / u32::try_from(fits).unwrap_or(u32::MAX))
    }

    /// Records that a call is sent, for which there was room. The window held `used` calls before this call.
    pub(super) fn took(&mut self, used: usize, limit: usize, window: Duration, now: Instant) {
        self.last = Some(now);
        if !self.fell_within(FORGET, window, now) {
            self.lowered = None;
        }
        if let Some(lowered) = &mut self.lowered
            && lowered.fits <= used
        {
            lowered.fits = used + lowered.step;
            lowered.step = (lowered.step * 2).min((limit / LARGEST_STEP).max(1));
            lowered.grows = now + window / STEP;
            lowered.unproven = Some(now);
            if lowered.fits >= limit {
                self.lowered = None;
            }
        }
    }

    /// Learns from an understood call sent at `started`; `own` is the number of our calls in the window that weren't
    /// refused, including this call.
    pub(super) fn understood(&mut self, started: Instant, own: usize, now: Instant) {
        self.credit = (self.credit + 1).min(PRICE * SAVED);
        self.answers_take = (self.answers_take * 3 + now.saturating_duration_since(started)) / 4;
        let before = self.fell.is_some_and(|fell| started < fell);
        if !before {
            self.falls = 0;
        }
        if let Some(lowered) = &mut self.lowered {
            if before {
                // This call was in flight when another call was refused. The platform accepted this call, so at least
                // `own` calls fit.
                lowered.fits = lowered.fits.max(own);
            } else if lowered.unproven.is_some_and(|step| step <= started) {
                lowered.unproven = None;
            }
        }
    }

    /// Learns from a refused call sent at `started`; `own` is the number of our calls in the window that weren't
    /// refused. Returns the length of the pause.
    pub(super) fn refused(
        &mut self,
        started: Instant,
        own: usize,
        window: Duration,
        now: Instant,
    ) -> Duration {
        self.credit = (self.credit - PRICE).max(-PRICE * OWED);
        if self.fell.is_some_and(|fell| started < fell) {
            // This call was in flight together with the refused call that lowered the share, so its refusal adds no
            // information.
            return Duration::ZERO;
        }
        let soonest = window * 2 / 5;
        let debt = self.credit.min(0).unsigned_abs();
        let wait = soonest + soonest * debt / (PRICE * OWED).unsigned_abs();
        self.fell = Some(now);
        self.lowered = Some(Lowered {
            fits: own.max(1),
            step: 1,
            grows: now + wait,
            unproven: None,
        });
        // A further refusal after a pause means that the calls of others still grow.
        let pause = window / 10 * (1 << self.falls.min(3));
        self.falls += 1;
        if own == 0 {
            window / 2
        } else {
            pause.min(window / 2)
        }
    }

    fn fell_within(&self, windows: u32, window: Duration, now: Instant) -> bool {
        self.fell.is_some_and(|fell| now < fell + window * windows)
    }
}
