//! Rows 9 to 13: the guard, the grace period, the identity and the count on record.

use k8s_openapi::jiff::SignedDuration;

use super::*;
use crate::package::memory::requests::DeletionRequest;

#[test]
fn row_9_what_the_guard_holds_waits_whatever_it_has_in_hand() {
    let now = now();
    for standing in [
        Standing::Absent,
        permitted(None),
        permitted(Some("i-1".into())),
    ] {
        let held = Observation {
            guard: Judgement::Held("h-1".into()),
            standing,
            ..seen(with_intent(going(), "i-1"))
        };
        let Decision::Rest {
            reason: Reason::MassDeletionHeld,
            message,
            ..
        } = decide(&held, now)
        else {
            panic!("not held")
        };
        assert!(
            message.contains("h-1") && message.contains("Retain"),
            "{message}"
        );
    }
}

#[test]
fn rows_9_and_10_come_after_the_look_up_of_a_package_that_may_be_long_gone() {
    let now = now();
    let doubted = Observation {
        looks_first: true,
        guard: Judgement::Held("h-1".into()),
        platform: graced(Duration::from_secs(30)),
        request: Some(DeletionRequest::new(now)),
        ..seen(fixtures::retired(fixtures::accepted("a", "app-1")))
    };
    let Decision::Request(ticket) = decide(&doubted, now) else {
        panic!("no ticket")
    };
    assert_eq!(ticket.purpose, Purpose::LookUp);
    assert_eq!(ticket.priority, Priority::Retirement);
    assert_eq!(ticket.requested_at, DeletionRequest::new(now).at);
    let look_up = Observation {
        standing: Standing::Permitted {
            purpose: Purpose::LookUp,
            intent: None,
        },
        ..doubted.clone()
    };
    assert_eq!(decide(&look_up, now), Decision::LookUp);
    // Even with another permit, only the look-up is asked for.
    let delete = Observation {
        standing: permitted(Some("i-1".into())),
        ..doubted.clone()
    };
    assert!(matches!(decide(&delete, now), Decision::Request(_)));
    let mut paused = doubted.clone();
    Arc::make_mut(&mut paused.object).paused = true;
    assert_eq!(reason(&decide(&paused, now)), Some(Reason::Paused));
    let claimed = Observation {
        claim: Claim::Claimed(ObjectKey::new("fleet", "b")),
        ..doubted
    };
    assert_eq!(reason(&decide(&claimed, now)), Some(Reason::StillClaimed));
}

#[test]
fn row_9_comes_after_whatever_else_holds_the_object_and_after_its_ways_out() {
    let held = |object| Observation {
        guard: Judgement::Held("h-1".into()),
        ..seen(object)
    };
    let mut paused = going();
    paused.paused = true;
    assert_eq!(reason(&decide(&held(paused), now())), Some(Reason::Paused));
    let observing = Observation {
        platform: usable("app-1", Mode::Observe),
        ..held(going())
    };
    assert_eq!(
        reason(&decide(&observing, now())),
        Some(Reason::WouldDelete)
    );
    let mut retained = going();
    retained.spec.as_mut().unwrap().deletion_policy = DeletionPolicy::Retain;
    assert!(matches!(
        decide(&held(retained), now()),
        Decision::Release {
            outcome: Outcome::Retained,
            ..
        }
    ));
}

#[test]
fn row_10_nothing_is_asked_for_before_the_grace_period_has_passed_since_the_request() {
    let now = now();
    let grace = Duration::from_secs(30);
    // The deletion timestamp doesn't matter, since the API server's clock may differ.
    for ahead in [-3600, 0, 3600] {
        let mut object = going();
        object.deleted_at = Some(now.wall + SignedDuration::from_secs(ahead));
        let waiting = Observation {
            platform: graced(grace),
            request: Some(DeletionRequest::new(now)),
            ..seen(object)
        };
        let Decision::Rest {
            reason: Reason::GracePeriod,
            until: Some(until),
            message,
        } = decide(&waiting, now)
        else {
            panic!("no grace")
        };
        assert_eq!(until, now.tick + grace);
        assert!(
            message.contains("2026-11-23T12:00:30Z") && message.contains("Retain"),
            "{message}"
        );
        // The wall clock may be set meanwhile.
        let later = |passed, set| Now {
            wall: now.wall + SignedDuration::from_secs(set),
            tick: now.tick + passed,
        };
        let just_before = later(grace.saturating_sub(Duration::from_millis(1)), 3600);
        assert_eq!(
            reason(&decide(&waiting, just_before)),
            Some(Reason::GracePeriod)
        );
        let over = decide(&waiting, later(grace, -3600));
        assert!(matches!(over, Decision::Request(_)));
    }
}

#[test]
fn row_10_nothing_waits_where_there_is_no_grace_period() {
    let mut now = now();
    now.wall += Duration::from_millis(1);
    let at_once = Observation {
        request: Some(DeletionRequest::new(now)),
        ..seen(going())
    };
    assert!(matches!(decide(&at_once, now), Decision::Request(_)));
}

#[test]
fn row_11_the_identity_is_looked_up_before_a_call_is_asked_for() {
    let now = now();
    let purpose = |decision| {
        let Decision::Request(ticket) = decision else {
            panic!("{decision:?}")
        };
        ticket.purpose
    };
    assert_eq!(purpose(decide(&seen(expecting()), now)), Purpose::LookUp);
    let look_up = Standing::Permitted {
        purpose: Purpose::LookUp,
        intent: None,
    };
    let in_hand = Observation {
        standing: look_up.clone(),
        ..seen(expecting())
    };
    assert_eq!(decide(&in_hand, now), Decision::LookUp);
    let proven = Observation {
        proven: Some(now.tick + Duration::from_secs(60)),
        ..in_hand
    };
    assert_eq!(purpose(decide(&proven, now)), Purpose::Delete);
    let stale = Now {
        tick: now.tick + Duration::from_secs(60),
        ..now
    };
    let permitted = Observation {
        standing: permitted(None),
        ..proven
    };
    assert_eq!(decide(&permitted, now), Decision::WriteIntent(None));
    assert_eq!(purpose(decide(&permitted, stale)), Purpose::LookUp);
}

#[test]
fn row_13_no_intent_is_written_before_the_deletion_is_counted_on_record() {
    let now = now();
    let uncounted = Observation {
        guard: Judgement::Free(OnRecord::Awaited),
        standing: permitted(None),
        ..seen(going())
    };
    assert!(matches!(decide(&uncounted, now), Decision::Await(_)));
    let unwritable = Observation {
        guard: Judgement::Free(OnRecord::Unrecorded),
        ..uncounted.clone()
    };
    assert!(matches!(decide(&unwritable, now), Decision::GiveBack(_)));
    let counted = Observation {
        guard: Judgement::Free(OnRecord::Counted),
        ..uncounted
    };
    assert_eq!(decide(&counted, now), Decision::WriteIntent(None));
}

#[test]
fn row_14_nothing_is_sent_by_an_intent_whose_deletion_is_to_be_counted_anew() {
    let now = now();
    let uncounted = Observation {
        guard: Judgement::Free(OnRecord::Awaited),
        standing: permitted(Some("i-1".to_owned())),
        ..seen(with_intent(going(), "i-1"))
    };
    assert!(matches!(decide(&uncounted, now), Decision::Await(_)));
    let counted = Observation {
        guard: Judgement::Free(OnRecord::Counted),
        ..uncounted
    };
    assert_eq!(decide(&counted, now), Decision::Send);
}

#[test]
fn row_10_says_how_a_deletion_is_called_off_that_a_field_a_time_or_both_ask_for() {
    let now = now();
    let past = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
        now.wall - Duration::from_secs(60),
    ));
    let retired = fixtures::retired(fixtures::accepted("a", "app-1"));
    let mut both = retired.clone();
    both.spec.as_mut().unwrap().retire_after = past.clone();
    let mut by_time = fixtures::accepted("a", "app-1");
    by_time.spec.as_mut().unwrap().retire_after = past;
    let later = "take retireAfter out or set it to a later time";
    for (object, way_out) in [
        (retired, "set lifecycle: Active again".to_owned()),
        (by_time, later.to_owned()),
        (both, format!("set lifecycle: Active again, and {later}")),
        (
            going(),
            "set deletionPolicy: Retain: the object then goes without its package".to_owned(),
        ),
    ] {
        let waits = Observation {
            platform: graced(Duration::from_secs(30)),
            ..seen(object.clone())
        };
        let Decision::Rest {
            reason: Reason::GracePeriod,
            message,
            ..
        } = decide(&waits, now)
        else {
            panic!("it has no grace period")
        };
        let words = format!(". To call the deletion off, {way_out}");
        assert!(message.contains(&words), "{message}");
        let held = Observation {
            guard: Judgement::Held("h-1".into()),
            ..waits
        };
        let Decision::Rest { message, .. } = decide(&held, now) else {
            panic!("not held")
        };
        assert!(message.contains(&format!("If not, {way_out}")), "{message}");
    }
}
