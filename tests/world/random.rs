//! Histories by chance: people, the platform and the cluster do what a seed says, at the times that it says, and faults meet
//! the operator meanwhile. At the end everything that stands in the way is taken away.

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

/// Objects that are made first.
const OBJECTS: usize = 6;
/// Deeds of people and of the cluster after that, beside what goes wrong meanwhile.
const STEPS: usize = 40;
/// How many `make test` plays.
const HISTORIES: u64 = 100;

/// A history: its seed, and which of its steps are left out.
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

    /// How many steps there are.
    pub const STEPS: usize = OBJECTS + STEPS;

    /// What chance has a step do, whatever goes before it.
    fn chance(&self, step: usize) -> Rng {
        let step = u64::try_from(step).unwrap();
        Rng::with_seed(!self.seed ^ step.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Plays it in a world of its own. A third of the seeds have two processes.
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

/// Plays a history, to its end.
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
    /// Of the present step.
    chance: Rng,
    /// Secrets that don't have what they are meant to have.
    wrong: BTreeSet<&'static str>,
    /// Those that have named another application: the operator may go by that for long, so their Platforms get no new objects.
    foreign: BTreeSet<&'static str>,
    backups: BTreeMap<String, Backup>,
    /// What Git has taken away, and may bring back.
    pruned: Vec<(String, Wish)>,
    /// The objects of a stranger.
    strangers: Vec<&'static str>,
    /// Whether a namespace was deleted and has not been made anew.
    fleet_deleted: bool,
    /// Whether a definition has lacked fields of specs.
    fields_lost: bool,
    /// An operator that was installed beside.
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

    /// One of the names that people have used.
    fn object(&mut self) -> String {
        let names = self.stage.names();
        self.chance.choice(names).unwrap_or_default()
    }

    /// One deed of somebody; in some steps something goes wrong, too.
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

    /// Some of the next effects go wrong, or a watch is late.
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
fn histories_by_chance_keep_every_promise() {
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
