//! The circuit breaker of a lane: it stops calls while the platform fails, and lets single probes through.
//!
//! After five failed calls in a row the breaker opens and lets one probe through per step of a growing backoff, so a
//! thousand stalled objects never use up the quota. The object of a probe is drawn by lot from the objects whose call
//! hasn't failed, if there are any. The object that failed last is never drawn while another object waits. Deletions
//! and retirements alternate.
//!
//! Answers that prove nothing (a proxy's 405 or HTML page) count by object. After such answers to twenty different
//! objects in a row, the breaker opens in the same way, with at least two probes a window. While the breaker is open
//! for this reason, no login, list or look-up alone closes it: a look-up and its DELETE are one probe of two calls. An
//! answer with a code of the platform concerns only its object. So a group of objects that always fail can't hide that
//! the platform answers again.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::HashSet;
use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;

use super::SessionState;
use crate::backoff::Backoff;

/// The number of calls in a row without an understood answer at which the breaker opens.
const FAILURES: u32 = 5;
/// The number of different objects in a row whose answers prove nothing at which the breaker opens.
const ODD: usize = 20;
const PAUSES: Backoff = Backoff {
    first: Duration::from_secs(5),
    longest: Duration::from_secs(600),
};
/// The time within which the second call of a probe may follow the first before another probe is made.
const GOES_ON: Duration = Duration::from_secs(1);

/// Whether the breaker lets a call through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// Any call may be made.
    Open,
    /// One call may be made as a probe, with no other call of the lane in flight.
    Probe,
    /// No call may be made before this instant.
    At(Instant),
    /// No call may be made before the probe in flight has ended.
    Answer,
}

/// The reason why the breaker is open, with the state of its probes.
struct Ailment {
    /// The state that waiting objects show.
    state: SessionState,
    /// Whether a successful login closes the breaker.
    healed_by_login: bool,
    steps: u32,
    next: Instant,
    /// The time of the last failed call that counted.
    told: Instant,
    probing: bool,
    /// The uid of the object whose probe takes one more call, because the first call of the probe settled nothing.
    begun_by: Option<String>,
}

/// The circuit breaker of one lane.
pub(super) struct Breaker {
    failures: u32,
    /// The uids of the objects whose answers proved nothing, since the last answer that proved something.
    odd: HashSet<String>,
    ailment: Option<Ailment>,
    chance: Rng,
}

impl Breaker {
    /// Creates a closed breaker. `chance` gives the jitter.
    pub(super) fn new(chance: Rng) -> Self {
        Self {
            failures: 0,
            odd: HashSet::new(),
            ailment: None,
            chance,
        }
    }

    /// Returns whether a call may be made.
    pub(super) fn gate(&self, now: Instant) -> Gate {
        match &self.ailment {
            None => Gate::Open,
            Some(ailment) if ailment.probing => Gate::Answer,
            Some(ailment) if now < ailment.next => Gate::At(ailment.next),
            Some(_) => Gate::Probe,
        }
    }

    /// Returns the state that waiting objects show while the breaker is open.
    pub(super) fn ailment(&self) -> Option<&SessionState> {
        self.ailment.as_ref().map(|ailment| &ailment.state)
    }

    /// Returns the time at which the next probe is made; `None` if the breaker is closed.
    pub(super) fn next_probe(&self) -> Option<Instant> {
        self.ailment.as_ref().map(|ailment| ailment.next)
    }

    /// Returns how many probes have failed since the breaker opened.
    pub(super) fn tries(&self) -> u32 {
        self.ailment.as_ref().map_or(0, |ailment| ailment.steps)
    }

    /// Records that the probe is in flight.
    pub(super) fn probe_begun(&mut self) {
        if let Some(ailment) = &mut self.ailment {
            ailment.probing = true;
            ailment.begun_by = None;
        }
    }

    /// Returns the object whose probe continues with the next call.
    pub(super) fn begun_by(&self) -> Option<&str> {
        self.ailment.as_ref()?.begun_by.as_deref()
    }

    /// Allows the next call at once, if it continues the probe of `uid`.
    pub(super) fn goes_on(&mut self, uid: &str, now: Instant) {
        if let Some(ailment) = &mut self.ailment
            && ailment.begun_by.as_deref() == Some(uid)
        {
            ailment.next = now;
        }
    }

    /// Handles an answer to a call of `uid` that proves nothing yet; the proof comes with the object's next call.
    /// `heals` tells whether the answer closes a breaker that is open for another reason than answers that prove
    /// nothing.
    pub(super) fn half_told(&mut self, uid: &str, heals: bool, probe: bool, now: Instant) {
        match &mut self.ailment {
            Some(ailment) if probe && (!heals || is_odd(&ailment.state)) => {
                ailment.probing = false;
                ailment.next = now + GOES_ON;
                ailment.begun_by = Some(uid.to_owned());
            }
            Some(ailment) if is_odd(&ailment.state) => {}
            Some(_) | None if heals => self.understood(),
            Some(_) | None => {}
        }
    }

    /// Handles an answer to a call of `uid` that proves nothing; the breaker opens after enough different objects in a
    /// row. Returns whether it opens now.
    pub(super) fn odd(
        &mut self,
        uid: &str,
        state: SessionState,
        probe: bool,
        window: Duration,
        now: Instant,
    ) -> bool {
        if self.odd.len() < ODD {
            self.odd.insert(uid.to_owned());
        }
        self.failures = 0;
        if self.odd.len() >= ODD || self.ailment.is_some() {
            self.ails(state, false, probe, window, now)
        } else {
            false
        }
    }

    /// Handles an answer with a code of the platform that concerns one object alone.
    pub(super) fn coded(&mut self, probe: bool, window: Duration, now: Instant) {
        match self.ailment.as_ref().map(|ailment| ailment.state.clone()) {
            Some(state) if is_odd(&state) => {
                self.ails(state, false, probe, window, now);
            }
            Some(_) | None => self.understood(),
        }
    }

    /// Handles a call that succeeded: it closes the breaker.
    pub(super) fn proved(&mut self) {
        self.odd.clear();
        self.understood();
    }

    /// Records that the probe ended without information; another probe may be made.
    pub(super) fn probe_returned(&mut self) {
        if let Some(ailment) = &mut self.ailment {
            ailment.probing = false;
        }
    }

    /// Handles a call that failed without an understood answer; the breaker opens after enough such calls in a row.
    /// Returns whether it opens now.
    pub(super) fn failed(
        &mut self,
        state: SessionState,
        probe: bool,
        window: Duration,
        now: Instant,
    ) -> bool {
        self.failures += 1;
        if self.failures >= FAILURES || self.ailment.is_some() {
            self.ails(state, true, probe, window, now)
        } else {
            false
        }
    }

    /// Opens the breaker for a failure that concerns every call. A failed probe lengthens the backoff; failures of
    /// other calls in flight add nothing. Returns whether the breaker opens now.
    pub(super) fn ails(
        &mut self,
        state: SessionState,
        healed_by_login: bool,
        probe: bool,
        window: Duration,
        now: Instant,
    ) -> bool {
        let steps = match &self.ailment {
            None => 0,
            Some(ailment) if probe => ailment.steps + 1,
            Some(_) => return false,
        };
        let begins = self.ailment.is_none();
        // Answers that prove nothing may stop at any time, and a new object may get another answer. So there are at
        // least two probes a window. With two calls each, the probes use less than a twentieth of the quota.
        let odd = is_odd(&state);
        let longest = if odd { window / 2 } else { PAUSES.longest };
        let full = Backoff { longest, ..PAUSES }.after(steps);
        let jitter = if odd && full == longest { 4.0 } else { 2.0 };
        let pause = full.mul_f64(1.0 - self.chance.f64() / jitter);
        self.ailment = Some(Ailment {
            state,
            healed_by_login,
            steps,
            next: now + pause,
            told: now,
            probing: false,
            begun_by: None,
        });
        begins
    }

    /// Opens the breaker because the platform refused the credential itself: the next probe is made after `pause`, or
    /// earlier after [`Self::try_now`] or [`Self::try_soon`].
    pub(super) fn refuses(&mut self, state: SessionState, pause: Duration, now: Instant) {
        self.ailment = Some(Ailment {
            state,
            healed_by_login: true,
            steps: 0,
            next: now + pause,
            told: now,
            probing: false,
            begun_by: None,
        });
    }

    /// Closes the breaker after an understood answer.
    pub(super) fn understood(&mut self) {
        self.failures = 0;
        self.ailment = None;
    }

    /// Handles a successful login, which closes the breaker if the failure allows it.
    pub(super) fn logged_in(&mut self, probe: bool) {
        self.failures = 0;
        match &mut self.ailment {
            Some(ailment) if !ailment.healed_by_login => ailment.probing &= !probe,
            Some(_) | None => self.ailment = None,
        }
    }

    /// Lets the next probe be made at once and restarts the backoff, because a change makes a try worthwhile.
    pub(super) fn try_now(&mut self, now: Instant) {
        if let Some(ailment) = &mut self.ailment {
            ailment.next = now;
            ailment.steps = 0;
        }
    }

    /// Restarts the backoff at a person's request; a thousand requests cause no more calls than one.
    pub(super) fn try_soon(&mut self, now: Instant) {
        if let Some(ailment) = &mut self.ailment {
            ailment.next = ailment.next.min(now.max(ailment.told + PAUSES.first));
            ailment.steps = 0;
        }
    }
}

/// Whether the breaker is open because answers prove nothing.
fn is_odd(state: &SessionState) -> bool {
    match state {
        SessionState::Unexpected(_) => true,
        SessionState::Open
        | SessionState::Throttled { .. }
        | SessionState::TokenRefused(_)
        | SessionState::Unavailable(..)
        | SessionState::AuthenticationFailed(_)
        | SessionState::ApplicationRefused(_)
        | SessionState::Superseded
        | SessionState::QuotaTooSmall { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::answer::{Detail, Trouble};

    const WINDOW: Duration = Duration::from_secs(60);

    fn unavailable() -> SessionState {
        SessionState::Unavailable(Detail::default(), Trouble::TimedOut)
    }

    #[test]
    fn the_fifth_failure_in_a_row_makes_the_others_wait() {
        let (mut health, now) = (Breaker::new(Rng::with_seed(1)), Instant::now());
        for _ in 0..4 {
            assert!(!health.failed(unavailable(), false, WINDOW, now));
        }
        health.understood();
        for _ in 0..4 {
            assert!(!health.failed(unavailable(), false, WINDOW, now));
        }
        assert_eq!(health.gate(now), Gate::Open);
        assert!(health.failed(unavailable(), false, WINDOW, now));
        assert!(matches!(health.gate(now), Gate::At(_)));
    }

    #[test]
    fn the_pauses_double_from_five_seconds_to_ten_minutes_up_to_a_half_less() {
        for seed in 0..100 {
            let (mut health, mut now) = (Breaker::new(Rng::with_seed(seed)), Instant::now());
            health.ails(unavailable(), true, false, WINDOW, now);
            for full in [5, 10, 20, 40, 80, 160, 320, 600, 600, 600] {
                let pause = health.next_probe().unwrap() - now;
                let full = Duration::from_secs(full);
                assert!(pause <= full && pause >= full / 2, "{pause:?} of {full:?}");
                now += pause;
                assert_eq!(health.gate(now), Gate::Probe);
                health.probe_begun();
                assert_eq!(health.gate(now), Gate::Answer);
                health.ails(unavailable(), true, true, WINDOW, now);
            }
        }
    }

    #[test]
    fn calls_that_were_out_already_make_no_pause_longer() {
        let (mut health, now) = (Breaker::new(Rng::with_seed(1)), Instant::now());
        assert!(health.ails(unavailable(), false, false, WINDOW, now));
        let next = health.next_probe();
        for _ in 0..20 {
            assert!(!health.ails(unavailable(), false, false, WINDOW, now));
        }
        assert_eq!(health.next_probe(), next);
    }

    #[test]
    fn a_thousand_who_ask_for_a_try_make_one_call_in_five_seconds() {
        let (mut health, mut now) = (Breaker::new(Rng::with_seed(1)), Instant::now());
        health.ails(unavailable(), false, false, WINDOW, now);
        for _ in 0..4 {
            now = health.next_probe().unwrap();
            health.ails(unavailable(), false, true, WINDOW, now);
        }
        let (failed, asked) = (now, now + Duration::from_secs(7));
        assert!(health.next_probe().unwrap() > asked);
        for _ in 0..1000 {
            health.try_soon(asked);
        }
        assert_eq!(health.next_probe(), Some(asked));
        health.ails(unavailable(), false, true, WINDOW, asked);
        assert!(asked > failed + PAUSES.first);
        for _ in 0..1000 {
            health.try_soon(asked);
        }
        let next = health.next_probe().unwrap();
        assert_eq!(next, asked + PAUSES.first);
        assert_eq!(health.gate(asked), Gate::At(next));
    }

    #[test]
    fn a_login_heals_only_what_a_login_can_prove() {
        let (mut health, now) = (Breaker::new(Rng::with_seed(1)), Instant::now());
        let state = SessionState::AuthenticationFailed(Detail::default());
        health.ails(state.clone(), false, false, WINDOW, now);
        health.probe_begun();
        health.logged_in(true);
        assert_eq!(health.ailment(), Some(&state));
        assert_eq!(health.gate(health.next_probe().unwrap()), Gate::Probe);
        health.understood();
        health.ails(state, true, false, WINDOW, now);
        health.logged_in(true);
        assert_eq!(health.gate(now), Gate::Open);
    }
}
