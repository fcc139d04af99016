//! Properties that hold for any observation.

use super::*;

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
        1 => Just(fixtures::unclear("b")),
        1 => Just(Claim::Disregarded(vec!["uid-b".into()])),
    ];
    let standing = prop_oneof![
        1 => Just(Standing::Absent),
        1 => Just(Standing::Behind { ahead: ObjectKey::new("n", "c") }),
        1 => Just(Standing::Waiting {
            purpose: Purpose::Delete,
            position: 1,
            estimated: Duration::ZERO,
            state: SessionState::AuthenticationFailed(Detail::default()),
            told: true,
        }),
        1 => Just(permitted(None)),
        3 => Just(permitted(Some("i-1".into()))),
    ];
    let settled = prop_oneof![4 => Just(None), 1 => Just(Some(Outcome::Deleted)), 1 => Just(Some(Outcome::AlreadyGone))];
    (
        object,
        platform,
        claim,
        standing,
        settled,
        any::<[bool; 5]>(),
        0_u64..10,
        prop_oneof![
            1 => Just(Judgement::Held("h-1".into())),
            2 => Just(Judgement::Free(OnRecord::Counted)),
            1 => Just(Judgement::Free(OnRecord::Awaited)),
            1 => Just(Judgement::Free(OnRecord::Unrecorded)),
        ],
    )
        .prop_map(
            |(
                object,
                platform,
                claim,
                standing,
                settled,
                [pending, blind, waiting, hindered, looks_first],
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
                    finalizers_refused: None,
                    status_refused: waiting.then(|| RefusedWrite {
                        words: "no".to_owned(),
                        count: 1,
                        until: Instant::now() + Duration::from_secs(30),
                        denied: true,
                        phase: None,
                    }),
                    complaint_refused: None,
                    blind,
                    request: None,
                    anew: false,
                    keepers: Vec::new(),
                    looks_first,
                    settled,
                    platform,
                    hindrance: hindered.then(|| "a definition lacks a field".to_owned()),
                    graces_since: None,
                    lagging: waiting,
                    endpoint: None,
                    elsewhere: None,
                    known: if waiting {
                        Known::Missing
                    } else {
                        Known::Unread
                    },
                    claim,
                    unproven: None,
                    given_back: 0,
                    finding: None,
                    trials: Vec::new(),
                    misplaced: false,
                    failure: None,
                    failed_audits: 0,
                    conflicts: 0,
                    writes_hang: blind,
                    audited: None,
                    owed: None,
                    overdue: None,
                    window: Duration::ZERO,
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
            prop_assert!(seen.settled.is_none() && matches!(seen.claim, Claim::Nobody | Claim::Disregarded(_)));
            prop_assert!(seen.intent().is_some());
            prop_assert!(seen.echo == Echo::Seen && !seen.blind && seen.hindrance.is_none());
            prop_assert!(matches!(seen.guard, Judgement::Free(_)) && !seen.looks_first);
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
                Outcome::HandedOver => {
                    prop_assert!(matches!(seen.claim, Claim::Claimed(_)) && seen.hindrance.is_none());
                }
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
