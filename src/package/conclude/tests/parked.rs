//! The status of an object that waits for its turn several times.

use super::*;

#[test]
fn an_object_that_has_its_ticket_says_its_place_where_it_says_what_is_over_by_then() {
    let now = now();
    let hindered = Observation {
        hindrance: Some("a definition lacks a field".to_owned()),
        ..seen(going())
    };
    let hangs = Observation {
        writes_hang: true,
        ..seen(going())
    };
    for (before, begins) in [
        (hindered, "Nothing is sent: a definition"),
        (
            hangs,
            "The object asks for its turn once objects of namespace",
        ),
        (
            seen(going()),
            "Waiting for another object that is about to delete the same package: fleet/b",
        ),
    ] {
        let decision = decide::decide(&before, now);
        let effect = if let Decision::Request(_) = &decision {
            let ahead = ObjectKey::new("fleet", "b");
            Effect::Seated(Standing::Behind { ahead })
        } else {
            Effect::Nothing
        };
        let said = conclude(&before, &decision, &effect, now, 0.0)
            .status
            .unwrap();
        assert!(said.begins(begins), "{:?}", said.conditions);
        let waiting = Object {
            status: said,
            ..going()
        };
        let parked = waits(waiting, 3, SessionState::Open, false).status.unwrap();
        assert!(parked.begins("Waiting for its turn: number 3"), "{begins}");
    }
}

#[test]
fn an_object_whose_permits_cannot_be_used_says_so_once_for_as_long_as_that_lasts() {
    let now = now();
    let why = "Platform iot/p can't be read: no answer".to_owned();
    let lasting = |object| Observation {
        given_back: 3,
        ..seen(object)
    };
    let first = conclude(
        &lasting(going()),
        &Decision::GiveBack(why.clone()),
        &Effect::Nothing,
        now,
        0.0,
    );
    let said = Object {
        status: first.status.unwrap(),
        ..going()
    };
    // The object waits for its next turn, and can't use that permit either.
    let standing = Standing::Waiting {
        purpose: Purpose::Delete,
        position: 3,
        estimated: Duration::ZERO,
        state: SessionState::Open,
        told: false,
    };
    let seen = lasting(said);
    let ticket = decide::decide(&seen, now);
    assert!(matches!(ticket, Decision::Request(_)));
    let parked = conclude(&seen, &ticket, &Effect::Seated(standing), now, 0.0);
    assert_eq!(parked.status, None);
    let again = conclude(&seen, &Decision::GiveBack(why), &Effect::Nothing, now, 0.0);
    assert_eq!(again.status, None, "nothing is new");
}
