//! What a look at an object changes, and what the guard hears of the object.

use super::*;
use crate::package::claims::others::Trial;
use crate::package::errand::Errand;
use crate::package::memory::requests::Noted;

fn with(change: impl FnOnce(&mut Observation), object: Object) -> Observation {
    let mut seen = seen(object);
    change(&mut seen);
    seen
}

fn notices(seen: &Observation, errand: &Errand) -> bool {
    noticed(seen, now()).contains(errand)
}

#[test]
fn a_look_notes_the_request_and_whether_the_package_may_be_gone() {
    for (known, doubted) in [
        (Known::Missing, true),
        (Known::Gone, true),
        (Known::Unread, false),
        (Known::Off, false),
    ] {
        let keepers = vec!["uid-b".into()];
        let changes = |seen: &mut Observation| {
            seen.known = known;
            seen.keepers.clone_from(&keepers);
            seen.anew = doubted;
        };
        let seen = with(changes, going());
        let found = Noted {
            doubted,
            keepers,
            anew: doubted,
        };
        assert!(notices(&seen, &Errand::See(found)));
    }
}

#[test]
fn a_seat_that_counts_for_nothing_is_left() {
    let misplaced = with(|seen| seen.misplaced = true, going());
    assert!(notices(&misplaced, &Errand::LeaveSeat));
    assert!(!notices(&seen(going()), &Errand::LeaveSeat));
}

#[test]
fn who_is_wanted_again_forgets_the_answer_that_proved_nothing() {
    let forgets = Errand::Unproven(None);
    assert!(notices(&seen(fixtures::accepted("a", "app-1")), &forgets));
    assert!(!notices(&seen(going()), &forgets));
}

#[test]
fn credentials_that_a_claim_depends_on_are_tried() {
    let trial = Trial {
        platform: ObjectKey::new("iot", "p"),
        namespace: "fleet".into(),
        first: true,
    };
    let seen = with(|seen| seen.trials = vec![trial.clone()], going());
    assert!(notices(&seen, &Errand::Try(trial)));
}

#[test]
fn unclear_claims_and_an_echo_that_is_back_are_noted_after_the_look() {
    let finding = Finding {
        case: doubts::Case {
            file: "f-1".parse().unwrap(),
            application: fixtures::app("app-1"),
            platform: None,
        },
        unclear: Vec::new(),
        read: false,
    };
    let found = with(|seen| seen.finding = Some(finding.clone()), going());
    assert!(notices(&found, &Errand::Doubt(finding)) && notices(&found, &Errand::Back));
    let pending = Echo::Pending(Instant::now());
    let waits = with(|seen| seen.echo = pending, going());
    assert!(!notices(&waits, &Errand::Back));
}

#[test]
fn the_guard_hears_of_a_deletion_unless_the_object_stands_aside() {
    let asks = |seen: &Observation| matches!(hearing(seen, now()), Some(Hearing::Asks(..)));
    let aside = |seen: &Observation| matches!(hearing(seen, now()), Some(Hearing::Aside(None)));
    assert!(asks(&seen(going())));
    assert!(asks(&seen(fixtures::deleted(fixtures::object("a")))));
    let claimed = Claim::Claimed(ObjectKey::new("n", "b"));
    assert!(aside(&with(|seen| seen.claim = claimed, going())));
    assert!(aside(&with(|seen| seen.looks_first = true, going())));
    assert!(aside(&seen(fixtures::accepted("a", "app-1"))));
    let unread = |seen: &mut Observation| seen.platform = PlatformView::Unread;
    assert!(asks(&with(unread, going())), "its status tells");
    let nobodys = fixtures::deleted(fixtures::object("a"));
    assert!(aside(&with(unread, nobodys)));
}

#[test]
fn who_stands_aside_may_still_be_marked_with_a_hold() {
    let mut object = fixtures::retired(fixtures::accepted("a", "app-1"));
    object.status.deletion = Some(crate::api::version_package::Deletion {
        requested_at: Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
            fixtures::now(),
        )),
        hold: Some("h-1".to_owned()),
        ..crate::api::version_package::Deletion::default()
    });
    let claimed = Claim::Claimed(ObjectKey::new("n", "b"));
    let seen = with(|seen| seen.claim = claimed, object);
    let Some(Hearing::Aside(Some((application, _, hold)))) = hearing(&seen, now()) else {
        panic!("{:?}", hearing(&seen, now()))
    };
    assert_eq!((application.as_str(), &*hold), ("app-1", "h-1"));
}

#[test]
fn what_waits_for_its_own_write_or_has_ended_counts_as_it_did() {
    let pending = Echo::Pending(Instant::now());
    assert_eq!(
        hearing(&with(|seen| seen.echo = pending, going()), now()),
        None
    );
    let ended = |seen: &mut Observation| seen.settled = Some(Outcome::Deleted);
    assert_eq!(hearing(&with(ended, going()), now()), None);
}
