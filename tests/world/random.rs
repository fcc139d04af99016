//! Histories by chance: people, the platform and the cluster do what a seed says, at the times that it says, and faults meet
//! the operator meanwhile. At the end everything that stands in the way is taken away.

use std::time::Duration;

use fastrand::Rng;
use serde_json::json;
use tokio::time::sleep;

use crate::at_once::at_once;
use crate::faults::{Fault, To};
use crate::keep::running;
use crate::stage::{DEPOT, FLEET, Stage};
use crate::world::run;

const PLATFORMS: [&str; 3] = ["production", "spare", "staging"];
/// Few, so that some objects are for the same.
const FILES: usize = 5;
const OBJECTS: usize = 6;
const STEPS: usize = 40;
/// How many `make test` plays.
const HISTORIES: u64 = 100;

/// Plays the history of a seed, to its end.
pub async fn play(stage: &Stage<'_>, seed: u64) {
    let mut history = History {
        stage,
        chance: Rng::with_seed(!seed),
        right: true,
    };
    for _ in 0..OBJECTS {
        history.pause(3_000).await;
        history.create().await;
    }
    for _ in 0..STEPS {
        history.pause(6_000).await;
        history.step().await;
    }
    history.clear().await;
    stage.ends().await;
}

struct History<'a> {
    stage: &'a Stage<'a>,
    chance: Rng,
    /// Whether the Secrets have the right words.
    right: bool,
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
        match self.chance.u32(..100) {
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
            95..98 => stage.world.stop_leader().await,
            _ => stage.release_all().await,
        }
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
        if !self.right {
            self.rotate().await;
        }
        for platform in PLATFORMS {
            stage
                .change_platform(platform, json!({"mode": "Enforce"}))
                .await;
        }
        for name in stage.names() {
            stage.pause(&name, false).await;
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
    let (_, failed) = at_once(&seeds, |seed| {
        run(*seed, async |world| {
            let stage = Stage::set(world).await;
            let pods: &[&str] = if seed % 3 == 0 {
                &["vpo-0", "vpo-1"]
            } else {
                &["vpo-0"]
            };
            running(world, pods, play(&stage, *seed)).await;
        });
    });
    assert!(
        failed.is_empty(),
        "{} of {count} seeds fail: {failed:?}",
        failed.len()
    );
}
