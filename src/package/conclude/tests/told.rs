//! The outcome of an object that stays for the finalizer of another controller.

use super::*;
use crate::api::names::FINALIZER;

const KEEP: &str = "example.com/keep";

/// A deleted object with these finalizers, and with the status of the report `before`.
fn kept(finalizers: &[&str], before: Option<&Report>) -> Object {
    let mut object = going();
    object.finalizers = finalizers.iter().map(|&name| name.to_owned()).collect();
    if let Some(status) = before.and_then(|report| report.status.clone()) {
        object.status = status;
    }
    object
}

fn ended(object: Object, outcome: Outcome) -> Observation {
    Observation {
        settled: Some(outcome),
        ..seen(object)
    }
}

fn tells(seen: &Observation) -> (Decision, Report) {
    let decision = decide::decide(seen, now());
    let report = conclude(seen, &decision, &Effect::Nothing, now(), 0.0);
    (decision, report)
}

#[test]
fn it_tells_its_outcome_with_one_event_before_our_finalizer_goes_and_nothing_after() {
    for outcome in Outcome::ALL {
        let (decision, told) = tells(&ended(kept(&[KEEP, FINALIZER], None), outcome));
        assert!(matches!(decision, Decision::Tell { .. }), "{decision:?}");
        assert_eq!(reason(&told), outcome.as_str());
        let status = told.status.as_ref().unwrap();
        assert_eq!(status.phase, Some(Phase::Gone));
        assert_eq!(status.deletion.as_ref().unwrap().outcome, Some(outcome));
        assert_eq!(told.event.as_ref().unwrap().reason, outcome.as_str());

        // A restarted process knows the outcome from the status.
        let next = ended(kept(&[KEEP, FINALIZER], Some(&told)), outcome);
        let release = decide::decide(&next, now());
        assert!(matches!(release, Decision::Release { .. }), "{release:?}");
        let released = conclude(
            &next,
            &release,
            &Effect::Patched { changed: true },
            now(),
            0.0,
        );
        assert_eq!((released.status, released.event), (None, None));

        let (decision, after) = tells(&ended(kept(&[KEEP], Some(&told)), outcome));
        assert_eq!(decision, Decision::Nothing);
        assert_eq!((after.status, after.event), (None, None));
    }
}

#[test]
fn an_outcome_that_could_not_be_told_before_our_finalizer_went_is_told_once_it_can_be() {
    let denied = crate::package::memory::own_write::RefusedWrite {
        count: 1,
        until: now().tick + Duration::from_secs(30),
        words: "the auditors say no".to_owned(),
        denied: true,
        phase: Some(Phase::Gone),
    };
    for outcome in Outcome::ALL {
        let refused = |finalizers: &[&str]| Observation {
            status_refused: Some(denied.clone()),
            ..ended(kept(finalizers, None), outcome)
        };
        let (release, _) = tells(&refused(&[KEEP, FINALIZER]));
        assert!(matches!(release, Decision::Release { .. }), "{release:?}");
        let (waits, complains) = tells(&refused(&[KEEP]));
        assert_eq!(waits, Decision::Await(denied.until));
        assert_eq!(reason(&complains), "StatusRefused");
        assert_eq!(complains.wake, Some(denied.until));
        // For an outcome without an answer of the platform, only the audited outcome is known.
        let written_down = Observation {
            audited: Some(outcome),
            ..seen(kept(&[KEEP], None))
        };
        for can_be_told in [ended(kept(&[KEEP], None), outcome), written_down] {
            let (_, told) = tells(&can_be_told);
            let deletion = told.status.unwrap().deletion.unwrap();
            assert_eq!(deletion.outcome, Some(outcome));
            // The event was published when our finalizer was removed.
            assert_eq!(told.event, None);
        }
    }
}

#[test]
fn what_was_said_since_it_ended_is_over_once_our_finalizer_is_off() {
    let (_, mut told) = tells(&ended(kept(&[KEEP, FINALIZER], None), Outcome::Deleted));
    let status = told.status.as_mut().unwrap();
    status.conditions[0].reason = Reason::FinalizerRefused.as_str().to_owned();
    let (_, healed) = tells(&ended(kept(&[KEEP], Some(&told)), Outcome::Deleted));
    assert_eq!((reason(&healed).as_str(), healed.event), ("Deleted", None));
}

#[test]
fn an_object_that_nobody_else_keeps_or_that_never_was_ours_is_not_written() {
    let alone = ended(kept(&[FINALIZER], None), Outcome::Deleted);
    let release = decide::decide(&alone, now());
    assert!(matches!(release, Decision::Release { .. }), "{release:?}");
    let released = conclude(
        &alone,
        &release,
        &Effect::Patched { changed: true },
        now(),
        0.0,
    );
    assert!(released.status.is_none() && released.event.is_some());
    let strange = seen(kept(&[KEEP], None));
    assert_eq!(decide::decide(&strange, now()), Decision::Nothing);
}

#[test]
fn a_status_that_is_refused_keeps_no_object() {
    let refused = Observation {
        status_refused: Some(crate::package::memory::own_write::RefusedWrite {
            words: "no".to_owned(),
            count: 1,
            until: Instant::now() + Duration::from_secs(5),
            denied: true,
            phase: None,
        }),
        ..ended(kept(&[KEEP, FINALIZER], None), Outcome::Deleted)
    };
    let release = decide::decide(&refused, now());
    assert!(matches!(release, Decision::Release { .. }), "{release:?}");
}
