//! Tokens that expire before the quota allows a call with them.

use super::*;

const HOUR: Duration = secs(3600);

/// Creates a session with windows of this length.
fn in_windows(calls: usize, window: Duration) -> Bench {
    let mut bench = Bench::new(calls);
    let terms = Terms {
        window,
        ..terms(calls, "s1")
    };
    let start = bench.now - HOUR;
    bench.core = Core::new(LANE, terms, start, TIME_OUT, Rng::with_seed(1));
    bench.core.lease_bounds = LeaseBounds::unbounded(start);
    bench
}

impl Bench {
    fn state(&self) -> SessionState {
        self.core.state(LANE, self.now)
    }

    /// Waits for the next login. Returns how long that took.
    fn until_next_login(&mut self) -> Duration {
        let begun = self.now;
        while self.logins.is_empty() {
            self.wait();
        }
        self.now - begun
    }

    fn until_permitted(&mut self, n: usize) {
        while !self.permitted(n) {
            assert!(self.logins.is_empty(), "another login");
            self.wait();
        }
    }
}

#[test]
fn where_only_logins_fit_one_an_hour_is_made_and_the_session_says_why_until_tokens_live_longer() {
    let mut bench = Bench::new(1);
    bench.ask(1);
    bench.log_in(60);
    for _ in 0..3 {
        let SessionState::QuotaTooSmall { life } = bench.state() else {
            panic!("{:?}", bench.state())
        };
        assert_eq!(life, secs(60));
        assert!(bench.state().is_ailing() && bench.state().needs_person());
        assert_eq!(bench.until_next_login(), HOUR);
        assert!(!bench.permitted(1));
        bench.log_in(60);
    }
    let Standing::Waiting { estimated, .. } = bench.standing(1) else {
        panic!("it waits");
    };
    assert_eq!(estimated, HOUR);
    bench.until_next_login();
    bench.log_in(600);
    assert_eq!(bench.state(), SessionState::Open);
    bench.until_permitted(1);
    bench.call(1, &Answer::Done(200));
}

#[test]
fn a_larger_quota_a_shorter_window_and_a_person_each_end_that() {
    for terms in [
        terms(2, "s1"),
        Terms {
            window: secs(20),
            ..terms(1, "s1")
        },
    ] {
        let mut bench = Bench::new(1);
        bench.ask(1);
        bench.log_in(30);
        bench.pass(secs(600));
        assert!(matches!(bench.state(), SessionState::QuotaTooSmall { .. }));
        bench.core.agree(LANE, terms, false, bench.now);
        bench.settle();
        assert_eq!(bench.state(), SessionState::Open);
        bench.log_in(30);
        bench.until_permitted(1);
    }
    let mut bench = Bench::new(1);
    bench.ask(1);
    bench.log_in(30);
    bench.pass(secs(600));
    assert!(bench.logins.is_empty());
    bench.core.ask(LANE, bench.now);
    bench.settle();
    assert_eq!(bench.logins.len(), 1);
}

#[test]
fn a_login_waits_until_a_call_can_follow_while_its_token_lives() {
    for (calls, life) in [(2, 5), (3, 5), (5, 5), (3, 20), (4, 30), (2, 60), (4, 60)] {
        let mut bench = Bench::new(calls);
        let begun = bench.now;
        let mut left: Vec<usize> = (1..=12).collect();
        let mut logins = 0;
        while !left.is_empty() {
            for n in &left {
                bench.ask(*n);
            }
            if !bench.logins.is_empty() {
                logins += 1;
                bench.log_in(life);
            } else if let Some(at) = left.iter().position(|n| bench.permitted(*n)) {
                bench.call(left.remove(at), &Answer::Done(200));
                // Calls at different times leave the window one by one.
                bench.pass(secs(7));
            } else {
                bench.wait();
            }
            assert!(bench.now - begun < HOUR, "{calls} calls, {life} s");
        }
        assert!(logins <= 12, "{logins} logins: {calls} calls, {life} s");
    }
}

#[test]
fn an_old_token_serves_to_its_end_where_a_new_one_would_be_due_to_be_renewed_before_a_call() {
    let window = secs(900);
    let mut bench = in_windows(1, window);
    for n in 1..=3 {
        bench.ask(n);
        bench.until_next_login();
        bench.log_in(950);
        let begun = bench.now;
        assert_eq!(bench.state(), SessionState::Open);
        bench.until_permitted(n);
        assert_eq!(bench.now - begun, window);
        bench.call(n, &Answer::Done(200));
    }
}

#[test]
fn a_life_that_the_platform_does_not_tell_and_a_token_that_was_handed_in_make_nobody_wait() {
    let mut bench = Bench::new(1);
    for n in 1..=3 {
        bench.ask(n);
        if n == 1 {
            bench.log_in(0);
        }
        assert_eq!(bench.state(), SessionState::Open);
        bench.until_permitted(n);
        bench.call(n, &Answer::Done(200));
    }
    let token = Terms {
        credential: Credential::Token(SecretString::from("t".to_owned())),
        ..terms(1, "")
    };
    let mut bench = Bench::new(1);
    let start = bench.now - HOUR;
    bench.core = Core::new(LANE, token, start, TIME_OUT, Rng::with_seed(1));
    bench.core.lease_bounds = LeaseBounds::unbounded(start);
    for n in 1..=3 {
        bench.ask(n);
        bench.until_permitted(n);
        assert_eq!(bench.state(), SessionState::Open);
        bench.call(n, &Answer::Done(200));
    }
}

#[test]
fn what_nobody_waits_for_begins_no_login_whose_token_no_such_call_can_use() {
    // Half of a quota of two is one call, which the login would take.
    let mut bench = Bench::live(2);
    bench.pass(HOUR);
    bench.core.want_spare(LANE);
    bench.settle();
    bench.until_next_login();
    bench.log_in(30);
    assert_eq!(
        bench.state(),
        SessionState::Open,
        "whoever waits has a call"
    );
    assert_eq!(bench.until_next_login(), HOUR);
    bench.log_in(30);
    // An object that comes gets its login at once.
    bench.pass(WINDOW);
    bench.ask(7);
    assert_eq!(bench.logins.len(), 1);
    bench.log_in(30);
    assert!(bench.permitted(7));
}
