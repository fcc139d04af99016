mod any_history;
mod raises;
mod records;
mod retries;

use super::*;

const WINDOW: Duration = Duration::from_secs(600);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

fn uid(number: usize) -> Arc<str> {
    format!("uid-{number}").into()
}

fn asked(number: usize, second: i64) -> Asked {
    Asked {
        key: ObjectKey::new("fleet", format!("vp-{number}")),
        platform: platform("p"),
        at: at(second),
        hold: None,
        answered: None,
    }
}

fn bound(max_deletions: usize) -> Bound {
    Bound {
        uid: "uid-platform".to_owned(),
        max_deletions,
        max_percent: None,
        window: WINDOW,
    }
}

fn platform(name: &str) -> ObjectKey {
    ObjectKey::new("iot", name)
}

/// Creates a guard with one Platform, whose first record is stored.
fn guarding(max_deletions: usize) -> ApplicationGuard {
    let mut guard = ApplicationGuard::new(true, Numbers::default());
    guard.set_bound(&platform("p"), bound(max_deletions));
    record(&mut guard);
    guard
}

fn record(guard: &mut ApplicationGuard) {
    let (_, told) = guard.propose();
    guard.recorded(&told);
}

/// Writes the record that object `number` waits for, if its turn has come without a reservation.
fn has_room(guard: &mut ApplicationGuard, number: usize, second: i64) {
    if guard.judge(&uid(number), at(second)) == Judgement::Free(OnRecord::Awaited) {
        guard.want(&uid(number), Some(platform("p")));
        record(guard);
    }
}

/// Sends the deletion of object `number` in its turn. Returns whether it may be sent.
fn take(guard: &mut ApplicationGuard, number: usize, second: i64) -> bool {
    has_room(guard, number, second);
    guard.take(&uid(number), at(second))
}

/// Requests the deletions of these objects within one second.
fn ask(guard: &mut ApplicationGuard, numbers: std::ops::Range<usize>, second: i64) {
    for number in numbers {
        guard.ask(&uid(number), asked(number, second));
        guard.check(at(second), 1);
    }
}

/// Marks each object with the hold that holds it.
fn mark_all(guard: &mut ApplicationGuard, numbers: std::ops::Range<usize>, second: i64) {
    for number in numbers {
        if let Judgement::Held(id) = guard.judge(&uid(number), at(0)) {
            let marked = Asked {
                hold: Some(id),
                ..asked(number, second)
            };
            guard.ask(&uid(number), marked);
        }
    }
}

fn held(guard: &mut ApplicationGuard, number: usize) -> bool {
    matches!(guard.judge(&uid(number), at(0)), Judgement::Held(_))
}

fn id(guard: &ApplicationGuard) -> String {
    guard.hold.as_ref().expect("a hold").id.to_string()
}

#[test]
fn as_many_as_the_bound_go_and_one_more_holds_all_that_were_not_sent() {
    let mut guard = guarding(50);
    ask(&mut guard, 0..50, 0);
    assert!(guard.hold.is_none());
    assert!(guard.take(&uid(0), at(1)));
    ask(&mut guard, 50..51, 2);
    let hold = guard.hold.clone().expect("a hold");
    assert_eq!((hold.since, hold.sent), (at(2), 1));
    assert!(
        hold.reason
            .contains("51 deletions within 600s, 1 of them sent"),
        "{}",
        hold.reason
    );
    assert!(
        hold.reason.contains("maxDeletions 50 of Platform iot/p"),
        "{}",
        hold.reason
    );
    assert!((1..51).all(|number| held(&mut guard, number)));
    assert!(!guard.take(&uid(1), at(3)));
}

#[test]
fn deletions_far_apart_are_no_mass() {
    let mut guard = guarding(2);
    for (number, second) in [(0, 0), (1, 10), (2, 640), (3, 650)] {
        guard.ask(&uid(number), asked(number, second));
        assert!(guard.check(at(second), 1).is_empty(), "{number}");
        assert!(take(&mut guard, number, second), "{number}");
        guard.forget(&uid(number));
        record(&mut guard);
    }
    assert!(guard.hold.is_none());
}

#[test]
fn what_was_asked_for_long_ago_is_not_sent_past_the_bound_either() {
    let mut guard = guarding(2);
    for (number, second) in [(0, 0), (1, 0), (2, 900), (3, 900)] {
        guard.ask(&uid(number), asked(number, second));
        guard.check(at(second), 1);
    }
    assert!(guard.hold.is_none(), "no window asked for more than two");
    for number in 0..2 {
        assert!(take(&mut guard, number, 1600));
        guard.check(at(1600), 1);
        guard.forget(&uid(number));
        record(&mut guard);
    }
    guard.check(at(1601), 1);
    assert!(held(&mut guard, 2) && held(&mut guard, 3));
}

#[test]
fn none_goes_without_a_person_where_the_bound_is_nothing() {
    let mut guard = guarding(0);
    ask(&mut guard, 0..1, 0);
    assert!(held(&mut guard, 0));
}

#[test]
fn a_share_of_all_objects_is_a_bound_too() {
    let mut guard = ApplicationGuard::new(true, Numbers::default());
    let fifth = Bound {
        max_percent: Some(20),
        ..bound(50)
    };
    guard.set_bound(&platform("p"), fifth);
    record(&mut guard);
    guard.set_population(10);
    ask(&mut guard, 0..2, 0);
    assert!(guard.hold.is_none());
    ask(&mut guard, 2..3, 0);
    assert!(
        guard
            .hold
            .as_ref()
            .unwrap()
            .reason
            .contains("maxPercent 20 (2 deletions)")
    );
}

#[test]
fn any_platform_of_the_application_trips_it_and_a_going_one_releases_nothing() {
    let mut guard = guarding(50);
    guard.set_bound(&platform("strict"), bound(3));
    ask(&mut guard, 0..4, 0);
    assert!(held(&mut guard, 0));
    guard.drop_bound(&platform("strict"));
    guard.set_bound(&platform("new"), bound(1000));
    guard.check(at(1), 2);
    assert!(held(&mut guard, 0));
}

#[test]
fn a_hold_never_ends_by_time_only_when_its_objects_leave_it() {
    let mut guard = guarding(1);
    ask(&mut guard, 0..2, 0);
    assert!(held(&mut guard, 0));
    guard.forget(&uid(0));
    assert!(held(&mut guard, 1), "one is left of it");
    guard.forget(&uid(1));
    assert!(guard.hold.is_none());
    ask(&mut guard, 2..3, 2_000_000);
    assert!(!held(&mut guard, 2));
}

#[test]
fn a_release_frees_what_carries_its_id_once_it_is_on_record_and_nothing_later() {
    let mut guard = guarding(1);
    ask(&mut guard, 0..3, 0);
    let first = id(&guard);
    mark_all(&mut guard, 0..3, 0);
    ask(&mut guard, 3..4, 5);
    guard.release("h-other", at(6), 7);
    assert_eq!(id(&guard), first, "another id releases nothing");
    guard.release(&first, at(6), 7);
    assert!(held(&mut guard, 0), "not on record yet");
    assert!(guard.is_due());
    record(&mut guard);
    assert!((0..3).all(|number| !held(&mut guard, number)));
    assert!(held(&mut guard, 3), "it came later");
    assert_ne!(id(&guard), first);
    guard.release(&first, at(8), 9);
    record(&mut guard);
    assert!(held(&mut guard, 3), "the same release again frees nothing");
}

#[test]
fn what_a_release_freed_does_not_trip_the_guard_again() {
    let mut guard = guarding(2);
    ask(&mut guard, 0..9, 0);
    mark_all(&mut guard, 0..9, 0);
    let first = id(&guard);
    guard.release(&first, at(1), 7);
    record(&mut guard);
    assert!(guard.hold.is_none());
    for number in 0..9 {
        assert!(guard.take(&uid(number), at(2)));
        guard.check(at(2), 8);
        guard.forget(&uid(number));
    }
    ask(&mut guard, 10..12, 3);
    assert!(guard.hold.is_none(), "two more are within the bound");
    ask(&mut guard, 12..13, 3);
    assert!(guard.hold.is_some());
}

#[test]
fn a_release_waits_for_marks_that_are_on_their_way_and_counts_them() {
    let mut guard = guarding(1);
    ask(&mut guard, 0..3, 0);
    let first: Arc<str> = id(&guard).into();
    assert!(guard.begin_mark(&uid(0), &first, 1));
    guard.release(&first, at(1), 7);
    assert!(guard.released.is_empty());
    let Judgement::Held(other) = guard.judge(&uid(1), at(1)) else {
        panic!("free")
    };
    assert_ne!(other, first, "nothing is marked with it any more");
    assert!(!guard.begin_mark(&uid(1), &first, 2));
    let marked = Asked {
        hold: Some(Arc::clone(&first)),
        ..asked(0, 0)
    };
    guard.ask(&uid(0), marked);
    guard.end_mark(&first, 1, at(2));
    record(&mut guard);
    assert!(!held(&mut guard, 0) && held(&mut guard, 1) && held(&mut guard, 2));
    assert_eq!(guard.released[0].count, 1);
}

#[test]
fn a_hold_that_no_status_has_any_more_lives_on_in_its_objects() {
    for before in [asked(0, 0), answered()] {
        let mut guard = guarding(50);
        let marked = Asked {
            hold: Some("h-lost".into()),
            ..before
        };
        guard.ask(&uid(0), marked);
        guard.check(at(3), 7);
        assert_eq!(id(&guard), "h-lost");
        assert!(held(&mut guard, 0));
    }
}

#[test]
fn nothing_is_sent_without_room_on_record_and_each_object_takes_one() {
    let mut guard = guarding(200);
    ask(&mut guard, 0..20, 0);
    assert_eq!(guard.batch(), 10);
    for number in 0..10 {
        assert!(guard.take(&uid(number), at(1)));
        assert!(
            guard.take(&uid(number), at(1)),
            "the same deletion counts once"
        );
    }
    assert!(!guard.take(&uid(10), at(1)));
    assert_eq!(
        guard.judge(&uid(10), at(1)),
        Judgement::Free(OnRecord::Awaited)
    );
    guard.want(&uid(10), None);
    assert!(guard.is_due());
    let (_, told) = guard.propose();
    assert!(!guard.take(&uid(10), at(1)), "the record isn't safe yet");
    assert_eq!(guard.recorded(&told), [asked(10, 0).key]);
    assert!(guard.take(&uid(10), at(1)));
    assert_eq!(guard.tally.sent_within(WINDOW, at(1)), 11);
}

#[test]
fn a_record_reserves_at_most_a_twentieth_of_the_bound_that_counts() {
    for (most, percent, objects, batch) in [
        (50, None, 10, 2),
        (19, None, 10, 0),
        (1000, Some(20), 10, 0),
        (1000, Some(20), 100, 1),
        (1000, Some(20), 199, 1),
        (1000, Some(20), 1000, 10),
        (1_000_000, None, 10, 100),
    ] {
        let mut guard = ApplicationGuard::new(true, Numbers::default());
        let share = Bound {
            max_percent: percent,
            ..bound(most)
        };
        guard.set_bound(&platform("p"), share);
        guard.set_population(objects);
        assert_eq!(guard.batch(), batch, "{most} {percent:?} {objects}");
        assert_eq!(guard.propose().0, batch, "{most} {percent:?} {objects}");
    }
}

#[test]
fn where_nothing_is_reserved_each_deletion_has_a_record_on_its_own_platform_before_it_goes() {
    let mut guard = guarding(5);
    ask(&mut guard, 0..3, 0);
    assert!(!guard.is_due(), "none has its turn");
    for number in 0..2 {
        assert!(!guard.take(&uid(number), at(1)), "{number}");
        let own = platform("of-this-one");
        guard.want(&uid(number), Some(own.clone()));
        assert!(guard.is_due());
        assert_eq!(guard.due_only_on(), Some(own));
        let (reserved, told) = guard.propose();
        assert_eq!(reserved, 1);
        guard.recorded(&told);
        assert!(guard.take(&uid(number), at(1)));
        assert!(!guard.is_due(), "nothing is written after it");
    }
    guard.want(&uid(2), Some(platform("p")));
    guard.untold = true;
    assert_eq!(
        guard.due_only_on(),
        None,
        "what else is told is told by all"
    );
}

#[test]
fn who_waits_for_room_and_goes_elsewhere_asks_for_no_record() {
    let mut guard = guarding(5);
    ask(&mut guard, 0..1, 0);
    guard.want(&uid(0), Some(platform("p")));
    guard.forget(&uid(0));
    assert!(!guard.is_due());
}

#[test]
fn a_first_record_without_room_that_is_never_written_stops_nobody() {
    let mut guard = ApplicationGuard::new(true, Numbers::default());
    guard.set_bound(&platform("p"), bound(5));
    ask(&mut guard, 0..1, 0);
    assert_eq!(guard.propose().0, 0);
    guard.want(&uid(0), Some(platform("p")));
    assert!(guard.is_due());
}

#[test]
fn a_share_that_is_not_nothing_lets_one_go() {
    for (percent, most) in [(0, 0), (1, 1), (9, 1), (20, 2)] {
        let share = Bound {
            max_percent: Some(percent),
            ..bound(50)
        };
        assert_eq!(share.most(10, 0), most, "{percent}");
        let none = Bound {
            max_deletions: 0,
            ..share
        };
        assert_eq!(none.most(10, 0), 0, "{percent}");
    }
}

/// Returns the request of object 0, after a call that was answered without ending the deletion.
fn answered() -> Asked {
    Asked {
        answered: Some(at(2)),
        ..asked(0, 0)
    }
}

/// Runs the steps that precede each judgement of an object.
fn look(guard: &mut ApplicationGuard, number: usize, asked: Asked, second: i64) {
    guard.ask(&uid(number), asked);
    guard.let_grow_old(&uid(number), at(second));
    guard.check(at(second), u32::try_from(second).unwrap());
}

#[test]
fn a_call_that_was_answered_without_an_end_is_held_like_the_rest() {
    let mut guard = guarding(2);
    ask(&mut guard, 0..2, 0);
    assert!(take(&mut guard, 0, 1));
    guard.ask(&uid(0), answered());
    assert_eq!(
        guard.judge(&uid(0), at(2)),
        Judgement::Free(OnRecord::Counted)
    );
    ask(&mut guard, 2..3, 3);
    assert!(held(&mut guard, 0));
    guard.forget(&uid(1));
    guard.forget(&uid(2));
    assert!(held(&mut guard, 0), "it is part of the hold by now");
}

#[test]
fn what_was_called_for_before_is_held_where_none_may_go_any_more() {
    let mut guard = guarding(2);
    ask(&mut guard, 0..1, 0);
    assert!(take(&mut guard, 0, 1));
    guard.set_bound(&platform("p"), bound(0));
    look(&mut guard, 0, answered(), 20);
    let waits = guard.judge(&uid(0), at(20));
    assert_eq!(
        waits,
        Judgement::Free(OnRecord::Counted),
        "it was just counted"
    );
    // The result is the same at every check.
    for second in [100, 601, 602] {
        look(&mut guard, 0, answered(), second);
        assert!(held(&mut guard, 0), "{second}");
    }
}

#[test]
fn what_was_called_for_a_window_ago_counts_anew_while_it_waits() {
    let mut guard = guarding(2);
    ask(&mut guard, 0..1, 0);
    assert!(take(&mut guard, 0, 1));
    for (second, waiting) in [(100, 0), (601, 0), (602, 1)] {
        look(&mut guard, 0, answered(), second);
        assert_eq!(guard.tally.waiting(), waiting, "{second}");
    }
}
