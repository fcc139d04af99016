//! Tokens and logins: one login at a time, none without need, and the state when no login succeeds.

use super::*;

#[test]
fn one_login_serves_a_thousand_waiters() {
    let mut bench = Bench::new(100);
    for n in 0..1000 {
        assert!(matches!(bench.ask(n), Standing::Waiting { .. }));
    }
    assert_eq!((bench.logins.len(), bench.core.logins(LANE)), (1, 1));
    let began = bench.now;
    bench.log_in(3600);
    assert_eq!(bench.permits(), 8);
    let mut calls = 1;
    for n in 0..1000 {
        while !bench.permitted(n) {
            bench.wait();
        }
        bench.call(n, &Answer::Done(200));
        calls += 1;
        assert!(bench.core.calls_in_window(bench.now) <= 100);
    }
    assert_eq!((calls, bench.core.logins(LANE)), (1001, 1));
    assert_eq!(bench.now - began, WINDOW * 10, "the floor for 1,001 calls");
}

#[test]
fn nobody_logs_in_while_nobody_waits() {
    let mut bench = Bench::new(100);
    bench.settle();
    bench.pass(secs(10_000));
    assert!(bench.logins.is_empty());
    let mut bench = Bench::live(100);
    bench.pass(secs(10_000));
    assert!(bench.logins.is_empty());
    bench.ask(1);
    assert_eq!(bench.logins.len(), 1);
}

#[test]
fn a_token_that_dies_among_many_calls_costs_one_login() {
    let mut bench = Bench::live(100);
    for n in 1..=50 {
        bench.ask(n);
    }
    for call in &bench.begin_twenty() {
        bench.end(call, &Answer::TokenRefused(Detail::default()));
    }
    assert_eq!((bench.logins.len(), bench.core.logins(LANE)), (1, 2));
    assert!(matches!(
        bench.core.state(LANE, bench.now),
        SessionState::TokenRefused(_)
    ));
    bench.log_in(3600);
    assert_eq!(bench.core.state(LANE, bench.now), SessionState::Open);
    assert_eq!(bench.permits(), 8);
}

#[test]
fn a_token_refused_after_it_was_replaced_triggers_no_login() {
    let mut bench = Bench::live(100);
    bench.ask(1);
    bench.ask(2);
    let (first, late) = (bench.begin(1), bench.begin(2));
    bench.end(&first, &Answer::TokenRefused(Detail::default()));
    bench.ask(3);
    bench.log_in(3600);
    bench.end(&late, &Answer::TokenRefused(Detail::default()));
    assert!(bench.permitted(3));
    assert_eq!(bench.core.logins(LANE), 2);
}

#[test]
fn late_answers_under_the_former_secret_do_not_heal_what_the_new_one_was_refused_for() {
    let detail = Detail::default;
    for answer in [
        Answer::Done(200),
        Answer::AlreadyGone(detail()),
        Answer::InvalidFileId(detail()),
        Answer::Unexpected(detail()),
        Answer::Throttled(detail()),
    ] {
        let mut bench = Bench::live(100);
        bench.core.want_spare(LANE);
        let listing = bench.begin_spare().unwrap();
        for n in 1..=8 {
            bench.ask(n);
        }
        let mut late: Vec<_> = (1..=8).map(|n| bench.begin(n)).collect();
        late.push(listing);
        bench.ask(9);
        bench.core.agree(LANE, terms(100, "s2"), false, bench.now);
        bench.settle();
        bench.end_login(Err(Answer::CredentialsRefused(detail())));
        let refused = SessionState::AuthenticationFailed(detail());
        let (next, used) = (
            bench.core.next_probe(LANE),
            bench.core.calls_in_window(bench.now),
        );
        for call in &late {
            bench.end(call, &answer);
            assert_eq!(bench.core.state(LANE, bench.now), refused, "{answer:?}");
            assert!(bench.logins.is_empty(), "{answer:?}: it logs in again");
        }
        assert_eq!(bench.core.next_probe(LANE), next);
        assert_eq!(bench.core.calls_in_window(bench.now), used, "they count");
    }
}

#[test]
fn a_late_refusal_under_a_replaced_token_leaves_the_new_one_in_use() {
    let detail = Detail::default;
    for answer in [
        Answer::CredentialsRefused(detail()),
        Answer::TokenRefused(detail()),
        Answer::ApplicationRefused(detail()),
        unavailable(),
    ] {
        let mut bench = Bench::live(100);
        bench.core.want_spare(LANE);
        let listing = bench.begin_spare().unwrap();
        for n in 1..=7 {
            bench.ask(n);
        }
        let first = bench.begin(1);
        let mut late: Vec<_> = (2..=6).map(|n| bench.begin(n)).collect();
        late.push(listing);
        bench.end(&first, &Answer::TokenRefused(detail()));
        bench.ask(7);
        bench.log_in(3600);
        for call in &late {
            bench.end(call, &answer);
            assert_eq!(
                bench.core.state(LANE, bench.now),
                SessionState::Open,
                "{answer:?}"
            );
        }
        assert!(bench.permitted(7), "{answer:?}");
        assert_eq!(bench.core.logins(LANE), 2, "{answer:?}");
    }
}

#[test]
fn a_probe_that_is_answered_under_the_former_secret_lets_the_next_one_go() {
    for answer in [Answer::Done(200), unavailable()] {
        let mut bench = Bench::live(100);
        for n in 1..=6 {
            bench.ask(n);
        }
        for n in 1..=5 {
            bench.call(n, &unavailable());
        }
        bench.ask(6);
        while bench.permits() == 0 {
            bench.wait();
        }
        let probe = bench.begin(6);
        bench.ask(1);
        bench.core.agree(LANE, terms(100, "s2"), false, bench.now);
        bench.settle();
        assert!(bench.logins.is_empty(), "one probe at a time");
        bench.end(&probe, &answer);
        assert_eq!(bench.logins.len(), 1);
    }
}

#[test]
fn three_fresh_tokens_refused_in_a_row_stall_the_session_and_cost_three_calls() {
    let mut bench = Bench::live(100);
    // The objects whose permits were voided ask again once they are woken.
    let refuse_one = |bench: &mut Bench| {
        for n in 1..=100 {
            bench.ask(n);
        }
        let holder = (1..=100).find(|n| bench.permitted(*n)).unwrap();
        bench.call(holder, &token_refused());
    };
    refuse_one(&mut bench);
    bench.log_in(3600);
    refuse_one(&mut bench);
    bench.log_in(3600);
    assert_eq!(bench.permits(), 1, "a doubtful token is tried alone");
    refuse_one(&mut bench);
    assert!(bench.logins.is_empty());
    let began = bench.now;
    bench.wait();
    assert_eq!(bench.now - began, secs(2));
    bench.log_in(3600);
    refuse_one(&mut bench);
    assert!(matches!(
        bench.core.state(LANE, bench.now),
        SessionState::AuthenticationFailed(_)
    ));
    assert_eq!((bench.permits(), bench.core.logins(LANE)), (0, 4));

    bench.core.agree(LANE, terms(100, "s2"), false, bench.now);
    bench.settle();
    assert_eq!(bench.core.state(LANE, bench.now), SessionState::Open);
    assert_eq!(bench.logins.len(), 1, "another secret is tried at once");
}

#[test]
fn a_refused_login_is_tried_again_after_an_hour_and_at_once_with_another_secret() {
    let mut bench = Bench::new(100);
    bench.ask(1);
    for _ in 0..3 {
        bench.end_login(Err(Answer::CredentialsRefused(Detail::default())));
        assert!(matches!(
            bench.core.state(LANE, bench.now),
            SessionState::AuthenticationFailed(_)
        ));
        let began = bench.now;
        while bench.logins.is_empty() {
            bench.wait();
        }
        assert_eq!(bench.now - began, secs(3600));
    }
    bench.end_login(Err(Answer::CredentialsRefused(Detail::default())));
    bench.core.agree(LANE, terms(100, "s2"), false, bench.now);
    bench.settle();
    assert_eq!(bench.logins.len(), 1);
    bench.log_in(3600);
    assert!(bench.permitted(1));
}

#[test]
fn a_secret_changed_while_logging_in_drops_the_old_result_and_logs_in_once_more() {
    let mut bench = Bench::new(100);
    bench.ask(1);
    bench.core.agree(LANE, terms(100, "s2"), false, bench.now);
    bench.settle();
    assert_eq!(bench.logins.len(), 1, "logins must not overlap");
    bench.log_in(3600);
    assert!(!bench.permitted(1));
    assert_eq!(bench.logins.len(), 1);
    bench.log_in(3600);
    assert!(bench.permitted(1));
}

#[test]
fn a_refusal_of_the_former_secret_says_nothing_about_the_new_one() {
    let mut bench = Bench::new(100);
    bench.ask(1);
    bench.core.agree(LANE, terms(100, "s2"), false, bench.now);
    bench.end_login(Err(Answer::CredentialsRefused(Detail::default())));
    assert_eq!(bench.core.state(LANE, bench.now), SessionState::Open);
    assert_eq!(bench.logins.len(), 1);
}

#[test]
fn a_token_is_renewed_only_if_work_waits_and_not_under_the_feet_of_calls() {
    let mut bench = Bench::live(100);
    bench.ask(1);
    let call = bench.begin(1);
    bench.pass(secs(3600 - 60 - 60 - 5));
    bench.ask(2);
    assert!(bench.permitted(2));
    bench.core.withdraw(LANE, "u2");
    bench.pass(secs(6));
    assert!(bench.logins.is_empty(), "nobody waits");
    bench.ask(3);
    assert!(bench.logins.is_empty() && !bench.permitted(3));
    bench.end(&call, &Answer::Done(200));
    assert_eq!(bench.logins.len(), 1);
    bench.log_in(3600);
    assert!(bench.permitted(3));
}

#[test]
fn permits_end_with_their_token() {
    let mut bench = Bench::new(100);
    bench.ask(1);
    bench.log_in(100);
    bench.core.withdraw(LANE, "u1");
    bench.pass(secs(89));
    bench.ask(2);
    assert!(bench.permitted(2));
    bench.now += secs(12);
    assert!(
        bench
            .core
            .begin(LANE, "u2", Purpose::Delete, bench.now)
            .is_none()
    );
    bench.settle();
    assert_eq!(bench.standing(2), Standing::Absent);
    assert!(bench.woken.contains(&"o2".to_owned()));
    bench.ask(2);
    assert_eq!(bench.logins.len(), 1);
}

#[test]
fn a_handed_in_token_is_never_logged_in_for_and_its_refusal_says_who_has_to_renew() {
    let mut bench = Bench::new(100);
    let terms = |token: &str| Terms {
        credential: Credential::Token(SecretString::from(token.to_owned())),
        ..terms(100, "")
    };
    bench.core.agree(LANE, terms("t1"), false, bench.now);
    bench.ask(1);
    bench.call(1, &token_refused());
    bench.ask(2);
    let SessionState::AuthenticationFailed(detail) = bench.core.state(LANE, bench.now) else {
        panic!("a person has to look");
    };
    assert!(detail.message.contains("accessToken"), "{}", detail.message);
    bench.core.agree(LANE, terms("t2"), false, bench.now);
    bench.settle();
    assert!(bench.permitted(2));
    assert_eq!(bench.core.logins(LANE), 0);
}

#[test]
fn tokens_refused_without_a_code_of_the_platform_blame_no_secret() {
    let mut bench = Bench::live(100);
    for _ in 0..4 {
        bench.ask(1);
        if !bench.permitted(1) {
            if bench.logins.is_empty() {
                bench.wait();
            }
            bench.log_in(3600);
        }
        bench.call(1, &Answer::TokenRefused(Detail::default()));
    }
    assert!(matches!(
        bench.core.state(LANE, bench.now),
        SessionState::Unexpected(_)
    ));
}

#[test]
fn a_login_that_something_else_answers_refuses_no_credentials() {
    let page = || Detail {
        http_status: Some(404),
        message: "an HTML page".to_owned(),
        code: None,
    };
    for answer in [
        Answer::Unexpected(page()),
        Answer::TokenRefused(page()),
        Answer::AlreadyGone(page()),
        Answer::Done(200),
    ] {
        let mut bench = Bench::new(100);
        bench.ask(1);
        bench.end_login(Err(answer));
        let state = bench.core.state(LANE, bench.now);
        assert!(matches!(state, SessionState::Unexpected(_)), "{state:?}");
        assert!(state.needs_person());
        // A later successful login proves that the failure is over.
        while bench.logins.is_empty() {
            bench.wait();
        }
        bench.log_in(3600);
        assert_eq!(bench.core.state(LANE, bench.now), SessionState::Open);
    }
}
