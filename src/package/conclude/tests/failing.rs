//! What failures leave in the status, and what clears them.

use super::*;
use crate::api::version_package::DeletionPolicy;

fn deletion(report: &Report) -> Deletion {
    report.status.as_ref().unwrap().deletion.clone().unwrap()
}

fn with(deletion: Deletion) -> Object {
    let mut object = going();
    object.status.deletion = Some(deletion);
    object
}

/// Report on a failed look-up.
fn look_up(object: Object) -> Report {
    let shown = Effect::Shown(Err(Answer::Unexpected(detail(404, "look-up"))));
    conclude(&seen(object), &Decision::LookUp, &shown, now(), 0.0)
}

fn code(deletion: &Deletion) -> Option<&str> {
    deletion.last_error.as_ref()?.code.as_deref()
}

#[test]
fn a_look_up_that_fails_leaves_the_error_of_a_call_and_is_none_itself() {
    let failed = deletion(&after(going(), Answer::Unexpected(detail(404, "call"))));
    let called = Deletion {
        attempts: Some(1),
        ..failed
    };
    let looked_up = look_up(with(called.clone()));
    assert_eq!(reason(&looked_up), "UnexpectedAnswer");
    let kept = deletion(&looked_up);
    assert_eq!(kept.last_error, called.last_error, "its time, too");

    // Without a call, the status tells the error of the look-up until the first call begins.
    let before = deletion(&look_up(going()));
    assert_eq!(code(&before), Some("look-up"));
    let intent = Effect::Intended("i".to_owned());
    let began = |object| {
        let seen = seen(object);
        deletion(&conclude(
            &seen,
            &Decision::WriteIntent(None),
            &intent,
            now(),
            0.0,
        ))
    };
    assert_eq!(code(&began(with(before))), None);
    assert_eq!(code(&began(with(called))), Some("call"));
}

#[test]
fn what_is_held_forgets_its_failures_so_that_it_goes_on_at_once_when_it_is_let_go() {
    let retry = |object: Object| {
        let seen = seen(object);
        let decision = decide::decide(&seen, now());
        conclude(&seen, &decision, &Effect::Nothing, now(), 0.0).retry()
    };
    let paused = Object {
        paused: true,
        ..going()
    };
    assert_eq!(retry(paused), Retry::Anew);
    assert_eq!(retry(going()), Retry::Unchanged);
}

#[test]
fn a_permit_that_cannot_be_used_is_told_of_when_that_lasts_and_asked_for_ever_more_rarely() {
    let decision = Decision::GiveBack("Platform iot/p can't be read: no answer".to_owned());
    let given_back = |before| {
        let now = now();
        let seen = Observation {
            given_back: before,
            ..seen(going())
        };
        let report = conclude(&seen, &decision, &Effect::Nothing, now, 0.0);
        let wake = report.wake.unwrap();
        assert_eq!(report.retry(), Retry::GivenBack(wake));
        (wake - now.tick, report)
    };
    let mut pauses = Vec::new();
    for failures in 0..3 {
        let (pause, report) = given_back(failures);
        assert_eq!(report.status, None, "a hiccup");
        pauses.push(pause.as_secs());
    }
    for failures in 3..6 {
        let (pause, report) = given_back(failures);
        assert_eq!(reason(&report), "Queued");
        let message = &report.status.as_ref().unwrap().conditions[0].message;
        assert!(message.contains("can't be read: no answer"), "{message}");
        pauses.push(pause.as_secs());
    }
    assert_eq!(pauses, [1, 2, 4, 8, 15, 15]);
    // After the trouble, the object reports again that it waits for its turn.
    let mut said = going();
    said.status = given_back(3).1.status.unwrap();
    assert_eq!(reason(&waits(said, 3, SessionState::Open, false)), "Queued");
}

#[test]
fn another_request_does_not_take_over_the_hold_of_the_one_before() {
    let earlier = fixtures::now() - Duration::from_secs(600);
    let held = |requested_at| {
        with(Deletion {
            requested_at: Some(Time(requested_at)),
            hold: Some("h-1".to_owned()),
            ..Deletion::default()
        })
    };
    let says = |object: Object| {
        let seen = seen(object);
        let report = say(&seen, Reason::GracePeriod, "m", None, now());
        deletion(&report).hold
    };
    let going = held(going().deleted_at.unwrap());
    assert_eq!(
        going.spec.as_ref().unwrap().deletion_policy,
        DeletionPolicy::Delete
    );
    assert_eq!(says(going).as_deref(), Some("h-1"));
    assert_eq!(says(held(earlier)), None);
}
