//! Look-ups and the list of packages, which share the budget with deletions and have their own places in the order.

use super::*;

#[test]
fn a_permit_for_a_look_up_deletes_nothing_and_the_other_way_round() {
    let mut bench = Bench::live(100);
    let now = bench.now;
    bench.core.request(LANE, &look_up(1), now);
    assert!(bench.core.begin(LANE, "u1", Purpose::Delete, now).is_none());
    bench.ask(1);
    assert_eq!(bench.standing(1), permitted(None), "the permit is kept");
    bench.core.intend(LANE, "u1", "i".to_owned());
    bench.core.request(LANE, &look_up(1), now);
    assert!(bench.core.begin(LANE, "u1", Purpose::Delete, now).is_none());
    let intent = None;
    let purpose = Purpose::LookUp;
    assert_eq!(bench.standing(1), Standing::Permitted { purpose, intent });
    assert!(bench.core.begin(LANE, "u1", Purpose::LookUp, now).is_some());
}

#[test]
fn a_look_up_and_the_delete_after_it_keep_the_place_of_their_object() {
    for seed in 0..100 {
        let mut rng = Rng::with_seed(seed);
        let mut bench = Bench::live(1);
        let mut order: Vec<usize> = (1..=20).collect();
        rng.shuffle(&mut order);
        let first = order.iter().position(|n| *n == 1).unwrap();
        order.swap(0, first);
        for n in order {
            bench.core.request(LANE, &look_up(n), bench.now);
        }
        bench.settle();
        // Each object looks up and asks for its DELETE, so at any time the oldest object holds the next permit.
        let mut deleted = Vec::new();
        while deleted.len() < 20 {
            let holder = (1..=20).find(|n| bench.permitted(*n));
            let Some(holder) = holder else {
                bench.wait();
                continue;
            };
            assert_eq!(holder, deleted.len() + 1, "seed {seed}: it was overtaken");
            let uid = format!("u{holder}");
            if let Some((call, _)) = bench.core.begin(LANE, &uid, Purpose::LookUp, bench.now) {
                bench.core.ended(&call, Some(&Answer::Done(200)), bench.now);
                bench.core.request(LANE, &ticket(holder), bench.now);
                if let Standing::Waiting { position, .. } = bench.standing(holder) {
                    assert_eq!(position, 1, "seed {seed}");
                }
                bench.settle();
            } else {
                bench.call(holder, &Answer::Done(200));
                deleted.push(holder);
            }
        }
    }
}

#[test]
fn the_inventory_takes_only_what_nobody_waits_for() {
    let mut bench = Bench::live(10);
    assert!(bench.begin_spare().is_none(), "nobody wants one");
    bench.core.want_spare(LANE);
    for n in 1..=12 {
        bench.ask(n);
    }
    for n in 1..=10 {
        assert!(bench.begin_spare().is_none());
        bench.call(n, &Answer::Done(200));
    }
    bench.pass(WINDOW);
    for n in 11..=12 {
        assert!(bench.permitted(n));
    }
    // All waiting objects hold their permits; of the rest, half a window is kept free for objects that may come.
    let spare: Vec<_> = std::iter::from_fn(|| bench.begin_spare()).collect();
    assert_eq!(spare.len(), 3);
    for n in 13..=17 {
        assert!(matches!(bench.ask(n), Standing::Permitted { .. }), "{n}");
    }
    for call in &spare {
        bench.end(call, &Answer::Done(200));
    }
    assert!(bench.begin_spare().is_none());
}

#[test]
fn an_inventory_that_waits_is_told_when_it_may_go_and_logs_in_where_it_must() {
    let mut bench = Bench::new(4);
    bench.core.want_spare(LANE);
    bench.settle();
    assert_eq!(bench.logins.len(), 1, "its call is due");
    bench.log_in(3600);
    let mut went = Vec::new();
    while went.len() < 5 {
        if let Some(call) = bench.begin_spare() {
            went.push(bench.now);
            bench.end(&call, &Answer::Done(200));
        } else {
            bench.wait();
        }
    }
    let began = went[0];
    let windows: Vec<_> = went.iter().map(|at| (*at - began) / 60).collect();
    let [a, b, c] = [0, 1, 2].map(secs);
    assert_eq!(windows, [a, b, b, c, c], "two of four each window");
    assert!(bench.core.step(bench.now).next.is_some());
    bench.core.forgo_spare(LANE);
    assert!(bench.core.step(bench.now).next.is_none(), "nobody waits");
}

#[test]
fn the_answers_of_an_inventory_teach_like_others() {
    let detail = Detail::default;
    let mut bench = Bench::live(100);
    bench.core.want_spare(LANE);
    let call = bench.begin_spare().unwrap();
    bench.end(&call, &Answer::Throttled(detail()));
    assert!(matches!(
        bench.core.state(LANE, bench.now),
        SessionState::Throttled { .. }
    ));
    let mut bench = Bench::live(100);
    bench.core.want_spare(LANE);
    let call = bench.begin_spare().unwrap();
    bench.end(&call, &Answer::TokenRefused(detail()));
    assert_eq!(bench.logins.len(), 1);
    let mut bench = Bench::live(1);
    bench.core.want_spare(LANE);
    let call = bench.begin_spare().unwrap();
    let started = bench.now;
    bench.core.ended(&call, None, bench.now);
    bench.ask(1);
    bench.wait();
    assert_eq!(bench.now, started + TIME_OUT + WINDOW, "a lost one counts");
}

/// Returns the refusals of all kinds that a list may get, and a lost answer.
fn refusals() -> Vec<Answer> {
    let detail = Detail::default;
    vec![
        Answer::ApplicationRefused(detail()),
        Answer::CredentialsRefused(detail()),
        Answer::TokenRefused(detail()),
        Answer::Unexpected(detail()),
        Answer::Unavailable(detail(), Trouble::Answered),
        Answer::Unavailable(detail(), Trouble::NotConnected),
    ]
}

#[test]
fn a_list_that_is_refused_makes_no_deletion_wait() {
    for credential in ["s1", "token"] {
        for answer in refusals() {
            let mut bench = Bench::live(100);
            if credential == "token" {
                let handed_in = Credential::Token(credential.to_owned().into());
                let terms = Terms {
                    credential: handed_in,
                    ..terms(100, "s1")
                };
                bench.core.agree(LANE, terms, false, bench.now);
            }
            bench.core.want_spare(LANE);
            for _ in 0..10 {
                let call = bench.begin_spare().unwrap();
                bench.end(&call, &answer);
                if !bench.logins.is_empty() {
                    bench.log_in(3600);
                }
                assert_eq!(
                    bench.core.state(LANE, bench.now),
                    SessionState::Open,
                    "{answer:?}"
                );
            }
            bench.ask(1);
            assert!(bench.permitted(1), "{answer:?}");
        }
    }
}

#[test]
fn a_list_that_fails_where_the_session_ails_leaves_the_next_try_to_whoever_comes() {
    for answer in refusals() {
        let mut bench = Bench::live(100);
        for n in 1..=5 {
            bench.ask(n);
            bench.call(
                n,
                &Answer::Unavailable(Detail::default(), Trouble::Answered),
            );
        }
        assert!(matches!(
            bench.core.state(LANE, bench.now),
            SessionState::Unavailable(..)
        ));
        bench.core.want_spare(LANE);
        bench.settle();
        bench.wait();
        let call = bench.begin_spare().unwrap();
        assert!(bench.begin_spare().is_none(), "one probe at a time");
        bench.end(&call, &answer);
        if !bench.logins.is_empty() {
            bench.log_in(3600);
        }
        bench.ask(6);
        assert!(bench.permitted(6), "{answer:?}");
    }
}

#[test]
fn a_list_that_is_answered_heals_what_kept_the_platform_from_answering() {
    let (detail, wanted) = (Detail::default, |bench: &mut Bench| {
        bench.core.want_spare(LANE);
        bench.settle();
        bench.wait();
        let call = bench.begin_spare().unwrap();
        bench.end(&call, &Answer::Done(200));
    });
    let mut bench = Bench::live(100);
    for n in 1..=5 {
        bench.ask(n);
        bench.call(n, &Answer::Unavailable(detail(), Trouble::Answered));
    }
    wanted(&mut bench);
    assert_eq!(bench.core.state(LANE, bench.now), SessionState::Open);
    // The right to list is not the right to delete.
    let mut bench = Bench::live(100);
    bench.ask(1);
    bench.call(1, &Answer::ApplicationRefused(detail()));
    wanted(&mut bench);
    assert!(matches!(
        bench.core.state(LANE, bench.now),
        SessionState::ApplicationRefused(_)
    ));
}
