//! Which status is written, and what follows from the result of that write.

use super::*;
use crate::api::reason::Phase;
use crate::api::version_package::VersionPackageStatus;
use crate::package::memory::own_write::{Conflict, Part, RefusedWrite};

use crate::package::memory::{Failure, Fingerprint};

const YES: Written = Written::Yes { changed: true };

fn contested() -> Written {
    Written::Contested("the object has been modified".to_owned())
}

pub(super) fn refusal(count: u32, until: Instant) -> RefusedWrite {
    RefusedWrite {
        words: "policy p says no".to_owned(),
        count,
        until,
        denied: true,
        phase: None,
    }
}

/// Report of an object that rests because it is paused.
pub(super) fn rests(seen: &Observation, now: Now) -> Report {
    let rest = Decision::Rest {
        reason: Reason::Paused,
        message: "held".into(),
        until: None,
    };
    conclude(seen, &rest, &Effect::Nothing, now, 0.0)
}

/// What follows from a write of the intent with the result `written`.
fn intended(seen: &Observation, written: Written, now: Now) -> Report {
    let effect = Effect::Intended("i".to_owned());
    let report = conclude(seen, &Decision::WriteIntent(None), &effect, now, 0.0);
    assert!(report.status.is_some());
    afterwards(seen, &effect, report, Some(written), (now, 0.0))
}

/// Report on an answer, and what follows from the write of its status with the result `written`.
fn answered(seen: &Observation, written: Written, now: Now) -> (Report, Report) {
    let effect = Effect::Answered(Answer::Unexpected(detail(404, "")));
    let report = conclude(seen, &Decision::Send, &effect, now, 0.0);
    let rest = afterwards(seen, &effect, report.clone(), Some(written), (now, 0.0));
    (report, rest)
}

pub(super) fn event(report: &Report) -> Vec<&'static str> {
    let all = report.errands.iter();
    let told = all.filter_map(|errand| {
        if let Errand::Tell(note) = errand {
            Some(note.reason)
        } else {
            None
        }
    });
    told.collect()
}

fn unsaid(status: VersionPackageStatus) -> Errand {
    Errand::Unsaid(Some(Box::new(status)))
}

fn seconds(report: &Report, now: Now) -> f64 {
    (report.wake.unwrap() - now.tick).as_secs_f64()
}

#[test]
fn a_status_that_is_written_is_told_of_and_forgets_what_was_unsaid() {
    let (seen, now) = (seen(going()), now());
    let (report, rest) = answered(&seen, YES, now);
    assert_eq!(rest.errands[0], Errand::Unsaid(None));
    assert_eq!(event(&rest), ["UnexpectedAnswer"]);
    assert_eq!(rest.wake, report.wake);
    let unwritten = afterwards(&seen, &Effect::Nothing, rests(&seen, now), None, (now, 0.0));
    assert_eq!(event(&unwritten), ["Paused"]);
}

#[test]
fn what_a_call_came_to_is_kept_where_it_cannot_be_written() {
    let now = now();
    for written in [
        Written::Gone,
        contested(),
        Written::Refused("no".to_owned()),
        Written::Failed("no answer".to_owned()),
    ] {
        let (report, rest) = answered(&seen(going()), written.clone(), now);
        let said = unsaid(report.status.unwrap());
        assert_eq!(rest.errands[0], said, "{written:?}");
        assert!(!rest.errands.contains(&Errand::LeaveSeat));
    }
}

#[test]
fn what_an_earlier_pass_could_not_write_is_said_while_it_is_still_so() {
    let now = now();
    let (report, _) = answered(&seen(going()), YES, now);
    let failure = Failure {
        count: 1,
        until: now.tick + Duration::from_secs(5),
        fingerprint: Fingerprint {
            generation: 1,
            requested_at: None,
            revision: 0,
        },
        unsaid: report.status.clone().map(Box::new),
    };
    let failing = Observation {
        failure: Some(failure.clone()),
        ..seen(going())
    };
    let waits = Decision::Await(failure.until);
    let says =
        |seen: &Observation, effect: &Effect, now| conclude(seen, &waits, effect, now, 0.0).status;
    assert_eq!(says(&failing, &Effect::Nothing, now), report.status);
    assert_eq!(says(&failing, &Effect::Taken, now), None);
    let over = Now {
        tick: failure.until,
        ..now
    };
    assert_eq!(says(&failing, &Effect::Nothing, over), None);
    // A pass that has something to report reports that.
    assert_eq!(reason(&rests(&failing, now)), "Paused");
}

#[test]
fn a_permit_outlives_three_conflicts_of_its_intent_and_nothing_else() {
    let now = now();
    for (written, conflicts, leaves, pause) in [
        (YES, 0, false, None),
        (contested(), 0, false, Some(5.0)),
        (contested(), 2, false, Some(5.0)),
        (contested(), 3, true, Some(5.0)),
        (Written::Gone, 0, true, Some(30.0)),
        (Written::Refused("no".to_owned()), 0, true, Some(0.0)),
        (Written::Failed("no answer".to_owned()), 0, true, Some(1.0)),
    ] {
        let seen = Observation {
            conflicts,
            ..seen(going())
        };
        let rest = intended(&seen, written.clone(), now);
        let left = rest.errands.contains(&Errand::LeaveSeat);
        assert_eq!(left, leaves, "{written:?}");
        let wake = rest.wake.map(|wake| (wake - now.tick).as_secs_f64());
        assert_eq!(wake, pause, "{written:?}");
    }
}

#[test]
fn an_object_that_is_held_otherwise_meanwhile_is_looked_at_again_and_says_nothing() {
    let now = now();
    let (_, rest) = answered(&seen(going()), Written::Outdated, now);
    assert_eq!((rest.errands, rest.wake), (Vec::new(), Some(now.tick)));
}

#[test]
fn an_event_waits_for_a_status_that_met_a_conflict_and_wakes_at_the_earlier_time() {
    let now = now();
    let (_, rest) = answered(&seen(going()), contested(), now);
    assert_eq!((event(&rest), seconds(&rest, now)), (vec![], 5.0));
    let paused = seen(going());
    let mut report = rests(&paused, now);
    report.wake = Some(now.tick + Duration::from_secs(2));
    let written = Some(contested());
    let rest = afterwards(&paused, &Effect::Nothing, report, written, (now, 0.0));
    assert_eq!((event(&rest), seconds(&rest, now)), (vec![], 2.0));
}

#[test]
fn the_first_refusal_of_a_status_is_told_beside_its_event_and_the_others_with_growing_pauses() {
    let now = now();
    for (before, events, pause) in [
        // The next pass comes at once, so that the conditions report the refusal.
        (None, vec!["StatusRefused", "Paused"], 0.0),
        (Some(1), vec![], 2.0),
        (Some(2), vec![], 4.0),
        (Some(9), vec![], 60.0),
    ] {
        let mut object = going();
        if before.is_some() {
            object.status = rests(&seen(going()), now).status.unwrap();
            object.status.conditions[0].message = "it is refused: policy p says no".to_owned();
        }
        let seen = Observation {
            status_refused: before.map(|count| refusal(count, now.tick)),
            ..seen(object)
        };
        let written = Some(Written::Refused("policy p says no".to_owned()));
        let then = (now, 0.0);
        let rest = afterwards(&seen, &Effect::Nothing, rests(&seen, now), written, then);
        assert_eq!(event(&rest), events, "{before:?}");
        assert!((seconds(&rest, now) - pause).abs() < 0.001, "{before:?}");
        let pause = if before.is_none() { 1.0 } else { pause };
        let until = now.tick + Duration::from_secs_f64(pause);
        let next = RefusedWrite {
            phase: Some(Phase::Held),
            ..refusal(before.unwrap_or(0) + 1, until)
        };
        let refused = Errand::Refused(Part::Status, next);
        assert!(rest.errands.contains(&refused), "{:?}", rest.errands);
    }
}

#[test]
fn a_refusal_that_the_conditions_do_not_tell_any_more_is_told_there_at_once_and_is_news_after_failures()
 {
    let now = now();
    let then = (now, 0.0);
    for (denied, events) in [(true, vec![]), (false, vec!["StatusRefused", "Paused"])] {
        let seen = Observation {
            status_refused: Some(RefusedWrite {
                denied,
                ..refusal(3, now.tick)
            }),
            ..seen(going())
        };
        let written = Some(Written::Refused("policy p says no".to_owned()));
        let rest = afterwards(&seen, &Effect::Nothing, rests(&seen, now), written, then);
        assert_eq!((event(&rest), rest.wake), (events, Some(now.tick)));
    }
}

#[test]
fn a_status_that_is_known_to_be_refused_is_not_written_before_its_pause_is_over() {
    let now = now();
    let until = now.tick + Duration::from_secs(7);
    let refused = Observation {
        status_refused: Some(refusal(2, until)),
        ..seen(going())
    };
    let report = rests(&refused, now);
    assert!(report.complains);
    assert_eq!((report.event, report.wake), (None, Some(until)));
    let (report, _) = answered(&refused, YES, now);
    assert_eq!(report.status, None);
    let keeps = |errand: &Errand| matches!(errand, Errand::Unsaid(Some(_)));
    assert!(report.errands.iter().any(keeps));
    let over = Now { tick: until, ..now };
    assert_eq!(reason(&rests(&refused, over)), "Paused");
}

#[test]
fn a_finalizer_that_is_refused_and_a_conflict_that_is_none_are_remembered_alike() {
    let now = now();
    let refused = |before: u32| Observation {
        finalizers_refused: Some(refusal(before, now.tick)),
        ..seen(going())
    };
    let effect = Effect::Refused("policy p says no".to_owned());
    let add = Decision::AddFinalizer;
    let report = conclude(&refused(2), &add, &effect, now, 0.0);
    let next = refusal(3, now.tick + Duration::from_secs(4));
    let errand = Errand::Refused(Part::Finalizers, next.clone());
    assert_eq!(report.errands, [errand]);
    assert_eq!(
        (reason(&report).as_str(), report.wake),
        ("FinalizerRefused", Some(next.until))
    );

    for (part, seen, events) in [
        (Part::Finalizers, seen(going()), vec![]),
        (Part::Status, seen(going()), vec!["StatusRefused"]),
    ] {
        let conflict = Conflict {
            part,
            words: "policy p says no".to_owned(),
            at: now.tick,
            phase: None,
        };
        let ends = Decision::EndConflict(conflict);
        let report = conclude(&seen, &ends, &Effect::Nothing, now, 0.0);
        let first = refusal(1, now.tick + Duration::from_secs(1));
        assert_eq!(report.errands[0], Errand::Refused(part, first));
        assert_eq!((event(&report), report.wake), (events, Some(now.tick)));
    }
}

#[test]
fn writes_that_are_not_taken_are_tried_again_with_growing_pauses() {
    let now = now();
    for (before, pause) in [(0, 1.0), (1, 2.0), (4, 16.0), (9, 30.0)] {
        let until = now.tick + Duration::from_secs_f64(pause);
        let failure = |count, phase| RefusedWrite {
            words: "no answer".to_owned(),
            count,
            until,
            denied: false,
            phase,
        };
        let known = |phase| {
            (before > 0).then(|| RefusedWrite {
                until: now.tick,
                ..failure(before, phase)
            })
        };
        // From the fifth failure on, the failure is reported, and the next pass comes at once.
        let wake = if before < 4 { until } else { now.tick };

        let bare = Observation {
            finalizers_refused: known(None),
            ..seen(going())
        };
        let patch = Effect::Failed("no answer".to_owned());
        let report = conclude(&bare, &Decision::AddFinalizer, &patch, now, 0.0);
        assert_eq!(report, Report::nothing());
        let rest = afterwards(&bare, &patch, report, None, (now, 0.0));
        let not_taken = Errand::NotTaken(Part::Finalizers, failure(before + 1, None));
        assert!(rest.errands.contains(&not_taken), "{:?}", rest.errands);
        let told = (before == 4).then_some("WriteFailed");
        assert_eq!(event(&rest), Vec::from_iter(told), "{before}");
        assert_eq!(rest.wake, Some(wake), "{before}");

        let phase = Some(Phase::Stalled);
        let unsaid = Observation {
            status_refused: known(phase),
            ..seen(going())
        };
        let written = Written::Failed("no answer".to_owned());
        let (_, rest) = answered(&unsaid, written, now);
        let not_taken = Errand::NotTaken(Part::Status, failure(before + 1, phase));
        assert!(rest.errands.contains(&not_taken), "{:?}", rest.errands);
        assert_eq!(rest.wake, Some(wake), "{before}");
        assert_eq!(event(&rest).contains(&"WriteFailed"), before == 4);
    }
}

#[test]
fn a_status_of_another_phase_than_the_one_that_is_refused_is_no_way_out() {
    let now = now();
    for (refused, part) in [
        (Some(Phase::Deleting), Part::Beside),
        (Some(Phase::Stalled), Part::Status),
        (None, Part::Status),
    ] {
        let seen = Observation {
            status_refused: Some(RefusedWrite {
                phase: refused,
                ..refusal(3, now.tick)
            }),
            ..seen(going())
        };
        // The status reports that the answer was unexpected.
        let (_, rest) = answered(&seen, YES, now);
        let wrote = Errand::Wrote(part, Some(now.tick));
        assert!(rest.errands.contains(&wrote), "{:?}", rest.errands);
    }
}

#[test]
fn who_meets_a_conflict_about_its_intent_that_is_none_leaves_its_seat() {
    let now = now();
    let conflict = Conflict {
        part: Part::Status,
        words: "policy p says no".to_owned(),
        at: now.tick,
        phase: Some(Phase::Deleting),
    };
    let ends = Decision::EndConflict(conflict);
    let report = conclude(&seen(going()), &ends, &Effect::Nothing, now, 0.0);
    assert!(report.errands.contains(&Errand::LeaveSeat));
}

#[test]
fn an_end_that_cannot_be_written_down_is_said_once_and_told_once_and_tried_for_ever() {
    let now = now();
    let effect = Effect::Unaudited("the disk is full".to_owned());
    let pass = |object: &Object, failed_audits, written| {
        let seen = Observation {
            settled: Some(Outcome::Deleted),
            failed_audits,
            ..seen(object.clone())
        };
        let ends = Decision::Nothing;
        let report = conclude(&seen, &ends, &effect, now, 0.0);
        assert_eq!((&report.errands, &report.event), (&Vec::new(), &None));
        let status = report.status.clone();
        let written = status.as_ref().and(written);
        let rest = afterwards(&seen, &effect, report, written, (now, 0.0));
        (status, rest)
    };
    let mut object = going();
    let (said, rest) = pass(&object, 0, Some(YES));
    let said = said.unwrap();
    assert!(said.says(Reason::AuditFailed));
    assert_eq!(said.deletion, object.status.deletion, "nothing of the end");
    assert_eq!(
        (event(&rest), seconds(&rest, now)),
        (vec!["AuditFailed"], 1.0)
    );
    object.status = said;
    let (said, rest) = pass(&object, 1, Some(YES));
    assert_eq!((said, event(&rest)), (None, vec![]));
    assert!((seconds(&rest, now) - 2.0).abs() < 0.001);
    // Both the audit line and the status can't be written.
    let failed = Some(Written::Failed("no answer".to_owned()));
    let (_, rest) = pass(&going(), 0, failed);
    let not_taken = |errand: &Errand| matches!(errand, Errand::NotTaken(Part::Status, _));
    assert!(rest.errands.iter().any(not_taken) && event(&rest) == ["AuditFailed"]);
    let told = |errand: &Errand| matches!(errand, Errand::Tell(note) if note.message.contains("the disk is full"));
    assert!(rest.errands.iter().any(told), "{:?}", rest.errands);
}

#[test]
fn what_was_written_is_remembered_with_the_echo_that_it_has_and_a_conflict_in_its_words() {
    let (seen, now) = (seen(going()), now());
    let add = Decision::AddFinalizer;
    for (changed, echo) in [(true, Some(now.tick)), (false, None)] {
        let report = conclude(&seen, &add, &Effect::Patched { changed }, now, 0.0);
        assert_eq!(report.errands, [Errand::Wrote(Part::Finalizers, echo)]);
        let (_, rest) = answered(&seen, Written::Yes { changed }, now);
        assert!(rest.errands.contains(&Errand::Wrote(Part::Status, echo)));
    }
    let conflict = |part, phase| {
        Errand::Contested(Conflict {
            part,
            words: "the object has been modified".to_owned(),
            at: now.tick,
            phase,
        })
    };
    let outrun = Effect::Contested(Some("the object has been modified".to_owned()));
    let report = conclude(&seen, &add, &outrun, now, 0.0);
    assert_eq!(report.errands, [conflict(Part::Finalizers, None)]);
    assert_eq!(
        conclude(&seen, &add, &Effect::Contested(None), now, 0.0).errands,
        []
    );
    let (_, rest) = answered(&seen, contested(), now);
    let told = conflict(Part::Status, Some(Phase::Stalled));
    assert!(rest.errands.contains(&told), "{:?}", rest.errands);
}

#[test]
fn a_status_marks_a_hold_only_where_the_object_does_not_name_it_yet() {
    let now = now();
    let marks = |object: &Object| {
        let held = Observation {
            guard: Judgement::Held("h-1".into()),
            ..seen(object.clone())
        };
        let decision = decide::decide(&held, now);
        conclude(&held, &decision, &Effect::Nothing, now, 0.0)
    };
    let mut object = going();
    let first = marks(&object);
    assert_eq!(first.mark.as_deref(), Some("h-1"));
    object.status = first.status.unwrap();
    assert_eq!((marks(&object).status, marks(&object).mark), (None, None));
    object.status.conditions.clear();
    let again = marks(&object);
    assert!(again.status.is_some() && again.mark.is_none());
}

#[test]
fn where_the_application_is_goes_with_a_write_that_is_due_anyway() {
    let (mut object, now) = (going(), now());
    object.status = rests(&seen(object.clone()), now).status.unwrap();
    let moved = |object: &Object| Observation {
        endpoint: Some("https://new.example.com".parse().unwrap()),
        ..seen(object.clone())
    };
    assert_eq!(rests(&moved(&object), now).status, None);
    object.status.conditions.clear();
    let status = rests(&moved(&object), now).status.unwrap();
    assert!(status.endpoint.is_some());
}
