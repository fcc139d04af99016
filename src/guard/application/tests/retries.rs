//! A retried deletion counts once, in the window of its latest call.

use super::*;

/// Takes the deletion for another call. Returns whether the deletion may be sent.
pub(super) fn again(guard: &mut ApplicationGuard, number: usize, second: i64) -> bool {
    let earlier = guard.renew(&uid(number), at(second));
    guard.let_grow_old(&uid(number), at(second));
    guard.check(at(second), 7);
    let taken = guard.take(&uid(number), at(second));
    if let (false, Some(earlier)) = (taken, earlier) {
        guard.restore(&uid(number), &earlier);
    }
    taken
}

/// Takes the deletion for another call, with a reservation written when its turn comes.
fn in_turn(guard: &mut ApplicationGuard, number: usize, second: i64) -> bool {
    guard.let_grow_old(&uid(number), at(second));
    guard.check(at(second), 7);
    has_room(guard, number, second);
    again(guard, number, second)
}

/// Makes a call that is answered without ending the deletion.
fn fail(guard: &mut ApplicationGuard, number: usize, second: i64) {
    assert!(in_turn(guard, number, second));
    guard.called(&uid(number));
    let failed = Asked {
        answered: Some(at(second)),
        ..asked(number, 0)
    };
    guard.ask(&uid(number), failed);
    record(guard);
}

/// Creates the guard of the next process, which reads the statuses of the Platform and of the objects.
fn restarted(
    mut guard: ApplicationGuard,
    most: usize,
    second: i64,
    failed: &[(usize, i64)],
) -> ApplicationGuard {
    let kept =
        super::super::super::record::of((&"app".parse().unwrap(), 1), &mut guard, at(second));
    let mut anew = ApplicationGuard::new(true, Numbers::default());
    anew.set_bound(&platform("p"), bound(most));
    for &(number, answered) in failed {
        let asked = Asked {
            answered: Some(at(answered)),
            ..asked(number, 0)
        };
        anew.ask(&uid(number), asked);
    }
    let status = crate::api::platform::PlatformStatus {
        guard: Some(kept.guard),
        ..crate::api::platform::PlatformStatus::default()
    };
    super::super::super::record::load(&mut anew, (&platform("p"), &status, 0), at(second));
    anew.loaded(at(second));
    record(&mut anew);
    anew
}

#[test]
fn a_deletion_counts_once_and_for_the_window_of_its_latest_call() {
    for called in [false, true] {
        let mut guard = guarding(2);
        ask(&mut guard, 0..1, 0);
        assert!(in_turn(&mut guard, 0, 1));
        if called {
            guard.called(&uid(0));
        }
        assert!(again(&mut guard, 0, 2), "it goes soon, and is counted");
        record(&mut guard);
        assert!(in_turn(&mut guard, 0, 500));
        let counted = [501, 700].map(|second| guard.tally.sent_within(WINDOW, at(second)));
        assert_eq!(counted, [1, 1], "{called}");
    }
}

#[test]
fn repeated_calls_leave_no_room_for_others_a_window_after_the_first() {
    let mut guard = guarding(2);
    ask(&mut guard, 0..2, 0);
    for second in [0, 300, 590] {
        fail(&mut guard, 0, second);
        fail(&mut guard, 1, second);
        assert!(guard.hold.is_none(), "{second}");
    }
    ask(&mut guard, 2..3, 640);
    assert!(held(&mut guard, 2), "three would go within a minute");
}

#[test]
fn a_repeated_call_that_may_not_go_leaves_the_earlier_one_counted() {
    let mut guard = guarding(2);
    ask(&mut guard, 0..2, 0);
    fail(&mut guard, 0, 1);
    ask(&mut guard, 2..3, 2);
    assert!(!again(&mut guard, 0, 300), "it is held");
    assert_eq!(guard.tally.sent_within(WINDOW, at(300)), 1);
}

#[test]
fn what_an_earlier_process_called_for_counts_once_too() {
    let mut guard = guarding(40);
    ask(&mut guard, 0..2, 0);
    fail(&mut guard, 0, 1);
    fail(&mut guard, 1, 1);
    let mut guard = restarted(guard, 40, 100, &[(0, 1), (1, 1)]);
    // Unused reservations count as sent.
    let unused = guard.tally.sent_within(WINDOW, at(100)) - 2;
    assert!(again(&mut guard, 0, 400));
    assert_eq!(guard.tally.sent_within(WINDOW, at(400)), 2 + unused);
    assert_eq!(guard.tally.sent_within(WINDOW, at(660)), 1 + unused);
}

#[test]
fn one_that_a_person_freed_leaves_its_earlier_call_counted() {
    let mut guard = guarding(2);
    ask(&mut guard, 0..2, 0);
    fail(&mut guard, 0, 1);
    ask(&mut guard, 2..3, 2);
    mark_all(&mut guard, 0..3, 0);
    let first = id(&guard);
    guard.release(&first, at(3), 9);
    record(&mut guard);
    assert!(again(&mut guard, 0, 300));
    assert_eq!(guard.tally.sent_within(WINDOW, at(300)), 1);
}

#[test]
fn a_share_counts_what_was_sent_and_stays_once() {
    let half = Bound {
        max_percent: Some(50),
        ..bound(50)
    };
    let mut guard = ApplicationGuard::new(true, Numbers::default());
    guard.set_population(10);
    guard.set_bound(&platform("p"), half);
    record(&mut guard);
    for number in 0..5 {
        ask(&mut guard, number..number + 1, 0);
        record(&mut guard);
        fail(&mut guard, number, 1);
    }
    assert!(guard.hold.is_none(), "half of ten");
    // Two objects are gone by now, and the others stay.
    guard.forget(&uid(0));
    guard.forget(&uid(1));
    guard.set_population(8);
    ask(&mut guard, 5..6, 2);
    assert!(guard.hold.is_some(), "it would be the sixth of ten");
}
