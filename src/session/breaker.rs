//! Whether the platform understands this application at all, and how rarely it's asked when not.
//!
//! A session that fails five times in a row is probed, with one call for each step of a growing pause: a thousand
//! stalled objects never use up the quota. A probe goes by lot to an object whose call hasn't failed, where there is
//! one, and never to the object that failed last while another one waits; deletions and retirements take turns.
//!
//! Answers that prove nothing (a proxy's 405 or page) count by object. After twenty different objects in a row the
//! session is probed in the same way, twice a window at least. Then neither a login, nor a list, nor a look-up shows
//! that it is over: a look-up and its DELETE are one probe of two calls. A code of the platform concerns its object
//! alone. So no group of objects that always fail keeps the platform from showing that it answers.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::HashSet;
use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;

use super::SessionState;
use crate::backoff::Backoff;

/// Calls in a row without one understood answer after which the session is probed.
const FAILURES: u32 = 5;
/// Objects in a row whose answers prove nothing, after which the session is probed.
const ODD: usize = 20;
const PAUSES: Backoff = Backoff {
    first: Duration::from_secs(5),
    longest: Duration::from_secs(600),
};
/// So soon the second call of a probe follows the first, if its object asks for it.
const GOES_ON: Duration = Duration::from_secs(1);

/// Whether a call may go, as far as the session's health is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// Any may.
    Open,
    /// One, alone, as a probe.
    Probe,
    /// None before this instant.
    At(Instant),
    /// None before the probe that is out comes back.
    Answer,
}

/// Why others wait while one call at a time is tried.
struct Ailment {
    /// What is shown to those who wait.
    state: SessionState,
    /// Whether a login that succeeds proves that it's over.
    healed_by_login: bool,
    steps: u32,
    next: Instant,
    /// When the last call failed that told so.
    told: Instant,
    probing: bool,
    /// Whose probe takes one more call: what its first one told settles nothing.
    begun_by: Option<String>,
}

/// The health of a session.
pub(super) struct Breaker {
    failures: u32,
    /// Whose answers proved nothing, since one did.
    odd: HashSet<String>,
    ailment: Option<Ailment>,
    chance: Rng,
}

impl Breaker {
    /// In good health. `chance` gives the jitter.
    pub(super) fn new(chance: Rng) -> Self {
        Self {
            failures: 0,
            odd: HashSet::new(),
            ailment: None,
            chance,
        }
    }

    /// Whether a call may go.
    pub(super) fn gate(&self, now: Instant) -> Gate {
        match &self.ailment {
            None => Gate::Open,
            Some(ailment) if ailment.probing => Gate::Answer,
            Some(ailment) if now < ailment.next => Gate::At(ailment.next),
            Some(_) => Gate::Probe,
        }
    }

    /// What is shown to those who wait, if something is wrong.
    pub(super) fn ailment(&self) -> Option<&SessionState> {
        self.ailment.as_ref().map(|ailment| &ailment.state)
    }

    /// When the next probe goes.
    pub(super) fn next_probe(&self) -> Option<Instant> {
        self.ailment.as_ref().map(|ailment| ailment.next)
    }

    /// How many probes have failed since it began to ail.
    pub(super) fn tries(&self) -> u32 {
        self.ailment.as_ref().map_or(0, |ailment| ailment.steps)
    }

    /// The probe is out.
    pub(super) fn probe_begun(&mut self) {
        if let Some(ailment) = &mut self.ailment {
            ailment.probing = true;
            ailment.begun_by = None;
        }
    }

    /// Whose probe goes on with the next call.
    pub(super) fn begun_by(&self) -> Option<&str> {
        self.ailment.as_ref()?.begun_by.as_deref()
    }

    /// `uid` asks for a call: if its probe takes one more, that goes now.
    pub(super) fn goes_on(&mut self, uid: &str, now: Instant) {
        if let Some(ailment) = &mut self.ailment
            && ailment.begun_by.as_deref() == Some(uid)
        {
            ailment.next = now;
        }
    }

    /// A call of `uid` was answered in a way that leaves it to the next one of its calls what is proven. `heals` tells
    /// whether an ailment that isn't about proofs is over by it.
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

    /// A call of `uid` was answered with something that proves nothing; so many of different objects in a row are an
    /// ailment. Whether it begins with this one.
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

    /// The platform answered with a code of its own that concerns one object alone.
    pub(super) fn coded(&mut self, probe: bool, window: Duration, now: Instant) {
        match self.ailment.as_ref().map(|ailment| ailment.state.clone()) {
            Some(state) if is_odd(&state) => {
                self.ails(state, false, probe, window, now);
            }
            Some(_) | None => self.understood(),
        }
    }

    /// A call did what it was for.
    pub(super) fn proved(&mut self) {
        self.odd.clear();
        self.understood();
    }

    /// The probe came back without telling anything; another may go.
    pub(super) fn probe_returned(&mut self) {
        if let Some(ailment) = &mut self.ailment {
            ailment.probing = false;
        }
    }

    /// A call failed without an understood answer; enough of them in a row are an ailment.
    /// Whether it begins with this one.
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

    /// Something is wrong that concerns every call. A probe that finds so makes the pause longer;
    /// other calls that were out meanwhile tell nothing new. Whether it begins with this one.
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
        // Whatever answers so may be mended at any time, and some object may come that is answered otherwise: it is
        // tried twice a window at least, and with two calls each time still with less than a twentieth of the quota.
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

    /// The platform refused the credential itself: the next probe goes after `pause`, unless something changes.
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

    /// An answer was understood.
    pub(super) fn understood(&mut self) {
        self.failures = 0;
        self.ailment = None;
    }

    /// A login succeeded.
    pub(super) fn logged_in(&mut self, probe: bool) {
        self.failures = 0;
        match &mut self.ailment {
            Some(ailment) if !ailment.healed_by_login => ailment.probing &= !probe,
            Some(_) | None => self.ailment = None,
        }
    }

    /// Something changed that makes trying again worthwhile: the next probe goes at once.
    pub(super) fn try_now(&mut self, now: Instant) {
        if let Some(ailment) = &mut self.ailment {
            ailment.next = now;
            ailment.steps = 0;
        }
    }

    /// A person asks for a try: the pauses begin anew, but a thousand who ask make no more calls than one.
    pub(super) fn try_soon(&mut self, now: Instant) {
        if let Some(ailment) = &mut self.ailment {
            ailment.next = ailment.next.min(now.max(ailment.told + PAUSES.first));
            ailment.steps = 0;
        }
    }
}

/// Whether the ailment is that answers prove nothing.
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
