//! Each scene with each single fault at each single effect, and with each single late line of a watch; the most
//! important scenes also with each pair of crashes.

use crate::at_once::at_once;
use crate::faults::{Fault, To};
use crate::keep::running;
use crate::scenes::{ALL, Scene};
use crate::stage::Stage;
use crate::world::run;

/// `make test` plays one in this many pairs of crashes; `WORLD_EVERY=1` plays all.
const EVERY_PAIR: usize = 29_989;
/// The scenes that are played with pairs of crashes.
const IN_PAIRS: [&str; 5] = [
    "plain",
    "retire",
    "rename-create-first",
    "mass-released",
    "hand-over",
];
/// About how many more effects a restarted process has than a process that keeps running.
const START: usize = 40;

/// The harm done to one run.
#[derive(Debug, Clone, Copy)]
pub enum Harm {
    None,
    Effect(usize, Fault),
    Late(usize),
    /// Two crashes.
    Pair([(usize, Fault); 2]),
}

/// Plays a scene. Returns its effects and the number of its watch lines.
pub fn play(scene: Scene, harm: Harm) -> (Vec<To>, usize) {
    run(1, async |world| {
        match harm {
            Harm::None => {}
            Harm::Effect(number, fault) => world.faults.plan(number, fault),
            Harm::Late(number) => world.faults.delay_line(number),
            Harm::Pair(crashes) => {
                for (number, crash) in crashes {
                    world.faults.plan(number, crash);
                }
            }
        }
        let stage = Stage::set(world).await;
        running(world, scene.pods, (scene.play)(&stage)).await;
        let mut effects = world.faults.effects();
        let (done, lines) = stage.at_end();
        effects.truncate(done);
        (effects, lines)
    })
}

/// All harms of a scene.
pub fn harms(scene: Scene) -> Vec<Harm> {
    harms_by(scene, |_, to| Fault::all(to))
}

/// One harm for each effect of a scene, with its faults in turn, and one harm for each line of a watch, which comes
/// late.
fn points(scene: Scene) -> Vec<Harm> {
    // The offset gives the first effects of different scenes different faults.
    let turn: usize = scene.name.bytes().map(usize::from).sum();
    harms_by(scene, |number, to| {
        let faults = Fault::all(to);
        let at = (turn + number) % faults.len();
        &faults[at..=at]
    })
}

/// One harm for each effect of a scene and each of its `faults`, and one harm for each line of a watch, which comes
/// late.
fn harms_by(scene: Scene, faults: impl Fn(usize, To) -> &'static [Fault]) -> Vec<Harm> {
    let (effects, lines) = play(scene, Harm::None);
    let effects = effects.into_iter().enumerate();
    let harmed = effects.flat_map(|(number, to)| {
        let faults = faults(number, to).iter();
        faults.map(move |fault| Harm::Effect(number, *fault))
    });
    let late = (0..lines).map(Harm::Late);
    harmed.chain(late).collect()
}

/// All pairs of crashes in a scene.
fn pairs(scene: Scene) -> impl Iterator<Item = Harm> {
    let effects = play(scene, Harm::None).0.len();
    let crashes =
        |number| [Fault::CrashBefore, Fault::CrashAfter].map(move |crash| (number, crash));
    (0..effects).flat_map(crashes).flat_map(move |first| {
        let seconds = (first.0 + 1..effects + START).flat_map(crashes);
        seconds.map(move |second| Harm::Pair([first, second]))
    })
}

/// All scenes, or the one named by `WORLD_SCENE`.
fn named() -> impl Iterator<Item = Scene> {
    let named = std::env::var("WORLD_SCENE").ok();
    let all = ALL.iter().copied();
    all.filter(move |scene| named.as_ref().is_none_or(|name| name == scene.name))
}

#[test]
fn every_scene_keeps_every_promise_without_a_fault() {
    for scene in named() {
        let (effects, lines) = play(scene, Harm::None);
        println!(
            "{}: {} effects, {lines} lines of watches",
            scene.name,
            effects.len()
        );
    }
}

#[test]
fn every_scene_keeps_every_promise_under_each_single_fault() {
    let one_each = every().is_none() && only().is_none();
    let harmed = if one_each { points } else { harms };
    let all = named().flat_map(|scene| harmed(scene).into_iter().map(move |harm| (scene, harm)));
    play_some(all, every().unwrap_or(1));
}

#[test]
fn the_scenes_that_matter_most_keep_every_promise_under_each_pair_of_crashes() {
    let scenes = named().filter(|scene| IN_PAIRS.contains(&scene.name));
    let all = scenes.flat_map(|scene| pairs(scene).map(move |harm| (scene, harm)));
    play_some(all, every().unwrap_or(EVERY_PAIR));
}

/// The value of `WORLD_EVERY`: one in this many harms is played.
fn every() -> Option<usize> {
    let every = std::env::var("WORLD_EVERY").ok();
    every.map(|every| every.parse().unwrap())
}

/// The value of `WORLD_HARM`: the only harm to be played.
fn only() -> Option<String> {
    std::env::var("WORLD_HARM").ok()
}

/// Plays one in `every` harms, or the one named by `WORLD_HARM`.
fn play_some(all: impl Iterator<Item = (Scene, Harm)>, every: usize) {
    let only = only();
    let all = all.filter(|(_, harm)| {
        only.as_ref()
            .is_none_or(|only| *only == format!("{harm:?}"))
    });
    let all: Vec<(Scene, Harm)> = all.step_by(every).collect();
    assert!(!all.is_empty(), "there is no such scene or harm");
    let (played, failed) = at_once(&all, |(scene, harm)| play(*scene, *harm));
    println!("{} runs", played.len() + failed.len());
    let failed: Vec<_> = failed
        .iter()
        .map(|(scene, harm)| format!("{} {harm:?}", scene.name))
        .collect();
    assert!(
        failed.is_empty(),
        "{} runs failed: {failed:#?}",
        failed.len()
    );
}
