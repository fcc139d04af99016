mod keepers;
mod look_ups;

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::SignedDuration;

use crate::api::version_package::Deletion;
use crate::package::fixtures::{self, accepted, deleted, retired};
use crate::package::memory::requests::*;

fn now() -> Now {
    Now {
        wall: fixtures::now(),
        tick: Instant::now() + Duration::from_secs(86_400),
    }
}

/// `now`, later by `seconds` on both clocks, with the wall clock set by `set` seconds on top.
fn later(now: Now, seconds: u64, set: i64) -> Now {
    let passed = Duration::from_secs(seconds);
    Now {
        wall: now.wall + passed + SignedDuration::from_secs(set),
        tick: now.tick + passed,
    }
}

/// `object` with the status that was written when it was parked with this request.
fn parked(mut object: Object, request: DeletionRequest) -> Object {
    object.status.observed_generation = Some(object.generation);
    object.status.deletion = Some(Deletion {
        requested_at: Some(Time(request.at)),
        object_deleted_at: object.deleted_at.map(Time),
        ..Deletion::default()
    });
    object
}

fn going() -> Object {
    deleted(accepted("a", "app-1"))
}

#[test]
fn a_request_is_as_old_as_this_process_has_known_it_whatever_the_clocks_say() {
    let begun = now();
    for ahead in [-3600, -30, 0, 30, 3600] {
        let mut object = going();
        object.deleted_at = Some(begun.wall + SignedDuration::from_secs(ahead));
        let requests = Requests::default();
        let seen = requests.see(&object, begun).unwrap();
        assert_eq!((seen.at, seen.since), (begun.wall, begun.tick));
        for set in [-7200, 7200] {
            let again = requests.see(&object, later(begun, 9, set));
            assert_eq!(again, Some(seen), "{ahead} {set}");
        }
    }
}

#[test]
fn what_is_stored_is_rounded_up_and_the_steady_clock_with_it() {
    let mut begun = now();
    begun.wall += Duration::from_millis(1);
    let request = DeletionRequest::new(begun);
    assert_eq!(request.at, fixtures::now() + Duration::from_secs(1));
    assert_eq!(request.since, begun.tick + Duration::from_millis(999));
    // A later read gives the same request.
    let mut echo = begun;
    echo.wall += Duration::from_millis(20);
    echo.tick += Duration::from_millis(20);
    assert_eq!(
        DeletionRequest::read(&parked(going(), request), echo),
        Some(request)
    );
}

#[test]
fn a_restart_begins_nothing_anew_that_was_stored() {
    let begun = now();
    for object in [going(), retired(accepted("a", "app-1"))] {
        let request = Requests::default().see(&object, begun).unwrap();
        let next = Requests::default();
        let read = next.see(&parked(object, request), later(begun, 20, 0));
        assert_eq!(read, Some(request));
    }
}

#[test]
fn a_stored_moment_in_the_future_counts_as_now() {
    let begun = now();
    let request = DeletionRequest::new(begun);
    // The clock of this process is behind the clock of the process that stored the time.
    let here = later(begun, 5, -60);
    let read = DeletionRequest::read(&parked(going(), request), here).unwrap();
    assert_eq!((read.at, read.since), (here.wall, here.tick));
}

#[test]
fn a_standby_goes_by_its_own_clock_from_when_the_leader_tells_of_the_request() {
    let begun = now();
    let standby = Requests::default();
    let seen = standby.see(&going(), begun);
    assert_eq!(seen.unwrap().since, begun.tick);
    // The leader's clock is 10 minutes behind, and so is the stored time. The leader saw the request soon, or a day
    // later.
    for seconds in [1, 86_400] {
        let told = later(begun, seconds, 0);
        let leader = DeletionRequest::new(later(begun, seconds, -600));
        let standby = Requests::default();
        standby.see(&going(), begun);
        let heard = standby.see(&parked(going(), leader), told).unwrap();
        assert_eq!((heard.at, heard.since), (leader.at, told.tick));
    }
}

#[test]
fn a_standby_takes_a_look_up_for_made_once_the_leader_tells_of_the_request() {
    let begun = now();
    let record = retired(crate::package::fixtures::object("a"));
    let standby = Requests::default();
    standby.see(&record, begun);
    assert!(standby.looks_first(&record.uid));
    let told = parked(record.clone(), DeletionRequest::new(later(begun, 3, 0)));
    standby.see(&told, later(begun, 3, 0));
    assert!(!standby.looks_first(&record.uid));
}

#[test]
fn a_standby_goes_on_with_what_the_leader_has_begun_anew() {
    let begun = now();
    let object = retired(accepted("a", "app-1"));
    let first = parked(object.clone(), DeletionRequest::new(begun));
    for set in [-600, 0, 600] {
        let standby = Requests::default();
        standby.see(&first, begun);
        let then = later(begun, 100, 0);
        let anew = parked(object.clone(), DeletionRequest::new(later(begun, 100, set)));
        let seen = standby.see(&anew, then).unwrap();
        assert!((then.tick..=then.tick + ROUNDED).contains(&seen.since));
        assert_eq!(standby.see(&anew, later(begun, 120, 0)), Some(seen));
    }
}

#[test]
fn a_request_that_was_called_off_is_forgotten_and_a_later_one_is_new() {
    let begun = now();
    let requests = Requests::default();
    let object = accepted("a", "app-1");
    assert!(requests.see(&retired(object.clone()), begun).is_some());
    assert_eq!(requests.see(&object, later(begun, 5, 0)), None);
    let anew = later(begun, 9, 0);
    assert_eq!(
        requests.see(&retired(object.clone()), anew),
        Some(DeletionRequest::new(anew))
    );
    requests.forget(&object.uid);
    let last = later(begun, 12, 0);
    assert_eq!(
        requests.see(&retired(object), last),
        Some(DeletionRequest::new(last))
    );
}

#[test]
fn who_was_deleted_while_retired_and_is_set_active_asks_since_the_deletion_whoever_saw_it_first() {
    let begun = now();
    let object = accepted("a", "app-1");
    let both = parked(retired(object.clone()), DeletionRequest::new(begun));
    let then = later(begun, 90, 0);
    // This process starts after the retirement and the deletion.
    let requests = Requests::default();
    let deleted = |object| Object {
        deleted_at: Some(then.wall),
        ..deleted(object)
    };
    let stored = requests.see(&deleted(both.clone()), then);
    assert_eq!(stored, Some(DeletionRequest::new(begun)));
    let active = Object {
        status: both.status,
        ..deleted(object)
    };
    assert_eq!(
        requests.see(&active, then),
        Some(DeletionRequest::new(then))
    );
}

#[test]
fn who_is_deleted_while_it_is_retired_goes_on_and_who_was_set_active_first_begins_anew() {
    let begun = now();
    let object = accepted("a", "app-1");
    let request = DeletionRequest::new(begun);
    let then = later(begun, 9, 0);
    for process in [Requests::default(), Requests::default()] {
        process.see(&retired(object.clone()), begun);
        let both = parked(retired(object.clone()), request);
        assert_eq!(process.see(&deleted(both), then), Some(request));
    }
    let active = parked(object.clone(), request);
    let known = Requests::default();
    known.see(&retired(object), begun);
    for process in [known, Requests::default()] {
        let late = Object {
            deleted_at: Some(then.wall),
            ..active.clone()
        };
        assert_eq!(process.see(&late, then), Some(DeletionRequest::new(then)));
    }
}

#[test]
fn a_retirement_that_was_called_off_and_asked_for_anew_while_no_process_ran_begins_anew() {
    let (begun, object) = (now(), retired(accepted("a", "app-1")));
    let stored = parked(object, DeletionRequest::new(begun));
    let then = later(begun, 25, 0);
    // Setting the object Active and Retired again takes two generations, and its deletion takes one more.
    let edited = Object {
        generation: stored.generation + 2,
        ..stored.clone()
    };
    for anew in [edited.clone(), deleted(edited)] {
        assert_eq!(
            DeletionRequest::read(&anew, then),
            Some(DeletionRequest::new(then))
        );
        // A process that saw each edit keeps the request; a process that missed an edit doesn't.
        for (between, expected) in [(true, begun), (false, then)] {
            let requests = Requests::default();
            requests.see(&stored, begun);
            if between {
                let first = Object {
                    generation: stored.generation + 1,
                    ..stored.clone()
                };
                requests.see(&first, begun);
            }
            assert_eq!(
                requests.see(&anew, then),
                Some(DeletionRequest::new(expected))
            );
        }
    }
    // The deletion alone starts no other request.
    let gone = deleted(stored);
    assert_eq!(
        DeletionRequest::read(&gone, then),
        Some(DeletionRequest::new(begun))
    );
    let written = parked(gone, DeletionRequest::new(begun));
    assert_eq!(
        DeletionRequest::read(&written, then),
        Some(DeletionRequest::new(begun))
    );
}

#[test]
fn what_the_first_version_stored_of_a_deletion_is_of_that_deletion() {
    let begun = now();
    let mut object = going();
    object.status.deletion = Some(Deletion {
        requested_at: object.deleted_at.map(Time),
        ..Deletion::default()
    });
    let request = DeletionRequest::read(&object, later(begun, 20, 0)).unwrap();
    assert_eq!((request.at, request.since), (begun.wall, begun.tick));
}

#[test]
fn a_request_that_begins_anew_is_as_old_as_that() {
    let begun = now();
    let (request, then) = (DeletionRequest::new(begun), later(begun, 20, 0));
    assert_eq!(request.not_before(None, then), request);
    assert_eq!(request.not_before(Some(begun.tick), then), request);
    for (anew, at) in [(5, 5), (25, 25)] {
        let moment = later(begun, anew, 0);
        let anew = request.not_before(Some(moment.tick), then);
        assert_eq!(
            (anew.at, anew.since),
            (later(begun, at, 0).wall, moment.tick)
        );
    }
}
