//! The history of a seed: random actions of people, the platform and the cluster at random times.

use std::time::Duration;

use cluster_in_memory::Policy;
use fastrand::Rng;
use serde_json::{Value, json};
use tokio::time::sleep;
use version_package_operator::simulator::faults::{Fault, FaultKind, Match, Times};

use crate::faults::{self, To};
use crate::objects::{package, platform, secret};
use crate::process::Process;
use crate::world::{OPERATOR, World};

const NAMESPACES: [&str; 3] = ["iot", "north", "south"];
/// The Platforms. Each has an application of its own, of the same name.
const PLATFORMS: [&str; 2] = ["water", "gas"];
/// The number of packages that objects name: few enough that some objects name the same one.
const FILES: u32 = 14;
/// How long everything is left undisturbed at the end.
const CALM: Duration = Duration::from_secs(40);
const POLICY: &str = "no-status-in-the-south";

/// Plays the history drawn from `chance`, from the first start to the stop of the last process.
pub async fn play(world: &World, chance: &mut Rng) {
    let mut history = History {
        world,
        chance,
        objects: Vec::new(),
        processes: Vec::new(),
    };
    history.furnish().await;
    history.start("vpo-0");
    if history.once_in(3) {
        history.start("vpo-1");
    }
    for _ in 0..history.chance.usize(10..=20) {
        history.pause(1_500).await;
        history.wish().await;
    }
    for _ in 0..history.chance.usize(20..=30) {
        history.pause(8_000).await;
        history.step().await;
    }
    sleep(CALM).await;
    for (pod, process) in history.processes {
        let ended = process.stop().await.map_err(|error| error.to_string());
        world.trace.say(pod, format_args!("ends: {ended:?}"));
    }
}

struct History<'a> {
    world: &'a World,
    chance: &'a mut Rng,
    /// The namespaces and names of the packages.
    objects: Vec<(&'static str, String)>,
    processes: Vec<(&'static str, Process)>,
}

impl History<'_> {
    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        self.chance.choice(of).copied().unwrap()
    }

    fn once_in(&mut self, of: u32) -> bool {
        self.chance.u32(..of) == 0
    }

    async fn pause(&mut self, most: u64) {
        sleep(Duration::from_millis(self.chance.u64(..most))).await;
    }

    fn start(&mut self, pod: &'static str) {
        self.processes.push((pod, self.world.start(pod)));
    }

    /// Creates namespaces, Secrets and Platforms.
    async fn furnish(&mut self) {
        let world = self.world;
        for name in NAMESPACES {
            world.add_namespace(name, &json!({"fleet": "true"})).await;
        }
        world.show_secrets("iot", &PLATFORMS);
        for name in PLATFORMS {
            world.platform.register(name, "hunter2", 20);
            let secret = secret(name, name, "hunter2");
            world.people.create("secrets", "iot", &secret).await;
            let more = json!({
                "quota": {"calls": self.chance.u32(3..30), "window": "10s"},
                "guard": {
                    "gracePeriod": self.one(&["0s", "2s", "10s"]),
                    "maxDeletions": self.chance.u32(2..20),
                },
                "inventory": {"interval": self.one(&["0s", "20s", "60s"])},
            });
            let platform = platform(name, &more);
            world.people.create("platforms", "iot", &platform).await;
        }
    }

    /// Creates one more object.
    async fn wish(&mut self) {
        let (namespace, platform) = (self.one(&NAMESPACES), self.one(&PLATFORMS));
        let name = format!("o-{}", self.objects.len());
        let file = format!("package-{:05}", self.chance.u32(1..=FILES));
        let mut more = json!({});
        if self.once_in(6) {
            more["deletionPolicy"] = json!("Retain");
        }
        if self.once_in(6) {
            more["lifecycle"] = json!("Retired");
        }
        if self.once_in(6) {
            let minute = self.chance.u32(0..5);
            more["retireAfter"] = json!(format!("2026-03-01T12:0{minute}:30Z"));
        }
        if self.once_in(6) {
            let name = self.one(&["watermeter-fw", "gasmeter-fw"]);
            more["expect"] = json!({"name": name});
        }
        let object = package(&name, platform, &file, &more);
        let people = &self.world.people;
        people.create("versionpackages", namespace, &object).await;
        self.objects.push((namespace, name));
    }

    async fn step(&mut self) {
        match self.chance.u32(..100) {
            0..18 => self.delete().await,
            18..34 => self.edit(&json!({"spec": {"lifecycle": "Retired"}})).await,
            34..40 => self.edit(&json!({"spec": {"lifecycle": "Active"}})).await,
            40..46 => {
                let paused = self.one(&[Some("true"), None]);
                self.annotate("iodm.dev/paused", json!(paused)).await;
            }
            46..52 => {
                let policy = self.one(&["Retain", "Delete"]);
                self.edit(&json!({"spec": {"deletionPolicy": policy}}))
                    .await;
            }
            52..57 => {
                let time = self.chance.u32(..);
                let time = json!(time.to_string());
                self.annotate("iodm.dev/requested-at", time).await;
            }
            57..64 => self.wish().await,
            64..69 => self.edit_platform().await,
            69..81 => self.fault(),
            81..85 => self.rotate().await,
            85..91 => self.mishaps(),
            91..94 => self.refuse_or_allow(),
            94..96 => self.cut(),
            96..98 => self.release().await,
            _ => self.restart().await,
        }
    }

    async fn delete(&mut self) {
        let Some((namespace, name)) = self.chance.choice(&self.objects) else {
            return;
        };
        let people = &self.world.people;
        people.delete("versionpackages", namespace, name).await;
    }

    async fn edit(&mut self, change: &Value) {
        let Some((namespace, name)) = self.chance.choice(&self.objects) else {
            return;
        };
        let people = &self.world.people;
        people
            .patch("versionpackages", namespace, name, change)
            .await;
    }

    async fn annotate(&mut self, annotation: &str, value: Value) {
        let mut change = json!({"metadata": {"annotations": {}}});
        change["metadata"]["annotations"][annotation] = value;
        self.edit(&change).await;
    }

    async fn edit_platform(&mut self) {
        let name = self.one(&PLATFORMS);
        let spec = match self.chance.u32(..4) {
            0 => json!({"mode": "Observe"}),
            1 => json!({"quota": {"calls": self.chance.u32(2..40)}}),
            2 => json!({"guard": {"maxDeletions": self.chance.u32(0..30)}}),
            _ => json!({"mode": "Enforce"}),
        };
        let change = json!({"spec": spec});
        let people = &self.world.people;
        people.patch("platforms", "iot", name, &change).await;
    }

    /// Lets the platform fail some calls.
    fn fault(&mut self) {
        let throttled = FaultKind::Status {
            status: 403,
            body: json!({"resultcode": "1010009", "resultmsg": "app throttle exceed"}).to_string(),
            content_type: None,
        };
        let kind = match self.chance.u32(..8) {
            0..4 => throttled,
            4 => FaultKind::DropAfter,
            5 => FaultKind::DropBefore,
            6 => FaultKind::InternalError,
            _ => FaultKind::Delay { ms: 3_000 },
        };
        let method = self.one(&[None, None, Some("DELETE"), Some("POST")]);
        let fault = Fault {
            id: 0,
            calls: Match {
                method: method.map(str::to_owned),
                ..Match::default()
            },
            times: Times::Left(self.chance.u32(1..4)),
            kind,
        };
        let platform = &self.world.platform;
        platform.change(|simulator| simulator.faults.add(fault));
    }

    /// Puts a wrong or right secret into a Secret, or ends a token.
    async fn rotate(&mut self) {
        let name = self.one(&PLATFORMS);
        let text = self.one(&["hunter2", "hunter2", "hunter3"]);
        let change = json!({"stringData": {"secret": text}});
        let people = &self.world.people;
        people.patch("secrets", "iot", name, &change).await;
        self.world.platform.change(|simulator| {
            let application = simulator.applications.get_mut(name);
            application.unwrap().expire();
        });
    }

    /// Lets some of the next writes be refused or lost.
    fn mishaps(&mut self) {
        for _ in 0..self.chance.u32(1..6) {
            let fault = match self.chance.u32(..8) {
                0 => faults::Fault::Lost,
                1 | 2 => faults::Fault::Unanswered,
                3 => faults::Fault::Refused(409),
                4 => faults::Fault::Refused(403),
                5 => faults::Fault::Refused(429),
                _ => faults::Fault::Refused(500),
            };
            self.world.faults.add(To::Write, fault);
        }
    }

    /// Adds or removes a policy that refuses the operator's writes to a namespace.
    fn refuse_or_allow(&mut self) {
        let cluster = &self.world.cluster;
        cluster.remove_policy(POLICY);
        if self.once_in(2) {
            return;
        }
        self.world.cluster.add_policy(Policy {
            name: POLICY.to_owned(),
            binding: POLICY.to_owned(),
            message: "nothing is written here today".to_owned(),
            denies: Box::new(|attempt| {
                attempt.user == OPERATOR
                    && attempt.operation == "UPDATE"
                    && attempt.object["metadata"]["namespace"] == "south"
            }),
        });
    }

    /// Ends all watches and lets some of them list again.
    fn cut(&mut self) {
        let cluster = &self.world.cluster;
        cluster.end_watches();
        if self.chance.bool() {
            cluster.compact();
        }
    }

    /// Releases the holds of all Platforms, as a person does.
    async fn release(&mut self) {
        let people = &self.world.people;
        for name in PLATFORMS {
            let platform = people.get("platforms", "iot", name).unwrap();
            let hold = &platform["status"]["hold"]["id"];
            if hold.is_string() {
                let release = json!({"metadata": {"annotations": {"iodm.dev/release-hold": hold}}});
                people.patch("platforms", "iot", name, &release).await;
            }
        }
    }

    /// Crashes or stops a process, and starts it again.
    async fn restart(&mut self) {
        let which = self.chance.usize(..self.processes.len());
        let (pod, process) = self.processes.remove(which);
        if self.once_in(3) {
            let ended = process.stop().await.map_err(|error| error.to_string());
            self.world.trace.say(pod, format_args!("ends: {ended:?}"));
        } else {
            process.crash().await;
        }
        self.pause(20_000).await;
        self.start(pod);
    }
}
