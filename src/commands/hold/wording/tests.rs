use serde_json::json;

use super::super::selection::holds;
use super::super::selection::tests::{held, hold, platform};
use super::*;

fn now() -> Timestamp {
    "2026-11-23T12:03:20Z".parse().unwrap()
}

fn one_hold(objects: &[Held]) -> Vec<ShownHold> {
    let status = json!({"hold": hold("h-1", 1210), "session": {"appId": "app-1"}});
    holds(&[platform("production", status)], objects)
}

fn crowd(number: usize) -> Vec<Held> {
    (0..number)
        .map(|n| held(&format!("meter-{n:04}"), "h-1"))
        .collect()
}

#[test]
fn the_table_shows_the_age_the_counts_the_limit_and_what_to_do() {
    let wanted = "\
Hold h-1
  Application  app-1
  Platforms    iot/production
  Since        3m20s (2026-11-23T12:00:00Z)
  Bound        more than 50 deletions within 10m
  Deletions    1,200 held, and 10 sent before the hold began (these numbers may be 10 s old); the id of the hold is in the status of 2 objects so far

`vpo hold release ID` lets the deletions of a hold go on. `vpo hold retain ID` calls them off: the objects that are being deleted go, and their packages stay.
";
    assert_eq!(table(&one_hold(&crowd(2)), now()), wanted);
    assert_eq!(table(&[], now()), "No mass deletion is held.\n");
}

#[test]
fn a_forged_status_adds_no_line() {
    let mut holds = one_hold(&crowd(2));
    let lines = |holds: &[ShownHold]| table(holds, now()).lines().count();
    let before = lines(&holds);
    holds[0].id = "h-1\nHold h-2".to_owned();
    holds[0].reason = "none\n  Deletions    0 held".to_owned();
    assert_eq!(lines(&holds), before);
}

#[test]
fn an_unknown_hold_is_answered_with_the_existing_ones() {
    assert_eq!(
        unknown("h-9", &[]),
        "there is no hold h-9; there are no holds at all"
    );
    assert_eq!(
        unknown("h-9", &one_hold(&[])),
        "there is no hold h-9; there is h-1 (1,200 deletions of app-1)"
    );
}

#[test]
fn twenty_names_are_shown_and_then_how_many_more() {
    let objects = crowd(1200);
    let hold = &one_hold(&objects)[0];
    let told = |number: usize| {
        let objects: Vec<&Held> = objects[..number].iter().collect();
        before_release(hold, &objects, now())
    };
    let twenty = told(20);
    assert!(twenty.contains("the packages of 20 VersionPackages, for ever:\n"));
    assert!(twenty.contains("  fleet/meter-0019\n") && !twenty.contains("more\n"));
    assert!(
        twenty.contains("The hold has 1,200 deletions in all"),
        "{twenty}"
    );
    let all = told(1200);
    assert!(
        all.contains("  fleet/meter-0019\n  and 1,180 more\n"),
        "{all}"
    );
    assert!(!all.contains("The hold has"), "{all}");
    assert!(told(1).contains("the packages of 1 VersionPackage, for ever:\n"));
}

#[test]
fn objects_that_joined_during_the_confirmation_are_named_and_counted() {
    let objects = crowd(22);
    let new: Vec<&Held> = objects.iter().collect();
    let text = more_to_release(&new, 25);
    for part in [
        "Nothing is released yet",
        "the packages of 22 VersionPackages that you were not shown",
        "  fleet/meter-0019\n  and 2 more\nThat makes 25 VersionPackages.\n",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn a_retain_names_the_objects_that_it_does_not_help_and_what_does() {
    let retired = Held {
        terminating: false,
        ..held("retired", "h-1")
    };
    let (a, b) = (held("a", "h-1"), held("b", "h-1"));
    let text = before_retain(None, &[&a, &b, &retired], now());
    for part in [
        "No Platform shows this hold any more",
        "deletionPolicy: Retain will be set on 3 VersionPackages:\n  fleet/a\n  fleet/b\n  fleet/retired\n",
        "2 of these are being deleted: such objects go, and their packages stay",
        "1 of these is retired and not being deleted. Retain doesn't call a retirement off",
        "set lifecycle: Active and remove retireAfter in Git:\n  fleet/retired\n",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let before = before_retain(one_hold(&[]).first(), &[&a], now());
    assert!(!before.contains("retired and not being deleted") && before.starts_with("Hold h-1\n"));
}

#[test]
fn the_results_of_a_retain_are_counted() {
    let refused = Set::Refused("not now".to_owned());
    let objects = crowd(6);
    let ends = [
        Set::Done,
        Set::Done,
        Set::Already,
        Set::Gone,
        Set::Left,
        refused,
    ];
    let ends: Vec<(&Held, Set)> = objects.iter().zip(ends).collect();
    assert_eq!(
        after_retain(&ends),
        "deletionPolicy: Retain was set on 2 VersionPackages, 1 had it already, 1 gone meanwhile, 1 no longer part of the hold, 1 refused.\n  fleet/meter-0005: not now\n"
    );
    assert_eq!(
        after_retain(&ends[..1]),
        "deletionPolicy: Retain was set on 1 VersionPackage.\n"
    );
}
