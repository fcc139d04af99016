//! A failing session: which objects probe, which wait, and which are woken to report it.

use super::*;
use crate::remote::answer::CertificateFault;

#[test]
fn after_five_failures_in_a_row_one_call_per_step_is_made_while_the_others_wait() {
    let mut bench = Bench::live(100);
    for n in 1..=100 {
        bench.ask(n);
    }
    for n in 1..=5 {
        bench.call(n, &unavailable());
    }
    assert!(matches!(
        bench.core.state(LANE, bench.now),
        SessionState::Unavailable(..)
    ));
    assert_eq!(bench.permits(), 0, "the permits not yet used are void");
    let began = bench.now;
    let mut probes = 0;
    while bench.now - began < secs(1800) {
        bench.wait();
        if let Some(holder) = (1..=100).find(|n| bench.permitted(*n)) {
            assert_eq!(bench.permits(), 1);
            bench.call(holder, &unavailable());
            bench.ask(holder);
            probes += 1;
        }
        // The woken objects ask again, and don't get ahead of the probe.
        for n in 6..30 {
            bench.ask(n);
        }
    }
    assert!(
        (6..=14).contains(&probes),
        "{probes} probes in half an hour"
    );
    while bench.permits() == 0 {
        bench.wait();
    }
    let holder = (1..=100).find(|n| bench.permitted(*n)).unwrap();
    bench.call(holder, &Answer::AlreadyGone(Detail::default()));
    assert_eq!(bench.core.state(LANE, bench.now), SessionState::Open);
    assert_eq!(bench.permits(), 8);
}

#[test]
fn a_refused_application_is_probed_and_does_not_eat_the_quota() {
    let mut bench = Bench::live(100);
    for n in 1..=100 {
        bench.ask(n);
    }
    for call in &bench.begin_twenty() {
        bench.end(call, &Answer::ApplicationRefused(Detail::default()));
    }
    assert!(matches!(
        bench.core.state(LANE, bench.now),
        SessionState::ApplicationRefused(_)
    ));
    let began = bench.now;
    while bench.permits() == 0 {
        bench.wait();
    }
    let pause = bench.now - began;
    assert!(pause >= secs(2) && pause <= secs(5), "{pause:?}");
    assert_eq!(bench.permits(), 1);
}

#[test]
fn a_probe_given_back_unused_goes_to_the_next() {
    let mut bench = Bench::live(100);
    for n in 1..=3 {
        bench.ask(n);
    }
    bench.call(1, &Answer::ApplicationRefused(Detail::default()));
    bench.ask(2);
    bench.ask(3);
    while bench.permits() == 0 {
        bench.wait();
    }
    let (first, other) = if bench.permitted(2) { (2, 3) } else { (3, 2) };
    assert!(!bench.permitted(other), "one at a time");
    bench.core.withdraw(LANE, &format!("u{first}"));
    bench.settle();
    assert!(bench.permitted(other));
}

#[test]
fn no_probe_goes_to_who_failed_last_while_somebody_else_waits() {
    for (deletions, retirements) in [(2, 0), (0, 2), (1, 1), (3, 3)] {
        let mut bench = Bench::live(100);
        let all = deletions + retirements;
        let ask = |bench: &mut Bench, n: usize| {
            let priority = if n <= deletions {
                Priority::Deletion
            } else {
                Priority::Retirement
            };
            let ticket = Ticket {
                priority,
                ..ticket(n)
            };
            bench.core.request(LANE, &ticket, bench.now);
            bench.settle();
        };
        let (mut last, mut probes) = (0, 0);
        while probes < 9 {
            let ails = bench.core.state(LANE, bench.now) != SessionState::Open;
            for n in 1..=all {
                ask(&mut bench, n);
            }
            let Some(n) = (1..=all).find(|n| bench.permitted(*n)) else {
                bench.wait();
                continue;
            };
            if ails {
                assert_ne!(n, last, "of {deletions} and {retirements}");
                probes += 1;
            }
            bench.call(n, &unavailable());
            last = n;
        }
    }
}

fn may_say(bench: &Bench, n: usize) -> bool {
    match bench.standing(n) {
        Standing::Waiting { told, .. } => told,
        other @ (Standing::Absent | Standing::Behind { .. } | Standing::Permitted { .. }) => {
            panic!("{other:?}")
        }
    }
}

/// Returns the objects woken in a span of time in which the application is refused, each with the time since its start.
fn woken_while_refused(bench: &mut Bench, span: Duration) -> Vec<(Duration, String)> {
    let began = bench.now;
    let mut woken = Vec::new();
    while bench.now - began < span {
        bench.wait();
        woken.extend(bench.woken.drain(..).map(|name| (bench.now - began, name)));
        if !bench.logins.is_empty() {
            bench.end_login(Err(Answer::CredentialsRefused(Detail::default())));
        }
    }
    woken
}

#[test]
fn the_head_says_at_once_that_a_person_has_to_look_and_the_others_at_a_pace_when_it_lasts() {
    let mut bench = Bench::new(100);
    for n in 0..200 {
        bench.ask(n);
    }
    bench.end_login(Err(Answer::CredentialsRefused(Detail::default())));
    assert_eq!(bench.woken, ["o0"]);
    assert!(may_say(&bench, 0) && !may_say(&bench, 1));
    let told = woken_while_refused(&mut bench, secs(60));
    assert_eq!(told.first().unwrap().1, "o0");
    let others = told.get(1..).unwrap();
    assert!(others.iter().all(|(at, _)| *at >= secs(30)));
    let mut names: Vec<_> = others.iter().map(|(_, name)| name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), others.len(), "somebody was told twice");
    for (index, (at, _)) in others.iter().enumerate().skip(50) {
        assert!(*at >= others[index - 50].0 + Duration::from_millis(999));
    }
    assert!(others.len() >= 198);
    assert!((0..200).all(|n| may_say(&bench, n)));
}

#[test]
fn an_outage_that_passes_by_itself_is_told_to_nobody_but_who_is_next() {
    for (trouble, told) in [
        (Trouble::TimedOut, false),
        (
            Trouble::CertificateNotTrusted(CertificateFault::Issuer),
            true,
        ),
    ] {
        let mut bench = Bench::live(100);
        for n in 1..=200 {
            bench.ask(n);
        }
        let outage = Answer::Unavailable(Detail::default(), trouble);
        for n in 1..=5 {
            bench.call(n, &outage);
        }
        let began = bench.now;
        while bench.now - began < secs(60) {
            bench.wait();
            if let Some(holder) = (1..=200).find(|n| bench.permitted(*n)) {
                bench.call(holder, &outage);
                bench.ask(holder);
            }
        }
        let waiting: Vec<_> = (101..=200).filter(|n| !bench.permitted(*n)).collect();
        assert!(
            waiting.iter().skip(1).all(|n| may_say(&bench, *n) == told),
            "{trouble:?}"
        );
    }
}

#[test]
fn those_who_said_that_a_person_has_to_look_are_told_that_it_is_over_when_that_lasts_too() {
    // An object that parks during the refusal reports it at once, even if the refusal is short.
    for refused in [secs(60), secs(5)] {
        let mut bench = Bench::new(100);
        for n in 0..200 {
            bench.ask(n);
        }
        bench.end_login(Err(Answer::CredentialsRefused(Detail::default())));
        woken_while_refused(&mut bench, refused);
        while bench.logins.is_empty() {
            bench.wait();
        }
        bench.log_in(3600);
        bench.woken.clear();
        let began = bench.now;
        let last: Vec<usize> = (150..200).collect();
        let mut told = Vec::new();
        while bench.now - began < secs(45) {
            bench.wait();
            told.extend(bench.woken.drain(..).map(|name| (bench.now - began, name)));
            let early = bench.now - began < secs(30);
            assert!(!(early && last.iter().any(|n| may_say(&bench, *n))));
        }
        let others: Vec<_> = last
            .iter()
            .map(|n| {
                told.iter()
                    .filter(|(_, name)| *name == format!("o{n}"))
                    .count()
            })
            .collect();
        assert!(
            others.iter().all(|times| *times == 1),
            "{refused:?}: {others:?}"
        );
        assert!(last.iter().all(|n| may_say(&bench, *n)));
    }
}
