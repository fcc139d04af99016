//! What is left of the limit beside others who call for the same application.
//!
//! Nobody tells how much they take, but a refused call does: the limit less our own calls in the
//! window. So the share falls to those calls, and from then on it's felt out: one call more, and
//! where that succeeds two more, four more, and so on. Each try that is refused costs a call, so tries
//! are paid for: one in [`PRICE`] calls may be refused, and whoever is in debt waits longer.
//!
//! Where others were noticed, calls are also spread a little and few are out at one time, so that a
//! wall is met by one call and not by twenty. The figures are tuned in the tests of this room: against
//! neighbours of several kinds, on servers that count in four ways.
//!
//! After a refused call all pause for a tenth of a window, longer where it happens again, and one call goes alone.
//! Calls are spread, and few are out at one time, until twenty windows after the last refusal.

use std::time::Duration;

use tokio::time::Instant;

use crate::session::call_log::Throttle;

/// One call in so many may be refused for finding out whether more fits.
const PRICE: i32 = 25;
/// So many refusals may be saved up, and so many owed.
const SAVED: i32 = 12;
const OWED: i32 = 4;
/// Steps that succeed follow one another after the window by this.
const STEP: u32 = 20;
/// No step is larger than the limit by this.
const LARGEST_STEP: usize = 5;
/// Calls are so far apart that the share would take the window by this.
const SPREAD: u32 = 6;
/// The share is whole again after so many windows without a refused call, whatever was known: who
/// didn't call for that long knows nothing.
const FORGET: u32 = 3;
/// Calls are spread and counted out for so many windows after a refused one.
const CARE: u32 = 20;

/// The part of the limit that others leave.
#[derive(Default)]
pub(super) struct Share {
    lowered: Option<Lowered>,
    /// When it fell last: at the answer to a call that went after the fall before.
    fell: Option<Instant>,
    /// How often it fell since a call was understood that went after a fall.
    falls: u32,
    /// Calls understood, less the price of the refused ones.
    credit: i32,
    /// When the last call went.
    last: Option<Instant>,
    /// How long answers take, the last ones weighing most.
    answers_take: Duration,
}

/// A share below the limit.
struct Lowered {
    /// How many calls of ours fit into a window.
    fits: usize,
    /// By how many it grows next.
    step: usize,
    /// When it may grow next.
    grows: Instant,
    /// The last step, until a call that went since then is understood.
    unproven: Option<Instant>,
}

impl Share {
    /// The share as the process before left it, with steps that begin anew.
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

    /// What the next process has to know, with the end of the `pause` that the last refusal began.
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

    /// How many calls may be in the window, with `used` in it now.
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

    /// When the share may grow, where nothing else is needed for it.
    pub(super) fn grows(&self) -> Option<Instant> {
        let lowered = self.lowered.as_ref()?;
        lowered.unproven.is_none().then_some(lowered.grows)
    }

    /// When the last call went.
    pub(super) fn last(&self) -> Option<Instant> {
        self.last
    }

    /// How many calls may be out at one time: twice as many as the pace needs.
    pub(super) fn most_in_flight(&self, limit: usize, window: Duration, now: Instant) -> usize {
        if !self.fell_within(CARE, window, now) {
            return limit;
        }
        let pace = limit as u128 * self.answers_take.as_nanos() / window.as_nanos().max(1);
        usize::try_from(1 + pace * 2).unwrap_or(limit)
    }

    /// Not before when the next call goes, so that they don't go all at once.
    pub(super) fn spread(&self, limit: usize, window: Duration, now: Instant) -> Option<Instant> {
        let last = self.last.filter(|_| self.fell_within(CARE, window, now))?;
        let fits = self.lowered.as_ref().map_or(limit, |lowered| lowered.fits);
        let fits = fits.max(limit / 10).max(1);
        Some(last + window / SPREAD / u32::try_from(fits).unwrap_or(u32::MAX))
    }

    /// A call goes for which there was room, with `used` in the window before it.
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

    /// A call that went at `started` was understood; with it, `own` that were are in the window.
    pub(super) fn understood(&mut self, started: Instant, own: usize, now: Instant) {
        self.credit = (self.credit + 1).min(PRICE * SAVED);
        self.answers_take = (self.answers_take * 3 + now.saturating_duration_since(started)) / 4;
        let before = self.fell.is_some_and(|fell| started < fell);
        if !before {
            self.falls = 0;
        }
        if let Some(lowered) = &mut self.lowered {
            if before {
                // It was out when the other one was refused, and fitted.
                lowered.fits = lowered.fits.max(own);
            } else if lowered.unproven.is_some_and(|step| step <= started) {
                lowered.unproven = None;
            }
        }
    }

    /// A call that went at `started` was refused, with `own` in the window that were not. Tells for how
    /// long nothing more goes.
    pub(super) fn refused(
        &mut self,
        started: Instant,
        own: usize,
        window: Duration,
        now: Instant,
    ) -> Duration {
        self.credit = (self.credit - PRICE).max(-PRICE * OWED);
        if self.fell.is_some_and(|fell| started < fell) {
            // It was out with the one that told; nothing new.
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
        // Refused again after a pause: what the others take still grows.
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
