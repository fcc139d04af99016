//! In any history of a fleet, no window sends more deletions than the bound.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::*;

/// One event in the history of a fleet.
#[derive(Debug, Clone)]
enum Step {
    Ask(usize),
    Leave(usize),
    Mark(usize),
    /// The deletion is about to be sent, and isn't sent.
    Intend(usize),
    Send(usize),
    /// The deletion is sent, and the answer doesn't end it.
    Fail(usize),
    Record,
    Release,
    Raise(usize),
    Wait(i64),
    /// The clock is set back, or the next process has a clock that is behind.
    SetBack(i64),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let number = 0..24_usize;
    // The steps of a deletion that is sent at once. Without them, most deletions would be requested before any is sent,
    // and would be held.
    let goes = |number| {
        let (asks, sends) = (Step::Ask(number), Step::Send(number));
        // If there is no reservation at first, there is one after the record.
        vec![asks, sends.clone(), Step::Record, sends]
    };
    let one = prop_oneof![
        6 => number.clone().prop_map(Step::Ask),
        1 => number.clone().prop_map(Step::Leave),
        4 => number.clone().prop_map(Step::Mark),
        2 => number.clone().prop_map(Step::Intend),
        8 => number.clone().prop_map(Step::Send),
        4 => number.clone().prop_map(Step::Fail),
        4 => Just(Step::Record),
        1 => Just(Step::Release),
        1 => (0..9_usize).prop_map(Step::Raise),
        2 => (1..400_i64).prop_map(Step::Wait),
        1 => (1..2000_i64).prop_map(Step::SetBack),
        1 => Just(Step::Restart),
    ];
    let step = prop_oneof![
        1 => number.prop_map(goes),
        4 => one.prop_map(|step| vec![step]),
    ];
    proptest::collection::vec(step, 1..200).prop_map(|steps| steps.concat())
}

/// The most deletions that may be sent within a window.
const BOUND: usize = 4;
/// The number of objects of the application.
const POPULATION: usize = 24;
/// The bound of another Platform, with its own shorter window.
const OTHER: (usize, Duration) = (2, Duration::from_secs(100));

/// The kind of bound.
#[derive(Debug, Clone, Copy)]
enum Limit {
    Count,
    /// A percentage of all objects that allows the same number of deletions.
    Share,
    /// Two Platforms of the application, each with its own count and window.
    Two,
}

impl Limit {
    /// Creates a guard with this limit, whose first Platform allows `most` deletions, for `population` objects.
    fn guard(self, most: usize, population: usize) -> ApplicationGuard {
        let mut guard = ApplicationGuard::new(true, Numbers::default());
        guard.set_population(population);
        self.set(&mut guard, most);
        if matches!(self, Self::Two) {
            let (max_deletions, window) = OTHER;
            let other = Bound {
                uid: "uid-other".to_owned(),
                window,
                ..bound(max_deletions)
            };
            guard.set_bound(&platform("other"), other);
        }
        guard
    }

    fn set(self, guard: &mut ApplicationGuard, most: usize) {
        let bound = match self {
            Self::Count | Self::Two => bound(most),
            Self::Share => Bound {
                // The largest percentage that doesn't allow more than the number, so that one object too many is
                // noticed.
                max_percent: Some(((most + 1) * 100).div_ceil(POPULATION) - 1),
                ..bound(1000)
            },
        };
        guard.set_bound(&platform("p"), bound);
    }
}

fn limit() -> impl Strategy<Value = Limit> {
    prop_oneof![Just(Limit::Count), Just(Limit::Share), Just(Limit::Two)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn no_window_sends_more_than_the_bound_but_for_what_a_person_freed(limit in limit(), steps in steps()) {
        let mut guard = limit.guard(BOUND, POPULATION);
        record(&mut guard);
        let mut now = 0_i64;
        // How far the clock of the process is behind the clock of the API server.
        let mut behind = 0_i64;
        let window = i64::try_from(WINDOW.as_secs()).unwrap();
        // The requests in the statuses of objects.
        let mut objects: BTreeMap<usize, Asked> = BTreeMap::new();
        let mut freed: HashSet<String> = HashSet::new();
        // The time and the object of each sent deletion; a number that comes back is another object.
        let mut sent: Vec<(i64, (usize, usize))> = Vec::new();
        let mut gone: Vec<usize> = Vec::new();
        // The record in the status of the Platform.
        let mut kept = super::super::super::record::of((&"app".parse().unwrap(), 1), &mut guard, at(0));
        for step in steps {
            now += 1;
            let clock = now - behind;
            match step {
                // More objects would make a bound in percent larger.
                Step::Ask(number) if matches!(limit, Limit::Share) && gone.contains(&number) => {}
                Step::Ask(number) => {
                    let object = objects.entry(number).or_insert_with(|| asked(number, now));
                    guard.ask(&uid(number), object.clone());
                }
                Step::Leave(number) => {
                    objects.remove(&number);
                    guard.forget(&uid(number));
                }
                Step::Mark(number) => {
                    if let (Some(object), Judgement::Held(id)) = (objects.get_mut(&number), guard.judge(&uid(number), at(clock))) {
                        object.hold = Some(id);
                        guard.ask(&uid(number), object.clone());
                    }
                }
                Step::Intend(number) | Step::Send(number) | Step::Fail(number) => {
                    let Some(object) = objects.get_mut(&number) else { continue };
                    guard.ask(&uid(number), object.clone());
                    if guard.judge(&uid(number), at(clock)) == Judgement::Free(OnRecord::Awaited) {
                        guard.want(&uid(number), Some(platform("p")));
                    }
                    if !retries::again(&mut guard, number, clock) || matches!(step, Step::Intend(_)) {
                        continue;
                    }
                    guard.called(&uid(number));
                    let by_person = object.hold.as_ref().is_some_and(|hold| freed.contains(&**hold));
                    if !by_person {
                        let life = gone.iter().filter(|other| **other == number).count();
                        sent.push((now, (number, life)));
                    }
                    if matches!(step, Step::Fail(_)) {
                        object.answered = Some(at(clock));
                        guard.ask(&uid(number), object.clone());
                    } else {
                        objects.remove(&number);
                        guard.forget(&uid(number));
                        gone.push(number);
                        if matches!(limit, Limit::Share) {
                            guard.set_population(POPULATION - gone.len());
                        }
                    }
                }
                Step::Record => {
                    kept = super::super::super::record::of((&"app".parse().unwrap(), 1), &mut guard, at(clock));
                    guard.recorded(kept.told());
                }
                Step::Release => {
                    if let Some(hold) = guard.hold.clone() {
                        freed.insert(hold.id.to_string());
                        guard.release(&hold.id, at(clock), u32::try_from(now).unwrap());
                    }
                }
                // The bound is lowered, and raised to at most the bound that is checked, so no raise releases more.
                Step::Raise(most) => limit.set(&mut guard, most.min(BOUND)),
                Step::Wait(seconds) => now += seconds,
                Step::SetBack(seconds) => behind += seconds,
                Step::Restart => {
                    let left = if matches!(limit, Limit::Share) { gone.len() } else { 0 };
                    let mut anew = limit.guard(BOUND, POPULATION - left);
                    let of_platform = crate::api::platform::PlatformStatus {
                        hold: kept.hold.clone(),
                        guard: Some(kept.guard.clone()),
                        ..crate::api::platform::PlatformStatus::default()
                    };
                    for (number, object) in &objects {
                        anew.ask(&uid(*number), object.clone());
                    }
                    super::super::super::record::load(&mut anew, (&platform("p"), &of_platform, 0), at(clock));
                    anew.loaded(at(clock));
                    guard = anew;
                }
            }
            guard.check(at(now - behind), u32::try_from(now).unwrap());
            // A release is a person's act, whether by the hold's id or by a raised bound.
            freed.extend(guard.released.iter().map(|released| released.id.to_string()));
        }
        // Times have whole seconds, so the window is exactly that of the bound.
        let mut limits = vec![(BOUND, window)];
        if matches!(limit, Limit::Two) {
            limits.push((OTHER.0, i64::try_from(OTHER.1.as_secs()).unwrap()));
        }
        for (most, window) in limits {
            for (end, _) in &sent {
                let within = sent.iter().filter(|(t, _)| *t <= *end && *t > *end - window);
                let within = within.map(|(_, object)| object).collect::<HashSet<_>>().len();
                prop_assert!(within <= most, "{within} within {window} s that end at {end}: {sent:?}");
            }
        }
    }
}
