#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test fails at every other variant"
)]

mod any_observation;
mod by_guard;
mod by_sight;
mod claims;
mod ended;
mod noticed;
mod sending;
mod table;

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::api::condition::{self, Statement};
use crate::api::names::{FINALIZER, ObjectKey};
use crate::api::outcome::Outcome;
use crate::api::platform::{Mode, PlatformReason};
use crate::api::version_package::{Deletion, DeletionPolicy, PackageIdentity};
use crate::object::asking::asked_at;
use crate::package::claims::doubts::Finding;
use crate::package::claims::{Claim, doubts};
use crate::package::fixtures::{self, app, seen};
use crate::package::memory::own_write::Echo;
use crate::package::memory::own_write::Part;
use crate::writes::CONFLICT_BOUND;

use crate::guard::{Judgement, OnRecord};
use crate::inventory::Known;
use crate::remote::answer::Detail;
use crate::session::{Priority, Purpose, SessionState, Standing};

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

fn permitted(intent: Option<String>) -> Standing {
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
            claim: fixtures::unclear("y"),
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
fn rows_4_and_6_tell_of_a_pause_and_of_what_is_odd_about_it() {
    let said = |object: Object| match decide(&seen(object), now()) {
        Decision::Rest { message, .. } => message,
        other => panic!("{other:?}"),
    };
    let with = |odd: Option<&str>, mut object: Object| {
        object.paused = true;
        object.odd_pause = odd.map(str::to_owned);
        said(object)
    };
    let wanted = || fixtures::accepted("a", "app-1");
    assert!(!said(wanted()).contains("iodm.dev/paused"));
    for object in [wanted(), going()] {
        let plain = with(None, object.clone());
        assert!(plain.contains("iodm.dev/paused") && !plain.contains("value"));
        let odd = with(Some("yes"), object);
        assert!(
            odd.contains("the value of the annotation is \"yes\""),
            "{odd}"
        );
    }
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
    } = decide(&seen(scheduled.clone()), now)
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
        let on = |object: &Object| Observation {
            platform: platform.clone(),
            ..seen(object.clone())
        };
        assert_eq!(reason(&decide(&on(&object), now)), Some(expected));
        // The retirement comes in time, whatever the status reports meanwhile.
        let Decision::Rest { until, .. } = decide(&on(&scheduled), now) else {
            panic!("it rests")
        };
        assert_eq!(
            until,
            Some(now.tick + Duration::from_secs(90)),
            "{platform:?}"
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
    // After a restart no reading is known, so the result in the status still stands.
    let mut missing = object.clone();
    let verdict = Statement {
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
    // The object is retired in time, and its deletion doesn't depend on the list.
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
        claim: fixtures::unclear("y"),
        ..seen(going())
    };
    assert_eq!(reason(&decide(&unclear, now())), Some(Reason::ClaimUnclear));
}

#[test]
fn a_lost_secret_or_right_is_asked_for_only_where_the_namespace_still_takes_one() {
    let (back, right) = (
        "create that Secret again",
        "give the operator the right to read that Secret",
    );
    for (lost, ending, asked) in [
        (PlatformReason::SecretNotFound, false, Some(back)),
        (PlatformReason::SecretForbidden, false, Some(right)),
        (PlatformReason::SecretNotFound, true, None),
        (PlatformReason::SecretForbidden, true, None),
    ] {
        let platform = PlatformView::Unusable {
            reason: lost,
            message: "Secret iot/iot-app.".into(),
            ending,
        };
        let seen = Observation {
            platform,
            ..seen(going())
        };
        let Decision::Rest {
            reason, message, ..
        } = decide(&seen, now())
        else {
            panic!("it waits");
        };
        assert_eq!(reason, Reason::CredentialsLost);
        for way in [back, right] {
            let given = message.contains(&format!("Secret iot/iot-app; {way}, or"));
            assert_eq!(given, asked == Some(way), "{message}");
        }
        assert!(message.contains("deletionPolicy: Retain"), "{message}");
    }
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
    assert_eq!(asked_at(&retired, fixtures::now()), fixtures::now());
    assert_eq!(asked_at(&stored(retired.clone()), fixtures::now()), earlier);
    assert_eq!(
        asked_at(&stored(fixtures::deleted(retired)), fixtures::now()),
        earlier
    );
    assert_eq!(
        asked_at(&stored(going()), fixtures::now()),
        fixtures::now(),
        "set Active again before it was deleted"
    );
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

fn graced(grace: Duration) -> PlatformView {
    PlatformView::Usable {
        app_id: app("app-1"),
        mode: Mode::Enforce,
        last_good: None,
        grace,
        accepts: true,
    }
}

fn expecting() -> Object {
    let mut object = going();
    object.spec.as_mut().unwrap().expect = Some(crate::api::version_package::Expect {
        version: Some("V1".into()),
        ..crate::api::version_package::Expect::default()
    });
    object
}
