//! The status during a grace period that runs anew.

use super::*;
use crate::api::version_package::DeletionPolicy;
use crate::package::decide::PlatformView;
use crate::package::memory::requests::DeletionRequest;

const GRACE: Duration = Duration::from_secs(30);

fn later(begun: Now, seconds: u64) -> Now {
    let passed = Duration::from_secs(seconds);
    Now {
        wall: begun.wall + passed,
        tick: begun.tick + passed,
    }
}

/// Observation of `object` with a grace period and this request.
fn waiting(object: Object, request: DeletionRequest) -> Observation {
    let mut seen = seen(object);
    seen.request = Some(request);
    if let PlatformView::Usable { grace, .. } = &mut seen.platform {
        *grace = GRACE;
    }
    seen
}

fn rests(seen: &Observation, now: Now) -> Report {
    let rest = decide::decide(seen, now);
    conclude(seen, &rest, &Effect::Nothing, now, 0.0)
}

#[test]
fn a_grace_period_that_began_anew_is_stored_so_that_a_restart_does_not_end_it() {
    let begun = Now {
        tick: Instant::now() + Duration::from_secs(86_400),
        ..now()
    };
    let anew = later(begun, 40);
    for object in [going(), fixtures::retired(fixtures::accepted("a", "app-1"))] {
        let blinded = Observation {
            graces_since: Some(anew.tick),
            ..waiting(object.clone(), DeletionRequest::new(begun))
        };
        let report = rests(&blinded, later(begun, 45));
        assert_eq!(reason(&report), "GracePeriod");
        let status = report.status.unwrap();
        let stored = status.deletion.as_ref().unwrap().requested_at.clone();
        assert_eq!(stored.unwrap().0, anew.wall);

        // The next process reads the request from the status.
        let then = later(begun, 60);
        let next = Object { status, ..object };
        let read = DeletionRequest::read(&next, then).unwrap();
        assert_eq!((read.at, read.since), (anew.wall, anew.tick));
        let still = waiting(next.clone(), read);
        let decision = decide::decide(&still, then);
        assert!(matches!(
            decision,
            Decision::Rest {
                reason: Reason::GracePeriod,
                ..
            }
        ));
        assert_eq!(rests(&still, then).status, None, "it stands there");
        let over = later(begun, 71);
        let decision = decide::decide(&waiting(next, read), over);
        assert!(matches!(decision, Decision::Request(_)), "{decision:?}");
    }
}

#[test]
fn what_does_not_wait_for_its_grace_period_keeps_the_time_of_its_request() {
    let begun = now();
    let held = Observation {
        graces_since: Some(later(begun, 40).tick),
        guard: Judgement::Held("h-1".into()),
        ..waiting(going(), DeletionRequest::new(begun))
    };
    let status = rests(&held, later(begun, 45)).status.unwrap();
    let stored = status.deletion.unwrap().requested_at.unwrap();
    assert_eq!(stored.0, begun.wall);
}

#[test]
fn an_object_that_asks_for_nothing_says_the_same_at_each_retry_and_stores_no_time_of_a_request() {
    let begun = now();
    let mut kept = going();
    kept.spec.as_mut().unwrap().deletion_policy = DeletionPolicy::Retain;
    let mut bare = fixtures::retired(fixtures::accepted("a", "app-1"));
    bare.finalizers.clear();
    for object in [kept, bare] {
        let says = |object: Object, at: Now| {
            let refused = Decision::Rest {
                reason: Reason::FinalizerRefused,
                message: "the auditors say no".to_owned(),
                until: None,
            };
            conclude(&seen(object), &refused, &Effect::Nothing, at, 0.0).status
        };
        let told = says(object.clone(), begun).unwrap();
        assert_eq!(told.deletion.as_ref().unwrap().requested_at, None);
        let next = Object {
            status: told,
            ..object
        };
        assert_eq!(says(next, later(begun, 30)), None);
    }
}
