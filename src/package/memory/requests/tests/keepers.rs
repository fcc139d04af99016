//! A request begins anew when a keeper of the package ends.

use crate::package::claims::Claimant;
use crate::package::memory::requests::tests::look_ups::says;
use crate::package::memory::requests::tests::*;

fn keeper(retires: Option<Timestamp>) -> Claimant {
    Claimant {
        key: crate::api::names::ObjectKey::new("fleet", "keeper"),
        uid: "uid-keeper".into(),
        platform: None,
        application: None,
        readable: true,
        finalizer: true,
        retires,
    }
}

/// Looks at `object` beside `living`, which all keep the package if `keeps`. Returns the request afterwards.
fn look(
    requests: &Requests,
    object: &Object,
    now: Now,
    (living, keeps): (&[Claimant], bool),
) -> DeletionRequest {
    let live = living.iter().filter(|other| keeps && other.lives(now.wall));
    let keepers: Keepers = live.map(|other| Arc::clone(&other.uid)).collect();
    let others = Others {
        living,
        keepers: &keepers,
    };
    let asked = requests.peek(object, now, false, others);
    let before = requests.see(object, now).unwrap();
    if !asked.anew {
        assert_eq!(asked.request, Some(before));
    }
    let found = Noted {
        doubted: false,
        keepers,
        anew: asked.anew,
    };
    requests.note(object, found, now);
    let request = requests.see(object, now).unwrap();
    assert_eq!(
        asked.request,
        Some(request),
        "what is told is what is noted"
    );
    request
}

#[test]
fn a_request_begins_anew_once_when_the_object_that_kept_the_package_ends() {
    let begun = now();
    let object = retired(accepted("a", "app-1"));
    let then = later(begun, 100, 0);
    let retires = keeper(Some(then.wall));
    for (before, after) in [(keeper(None), vec![]), (retires.clone(), vec![retires])] {
        let requests = Requests::default();
        let first = look(&requests, &object, begun, (&[before], true));
        assert_eq!(first, DeletionRequest::new(begun));
        for moment in [then, later(begun, 200, 0)] {
            let request = look(&requests, &object, moment, (&after, true));
            assert_eq!(request, DeletionRequest::new(then));
        }
    }
}

#[test]
fn an_object_that_lives_and_turns_out_to_want_another_package_begins_nothing_anew() {
    let begun = now();
    let object = retired(accepted("a", "app-1"));
    let requests = Requests::default();
    look(&requests, &object, begun, (&[keeper(None)], true));
    let other = [keeper(None)];
    let then = later(begun, 100, 0);
    let request = look(&requests, &object, then, (&other, false));
    assert_eq!(request, DeletionRequest::new(begun));
    // The end of an object that kept nothing doesn't matter either.
    let request = look(&requests, &object, later(begun, 200, 0), (&[], false));
    assert_eq!(request, DeletionRequest::new(begun));
}

#[test]
fn what_another_process_saw_kept_is_asked_for_anew_where_nobody_keeps_it_now() {
    let begun = now();
    let request = DeletionRequest::new(begun);
    let then = later(begun, 100, 0);
    for reason in [
        Reason::StillClaimed,
        Reason::ClaimUnclear,
        Reason::StatusRefused,
    ] {
        let object = says(retired(accepted("a", "app-1")), reason);
        let object = parked(object, request);
        for (living, expected) in [
            (vec![], DeletionRequest::new(then)),
            (vec![keeper(None)], request),
        ] {
            let requests = Requests::default();
            // A standby has seen the request before.
            requests.see(&object, then);
            assert_eq!(look(&requests, &object, then, (&living, true)), expected);
        }
    }
}

#[test]
fn what_another_process_said_after_it_had_found_no_keeper_begins_nothing_anew() {
    let begun = now();
    let request = DeletionRequest::new(begun);
    for reason in [
        Reason::GracePeriod,
        Reason::Queued,
        Reason::WouldDelete,
        Reason::MassDeletionHeld,
        Reason::Deleting,
    ] {
        let object = says(retired(accepted("a", "app-1")), reason);
        let requests = Requests::default();
        let then = later(begun, 100, 0);
        let object = parked(object, request);
        assert_eq!(look(&requests, &object, then, (&[], true)), request);
        let peeked = requests.peek(&object, then, false, Others::default());
        assert_eq!(peeked.grace, None, "{reason}");
    }
}

#[test]
fn where_a_keeper_may_have_been_hidden_the_grace_period_alone_runs_anew_from_the_first_look_that_finds_none()
 {
    let begun = now();
    let request = DeletionRequest::new(begun);
    let (start, then) = (later(begun, 100, 0), later(begun, 130, 0));
    let mut hindered = says(retired(accepted("a", "app-1")), Reason::Queued);
    hindered.status.conditions[0].message = "Nothing is sent: a watch is blind".to_owned();
    let said = |reason| says(retired(accepted("a", "app-1")), reason);
    for object in BEFORE_A_CLAIM.map(said).into_iter().chain([hindered]) {
        let object = parked(object, request);
        let requests = Requests::default();
        // A standby has seen the request before.
        requests.see(&object, begun);
        let kept = [keeper(None)];
        assert_eq!(look(&requests, &object, start, (&kept, true)), request);
        let uids: Keepers = vec!["uid-keeper".into()];
        let beside = Others {
            living: &kept,
            keepers: &uids,
        };
        assert_eq!(requests.peek(&object, start, false, beside).grace, None);

        let requests = Requests::default();
        // The request itself, which the guard counts, stays as it was.
        assert_eq!(look(&requests, &object, start, (&[], true)), request);
        let peek = |now| requests.peek(&object, now, false, Others::default());
        assert_eq!(peek(then).grace, Some(start.tick), "it stands");
    }
}

#[test]
fn what_another_process_saw_kept_is_asked_for_anew_once_nobody_keeps_it_whoever_may_have_meanwhile()
{
    let begun = now();
    let request = DeletionRequest::new(begun);
    let object = says(retired(accepted("a", "app-1")), Reason::StillClaimed);
    let requests = Requests::default();
    // After a start, the application of the other object is unknown at first.
    let other = [keeper(None)];
    let first = look(
        &requests,
        &parked(object, request),
        later(begun, 100, 0),
        (&other, true),
    );
    assert_eq!(first, request);
    let object = says(retired(accepted("a", "app-1")), Reason::ClaimUnclear);
    let then = later(begun, 200, 0);
    for moment in [then, later(begun, 300, 0)] {
        let found = look(
            &requests,
            &parked(object.clone(), request),
            moment,
            (&other, false),
        );
        assert_eq!(found, DeletionRequest::new(then));
    }
}
