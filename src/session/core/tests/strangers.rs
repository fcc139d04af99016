//! The costs of one credential for the others of its application: tries, handed-in tokens, TLS settings, hand-overs.

use super::lanes::{OTHER, beside, token};
use super::*;
use crate::remote::answer::{CertificateFault, ClientFault};
use crate::session::call_log::{CallLog, Inheritance};

#[test]
fn a_try_has_the_next_place_beside_a_queue_that_uses_the_whole_quota_and_changes_over_once_accepted()
 {
    let mut bench = beside(terms(100, "s2"));
    for n in 1..=300 {
        bench.ask(n);
    }
    let mut left: std::collections::BTreeSet<usize> = (1..=300).collect();
    let mut use_permits = |bench: &mut Bench| {
        while let Some(n) = left.iter().copied().find(|n| bench.permitted(*n)) {
            bench.call(n, &Answer::Done(200));
            left.remove(&n);
        }
        assert!(bench.core.calls_in_window(bench.now) <= 100);
    };
    use_permits(&mut bench);
    assert_eq!(bench.core.calls_in_window(bench.now), 100);
    bench.core.try_credential(OTHER, false, bench.now);
    bench.settle();
    let asked = bench.now;
    while bench.logins.is_empty() {
        bench.wait();
        use_permits(&mut bench);
    }
    assert_eq!(bench.logins[0].call.lane, OTHER);
    assert!(bench.now - asked <= WINDOW, "{:?}", bench.now - asked);
    bench.log_in(36_000);
    // The token of the first lane is dead, and its next login waits as after any change-over.
    let accepted = bench.now;
    while bench.logins.is_empty() {
        bench.wait();
        use_permits(&mut bench);
    }
    assert_eq!(bench.logins[0].call.lane, LANE);
    assert_eq!(bench.now - accepted, secs(300));
}

#[test]
fn the_first_calls_by_a_token_that_was_handed_in_go_one_at_a_time_until_it_is_accepted() {
    let mut bench = Bench::new(100);
    bench.core.agree(LANE, token(100, "t"), false, bench.now);
    for n in 1..=20 {
        bench.ask(n);
    }
    let permitted = |bench: &Bench| (1..=20).filter(|n| bench.permitted(*n)).count();
    assert_eq!(permitted(&bench), 1);
    bench.call(1, &token_refused());
    assert_eq!(permitted(&bench), 0);

    let mut bench = Bench::new(100);
    bench.core.agree(LANE, token(100, "t"), false, bench.now);
    for n in 1..=20 {
        bench.ask(n);
    }
    bench.call(1, &Answer::Done(200));
    assert!(permitted(&bench) > 1);
}

#[test]
fn a_person_who_asks_for_a_token_that_is_not_used_ends_no_login_more_than_once_in_five_minutes() {
    let mut bench = beside(token(100, "t"));
    let mut tries = 0;
    for _ in 0..20 {
        bench.core.ask(OTHER, bench.now);
        bench.settle();
        while let Some(trial) = bench.trials.pop() {
            tries += 1;
            bench
                .core
                .trial_ended(&trial.call, Some(&Answer::Done(200)), bench.now);
            bench.settle();
        }
        bench.pass(secs(60));
    }
    assert!((1..=5).contains(&tries), "{tries} tries in 20 minutes");
}

#[test]
fn a_call_that_never_left_for_its_own_settings_takes_nothing_of_the_quota() {
    let mut bench = Bench::live(100);
    let before = bench.core.calls_in_window(bench.now);
    for (n, trouble) in [
        (1, Trouble::NotConnected),
        (2, Trouble::CertificateNotTrusted(CertificateFault::Issuer)),
        (3, Trouble::ClientCertificateRefused(ClientFault::Missing)),
    ] {
        bench.ask(n);
        let call = bench.begin(n);
        let answer = Answer::Unavailable(Detail::default(), trouble);
        bench.core.settings_failed(&call, &answer, bench.now);
        bench.settle();
    }
    // The platform may have read the call before it refused the client certificate, so that call counts.
    assert_eq!(bench.core.calls_in_window(bench.now), before + 1);
    assert_eq!(bench.permits(), 0);
}

/// Returns the bench of the next leader, in which both credentials are known.
fn next(mut bench: Bench, other: &Terms) -> Bench {
    let record = bench
        .core
        .record(&session_key(), bench.now + secs(6), bench.now);
    let text = CallLog::new(vec![record], false).into_text();
    let mut next = Bench::new(100);
    next.now = bench.now;
    let mut past = Inheritance::read(&text, next.now, next.now, Duration::ZERO);
    let past = past.take(&session_key(), next.now);
    let lease_bounds = LeaseBounds::unbounded(next.now);
    next.core.begin_lease(past, lease_bounds);
    next.core.agree(OTHER, other.clone(), false, next.now);
    next.settle();
    next
}

#[test]
fn a_process_that_calls_nothing_tells_the_next_one_what_was_called_whatever_others_bring() {
    let other = Terms {
        window: secs(1),
        ..token(100, "made up")
    };
    let mut bench = Bench::new(100);
    bench.core.agree(OTHER, other.clone(), false, bench.now);
    for n in 1..=99 {
        bench.ask(n);
    }
    bench.log_in(3600);
    for n in 1..=99 {
        while !bench.permitted(n) {
            bench.wait();
        }
        bench.call(n, &Answer::Done(200));
    }
    let called = bench.now;
    let mut idle = next(bench, &other);
    idle.pass(secs(5));
    let mut bench = next(idle, &other);
    bench.ask(200);
    let (_, lane) = bench.until_login();
    assert_eq!(lane, LANE);
    bench.log_in(3600);
    while !bench.permitted(200) {
        bench.wait();
    }
    let slack = WINDOW / 50;
    let passed = bench.now - called;
    assert!(passed + slack >= WINDOW, "{passed:?} after the last call");
}
