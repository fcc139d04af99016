//! How many plays it takes until a defect is found: all scenes, then single faults and histories by turns, in an order by
//! chance.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use fastrand::Rng;

use crate::every_fault::{Harm, harms, play};
use crate::random::Plan;
use crate::scenes::{ALL, Scene};

/// A hunt gives up after so many plays; `WORLD_COUNT` says otherwise.
const MOST: usize = 3_000;

#[derive(Debug, Clone, Copy)]
enum Play {
    Scene(Scene, Harm),
    History(u64),
}

impl Play {
    fn is_kept(self) -> bool {
        let played = catch_unwind(AssertUnwindSafe(|| match self {
            Self::Scene(scene, harm) => drop(play(scene, harm)),
            Self::History(seed) => Plan::of(seed).play(),
        }));
        played.is_ok()
    }
}

/// All plays of a hunt, in their order. A scene that fails by itself has no faults to be tried.
fn plays(most: usize) -> Vec<Play> {
    let scenes = ALL.iter().map(|scene| Play::Scene(*scene, Harm::None));
    let mut plays: Vec<_> = scenes.collect();
    let mut points: Vec<_> = ALL
        .iter()
        .flat_map(|scene| {
            let harms = catch_unwind(AssertUnwindSafe(|| harms(*scene))).unwrap_or_default();
            harms.into_iter().map(|harm| Play::Scene(*scene, harm))
        })
        .collect();
    Rng::with_seed(1).shuffle(&mut points);
    let mut points = points.into_iter();
    for seed in 0.. {
        if plays.len() >= most {
            return plays;
        }
        plays.push(Play::History(seed));
        plays.extend(points.next());
    }
    plays
}

#[test]
#[ignore = "it looks for a defect that somebody has put in: make bugs"]
fn hunt() {
    let most = std::env::var("WORLD_COUNT").map_or(MOST, |most| most.parse().unwrap());
    let first: Vec<_> = ALL
        .iter()
        .map(|scene| Play::Scene(*scene, Harm::None))
        .collect();
    // Scenes by themselves find the most, and faults are numbered by what they do.
    if let Some(found) = search(&first) {
        println!("found after {} plays: {:?}", found + 1, first[found]);
        return;
    }
    let plays = plays(most);
    match search(&plays) {
        Some(found) => println!("found after {} plays: {:?}", found + 1, plays[found]),
        None => panic!("not found in {} plays", plays.len()),
    }
}

/// The first of these plays in which a promise is broken.
fn search(plays: &[Play]) -> Option<usize> {
    let (next, found) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
    thread::scope(|threads| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            threads.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(play) = plays.get(index) else {
                        return;
                    };
                    if index > found.load(Ordering::Relaxed) {
                        return;
                    }
                    if !play.is_kept() {
                        found.fetch_min(index, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    Some(found.into_inner()).filter(|found| *found != usize::MAX)
}
