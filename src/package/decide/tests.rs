mod table;

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::api::condition::{self, Verdict};
use crate::api::names::{FINALIZER, ObjectKey};
use crate::api::version_package::{Deletion, DeletionPolicy, PackageIdentity};
use crate::package::fixtures::{self, app, seen};
use crate::remote::answer::Detail;
use crate::session::State;

fn usable(app_id: &str, mode: Mode) -> PlatformView {
    PlatformView::Usable {
        app_id: app(app_id),
        mode,
        last_good: None,
        grace: Duration::ZERO,
        accepts: true,
    }
}

fn now() -> Now {
    Now {
        wall: fixtures::now(),
        tick: Instant::now(),
    }
}

fn reason(decision: &Decision) -> Option<Reason> {
    if let Decision::Rest { reason, .. } = decision {
        Some(*reason)
    } else {
        None
    }
}

fn going() -> Object {
    fixtures::deleted(fixtures::accepted("a", "app-1"))
}

fn with_intent(mut object: Object, intent: &str) -> Object {
    object.status.deletion = Some(Deletion {
        intent: Some(intent.into()),
        ..Deletion::default()
    });
    object
}

fn permitted(intent: Option<(String, Instant)>) -> Standing {
    Standing::Permitted {
        purpose: Purpose::Delete,
        intent,
    }
}

#[test]
fn row_1_an_object_without_our_finalizer_gets_it_while_it_lives_and_nothing_afterwards() {
    let bare = Object {
        finalizers: vec!["other/one".into()],
        ..fixtures::accepted("a", "app-1")
    };
    assert_eq!(decide(&seen(bare.clone()), now()), Decision::AddFinalizer);
    assert_eq!(
        decide(&seen(fixtures::deleted(bare)), now()),
        Decision::Nothing
    );
}

#[test]
fn row_2_a_settled_object_is_released_or_rests_and_never_calls_again() {
    let settled = |object| Observation {
        settled: Some(Outcome::Deleted),
        ..seen(object)
    };
    assert!(matches!(
        decide(&settled(going()), now()),
        Decision::Release {
            outcome: Outcome::Deleted,
            ..
        }
    ));
    let retired = fixtures::retired(fixtures::accepted("a", "app-1"));
    assert_eq!(
        reason(&decide(&settled(retired), now())),
        Some(Reason::Deleted)
    );
    let wanted = fixtures::accepted("a", "app-1");
    assert_eq!(
        reason(&decide(&settled(wanted), now())),
        Some(Reason::PackageMissing)
    );
}

#[test]
fn row_3_retain_frees_a_deleted_object_in_any_trouble() {
    let mut object = going();
    object.spec.as_mut().unwrap().deletion_policy = DeletionPolicy::Retain;
    object.paused = true;
    for platform in [
        PlatformView::NotFound,
        PlatformView::Unread,
        usable("app-2", Mode::Observe),
    ] {
        let trouble = Observation {
            platform,
            claim: Claim::Unclear(ObjectKey::new("x", "y"), "z"),
            ..seen(object.clone())
        };
        assert!(matches!(
            decide(&trouble, now()),
            Decision::Release {
                outcome: Outcome::Retained,
                ..
            }
        ));
    }
    let mut undecodable = fixtures::deleted(fixtures::undecodable("a"));
    assert_eq!(
        reason(&decide(&seen(undecodable.clone()), now())),
        Some(Reason::Undecodable)
    );
    undecodable.spec.as_mut().unwrap_err().retain = true;
    assert!(matches!(
        decide(&seen(undecodable), now()),
        Decision::Release {
            outcome: Outcome::Retained,
            ..
        }
    ));
}

#[test]
fn row_4_a_wanted_object_is_active_only_where_its_platform_stands() {
    let object = fixtures::accepted("a", "app-1");
    let mut scheduled = object.clone();
    let at = fixtures::now() + Duration::from_secs(90);
    scheduled.spec.as_mut().unwrap().retire_after =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at));
    let now = now();
    let Decision::Rest {
        reason: Reason::Scheduled,
        until: Some(until),
        ..
    } = decide(&seen(scheduled), now)
    else {
        panic!("not scheduled")
    };
    assert_eq!(until - now.tick, Duration::from_secs(90));
    for (platform, expected) in [
        (usable("app-1", Mode::Observe), Reason::Active),
        (usable("app-2", Mode::Enforce), Reason::ApplicationChanged),
        (PlatformView::NotFound, Reason::PlatformNotFound),
        (PlatformView::NotAllowed, Reason::PlatformNotAllowed),
        (
            PlatformView::Unusable {
                reason: PlatformReason::SecretNotFound,
                message: "m".into(),
                ending: false,
            },
            Reason::CredentialsMissing,
        ),
        (
            PlatformView::Usable {
                app_id: app("app-1"),
                mode: Mode::Enforce,
                last_good: Some("m".into()),
                grace: Duration::ZERO,
                accepts: true,
            },
            Reason::CredentialsMissing,
        ),
    ] {
        assert_eq!(
            reason(&decide(
                &Observation {
                    platform,
                    ..seen(object.clone())
                },
                now
            )),
            Some(expected)
        );
    }
}

#[test]
fn row_4_a_wanted_package_that_the_list_lacks_is_missing_until_a_reading_lists_it() {
    let says = |object: &Object, known| {
        let seen = Observation {
            known,
            ..seen(object.clone())
        };
        reason(&decide(&seen, now()))
    };
    let listed = || Known::Listed(PackageIdentity::default());
    let object = fixtures::accepted("a", "app-1");
    for known in [Known::Off, Known::Unread, listed()] {
        assert_eq!(says(&object, known), Some(Reason::Active));
    }
    assert_eq!(says(&object, Known::Missing), Some(Reason::PackageMissing));
    // A restart knows of no reading at first: what the last one showed still stands.
    let mut missing = object.clone();
    let verdict = Verdict {
        progress: Reason::PackageMissing.phase().progress(),
        reason: Reason::PackageMissing.as_str(),
        message: "m",
        generation: 1,
    };
    missing.status.conditions = condition::merge(&[], &verdict, fixtures::now());
    assert_eq!(says(&missing, Known::Unread), Some(Reason::PackageMissing));
    for known in [listed(), Known::Off] {
        assert_eq!(says(&missing, known), Some(Reason::Active));
    }
    // It is retired on time all the same, and its deletion is not in the list's hands.
    let at = fixtures::now() + Duration::from_secs(90);
    missing.spec.as_mut().unwrap().retire_after =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at));
    let now = now();
    let unlisted = Observation {
        known: Known::Missing,
        ..seen(missing.clone())
    };
    let Decision::Rest { until, .. } = decide(&unlisted, now) else {
        panic!("it rests")
    };
    assert_eq!(until.unwrap() - now.tick, Duration::from_secs(90));
    let going = Observation {
        object: Arc::new(fixtures::deleted(missing)),
        ..unlisted
    };
    assert!(matches!(decide(&going, now), Decision::Request(_)));
}

#[test]
fn row_5_a_package_that_somebody_else_claims_is_handed_over_or_held() {
    let keeper = ObjectKey::new("fleet", "b");
    let claimed = |object| Observation {
        claim: Claim::Claimed(keeper.clone()),
        platform: PlatformView::NotFound,
        ..seen(object)
    };
    let released = decide(&claimed(going()), now());
    assert_eq!(
        released,
        Decision::Release {
            outcome: Outcome::HandedOver,
            keeper: Some(keeper.clone())
        }
    );
    let retired = decide(
        &claimed(fixtures::retired(fixtures::accepted("a", "app-1"))),
        now(),
    );
    assert_eq!(reason(&retired), Some(Reason::StillClaimed));
}

#[test]
fn rows_6_to_8_each_hold_the_deletion_and_say_why() {
    let paused = Object {
        paused: true,
        ..going()
    };
    assert_eq!(reason(&decide(&seen(paused), now())), Some(Reason::Paused));
    let unusable = |reason| PlatformView::Unusable {
        reason,
        message: "m".into(),
        ending: false,
    };
    for (platform, expected) in [
        (PlatformView::NotFound, Reason::PlatformNotFound),
        (PlatformView::NotAllowed, Reason::PlatformNotAllowed),
        (
            unusable(PlatformReason::SecretNotFound),
            Reason::CredentialsLost,
        ),
        (
            unusable(PlatformReason::SecretInvalid),
            Reason::CredentialsMissing,
        ),
        (usable("app-2", Mode::Enforce), Reason::ApplicationChanged),
        (usable("app-1", Mode::Observe), Reason::WouldDelete),
    ] {
        assert_eq!(
            reason(&decide(
                &Observation {
                    platform,
                    ..seen(going())
                },
                now()
            )),
            Some(expected)
        );
    }
    let unclear = Observation {
        claim: Claim::Unclear(ObjectKey::new("x", "y"), "z"),
        ..seen(going())
    };
    assert_eq!(reason(&decide(&unclear, now())), Some(Reason::ClaimUnclear));
}

#[test]
fn the_last_good_credentials_serve_what_is_already_going() {
    let platform = PlatformView::Usable {
        app_id: app("app-1"),
        mode: Mode::Enforce,
        last_good: Some("gone".into()),
        grace: Duration::ZERO,
        accepts: true,
    };
    assert!(matches!(
        decide(
            &Observation {
                platform,
                ..seen(going())
            },
            now()
        ),
        Decision::Request(_)
    ));
}

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
            state: State::Open,
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
    assert_eq!(decide(&permit(going(), None), now), Decision::WriteIntent);
    let written = Some(("i-1".to_owned(), now.tick));
    assert!(matches!(
        decide(&permit(going(), written.clone()), now),
        Decision::Await(_)
    ));
    assert_eq!(
        decide(&permit(with_intent(going(), "i-1"), written.clone()), now),
        Decision::Send
    );
    let earlier = with_intent(going(), "i-0");
    assert!(matches!(
        decide(&permit(earlier.clone(), written.clone()), now),
        Decision::Await(_)
    ));
    let late = Now {
        tick: now.tick + ECHO_BOUND,
        ..now
    };
    assert_eq!(
        decide(&permit(earlier, written), late),
        Decision::RestartWatch
    );
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
fn of_several_objects_that_go_with_one_package_only_one_asks_for_the_call() {
    let ahead = ObjectKey::new("fleet", "b");
    let behind = Observation {
        ahead: Some(ahead.clone()),
        ..seen(going())
    };
    assert_eq!(decide(&behind, now()), Decision::Follow(ahead));
}

#[test]
fn the_moment_of_asking_starts_anew_only_where_the_object_was_wanted_in_between() {
    let earlier = fixtures::now() - Duration::from_secs(600);
    let stored = |mut object: Object| {
        object.status.deletion = Some(Deletion {
            requested_at: Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
                earlier,
            )),
            ..Deletion::default()
        });
        object
    };
    let retired = fixtures::retired(fixtures::accepted("a", "app-1"));
    assert_eq!(requested_at(&retired, fixtures::now()), fixtures::now());
    assert_eq!(
        requested_at(&stored(retired.clone()), fixtures::now()),
        earlier
    );
    assert_eq!(
        requested_at(&stored(fixtures::deleted(retired)), fixtures::now()),
        earlier
    );
    assert_eq!(
        requested_at(&stored(going()), fixtures::now()),
        fixtures::now(),
        "set Active again before it was deleted"
    );
}

#[expect(clippy::too_many_lines, reason = "one list of all that can be seen")]
fn any_observation() -> impl Strategy<Value = (Observation, Duration)> {
    let object = (any::<[bool; 6]>(), 0_u8..3).prop_map(
        |([finalizer, going, retired, paused, retain, broken], intent)| {
            let mut object = if broken {
                fixtures::undecodable("a")
            } else {
                fixtures::accepted("a", "app-1")
            };
            match &mut object.spec {
                Ok(spec) => {
                    spec.deletion_policy = if retain {
                        DeletionPolicy::Retain
                    } else {
                        DeletionPolicy::Delete
                    };
                    if retired {
                        spec.lifecycle = crate::api::version_package::Lifecycle::Retired;
                    }
                }
                Err(undecodable) => undecodable.retain = retain,
            }
            object.finalizers = if finalizer {
                vec![FINALIZER.into()]
            } else {
                Vec::new()
            };
            object.paused = paused;
            object = if intent > 0 {
                with_intent(object, &format!("i-{intent}"))
            } else {
                object
            };
            if going {
                fixtures::deleted(object)
            } else {
                object
            }
        },
    );
    let platform = prop_oneof![
        4 => Just(usable("app-1", Mode::Enforce)),
        1 => Just(usable("app-1", Mode::Observe)),
        1 => Just(usable("app-2", Mode::Enforce)),
        1 => Just(PlatformView::Unread),
        1 => Just(PlatformView::Unconfirmed("x".into())),
        1 => Just(PlatformView::NotFound),
        1 => Just(PlatformView::NotAllowed),
        1 => Just(PlatformView::Unusable { reason: PlatformReason::SecretNotFound, message: "x".into(), ending: false }),
    ];
    let claim = prop_oneof![
        3 => Just(Claim::Nobody),
        1 => Just(Claim::Claimed(ObjectKey::new("n", "b"))),
        1 => Just(Claim::Unclear(ObjectKey::new("n", "b"), "x")),
    ];
    let standing = prop_oneof![
        1 => Just(Standing::Absent),
        1 => Just(Standing::Waiting {
            purpose: Purpose::Delete,
            position: 1,
            estimated: Duration::ZERO,
            state: State::AuthenticationFailed(Detail::default()),
            told: true,
        }),
        1 => Just(permitted(None)),
        3 => Just(permitted(Some(("i-1".into(), Instant::now())))),
    ];
    let settled = prop_oneof![4 => Just(None), 1 => Just(Some(Outcome::Deleted)), 1 => Just(Some(Outcome::AlreadyGone))];
    (
        object,
        platform,
        claim,
        standing,
        settled,
        any::<[bool; 4]>(),
        0_u64..10,
        prop_oneof![
            1 => Just(Judgement::Held("h-1".into())),
            2 => Just(Judgement::Free(Unit::Counted)),
            1 => Just(Judgement::Free(Unit::Awaited)),
        ],
    )
        .prop_map(
            |(
                object,
                platform,
                claim,
                standing,
                settled,
                [pending, blind, ahead, waiting],
                seconds,
                guard,
            )| {
                let observation = Observation {
                    object: Arc::new(object),
                    echo: if pending {
                        Echo::Pending(Instant::now())
                    } else {
                        Echo::Seen
                    },
                    blind,
                    settled,
                    platform,
                    lagging: waiting,
                    known: if waiting {
                        Known::Missing
                    } else {
                        Known::Unread
                    },
                    claim,
                    ahead: ahead.then(|| ObjectKey::new("n", "c")),
                    guard,
                    proven: None,
                    standing,
                    backoff: waiting.then(|| Instant::now() + Duration::from_secs(60)),
                };
                (observation, Duration::from_secs(seconds))
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn a_delete_is_sent_only_with_everything_in_its_favour((seen, ahead) in any_observation()) {
        let now = Now { wall: fixtures::now(), tick: Instant::now() + ahead };
        if decide(&seen, now) == Decision::Send {
            let object = &seen.object;
            prop_assert!(object.has_finalizer() && !object.paused && object.spec.is_ok());
            prop_assert!(object.is_retired(now.wall) || object.deleted_at.is_some());
            prop_assert!(object.deleted_at.is_none() || !object.is_retained());
            prop_assert!(seen.settled.is_none() && seen.claim == Claim::Nobody && seen.ahead.is_none());
            prop_assert!(seen.echo == Echo::Seen && !seen.blind);
            prop_assert!(matches!(seen.guard, Judgement::Free(_)));
            prop_assert_eq!(&seen.platform, &usable("app-1", Mode::Enforce));
            let intent = object.status.deletion.as_ref().and_then(|d| d.intent.as_deref());
            prop_assert_eq!(intent, Some("i-1"));
        }
    }

    #[test]
    fn the_finalizer_goes_only_on_one_of_the_four_outcomes((seen, ahead) in any_observation()) {
        let now = Now { wall: fixtures::now(), tick: Instant::now() + ahead };
        if let Decision::Release { outcome, .. } = decide(&seen, now) {
            prop_assert!(seen.object.deleted_at.is_some());
            match outcome {
                Outcome::Deleted | Outcome::AlreadyGone => prop_assert_eq!(seen.settled, Some(outcome)),
                Outcome::Retained => prop_assert!(seen.object.is_retained()),
                Outcome::HandedOver => prop_assert!(matches!(seen.claim, Claim::Claimed(_))),
            }
        }
    }

    #[test]
    fn whoever_waits_is_woken_or_says_what_for((seen, ahead) in any_observation()) {
        let now = Now { wall: fixtures::now(), tick: Instant::now() + ahead };
        let decision = decide(&seen, now);
        if let Decision::Await(until) = decision {
            prop_assert!(until > now.tick);
        }
        if decision == Decision::Nothing {
            prop_assert!(!seen.object.has_finalizer() && seen.object.deleted_at.is_some());
        }
        if let Decision::Rest { message, .. } = decision {
            prop_assert!(!message.is_empty());
        }
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

fn graced(grace: Duration) -> PlatformView {
    PlatformView::Usable {
        app_id: app("app-1"),
        mode: Mode::Enforce,
        last_good: None,
        grace,
        accepts: true,
    }
}

#[test]
fn row_9_what_the_guard_holds_waits_whatever_it_has_in_hand() {
    let now = now();
    for standing in [
        Standing::Absent,
        permitted(None),
        permitted(Some(("i-1".into(), now.tick))),
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
    let waiting = Observation {
        platform: graced(grace),
        ..seen(going())
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
    let later = Now {
        wall: now.wall + grace,
        ..now
    };
    assert!(matches!(decide(&waiting, later), Decision::Request(_)));
}

#[test]
fn row_10_a_retired_object_counts_from_when_it_was_first_seen_retired_also_after_a_restart() {
    let mut retired = fixtures::retired(fixtures::accepted("a", "app-1"));
    let first = Observation {
        platform: graced(Duration::from_secs(30)),
        ..seen(retired.clone())
    };
    assert_eq!(reason(&decide(&first, now())), Some(Reason::GracePeriod));
    let since = fixtures::now() - Duration::from_secs(31);
    retired.status.deletion = Some(Deletion {
        requested_at: Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(since)),
        ..Deletion::default()
    });
    let again = Observation {
        object: Arc::new(retired),
        ..first
    };
    assert!(matches!(decide(&again, now()), Decision::Request(_)));
}

fn expecting() -> Object {
    let mut object = going();
    object.spec.as_mut().unwrap().expect = Some(crate::api::version_package::Expect {
        version: Some("V1".into()),
        ..crate::api::version_package::Expect::default()
    });
    object
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
        proven: Some(now.tick),
        ..in_hand
    };
    assert_eq!(purpose(decide(&proven, now)), Purpose::Delete);
    let stale = Now {
        tick: now.tick + guards::PROOF_LASTS,
        ..now
    };
    let permitted = Observation {
        standing: permitted(None),
        ..proven
    };
    assert_eq!(decide(&permitted, now), Decision::WriteIntent);
    assert_eq!(purpose(decide(&permitted, stale)), Purpose::LookUp);
}

#[test]
fn row_13_no_intent_is_written_before_the_deletion_is_counted_on_record() {
    let now = now();
    let uncounted = Observation {
        guard: Judgement::Free(Unit::Awaited),
        standing: permitted(None),
        ..seen(going())
    };
    assert!(matches!(decide(&uncounted, now), Decision::Await(_)));
    let counted = Observation {
        guard: Judgement::Free(Unit::Counted),
        ..uncounted
    };
    assert_eq!(decide(&counted, now), Decision::WriteIntent);
}

#[test]
fn a_platform_that_is_being_deleted_takes_on_nobody_and_lets_go_what_it_has() {
    let leaving = |object| Observation {
        platform: PlatformView::Usable {
            app_id: app("app-1"),
            mode: Mode::Enforce,
            last_good: None,
            grace: Duration::ZERO,
            accepts: false,
        },
        ..seen(object)
    };
    assert_eq!(
        reason(&decide(&leaving(fixtures::object("a")), now())),
        Some(Reason::PlatformNotFound)
    );
    assert_eq!(
        reason(&decide(&leaving(fixtures::accepted("a", "app-1")), now())),
        Some(Reason::Active)
    );
    assert!(matches!(
        decide(&leaving(going()), now()),
        Decision::Request(_)
    ));
}

#[test]
fn what_was_held_goes_on_at_once_whatever_failed_before() {
    let now = now();
    let failed = |phase| {
        let mut object = going();
        object.status.phase = Some(phase);
        Observation {
            backoff: Some(now.tick + Duration::from_secs(600)),
            ..seen(object)
        }
    };
    assert!(matches!(
        decide(&failed(Phase::Stalled), now),
        Decision::Await(_)
    ));
    assert!(matches!(
        decide(&failed(Phase::Held), now),
        Decision::Request(_)
    ));
}
