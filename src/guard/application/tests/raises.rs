//! Raised bounds that release a hold, and changes that are no raise.

use super::*;

/// Creates a guard whose bound of five holds eight marked objects.
fn holding_eight() -> ApplicationGuard {
    let mut guard = guarding(5);
    ask(&mut guard, 0..8, 0);
    mark_all(&mut guard, 0..8, 0);
    guard
}

/// Creates the guard of a process that has just started: a status contains the hold `h-1` by a bound of five, and no
/// object is known yet.
fn starting() -> ApplicationGuard {
    lead(ApplicationGuard::new(false, Numbers::default()))
}

fn lead(mut guard: ApplicationGuard) -> ApplicationGuard {
    guard.hold = Some(Hold {
        id: "h-1".into(),
        since: at(0),
        reason: "8 deletions".to_owned(),
        bound: Some(Passed {
            platform: platform("p"),
            uid: "uid-platform".to_owned(),
            most: 5,
            told: 5,
            unseen: true,
        }),
        sent: 0,
    });
    guard.loaded(at(1));
    guard
}

/// Reads a list of eight objects, of which the first `marked` are marked with the hold.
fn list(guard: &mut ApplicationGuard, marked: usize) {
    for number in 0..8 {
        let hold = (number < marked).then(|| "h-1".into());
        let asked = Asked {
            hold,
            ..asked(number, 0)
        };
        guard.ask(&uid(number), asked);
        guard.check(at(2), 7);
    }
    guard.retain(|_| true);
    guard.check(at(2), 7);
    record(guard);
}

#[test]
fn a_raised_bound_releases_only_a_hold_that_all_bounds_let_go() {
    let raised = |most: usize, other: usize| {
        let mut guard = guarding(5);
        guard.set_bound(&platform("other"), bound(other));
        ask(&mut guard, 0..8, 0);
        mark_all(&mut guard, 0..8, 0);
        guard.set_bound(&platform("p"), bound(most));
        guard.check(at(1), 7);
        record(&mut guard);
        !held(&mut guard, 0)
    };
    assert!(raised(8, 100));
    assert!(!raised(7, 100), "it counts eight");
    assert!(!raised(100, 7), "the other one lets seven go");
}

#[test]
fn a_platform_created_anew_with_a_higher_bound_releases_nothing() {
    let mut guard = guarding(5);
    ask(&mut guard, 0..8, 0);
    mark_all(&mut guard, 0..8, 0);
    guard.drop_bound(&platform("p"));
    let anew = Bound {
        uid: "uid-anew".to_owned(),
        ..bound(100)
    };
    guard.set_bound(&platform("p"), anew);
    guard.check(at(1), 7);
    assert!(held(&mut guard, 0));
}

#[test]
fn a_raise_that_was_too_small_releases_nothing_later_when_objects_have_left() {
    let mut guard = holding_eight();
    guard.set_bound(&platform("p"), bound(6));
    guard.check(at(1), 7);
    for number in 5..8 {
        guard.forget(&uid(number));
    }
    ask(&mut guard, 20..21, 2);
    assert_eq!(guard.held(), 6);
    record(&mut guard);
    assert!(guard.released.is_empty() && held(&mut guard, 0));
    let passed = guard.hold.as_ref().and_then(|hold| hold.bound.as_ref());
    assert_eq!(
        passed.map(|passed| passed.told),
        Some(6),
        "a restart knows it"
    );
    guard.set_bound(&platform("p"), bound(7));
    guard.check(at(3), 7);
    record(&mut guard);
    assert!(!held(&mut guard, 0));
}

#[test]
fn who_left_a_hold_and_still_says_so_counts_in_a_raise_and_comes_back_into_the_hold() {
    let mut guard = holding_eight();
    let hold: Arc<str> = id(&guard).into();
    guard.leave(&uid(0), &hold);
    assert_eq!(guard.held(), 8);
    guard.set_bound(&platform("p"), bound(7));
    guard.check(at(1), 7);
    let asked = Asked {
        hold: Some(Arc::clone(&hold)),
        ..asked(0, 0)
    };
    guard.ask(&uid(0), asked);
    record(&mut guard);
    assert!(held(&mut guard, 0), "the raise was one too small");
    // Once the status no longer names the hold, the object is no part of it.
    guard.forget(&uid(0));
    assert_eq!(guard.held(), 7);
    guard.set_bound(&platform("p"), bound(8));
    guard.check(at(2), 7);
    record(&mut guard);
    assert!(!held(&mut guard, 1));
}

#[test]
fn a_list_forgets_who_left_a_hold_and_is_gone() {
    let mut guard = holding_eight();
    let hold: Arc<str> = id(&guard).into();
    guard.leave(&uid(0), &hold);
    guard.retain(|present| *present != *uid(0));
    assert_eq!(guard.held(), 7);
}

fn share(percent: usize) -> Bound {
    Bound {
        max_percent: Some(percent),
        ..bound(50)
    }
}

#[test]
fn more_objects_are_no_raise_of_a_share() {
    let mut guard = guarding(50);
    guard.set_population(20);
    guard.set_bound(&platform("p"), share(20));
    ask(&mut guard, 0..8, 0);
    mark_all(&mut guard, 0..8, 0);
    guard.set_population(100);
    ask(&mut guard, 8..9, 1);
    guard.forget(&uid(8));
    guard.check(at(1), 7);
    record(&mut guard);
    assert!(guard.released.is_empty() && held(&mut guard, 0));
    guard.set_bound(&platform("p"), share(30));
    guard.check(at(2), 7);
    record(&mut guard);
    assert!(!held(&mut guard, 0));
}

#[test]
fn two_platforms_that_are_raised_together_release_with_the_last() {
    for names in [["p", "other"], ["other", "p"]] {
        let mut guard = guarding(5);
        guard.set_bound(&platform("other"), bound(6));
        ask(&mut guard, 0..8, 0);
        mark_all(&mut guard, 0..8, 0);
        for (name, released) in names.into_iter().zip([false, true]) {
            guard.set_bound(&platform(name), bound(10));
            guard.check(at(1), 7);
            record(&mut guard);
            assert_eq!(!held(&mut guard, 0), released, "{name}");
        }
    }
}

#[test]
fn a_raise_that_a_start_finds_is_judged_once_all_objects_are_listed() {
    for (most, released) in [(5, false), (7, false), (8, true)] {
        let mut guard = starting();
        guard.set_bound(&platform("p"), bound(most));
        guard.check(at(1), 7);
        assert!(guard.hold.is_some() && guard.released.is_empty(), "{most}");
        list(&mut guard, 8);
        assert_eq!(!held(&mut guard, 0), released, "{most}");
    }
    let mut guard = starting();
    guard.set_bound(&platform("p"), share(90));
    guard.set_population(1000);
    list(&mut guard, 8);
    assert!(held(&mut guard, 0), "a share may have been one of fewer");
}

#[test]
fn a_raise_from_before_a_process_led_releases_no_hold_that_it_takes_over() {
    let mut standby = ApplicationGuard::new(false, Numbers::default());
    standby.set_bound(&platform("p"), share(10));
    standby.set_bound(&platform("p"), share(90));
    let mut guard = lead(standby);
    guard.set_population(1000);
    list(&mut guard, 8);
    assert!(held(&mut guard, 0));
}

#[test]
fn a_release_that_a_start_reads_before_the_list_frees_what_carries_its_id_and_holds_the_rest() {
    let mut guard = starting();
    guard.set_bound(&platform("p"), bound(5));
    guard.release("h-1", at(1), 7);
    guard.check(at(1), 7);
    assert!(guard.released.is_empty());
    list(&mut guard, 6);
    assert_eq!(guard.released[0].count, 6);
    assert!(!held(&mut guard, 0) && held(&mut guard, 6) && held(&mut guard, 7));
    assert_ne!(id(&guard), "h-1");
}

#[test]
fn a_raise_lets_go_what_is_held_and_what_was_sent_within_the_window_together() {
    for (most, released) in [(6, false), (7, true)] {
        let mut guard = guarding(5);
        for number in 0..4 {
            ask(&mut guard, number..number + 1, 0);
            record(&mut guard);
            assert!(take(&mut guard, number, 0));
            guard.called(&uid(number));
            guard.forget(&uid(number));
        }
        ask(&mut guard, 4..7, 1);
        assert_eq!(guard.hold.as_ref().map(|hold| hold.sent), Some(4));
        mark_all(&mut guard, 4..7, 1);
        guard.set_bound(&platform("p"), bound(most));
        guard.check(at(2), 7);
        record(&mut guard);
        assert_eq!(!held(&mut guard, 4), released, "{most}");
    }
}
