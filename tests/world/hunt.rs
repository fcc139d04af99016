//! Measures how many plays it takes to find a defect: all scenes first, then single faults and histories in turn, in
//! random order.

use std::sync::atomic::{AtomicUsize, Ordering};

use fastrand::Rng;

use crate::at_once::{on_each_core, unless_failing};
use crate::every_fault::{Harm, harms, play};
use crate::random::Plan;
use crate::scenes::{ALL, Scene};

/// The most plays of a hunt; `WORLD_COUNT` overrides it.
const MOST: usize = 3_000;

#[derive(Debug, Clone, Copy)]
enum Play {
    Scene(Scene, Harm),
    History(u64),
}

impl Play {
    fn is_kept(self) -> bool {
        let played = unless_failing(|| match self {
            Self::Scene(scene, harm) => drop(play(scene, harm)),
            Self::History(seed) => Plan::of(seed).play(),
        });
        played.is_some()
    }
}

/// All scenes without faults: they find the most defects.
fn scenes() -> Vec<Play> {
    let scenes = ALL.iter().map(|scene| Play::Scene(*scene, Harm::None));
    scenes.collect()
}

/// Single faults and histories in turn, at most `most`. A scene that fails without faults isn't tried with faults.
fn plays(most: usize) -> Vec<Play> {
    let mut points: Vec<_> = ALL
        .iter()
        .flat_map(|scene| {
            let harms = unless_failing(|| harms(*scene)).unwrap_or_default();
            harms.into_iter().map(|harm| Play::Scene(*scene, harm))
        })
        .collect();
    Rng::with_seed(1).shuffle(&mut points);
    let (mut points, mut plays) = (points.into_iter(), Vec::new());
    for seed in 0.. {
        if plays.len() >= most {
            break;
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
    let scenes = scenes();
    if let Some(found) = search(&scenes) {
        println!("found after {} plays: {:?}", found + 1, scenes[found]);
        return;
    }
    let (before, plays) = (scenes.len(), plays(most));
    match search(&plays) {
        Some(found) => println!(
            "found after {} plays: {:?}",
            before + found + 1,
            plays[found]
        ),
        None => panic!("not found in {} plays", before + plays.len()),
    }
}

/// The first of these plays that breaks a promise.
fn search(plays: &[Play]) -> Option<usize> {
    let (next, found) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
    on_each_core(|| {
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
    Some(found.into_inner()).filter(|found| *found != usize::MAX)
}
