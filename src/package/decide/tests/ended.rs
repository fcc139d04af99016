//! Outcomes that come from another application than the Platform has now.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test fails at every other variant"
)]

use super::*;
use crate::api::version_package::{Deletion, VersionPackageStatus};
use crate::package::conclude::{Report, conclude};
use crate::package::effect::Effect;
use crate::package::errand::Errand;

/// A retired object with an outcome from app-1, over a Platform of app-2.
fn record(outcome: Outcome) -> Observation {
    let mut object = fixtures::retired(fixtures::accepted("a", "app-1"));
    object.status.deletion = Some(Deletion {
        outcome: Some(outcome),
        attempts: Some(1),
        ..Deletion::default()
    });
    Observation {
        settled: Some(outcome),
        platform: usable("app-2", Mode::Enforce),
        ..seen(object)
    }
}

fn changed(seen: &mut Observation, change: impl FnOnce(&mut Object)) {
    change(Arc::make_mut(&mut seen.object));
}

fn with_deleted(mut seen: Observation) -> Observation {
    changed(&mut seen, |object| {
        *object = fixtures::deleted(object.clone());
    });
    seen
}

fn after(seen: &Observation) -> (Report, VersionPackageStatus) {
    let decision = decide(seen, now());
    let report = conclude(seen, &decision, &Effect::Nothing, now(), 0.0);
    let status = report.status.clone().unwrap();
    (report, status)
}

fn releases(seen: &Observation) -> Outcome {
    match decide(seen, now()) {
        Decision::Release { outcome, .. } => outcome,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_another_application_lacks_is_held_and_stays_as_it_was_told() {
    let record = record(Outcome::AlreadyGone);
    for seen in [record.clone(), with_deleted(record)] {
        let Decision::Rest {
            reason, message, ..
        } = decide(&seen, now())
        else {
            panic!("it is held");
        };
        assert_eq!(reason, Reason::ApplicationChanged);
        for part in ["iodm.dev/accept: app-2", "credentials of app-1", "Retain"] {
            assert!(message.contains(part), "{message}");
        }
        let (report, status) = after(&seen);
        assert!(!report.errands.contains(&Errand::Reopen));
        assert_eq!(status.application, Some(app("app-1")));
        let outcome = status.deletion.unwrap().outcome;
        assert_eq!(outcome, Some(Outcome::AlreadyGone));
    }
}

#[test]
fn an_end_is_certain_that_was_a_deletion_or_was_told_by_the_application_of_the_platform() {
    assert_eq!(
        releases(&with_deleted(record(Outcome::Deleted))),
        Outcome::Deleted
    );
    let mut same = with_deleted(record(Outcome::AlreadyGone));
    same.platform = usable("app-1", Mode::Enforce);
    changed(&mut same, |o| o.accept = Some("app-1".to_owned()));
    assert_eq!(releases(&same), Outcome::AlreadyGone);
}

#[test]
fn where_the_application_of_the_platform_can_not_be_known_an_end_stands() {
    let unusable = PlatformView::Unusable {
        reason: PlatformReason::SecretNotFound,
        message: "m".into(),
        ending: false,
    };
    for platform in [PlatformView::NotFound, PlatformView::NotAllowed, unusable] {
        let mut seen = record(Outcome::AlreadyGone);
        seen.platform = platform;
        assert_eq!(reason(&decide(&seen, now())), Some(Reason::AlreadyGone));
        assert_eq!(releases(&with_deleted(seen)), Outcome::AlreadyGone);
    }
    // A deleted object waits until its unread Platform is known.
    let mut unread = record(Outcome::AlreadyGone);
    unread.platform = PlatformView::Unread;
    assert_eq!(reason(&decide(&unread, now())), Some(Reason::AlreadyGone));
    let mut unread = with_deleted(unread);
    assert!(matches!(decide(&unread, now()), Decision::Await(_)));
    changed(&mut unread, |o| o.status.application = None);
    assert_eq!(releases(&unread), Outcome::AlreadyGone);
}

#[test]
fn retain_frees_an_object_that_goes_without_a_word_on_its_package() {
    let mut retained = with_deleted(record(Outcome::AlreadyGone));
    changed(&mut retained, |o| {
        o.spec.as_mut().unwrap().deletion_policy = DeletionPolicy::Retain;
        o.accept = Some("app-2".to_owned());
    });
    assert_eq!(releases(&retained), Outcome::Retained);
    assert_eq!(retained.reopened(), None);
}

#[test]
fn a_person_who_names_the_present_application_has_the_deletion_begin_anew_there() {
    let record = record(Outcome::AlreadyGone);
    for mut seen in [record.clone(), with_deleted(record)] {
        changed(&mut seen, |o| o.accept = Some("app-3".to_owned()));
        assert_eq!(
            reason(&decide(&seen, now())),
            Some(Reason::ApplicationChanged)
        );
        changed(&mut seen, |o| o.accept = Some("app-2".to_owned()));
        let (report, status) = after(&seen);
        assert!(report.errands.contains(&Errand::Reopen));
        assert_eq!(status.application, Some(app("app-2")));
        assert_eq!(status.deletion, None);
        // The next look starts from that status.
        changed(&mut seen, |o| o.status = status);
        seen.settled = None;
        assert!(matches!(decide(&seen, now()), Decision::Request(_)));
    }
}

#[test]
fn what_an_application_lacks_at_another_endpoint_is_looked_up_at_the_present_one() {
    let mut record = record(Outcome::AlreadyGone);
    record.platform = usable("app-1", Mode::Enforce);
    record.endpoint = Some("https://right.example".parse().unwrap());
    let told_at = |seen: &mut Observation, endpoint: &str| {
        let endpoint = Some(endpoint.parse().unwrap());
        changed(seen, |o| o.status.endpoint = endpoint);
    };
    for mut seen in [record.clone(), with_deleted(record.clone())] {
        told_at(&mut seen, "https://wrong.example");
        let (report, status) = after(&seen);
        assert!(report.errands.contains(&Errand::Reopen));
        assert_eq!(status.deletion, None);
        assert_eq!(status.endpoint, record.endpoint);
        changed(&mut seen, |o| o.status = status);
        seen.settled = None;
        assert!(matches!(decide(&seen, now()), Decision::Request(_)));
    }
    // `Deleted` stands whatever the endpoint, and so does an answer of the present endpoint.
    let mut deleted = record.clone();
    told_at(&mut deleted, "https://wrong.example");
    deleted.settled = Some(Outcome::Deleted);
    assert_eq!(deleted.reopened(), None);
    told_at(&mut record, "https://right.example");
    assert_eq!(releases(&with_deleted(record)), Outcome::AlreadyGone);
}

#[test]
fn an_object_that_has_ended_and_cannot_be_read_says_that_and_not_that_it_wants_its_package() {
    for (lost, expected) in [(true, Reason::FieldsLost), (false, Reason::Undecodable)] {
        let mut seen = record(Outcome::Deleted);
        changed(&mut seen, |object| {
            let mut unreadable = fixtures::undecodable("a").spec.unwrap_err();
            unreadable.lost = lost;
            object.spec = Err(unreadable);
        });
        let Decision::Rest { reason, .. } = decide(&seen, now()) else {
            panic!("{lost}");
        };
        assert_eq!(reason, expected);
        // The outcome stands.
        assert_eq!(releases(&with_deleted(seen)), Outcome::Deleted);
    }
}
