//! Which packages are looked up before the guard hears of their deletion.

use crate::api::condition::{self, Statement};
use crate::api::reason::Reason;
use crate::package::memory::requests::tests::*;

/// `object` with a status of its present generation that has this reason.
pub(super) fn says(mut object: Object, reason: Reason) -> Object {
    let verdict = Statement {
        progress: reason.phase().progress(),
        reason: reason.as_str(),
        message: "m",
        generation: object.generation,
    };
    object.status.conditions = condition::merge(&[], &verdict, fixtures::now());
    object.status.phase = Some(reason.phase());
    object.status.observed_generation = Some(object.generation);
    object
}

/// `object` after an edit of its spec.
fn edited(object: Object) -> Object {
    Object {
        generation: object.generation + 1,
        ..object
    }
}

fn looks_first(object: &Object) -> bool {
    let requests = Requests::default();
    requests.see(object, now());
    requests.looks_first(&object.uid)
}

/// Notes that a look found the package of `object` possibly gone.
fn doubt(requests: &Requests, object: &Object) {
    let found = Noted {
        doubted: true,
        ..Noted::default()
    };
    requests.note(object, found, now());
}

fn begun(mut object: Object, deletion: Deletion) -> Object {
    object.status.deletion = Some(deletion);
    object
}

fn held() -> Deletion {
    Deletion {
        hold: Some("h-1".to_owned()),
        ..Deletion::default()
    }
}

#[test]
fn a_retired_object_that_was_never_wanted_or_lacks_its_package_is_looked_up_first() {
    let unseen = retired(fixtures::object("a"));
    let missing = retired(edited(says(accepted("a", "app-1"), Reason::PackageMissing)));
    // The status that was written while the look-up was due.
    let to_come = says(retired(accepted("a", "app-1")), Reason::Queued);
    for object in [unseen, missing, to_come] {
        assert!(looks_first(&object));
        assert!(!looks_first(&deleted(object.clone())));
        let attempted = Deletion {
            attempts: Some(1),
            ..Deletion::default()
        };
        for deletion in [held(), attempted] {
            assert!(!looks_first(&begun(object.clone(), deletion)));
        }
    }
}

#[test]
fn a_retired_object_that_was_wanted_or_is_asked_for_already_is_not() {
    let wanted = says(accepted("a", "app-1"), Reason::Active);
    assert!(!looks_first(&retired(edited(wanted))));
    // The retirement came by time, without an edit.
    let scheduled = says(accepted("a", "app-1"), Reason::Scheduled);
    assert!(!looks_first(&retired(scheduled)));
    let troubled = says(accepted("a", "app-1"), Reason::CredentialsMissing);
    assert!(!looks_first(&retired(edited(troubled))));
    let waits = says(retired(accepted("a", "app-1")), Reason::GracePeriod);
    assert!(!looks_first(&parked(waits, DeletionRequest::new(now()))));
    assert!(!looks_first(&accepted("a", "app-1")));
    assert!(!looks_first(&deleted(accepted("a", "app-1"))));
}

#[test]
fn what_a_look_up_shows_is_asked_for_from_then_on_and_is_not_looked_up_again() {
    let (object, seen_at) = (retired(fixtures::object("a")), now());
    let requests = Requests::default();
    requests.see(&object, seen_at);
    let then = later(seen_at, 25, 0);
    requests.looked_up(&object.uid, then);
    assert!(!requests.looks_first(&object.uid));
    let last = later(seen_at, 40, 0);
    assert_eq!(
        requests.see(&object, last),
        Some(DeletionRequest::new(then))
    );
    doubt(&requests, &object);
    requests.looked_up(&object.uid, last);
    assert!(!requests.looks_first(&object.uid));
    assert_eq!(
        requests.see(&object, last),
        Some(DeletionRequest::new(then))
    );
    // The same holds after a restart, once the status stores the time of the request.
    let accepted = retired(accepted("a", "app-1"));
    let waits = says(accepted, Reason::GracePeriod);
    assert!(!looks_first(&parked(waits, DeletionRequest::new(then))));
}

#[test]
fn the_list_that_lacks_a_package_has_it_looked_up_unless_its_deletion_has_begun() {
    let object = retired(edited(says(accepted("a", "app-1"), Reason::Active)));
    let held = begun(object.clone(), held());
    let going = deleted(accepted("a", "app-1"));
    for (object, doubted) in [(object, true), (held, false), (going, false)] {
        let requests = Requests::default();
        requests.see(&object, now());
        assert!(!requests.looks_first(&object.uid));
        doubt(&requests, &object);
        assert_eq!(requests.looks_first(&object.uid), doubted);
    }
}

#[test]
fn a_hold_that_its_status_names_ends_the_look_up_that_was_to_come() {
    let object = retired(fixtures::object("a"));
    let requests = Requests::default();
    requests.see(&object, now());
    requests.see(&begun(object.clone(), held()), now());
    assert!(!requests.looks_first(&object.uid));
}
