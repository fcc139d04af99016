//! Errands that come before a decision is carried out, and the passes of several objects of one package.

use super::*;
use crate::session::{Priority, Ticket};

fn does(seen: &Observation, decision: &Decision) -> Vec<Errand> {
    beforehand(seen, decision, now())
}

fn permitted() -> Standing {
    Standing::Permitted {
        purpose: Purpose::Delete,
        intent: None,
    }
}

fn request() -> Decision {
    Decision::Request(Ticket {
        uid: "uid-a".to_owned(),
        key: ObjectKey::new("fleet", "a"),
        purpose: Purpose::Delete,
        priority: Priority::Deletion,
        requested_at: fixtures::now(),
    })
}

#[test]
fn an_object_that_has_no_use_for_its_seat_leaves_it() {
    let rest = Decision::Rest {
        reason: Reason::Paused,
        message: "held".into(),
        until: None,
    };
    let seen = seen(going());
    assert_eq!(does(&seen, &rest), [Errand::LeaveSeat]);
    for decision in [
        Decision::Await(Instant::now()),
        Decision::LookUp,
        Decision::Send,
        request(),
    ] {
        assert_eq!(does(&seen, &decision), [], "{decision:?}");
    }
}

#[test]
fn who_has_its_turn_and_lacks_nothing_but_room_on_record_asks_for_that() {
    let waits = Decision::Await(Instant::now());
    let with = |standing, guard| Observation {
        standing,
        guard: Judgement::Free(guard),
        ..seen(going())
    };
    let asks = |seen: &Observation| does(seen, &waits).contains(&Errand::WantRoom);
    assert!(asks(&with(permitted(), OnRecord::Awaited)));
    assert!(!asks(&with(permitted(), OnRecord::Allowed)));
    assert!(!asks(&with(Standing::Absent, OnRecord::Awaited)));
}

#[test]
fn a_person_who_asks_for_a_try_has_the_next_probe_go_soon() {
    let asks = Object {
        requested_at: Some("now".to_owned()),
        ..going()
    };
    assert_eq!(does(&seen(asks.clone()), &request()), [Errand::TrySoon]);
    assert_eq!(does(&seen(asks), &Decision::Send), []);
}

#[test]
fn the_platform_is_read_while_a_first_intent_is_written_and_not_for_one_written_again() {
    let does = |again| does(&seen(going()), &Decision::WriteIntent(again));
    assert_eq!(does(None), [Errand::ReadAhead]);
    assert_eq!(does(Some("i-1".to_owned())), []);
}

#[test]
fn an_object_that_waits_behind_another_says_so_once() {
    let ahead = ObjectKey::new("fleet", "b");
    let behind = Effect::Seated(Standing::Behind { ahead });
    let after = |object| conclude(&seen(object), &request(), &behind, now(), 0.0);
    let first = after(going());
    assert_eq!((&*reason(&first), first.errands.len()), ("Queued", 0));
    let said = Object {
        status: first.status.unwrap(),
        ..going()
    };
    assert_eq!(after(said).status, None);
}

#[test]
fn a_blind_watch_is_made_anew_and_the_object_looks_again_in_a_while() {
    let (seen, now) = (seen(going()), now());
    let restart = Decision::RestartWatch;
    assert_eq!(does(&seen, &restart), [Errand::LeaveSeat]);
    let report = conclude(&seen, &restart, &Effect::Nothing, now, 0.0);
    assert_eq!(report.errands, [Errand::RestartWatch]);
    assert_eq!(report.wake, Some(now.tick + GIVE_BACK.first));
}
