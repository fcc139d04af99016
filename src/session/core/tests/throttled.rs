//! The state that a session shows while a refusal by the rate limit stops its calls.

use super::lanes::{OTHER, beside};
use super::*;

#[test]
fn throttled_tells_when_the_next_call_goes_and_is_over_once_that_is_understood() {
    let mut bench = Bench::live(100);
    for n in 1..=40 {
        bench.ask(n);
    }
    for n in 1..=20 {
        bench.call(n, &Answer::Done(200));
    }
    bench.call(21, &Answer::Throttled(Detail::default()));
    // The objects whose permits were voided ask again.
    for n in 22..=40 {
        bench.ask(n);
    }
    let said = bench.core.state(LANE, bench.now);
    let SessionState::Throttled { until } = said else {
        panic!("a refusal throttles: {said:?}");
    };
    let pause_ends = bench.core.budget.paused_until().unwrap();
    assert!(until > pause_ends, "after the pause there is no room");
    while bench.permits() == 0 {
        assert_eq!(bench.core.state(LANE, bench.now), said);
        let Standing::Waiting { estimated, .. } = bench.standing(22) else {
            panic!("it waits");
        };
        assert_eq!(estimated, until - bench.now);
        bench.wait();
    }
    assert_eq!(bench.now, until);
    bench.pass(secs(9));
    assert_eq!(bench.core.state(LANE, bench.now), said, "no news yet");
    bench.call(22, &Answer::Done(200));
    assert_eq!(bench.core.state(LANE, bench.now), SessionState::Open);
}

#[test]
fn a_refusal_of_one_credential_for_too_many_calls_pauses_all_of_the_application() {
    let mut bench = beside(terms(100, "s2"));
    bench.ask(1);
    bench.call(1, &Answer::Throttled(Detail::default()));
    let pause_ends = bench.core.budget.paused_until().unwrap();
    bench.core.request(OTHER, &ticket(2), bench.now);
    bench.settle();
    assert!(bench.now < pause_ends && bench.logins.is_empty());
    bench.until_login();
    assert!(bench.now >= pause_ends);
}
