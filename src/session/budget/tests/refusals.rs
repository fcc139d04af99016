//! What refused calls show about others on the same application, and how the budget reacts.

use super::*;
use crate::session::call_log::{Past, Throttle};

#[test]
fn a_refused_call_pauses_all_for_a_tenth_of_a_window_then_one_goes_alone() {
    let (mut budget, now) = fresh(100, WINDOW);
    for _ in 0..3 {
        assert!(budget.take(now));
    }
    budget.ended(now, now);
    let refused = now + ms(20_000);
    budget.refused(now, refused);
    assert_eq!(budget.room(refused), Room::At(refused + WINDOW / 10));
    // The third call is still in flight at the end of the pause, and says nothing about later calls.
    let over = now + WINDOW;
    budget.understood(now, over);
    assert_eq!(budget.room(over), Room::AfterAnswer);
    budget.ended(over, over);
    assert!(budget.take(over));
    assert_eq!(
        budget.room(over),
        Room::AfterAnswer,
        "a second one went along"
    );
    budget.ended(over + ms(5), over + ms(5));
    budget.understood(over, over + ms(5));
    assert_eq!(budget.paused_until(), None);
}

#[test]
fn a_pause_is_half_a_window_where_no_call_of_ours_is_in_it() {
    let (mut budget, now) = fresh(100, WINDOW);
    assert!(budget.take(now));
    budget.refused(now, now);
    assert_eq!(budget.paused_until(), Some(now + WINDOW / 2));
}

#[test]
fn the_share_falls_to_the_calls_that_fitted_and_those_still_out_may_add_to_it() {
    let (mut budget, now) = fresh(100, WINDOW);
    for _ in 0..20 {
        assert!(budget.take(now));
    }
    let at = |millis| now + ms(millis);
    for call in 1..=10 {
        budget.ended(at(call), at(call));
        budget.understood(now, at(call));
    }
    budget.refused(now, at(11));
    assert_eq!(budget.fits(at(11)), 10);
    let pause = budget.paused_until();
    // The other calls were in flight already: a refusal of them adds nothing, an accepted call does.
    for call in 12..=16 {
        budget.refused(now, at(call));
    }
    assert_eq!((budget.fits(at(16)), budget.paused_until()), (10, pause));
    for call in 17..=20 {
        budget.ended(at(call), at(call));
        budget.understood(now, at(call));
    }
    assert_eq!(budget.fits(at(20)), 14);
    assert_eq!(budget.used(at(20)), 20, "refused calls stay in the log");
}

/// Returns a budget whose only call in the window was refused, the eleventh of eleven.
fn lowered_to_ten() -> (Budget, Instant) {
    let (mut budget, now) = fresh(100, WINDOW);
    for _ in 0..10 {
        assert!(budget.take(now));
        budget.ended(now, now);
        budget.understood(now, now);
    }
    assert!(budget.take(now));
    budget.refused(now, now + ms(1));
    (budget, now + ms(1))
}

/// Advances to the next possible call, sends it, and answers it after 10 ms.
fn one_call(budget: &mut Budget, mut now: Instant, fits: bool) -> Instant {
    while let Room::At(at) = budget.room(now) {
        now = at;
    }
    assert!(budget.take(now));
    let answered = now + ms(10);
    if fits {
        budget.ended(answered, answered);
        budget.understood(now, answered);
    } else {
        budget.refused(now, answered);
    }
    answered
}

#[test]
fn the_share_is_felt_out_in_growing_steps_until_it_is_whole() {
    let (mut budget, fell) = lowered_to_ten();
    let mut now = one_call(&mut budget, fell, true);
    let first = now - fell;
    assert!(first >= WINDOW * 2 / 5, "felt out again after {first:?}");
    let mut sizes = vec![budget.fits(now)];
    while budget.fits(now) < 100 {
        now = one_call(&mut budget, now, true);
        let fits = budget.share.fits(0, 100, WINDOW, now);
        if sizes.last() != Some(&fits) {
            sizes.push(fits);
        }
    }
    let steps: Vec<_> = sizes.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(
        steps.is_sorted_by(|one, next| one <= next || *next >= 20 || sizes.last() == Some(&100))
    );
    assert!(now - fell <= WINDOW, "whole after {:?}", now - fell);
}

#[test]
fn a_step_that_is_refused_again_and_again_is_tried_less_and_less() {
    let (mut budget, mut now) = lowered_to_ten();
    let mut waits = Vec::new();
    let mut refused_at = now;
    for _ in 0..4 {
        // The calls that leave the window make room for as many; one more call is refused.
        loop {
            let growing = budget.share.fits(0, 100, WINDOW, now) <= budget.used(now);
            let beyond = growing && budget.share.grows().is_some_and(|grows| grows <= now);
            if beyond {
                break;
            }
            match budget.room(now) {
                Room::At(at) => now = at,
                Room::Now => now = one_call(&mut budget, now, true),
                Room::AfterAnswer => panic!("nothing is out"),
            }
        }
        waits.push(now - refused_at);
        now = one_call(&mut budget, now, false);
        refused_at = now;
    }
    assert!(waits.first() < waits.last(), "{waits:?}");
}

#[test]
fn what_was_known_of_a_neighbour_is_forgotten_after_three_windows_without_a_call() {
    let (mut budget, fell) = lowered_to_ten();
    assert_eq!(budget.fits(fell), 10);
    let now = one_call(&mut budget, fell + WINDOW * 3, true);
    assert_eq!(budget.fits(now), 100);
}

#[test]
fn the_estimate_counts_with_what_is_left() {
    let (budget, fell) = lowered_to_ten();
    // Ten calls of this window have gone; the eleventh waiting call goes a window after the first.
    let (first, eleventh) = (budget.estimate(1, fell), budget.estimate(11, fell));
    assert!(first <= WINDOW && eleventh >= WINDOW && eleventh <= WINDOW * 2);
    assert!(budget.estimate(100, fell) >= WINDOW * 9);
}

#[test]
fn a_refusal_is_told_to_last_until_the_next_call_can_really_go() {
    let (mut budget, fell) = lowered_to_ten();
    let until = budget.throttled_until(fell).unwrap();
    assert!(
        until > fell + WINDOW / 10,
        "after the pause there is no room"
    );
    let mut now = fell;
    while let Room::At(at) = budget.room(now) {
        assert_eq!(budget.throttled_until(now), Some(until));
        assert_eq!(budget.estimate(1, now), until - now);
        assert!(budget.estimate(2, now) >= until - now);
        now = at;
    }
    assert_eq!(now, until);
    assert_eq!(budget.throttled_until(now), None, "it can go");
    assert!(budget.take(now));
    let answered = now + ms(5000);
    let told = budget.throttled_until(answered);
    assert_eq!(told, Some(until), "time that passes is no news");
    budget.ended(answered, answered);
    budget.understood(now, answered);
    assert_eq!(budget.throttled_until(answered), None);
}

/// Returns the record of a share of `fits` calls that fell at `refused`.
fn throttle(fits: usize, refused: Instant, grows: Instant, credit: i32) -> Throttle {
    Throttle {
        refused,
        pause: None,
        fits: Some(fits),
        grows,
        credit,
    }
}

#[test]
fn what_further_tries_may_cost_is_known_to_the_next_process_within_its_bounds() {
    let now = Instant::now();
    for (credit, inherited) in [(-30, -30), (70, 70), (-1_000, -100), (1_000, 300)] {
        let throttle = throttle(5, now, now + WINDOW, credit);
        let told = Share::inherited(throttle).told(None, WINDOW, now).unwrap();
        assert_eq!(told.credit, inherited);
    }
}

#[test]
fn a_share_that_may_grow_lets_nothing_go_over_the_limit() {
    let (mut budget, now) = fresh(1, WINDOW);
    let grows = now + ms(1_000);
    budget.inherit(Past {
        window: WINDOW,
        forgotten: Instant::now(),
        stamps: vec![now],
        throttle: Some(throttle(1, now, grows, 0)),
    });
    assert_eq!(budget.room(grows), Room::At(now + WINDOW));
}

#[test]
fn after_a_refused_call_twice_as_many_may_be_out_as_the_pace_needs() {
    let (mut share, sent) = (Share::default(), Instant::now());
    let now = sent + ms(4_000);
    share.understood(sent, 0, now);
    assert_eq!(share.most_in_flight(120, WINDOW, now), 120);
    share.refused(now, 10, WINDOW, now);
    // Answers seem to take one second on average, so two calls are in flight at a pace of two a second.
    assert_eq!(share.most_in_flight(120, WINDOW, now), 5);
}
