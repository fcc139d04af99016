//! Random histories: people, the platform and the cluster act as the seed determines, while faults hit the operator. At
//! the end all obstacles are removed.

mod around;
mod clear;
mod git;
mod people;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastrand::Rng;
use tokio::time::sleep;

use crate::at_once::at_once;
use crate::faults::{Fault, To};
use crate::keep::running;
use crate::process::Process;
use crate::shrink::tell;
use crate::stage::{BOUND, Backup, Stage};
use crate::wishes::Wish;
use crate::world::run;

/// The number of objects created first.
const OBJECTS: usize = 6;
/// The number of actions of people and of the cluster after that, besides the faults.
const STEPS: usize = 40;
/// The number of histories that `make test` plays.
const HISTORIES: u64 = 100;

/// A history: its seed, and the steps to leave out.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    pub seed: u64,
    pub without: BTreeSet<usize>,
}

impl Plan {
    pub fn of(seed: u64) -> Self {
        let without = BTreeSet::new();
        Self { seed, without }
    }

    /// The number of steps.
    pub const STEPS: usize = OBJECTS + STEPS;

    /// The random numbers of a step, independent of the steps before it.
    fn chance(&self, step: usize) -> Rng {
        let step = u64::try_from(step).unwrap();
        Rng::with_seed(!self.seed ^ step.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Plays the history in a world of its own. A third of the seeds have two processes.
    pub fn play(&self) {
        run(self.seed, async |world| {
            let stage = Stage::set(world).await;
            let pods: &[&str] = if self.seed.is_multiple_of(3) {
                &["vpo-0", "vpo-1"]
            } else {
                &["vpo-0"]
            };
            running(world, pods, play(&stage, self)).await;
        });
    }
}

/// Plays a history to its end.
async fn play(stage: &Stage<'_>, plan: &Plan) {
    let mut history = History::new(stage, plan.chance(0));
    let steps = (0..Plan::STEPS).filter(|step| !plan.without.contains(step));
    for step in steps {
        history.chance = plan.chance(step);
        if step < OBJECTS {
            history.pause(3_000).await;
            history.create().await;
        } else {
            history.pause(6_000).await;
            history.step().await;
        }
    }
    history.clear().await;
    stage.ends().await;
    if let Some(second) = history.second {
        second.crash().await;
    }
}

struct History<'a> {
    stage: &'a Stage<'a>,
    /// The random numbers of the current step.
    chance: Rng,
    /// The Secrets with other content than intended.
    wrong: BTreeSet<&'static str>,
    /// The Secrets that have named another application. The operator may rely on this for long, so their Platforms get
    /// no new objects.
    foreign: BTreeSet<&'static str>,
    backups: BTreeMap<String, Backup>,
    /// The objects that Git has deleted and may restore.
    pruned: Vec<(String, Wish)>,
    /// The objects of a stranger.
    strangers: Vec<&'static str>,
    /// Whether a namespace is deleted and not created again yet.
    fleet_deleted: bool,
    /// Whether a definition has lacked fields of specs.
    fields_lost: bool,
    /// A second operator, installed in addition.
    second: Option<Process>,
}

impl<'a> History<'a> {
    fn new(stage: &'a Stage<'a>, chance: Rng) -> Self {
        Self {
            stage,
            chance,
            wrong: BTreeSet::new(),
            foreign: BTreeSet::new(),
            backups: BTreeMap::new(),
            pruned: Vec::new(),
            strangers: Vec::new(),
            fleet_deleted: false,
            fields_lost: false,
            second: None,
        }
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        self.chance.choice(of).copied().unwrap()
    }

    async fn pause(&mut self, most: u64) {
        sleep(Duration::from_millis(self.chance.u64(..most))).await;
    }

    /// One of the object names that people have used.
    fn object(&mut self) -> String {
        let names = self.stage.names();
        self.chance.choice(names).unwrap_or_default()
    }

    /// One action of somebody; in some steps a fault occurs too.
    async fn step(&mut self) {
        self.end_namespaces();
        if self.chance.u32(..6) == 0 {
            self.harm();
        }
        match self.chance.u32(..100) {
            0..42 => self.git().await,
            42..70 => self.people().await,
            _ => self.around().await,
        }
    }

    /// Plans faults for some of the next effects, or a late watch line.
    fn harm(&mut self) {
        let faults = &self.stage.world.faults;
        if self.chance.u32(..4) == 0 {
            faults.delay_line(faults.lines() + self.chance.usize(..10));
            return;
        }
        let all = [
            To::Write,
            To::Write,
            To::Read,
            To::Watch,
            To::Platform,
            To::Audit,
        ];
        let to = self.one(&all);
        let fault = self.one(Fault::all(to));
        faults.add(to, fault);
    }
}

#[test]
fn random_histories_keep_every_promise() {
    let count = std::env::var("WORLD_HISTORIES").map_or(HISTORIES, |count| count.parse().unwrap());
    let first = std::env::var("WORLD_SEED").map_or(0, |seed| seed.parse().unwrap());
    let seeds: Vec<u64> = (first..first + count).collect();
    let (_, failed) = at_once(&seeds, |seed| Plan::of(*seed).play());
    if let Some(first) = failed.iter().min() {
        tell(Plan::of(*first));
    }
    assert!(
        failed.is_empty(),
        "{} of {count} seeds fail: {failed:?}",
        failed.len()
    );
}
