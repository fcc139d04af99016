//! Decisions while another object may want the package, or while the package belongs to another application.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test fails at every other variant"
)]

use super::*;
use crate::package::claims::{Unclear, Why, Word};
use crate::package::conclude::{audit_record, conclude};
use crate::package::effect::Effect;

fn told(seen: &Observation) -> (Reason, String, Option<Instant>) {
    match decide(seen, now()) {
        Decision::Rest {
            reason,
            message,
            until,
        } => (reason, message, until),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_unclear_claim_is_looked_at_again_by_itself_and_at_the_moment_from_which_a_word_counts() {
    let now = now();
    let mut seen = fixtures::seen(fixtures::retired(fixtures::accepted("a", "app-1")));
    seen.claim = fixtures::unclear("b");
    let (reason, message, until) = told(&seen);
    assert_eq!(reason, Reason::ClaimUnclear);
    for part in ["fleet/b", "uid-b", "since 2026", "iodm.dev/disregard"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(until.is_some_and(|until| until > now.tick));
    let Claim::Unclear(unclear) = fixtures::unclear("b") else {
        panic!("it is unclear");
    };
    let from = now.tick + Duration::from_secs(7);
    seen.claim = Claim::Unclear(Box::new(Unclear {
        word: Word::From(from),
        ..*unclear.clone()
    }));
    assert_eq!(told(&seen).2, Some(from));
    // A doubt that only the reads before a call can raise makes the object give its permit back.
    let mut doubt = unclear.doubt.clone();
    doubt.why = Why::Unconfirmed;
    seen.claim = Claim::Unclear(Box::new(Unclear { doubt, ..*unclear }));
    assert!(matches!(decide(&seen, now), Decision::GiveBack(why) if why.contains("fleet/b")));
}

#[test]
fn a_claim_that_is_passed_over_holds_nothing_and_is_named_in_the_audit_line() {
    let mut seen = fixtures::seen(fixtures::retired(fixtures::accepted("a", "app-1")));
    seen.claim = Claim::Disregarded(vec!["uid-b".into()]);
    assert!(matches!(decide(&seen, now()), Decision::Request(_)));
    let line = audit_record(&seen, Outcome::Deleted, None, now()).unwrap();
    assert_eq!(line.disregarded, ["uid-b"]);
    seen.claim = Claim::Nobody;
    let line = audit_record(&seen, Outcome::Deleted, None, now()).unwrap();
    assert!(line.disregarded.is_empty());
}

/// Reason, message and stored application of an object of `app-1`, over a Platform with credentials of `app-2`.
fn over_another(change: impl FnOnce(&mut Observation)) -> (Reason, String, String) {
    let mut seen = fixtures::seen(fixtures::accepted("a", "app-1"));
    seen.platform = usable("app-2", Mode::Enforce);
    change(&mut seen);
    let (reason, message, _) = told(&seen);
    let decision = decide(&seen, now());
    let report = conclude(&seen, &decision, &Effect::Nothing, now(), 0.0);
    let pinned = report.status.unwrap().application.unwrap();
    (reason, message, pinned.to_string())
}

fn accept(seen: &mut Observation, application: &str) {
    std::sync::Arc::make_mut(&mut seen.object).accept = Some(application.to_owned());
}

#[test]
fn a_live_object_of_another_application_is_accepted_anew_where_a_person_names_the_present_one() {
    let (reason, message, pinned) = over_another(|_| {});
    assert_eq!((reason, &*pinned), (Reason::ApplicationChanged, "app-1"));
    assert!(message.contains("iodm.dev/accept: app-2"), "{message}");

    let (reason, _, pinned) = over_another(|seen| accept(seen, "app-2"));
    assert_eq!((reason, &*pinned), (Reason::Active, "app-2"));

    for named in ["app-1", "app-3", ""] {
        let (reason, _, pinned) = over_another(|seen| accept(seen, named));
        assert_eq!((reason, &*pinned), (Reason::ApplicationChanged, "app-1"));
    }
}

#[test]
fn what_is_to_go_or_names_a_platform_that_goes_is_never_accepted_anew() {
    let to_go: [fn(Object) -> Object; 2] = [fixtures::retired, fixtures::deleted];
    for to_go in to_go {
        let (reason, _, pinned) = over_another(|seen| {
            accept(seen, "app-2");
            let object = Object::clone(&seen.object);
            seen.object = std::sync::Arc::new(to_go(object));
        });
        assert_eq!((reason, &*pinned), (Reason::ApplicationChanged, "app-1"));
    }
    let (reason, _, pinned) = over_another(|seen| {
        accept(seen, "app-2");
        if let PlatformView::Usable { accepts, .. } = &mut seen.platform {
            *accepts = false;
        }
    });
    assert_eq!((reason, &*pinned), (Reason::ApplicationChanged, "app-1"));
}

#[test]
fn a_new_object_of_a_package_that_was_deleted_lately_says_so_and_its_deletion_makes_its_call() {
    let mut seen = fixtures::seen(fixtures::accepted("a", "app-1"));
    seen.known = Known::Gone;
    let (reason, message, _) = told(&seen);
    assert_eq!(reason, Reason::PackageMissing);
    assert!(message.contains("new fileId"), "{message}");
    let decision = decide(&seen, now());
    let report = conclude(&seen, &decision, &Effect::Nothing, now(), 0.0);
    assert_eq!(
        (report.settled(), report.status.unwrap().deletion),
        (None, None)
    );
    seen.object = std::sync::Arc::new(fixtures::deleted(fixtures::accepted("a", "app-1")));
    assert!(matches!(decide(&seen, now()), Decision::Request(_)));
}
