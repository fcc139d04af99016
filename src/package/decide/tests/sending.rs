//! Rows 12 to 14: the ticket, the intent and the call.

use super::*;
use crate::package::memory::own_write::Conflict;

#[test]
fn rows_12_to_14_take_a_ticket_then_write_the_intent_then_send() {
    let Decision::Request(ticket) = decide(&seen(going()), now()) else {
        panic!("no ticket")
    };
    assert_eq!(
        (ticket.priority, ticket.requested_at),
        (Priority::Deletion, fixtures::now())
    );
    let ticket_holder = fixtures::retired(fixtures::accepted("a", "app-1"));
    let Decision::Request(ticket) = decide(&seen(ticket_holder.clone()), now()) else {
        panic!("no ticket")
    };
    assert_eq!(ticket.priority, Priority::Retirement);
    let deleted_since = Observation {
        standing: Standing::Waiting {
            purpose: Purpose::Delete,
            position: 900,
            estimated: Duration::ZERO,
            state: SessionState::Open,
            told: false,
        },
        ..seen(fixtures::deleted(ticket_holder))
    };
    let Decision::Request(ticket) = decide(&deleted_since, now()) else {
        panic!("no ticket")
    };
    assert_eq!(ticket.priority, Priority::Deletion, "it moves up");

    let permit = |object, intent| Observation {
        standing: permitted(intent),
        ..seen(object)
    };
    let now = now();
    let first = Decision::WriteIntent(None);
    assert_eq!(decide(&permit(going(), None), now), first);
    let written = Some("i-1".to_owned());
    // The last write of the intent met a conflict, or was overwritten.
    assert_eq!(
        decide(&permit(going(), written.clone()), now),
        Decision::WriteIntent(Some("i-1".to_owned()))
    );
    assert_eq!(
        decide(&permit(with_intent(going(), "i-1"), written.clone()), now),
        Decision::Send
    );
    assert_eq!(
        decide(&permit(with_intent(going(), "i-0"), written), now),
        Decision::WriteIntent(Some("i-1".to_owned()))
    );
}

#[test]
fn a_write_that_met_a_conflict_waits_for_the_watch() {
    let now = now();
    let conflict = Conflict {
        part: Part::Status,
        words: "changed".to_owned(),
        at: now.tick,
        phase: None,
    };
    let contested = Observation {
        echo: Echo::Contested(conflict.clone()),
        ..seen(going())
    };
    let until = now.tick + CONFLICT_BOUND;
    assert_eq!(decide(&contested, now), Decision::Await(until));
    // Without a change in the watch, the conflict was a refusal.
    let later = Now { tick: until, ..now };
    assert_eq!(decide(&contested, later), Decision::EndConflict(conflict));
}

#[test]
fn nothing_is_called_and_no_finalizer_patched_while_that_write_is_refused() {
    let now = now();
    let refusal = Some(RefusedWrite {
        words: "policy p says no".to_owned(),
        count: 1,
        until: now.tick + Duration::from_secs(7),
        denied: true,
        phase: None,
    });
    let unwritable = Observation {
        status_refused: refusal.clone(),
        standing: permitted(None),
        ..seen(going())
    };
    let until = now.tick + Duration::from_secs(7);
    assert_eq!(decide(&unwritable, now), Decision::Await(until));
    let bare = Object {
        finalizers: Vec::new(),
        ..fixtures::object("a")
    };
    let settled = Observation {
        settled: Some(Outcome::Deleted),
        ..seen(going())
    };
    for seen in [seen(bare), settled] {
        let refused = Observation {
            finalizers_refused: refusal.clone(),
            ..seen
        };
        let Decision::Rest {
            reason: Reason::FinalizerRefused,
            message,
            until: Some(again),
        } = decide(&refused, now)
        else {
            panic!("it isn't said")
        };
        assert!(message.contains("policy p says no"), "{message}");
        assert_eq!(again, until);
        let later = Now { tick: again, ..now };
        assert!(matches!(
            decide(&refused, later),
            Decision::AddFinalizer | Decision::Release { .. }
        ));
    }
}

#[test]
fn while_writes_hang_nobody_has_a_permit_whose_intent_does_not_stand_there() {
    let now = now();
    let hangs = |object, standing| Observation {
        writes_hang: true,
        standing,
        ..seen(object)
    };
    for standing in [Standing::Absent, permitted(None)] {
        let decision = decide(&hangs(going(), standing), now);
        let Decision::Rest {
            reason: Reason::Queued,
            message,
            until: Some(_),
        } = &decision
        else {
            panic!("{decision:?}")
        };
        assert!(message.contains("namespace fleet "), "{message}");
        assert!(!decision.keeps_seat());
    }
    let standing = permitted(Some("i-1".to_owned()));
    let stands = hangs(with_intent(going(), "i-1"), standing);
    assert_eq!(decide(&stands, now), Decision::Send);
}

#[test]
fn a_blind_watch_writes_no_intent_and_an_overdue_echo_makes_it_anew() {
    let standing = permitted(None);
    let blind = Observation {
        blind: true,
        standing,
        ..seen(going())
    };
    assert_eq!(decide(&blind, now()), Decision::RestartWatch);
    let now = now();
    let pending = Observation {
        echo: Echo::Pending(now.tick),
        ..seen(going())
    };
    assert_eq!(
        decide(&pending, now),
        Decision::Await(now.tick + ECHO_BOUND)
    );
    assert_eq!(
        decide(
            &pending,
            Now {
                tick: now.tick + ECHO_BOUND,
                ..now
            }
        ),
        Decision::RestartWatch
    );
}

#[test]
fn a_permit_is_given_back_where_the_platform_cannot_be_confirmed() {
    let standing = permitted(None);
    let platform = PlatformView::Unconfirmed("no answer".into());
    let decision = decide(
        &Observation {
            platform,
            standing,
            ..seen(going())
        },
        now(),
    );
    assert!(matches!(decision, Decision::GiveBack(_)) && !decision.keeps_seat());
}

#[test]
fn an_object_that_waits_behind_another_keeps_its_place_while_its_writes_hang() {
    let hangs = |standing| Observation {
        standing,
        writes_hang: true,
        ..seen(going())
    };
    let ahead = ObjectKey::new("fleet", "b");
    let behind = decide(&hangs(Standing::Behind { ahead }), now());
    assert!(matches!(behind, Decision::Request(_)));
    let alone = decide(&hangs(Standing::Absent), now());
    assert!(matches!(alone, Decision::Rest { .. }));
}

#[test]
fn an_object_that_waits_behind_another_asks_again_with_the_priority_that_it_has_by_then() {
    let retired = fixtures::retired(fixtures::accepted("a", "app-1"));
    for (object, expected) in [
        (retired, Priority::Retirement),
        (going(), Priority::Deletion),
    ] {
        let ahead = ObjectKey::new("fleet", "b");
        let behind = Observation {
            standing: Standing::Behind { ahead },
            ..seen(object)
        };
        let Decision::Request(ticket) = decide(&behind, now()) else {
            panic!("no ticket")
        };
        assert_eq!(ticket.priority, expected);
    }
}

#[test]
fn an_object_held_by_a_read_that_the_watch_contradicts_is_looked_at_again_by_itself() {
    let now = now();
    for platform in [
        usable("app-1", Mode::Observe),
        PlatformView::NotFound,
        PlatformView::NotAllowed,
    ] {
        let held = |lagging| Observation {
            platform: platform.clone(),
            lagging,
            ..seen(going())
        };
        let until = |lagging| {
            let Decision::Rest { until, .. } = decide(&held(lagging), now) else {
                panic!("not held")
            };
            until
        };
        assert_eq!(until(true), Some(now.tick + ECHO_BOUND));
        assert_eq!(until(false), None);
    }
}

#[test]
fn what_failed_waits_out_its_pause() {
    let now = now();
    let until = now.tick + Duration::from_secs(600);
    let failed = Observation {
        backoff: Some(until),
        ..seen(going())
    };
    assert_eq!(decide(&failed, now), Decision::Await(until));
    let later = Now { tick: until, ..now };
    assert!(matches!(decide(&failed, later), Decision::Request(_)));
}

#[test]
fn nobody_is_asked_about_an_object_whose_status_names_no_application_yet() {
    let now = now();
    let standing = permitted(Some("i-1".to_owned()));
    for standing in [Standing::Absent, permitted(None), standing] {
        let unaccepted = Observation {
            standing,
            ..seen(with_intent(fixtures::deleted(fixtures::object("a")), "i-1"))
        };
        assert_eq!(reason(&decide(&unaccepted, now)), Some(Reason::Queued));
    }
}
