//! What is remembered of an answer, in which order, and when the object leaves its seat.

use super::*;
use crate::package::errand::Ending;

fn leaves(report: &Report) -> bool {
    report.errands.contains(&Errand::LeaveSeat)
}

fn ending(report: &Report) -> Option<&Ending> {
    report.errands.iter().find_map(|errand| {
        if let Errand::End(ending) = errand {
            Some(&**ending)
        } else {
            None
        }
    })
}

/// Position of `errand` in the report.
fn place(report: &Report, errand: impl Fn(&Errand) -> bool) -> usize {
    report.errands.iter().position(errand).unwrap()
}

#[test]
fn an_end_is_remembered_then_written_down_and_the_seat_left_last() {
    for answer in [
        Answer::Done(200),
        Answer::AlreadyGone(detail(404, "123002")),
    ] {
        let report = after(going(), answer);
        let settled = place(&report, |errand| matches!(errand, Errand::Settle(_)));
        let forgotten = place(&report, |errand| *errand == Errand::Anew);
        let written = place(&report, |errand| matches!(errand, Errand::End(_)));
        let paid = place(&report, |errand| matches!(errand, Errand::Pay(_)));
        let left = place(&report, |errand| *errand == Errand::LeaveSeat);
        assert!(settled < written && forgotten < written && written < paid && paid < left);
        assert_eq!(left, report.errands.len() - 1);
        let ending = ending(&report).unwrap();
        assert!(ending.took.is_some() && ending.record.is_some());
        assert!(report.errands.contains(&Errand::Unproven(None)));
    }
}

#[test]
fn an_end_that_was_written_down_is_no_news_but_its_line_may_still_be_owed() {
    let effect = Effect::Answered(Answer::Done(200));
    let line = |outcome| audit_record(&seen(going()), outcome, None, now()).map(Box::new);
    let (deleted, retained) = (Outcome::Deleted, Outcome::Retained);
    // Outcome audited before and the line still due; whether the end is news, and the outcome of the line that is
    // written.
    for (audited, owed, news, paid) in [
        (None, None, true, Some(deleted)),
        (Some(retained), line(retained), true, Some(deleted)),
        (Some(deleted), line(deleted), false, Some(deleted)),
        (Some(deleted), None, false, None),
    ] {
        let seen = Observation {
            audited,
            owed,
            ..seen(going())
        };
        let report = conclude(&seen, &Decision::Send, &effect, now(), 0.0);
        assert_eq!(ending(&report).is_some(), news, "{audited:?}");
        let written = report.errands.iter().find_map(|errand| {
            if let Errand::Pay(record) = errand {
                Some(record.outcome)
            } else {
                None
            }
        });
        assert_eq!(written, paid, "{audited:?}");
    }
}

#[test]
fn an_end_is_written_down_before_what_rests_on_it_unless_the_status_tells_it() {
    let ended = |outcome| Observation {
        settled: Some(outcome),
        ..seen(going())
    };
    let release = |outcome| Decision::Release {
        outcome,
        keeper: None,
    };
    let outcome = Outcome::Retained;
    let untold_end = |seen: &Observation, decision: &Decision| {
        let mut errands = beforehand(seen, decision, now()).into_iter();
        errands.find(|errand| matches!(errand, Errand::End(_)))
    };
    let Some(Errand::End(untold)) = untold_end(&seen(going()), &release(outcome)) else {
        panic!("it isn't written down")
    };
    assert_eq!((untold.outcome, untold.took), (outcome, None));
    let resting = Decision::Await(Instant::now());
    assert!(untold_end(&ended(Outcome::Deleted), &resting).is_some());
    assert!(untold_end(&seen(going()), &resting).is_none());
    let mut object = going();
    object.status.deletion = Some(Deletion {
        outcome: Some(outcome),
        ..Deletion::default()
    });
    assert!(untold_end(&seen(object), &release(outcome)).is_none());
}

#[test]
fn an_answer_that_proves_nothing_keeps_its_seat_for_the_look_up_that_tells() {
    let proves_nothing = detail(200, "");
    let report = after(going(), Answer::Unproven(proves_nothing.clone()));
    let remembered = Errand::Unproven(Some(proves_nothing.clone()));
    assert!(report.errands.contains(&remembered) && !leaves(&report));
    assert_eq!((&report.status, &report.event), (&None, &None));

    let unproven = Observation {
        unproven: Some(proves_nothing.clone()),
        ..seen(going())
    };
    let confirm = |shown| {
        let effect = Effect::Shown(shown);
        conclude(&unproven, &Decision::Confirm, &effect, now(), 0.0)
    };
    for (shown, told) in [
        (Ok(Box::new(version("V1"))), true),
        (Err(Answer::AlreadyGone(detail(404, "123002"))), true),
        (Err(Answer::Unproven(proves_nothing)), true),
        (Err(Answer::Unexpected(detail(404, ""))), true),
        (Err(Answer::Throttled(detail(403, "1010009"))), false),
        (Err(Answer::TokenRefused(detail(403, "1010005"))), false),
        (
            Err(Answer::Unavailable(Detail::default(), Trouble::TimedOut)),
            false,
        ),
    ] {
        let report = confirm(shown.clone());
        let forgotten = report.errands.contains(&Errand::Unproven(None));
        assert_eq!(forgotten, told, "{shown:?}");
        assert!(leaves(&report), "{shown:?}");
    }
}

#[test]
fn a_look_up_that_proves_keeps_its_seat_for_the_call_and_counts_for_a_window_and_a_minute() {
    let shown = Effect::Shown(Ok(Box::new(version("V1"))));
    let (seen, now) = (seen(going()), now());
    let report = conclude(&seen, &Decision::LookUp, &shown, now, 0.0);
    let until = now.tick + seen.window + Duration::from_secs(60);
    assert_eq!(
        report.errands,
        [
            Errand::Proven(Some(until)),
            Errand::Exists(None),
            Errand::GivenBack(None)
        ]
    );
}

#[test]
fn a_package_that_is_shown_tells_of_the_other_endpoint_at_which_its_object_was_accepted() {
    let (here, there): (Endpoint, Endpoint) = (
        "https://here.example.com".parse().unwrap(),
        "https://there.example.com".parse().unwrap(),
    );
    let shown = Effect::Shown(Ok(Box::new(version("V1"))));
    for (accepted, elsewhere) in [(&here, None), (&there, Some(there.clone()))] {
        let mut object = going();
        object.status.endpoint = Some(accepted.clone());
        let seen = Observation {
            endpoint: Some(here.clone()),
            ..seen(object)
        };
        let report = conclude(&seen, &Decision::LookUp, &shown, now(), 0.0);
        assert!(report.errands.contains(&Errand::Exists(elsewhere)));
    }
}

#[test]
fn who_names_a_package_that_is_gone_looks_again_where_it_is_known_by_whose_word_it_is() {
    let gone = |errand: &Errand| matches!(errand, Errand::Gone(file, _) if file.as_str() == "f-1");
    let done = Effect::Answered(Answer::Done(200));
    let told = |endpoint| {
        let seen = Observation {
            endpoint,
            ..seen(going())
        };
        let report = conclude(&seen, &Decision::Send, &done, now(), 0.0);
        report.errands.iter().any(gone)
    };
    assert!(told(Some("https://here.example.com".parse().unwrap())));
    assert!(!told(None));
}

#[test]
fn what_the_platform_deleted_is_missed_in_its_list_and_what_it_never_had_is_not() {
    let gone = || Answer::AlreadyGone(detail(404, "123002"));
    let told = |seen: &Observation, decision: Decision, effect: Effect| {
        let report = conclude(seen, &decision, &effect, now(), 0.0);
        report.does(|errand| matches!(errand, Errand::Deleted(_)))
    };
    let here = seen(going());
    let elsewhere = Observation {
        elsewhere: Some(Unbelieved::HandedIn("app-1".parse().unwrap())),
        ..here.clone()
    };
    let done = || Effect::Answered(Answer::Done(200));
    let send = |answer| Effect::Answered(answer);
    let shown = |answer| Effect::Shown(Err(answer));
    assert!(told(&here, Decision::Send, done()) && told(&elsewhere, Decision::Send, done()));
    assert!(told(&here, Decision::Send, send(gone())));
    assert!(!told(&elsewhere, Decision::Send, send(gone())));
    assert!(told(&here, Decision::Confirm, shown(gone())));
    assert!(!told(&here, Decision::LookUp, shown(gone())));
    let unexpected = Answer::Unexpected(detail(404, ""));
    assert!(!told(&here, Decision::Send, send(unexpected)));
}

#[test]
fn who_could_not_use_its_permit_leaves_its_seat() {
    for decision in [Decision::LookUp, Decision::Confirm, Decision::Send] {
        let now = now();
        let report = conclude(&seen(going()), &decision, &Effect::NotSent, now, 0.0);
        assert_eq!(report.errands, [Errand::LeaveSeat]);
        assert_eq!(report.wake, Some(now.tick));
    }
}

#[test]
fn every_other_answer_leaves_the_seat_and_forgets_what_was_proven() {
    for answer in [
        Answer::Throttled(detail(403, "1010009")),
        Answer::CredentialsRefused(detail(401, "100208")),
        Answer::Unexpected(detail(404, "")),
        Answer::InvalidFileId(detail(400, "120015")),
    ] {
        let report = after(going(), answer.clone());
        assert_eq!(report.errands[0], Errand::Proven(None));
        assert!(report.errands.contains(&Errand::GivenBack(None)));
        assert!(leaves(&report) && ending(&report).is_none(), "{answer:?}");
    }
    let mismatch = shown("V1", Ok(version("V2")));
    assert!(leaves(&mismatch) && mismatch.errands.contains(&Errand::Unproven(None)));
}
