//! Histories by chance: people, the platform and the cluster do what a seed says, at the times that it says, and faults meet
//! the operator meanwhile. At the end everything that stands in the way is taken away.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastrand::Rng;
use jiff::SignedDuration;
use serde_json::json;
use tokio::time::sleep;

use crate::at_once::at_once;
use crate::faults::{Fault, To};
use crate::keep::running;
use crate::shrink::tell;
use crate::stage::{Backup, DEPOT, FLEET, Stage};
use crate::world::run;

const PLATFORMS: [&str; 3] = ["production", "spare", "staging"];
/// Few, so that some objects are for the same.
const FILES: usize = 5;
const OBJECTS: usize = 6;
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
    let mut history = History {
        stage,
        chance: plan.chance(0),
        right: true,
        backups: BTreeMap::new(),
        strangers: Vec::new(),
    };
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
}

struct History<'a> {
    stage: &'a Stage<'a>,
    /// Of the present step.
    chance: Rng,
    /// Whether the Secrets have the right words.
    right: bool,
    backups: BTreeMap<String, Backup>,
    /// The objects of a stranger.
    strangers: Vec<&'static str>,
}

impl History<'_> {
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

    async fn create(&mut self) {
        let namespace = self.one(&[FLEET, DEPOT]);
        let name = format!("{namespace}/o{}", self.chance.usize(..OBJECTS));
        if self.stage.is_there(&name).await {
            return;
        }
        let file = format!("package-{:05}", self.chance.usize(1..=FILES));
        let more = match self.chance.u32(..8) {
            0 => json!({"deletionPolicy": "Retain"}),
            1 => json!({"lifecycle": "Retired"}),
            _ => json!({}),
        };
        let platform = self.one(&PLATFORMS);
        self.stage.create(&name, platform, &file, &more).await;
    }

    async fn step(&mut self) {
        let stage = self.stage;
        let name = self.object();
        match self.chance.u32(..128) {
            0..20 => stage.delete(&name).await,
            20..30 => stage.retire(&name).await,
            30..35 => stage.revive(&name).await,
            35..40 => stage.retain(&name).await,
            40..45 => stage.pause(&name, true).await,
            45..50 => stage.pause(&name, false).await,
            50..53 => stage.force(&name).await,
            53..65 => self.create().await,
            65..70 => {
                let mode = self.one(&["Observe", "Enforce"]);
                let platform = self.one(&PLATFORMS);
                stage.change_platform(platform, json!({"mode": mode})).await;
            }
            70..73 => self.rotate().await,
            73..76 => stage
                .world
                .platform
                .end_token(self.one(&["app-1", "app-2"])),
            76..90 => self.harm(),
            90..93 => stage.world.cluster.end_watches(),
            93..95 => {
                stage.world.cluster.end_watches();
                stage.world.cluster.compact();
            }
            95..98 => {
                if let Some(leader) = stage.world.leader().await {
                    stage.world.stop(&leader);
                }
            }
            98..100 => stage.release_all().await,
            100..103 => stage.world.platform.use_up(self.one(&["app-1", "app-2"])),
            103..106 => self.deny(),
            106..110 => ["keep", "mute"].iter().for_each(|name| stage.allow(name)),
            110..113 => self.set_clock(),
            113..118 => self.back_up(&name).await,
            118..122 => self.restore().await,
            122..123 => stage.lose_field("versionpackages", "deletionPolicy").await,
            123..125 => stage.give_fields_back().await,
            _ => self.strange().await,
        }
    }

    /// A policy refuses some of what the operator writes.
    fn deny(&mut self) {
        let name = self.one(&["keep", "mute"]);
        self.stage.deny(name, move |attempt| {
            let ours = attempt.resource == "versionpackages.iodm.dev";
            ours && (attempt.subresource == "status") == (name == "mute")
        });
    }

    /// The clock of a machine is set.
    fn set_clock(&mut self) {
        let pod = self.one(&["vpo-0", "vpo-1"]);
        let ahead = SignedDuration::from_secs(self.chance.i64(-30..30));
        self.stage.world.set_clock(pod, ahead);
    }

    async fn back_up(&mut self, name: &str) {
        if let Some(backup) = self.stage.back_up(name).await {
            self.backups.insert(name.to_owned(), backup);
        }
    }

    /// What there is a backup of and isn't there is made anew, with the status that it had.
    async fn restore(&mut self) {
        for (name, backup) in &self.backups {
            if !self.stage.is_there(name).await {
                self.stage.restore(name, backup, None).await;
                return;
            }
        }
    }

    /// A stranger names a package of ours.
    async fn strange(&mut self) {
        if self.strangers.is_empty() {
            self.stage.stranger().await;
        }
        let file = format!("package-{:05}", self.chance.usize(1..=FILES));
        let (name, more) = match self.strangers.len() {
            0 => ("x", json!({})),
            1 => ("y", json!({"lifecycle": "Retired"})),
            _ => return,
        };
        self.stage.strange(name, &file, &more).await;
        self.strangers.push(name);
    }

    /// Some of the next effects go wrong, or a watch is late.
    fn harm(&mut self) {
        let faults = &self.stage.world.faults;
        if self.chance.u32(..4) == 0 {
            faults.delay_line(faults.lines() + self.chance.usize(..10));
            return;
        }
        let to = self.one(&[To::Write, To::Write, To::Read, To::Platform, To::Audit]);
        let fault = self.one(Fault::all(to));
        faults.add(to, fault);
    }

    /// The Secret of an application comes to hold wrong words, or the right ones.
    async fn rotate(&mut self) {
        self.right = !self.right;
        let words = if self.right {
            "first-secret"
        } else {
            "third-secret"
        };
        self.stage.put_secret("production", "app-1", words).await;
    }

    /// Nothing stands in the way any more.
    async fn clear(&mut self) {
        let stage = self.stage;
        stage.world.faults.clear();
        for name in ["keep", "mute"] {
            stage.allow(name);
        }
        stage.give_fields_back().await;
        if !self.right {
            self.rotate().await;
        }
        for platform in PLATFORMS {
            stage
                .change_platform(platform, json!({"mode": "Enforce"}))
                .await;
        }
        // Until all is read anew.
        sleep(Duration::from_secs(30)).await;
        for name in stage.names() {
            stage.pause(&name, false).await;
            stage.confirm(&name).await;
        }
        stage.say_retain_again().await;
        if !self.strangers.is_empty() {
            stage.disregard_strangers(&stage.names()).await;
        }
        // Each release may let the next hold come.
        for _ in 0..20 {
            sleep(Duration::from_secs(15)).await;
            stage.release_all().await;
        }
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
