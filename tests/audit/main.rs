//! The audit log is durable: whatever happens to the operator or the file, no package is deleted without its line, and
//! no object is released before it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod hanging;
#[path = "../support/mod.rs"]
mod support;
mod unwritable;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::{Value, json};
use support::{
    Layout, OPERATOR, Operator, Rig, SOON, SimulatorOptions, alone, own, start_operator, wait_for,
};

/// The number of concurrent applications, and of packages of each.
const APPLICATIONS: usize = 6;
const PACKAGES: usize = 10;
/// How often the operator is killed.
const KILLS: usize = 12;
/// The time limit of all deletions, including the kills.
const LOAD: Duration = Duration::from_secs(150);
/// The pause between two rotations.
const ROTATION: Duration = Duration::from_millis(150);

/// A guard that lets all deletions run at once.
fn unguarded() -> Value {
    json!({"maxDeletions": 1000, "window": "10m", "gracePeriod": "0s"})
}

/// A folder with an audit log and its rotated files.
struct Trail {
    folder: tempfile::TempDir,
}

impl Trail {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("audit.log")
    }

    /// A ready operator that writes to this folder.
    async fn operator(&self, rig: &Rig<'_>) -> Operator {
        let log = self.log();
        let log = log.to_str().unwrap();
        // A call aborted by a kill counts until its time limit, and calls are made one at a time.
        let flags = [
            "--audit-log",
            log,
            "--call-timeout",
            "2s",
            "--connect-timeout",
            "1s",
        ];
        let mut operator = start_operator(rig.plane, &flags);
        operator.ready().await;
        operator
    }

    /// The complete lines of all files, and the number of incomplete lines.
    fn lines(&self) -> (Vec<Value>, usize) {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        let files = files.map(|file| file.unwrap().path());
        let texts = files.filter_map(|file| std::fs::read_to_string(file).ok());
        let texts = texts.map(|text| own::plain(&text));
        let (mut whole, mut broken) = (Vec::new(), 0);
        for line in texts.collect::<String>().lines() {
            match serde_json::from_str(line) {
                Ok(line) => whole.push(line),
                Err(_) => broken += 1,
            }
        }
        (whole, broken)
    }

    /// The lines of one object.
    fn of(&self, rig: &Rig<'_>, name: &str) -> Vec<Value> {
        let (mut lines, _) = self.lines();
        lines.retain(|line| line["namespace"] == rig.namespace && line["name"] == name);
        lines
    }

    /// Atomically replaces the log by a link to `target`.
    fn point_to(&self, target: &Path) {
        let aside = self.folder.path().join("aside");
        std::os::unix::fs::symlink(target, &aside).unwrap();
        std::fs::rename(aside, self.log()).unwrap();
    }
}

/// Renames the log continuously until dropped.
struct Rotation {
    stop: Arc<AtomicBool>,
    turning: Option<JoinHandle<usize>>,
}

impl Rotation {
    fn of(trail: &Trail) -> Self {
        let (log, stop) = (trail.log(), Arc::new(AtomicBool::new(false)));
        let stopped = stop.clone();
        let turning = std::thread::spawn(move || {
            let mut turns = 0;
            while !stopped.load(Ordering::Relaxed) {
                let rotated = log.with_extension(format!("log.{turns}"));
                turns += usize::from(std::fs::rename(&log, rotated).is_ok());
                std::thread::sleep(ROTATION);
            }
            turns
        });
        Self {
            stop,
            turning: Some(turning),
        }
    }

    /// Stops the rotation. Returns how often it moved a file away.
    fn end(mut self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.turning.take().unwrap().join().unwrap()
    }
}

impl Drop for Rotation {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn name(number: usize) -> String {
    format!("package-{number:05}")
}

/// The `fileId`s of the packages that the platform has deleted.
async fn deleted(rig: &Rig<'_>) -> BTreeSet<String> {
    let ledger = rig.simulator.ledger().await.into_iter();
    ledger
        .filter(|call| call["method"] == "DELETE" && call["verdict"] == "deleted")
        .map(|call| {
            let path = call["path"].as_str().unwrap();
            path.rsplit_once('/').unwrap().1.to_owned()
        })
        .collect()
}

/// The names and uids of the existing objects.
fn objects(rig: &Rig<'_>) -> BTreeMap<String, String> {
    let list = rig.kubectl(&["get", "vp", "-o", "json"]).expect_ok();
    let list: Value = serde_json::from_str(&list).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let items = list["items"].as_array().unwrap().iter();
    items
        .map(|object| {
            let meta = &object["metadata"];
            (text(&meta["name"]), text(&meta["uid"]))
        })
        .collect()
}

/// One application whose calls are made one at a time, and the test's records of it.
struct Lane {
    rig: Rig<'static>,
    uids: BTreeMap<String, String>,
    /// Packages deleted by a call without an audit line of its answer.
    untold: BTreeSet<String>,
}

impl Lane {
    /// Checks while no operator runs: each removed object has its line, and at most one call since the last check lacks
    /// one.
    async fn check(&mut self, lines: &[Value]) {
        let left = objects(&self.rig);
        let told = |field: &str, value: &str| lines.iter().any(|line| line[field] == value);
        for (name, uid) in &self.uids {
            assert!(
                left.contains_key(name) || told("uid", uid),
                "{name} of {} went without a line",
                self.rig.namespace
            );
        }
        let of_this = |line: &&Value| line["namespace"] == self.rig.namespace;
        let told: BTreeSet<&str> = lines
            .iter()
            .filter(of_this)
            .filter(|line| line["outcome"] == "Deleted")
            .map(|line| line["fileId"].as_str().unwrap())
            .collect();
        let deleted = deleted(&self.rig).await;
        let untold: BTreeSet<String> = deleted
            .into_iter()
            .filter(|file_id| !told.contains(file_id.as_str()))
            .collect();
        let news: Vec<_> = untold.difference(&self.untold).collect();
        assert!(news.len() <= 1, "more than one call is lost: {news:?}");
        self.untold = untold;
    }
}

#[tokio::test]
async fn kills_and_rotations_lose_at_most_the_line_of_the_in_flight_call() {
    let (_turn, plane) = alone().await;
    let layout = || Layout {
        simulator: SimulatorOptions {
            packages: PACKAGES,
            quota_window: "1s",
            ..SimulatorOptions::default()
        },
        // One call at a time.
        platform: json!({"quota": {"calls": 1, "window": "1s"}, "guard": unguarded()}),
    };
    let mut lanes = Vec::new();
    for _ in 0..APPLICATIONS {
        let rig = Rig::on(plane, "trail", layout()).await;
        lanes.push(Lane {
            rig,
            uids: BTreeMap::new(),
            untold: BTreeSet::new(),
        });
    }
    let trail = Trail::new();
    let mut operator = trail.operator(&lanes[0].rig).await;
    let names: Vec<String> = (1..=PACKAGES).map(name).collect();
    for lane in &mut lanes {
        let pairs: Vec<_> = names.iter().map(|name| (&**name, &**name)).collect();
        lane.rig.active(&pairs).await;
        lane.uids = objects(&lane.rig);
    }
    let rotation = Rotation::of(&trail);
    for lane in &lanes {
        lane.rig
            .kubectl(&["delete", "vp", "--all", "--wait=false"])
            .expect_ok();
    }

    let end = Instant::now() + LOAD;
    let mut kills = 0;
    while kills < KILLS {
        // The kill hits while an answer is in transit, read, written to the log or acted on.
        let watched = &lanes[kills % APPLICATIONS].rig;
        let before = deleted(watched).await.len();
        if before == PACKAGES {
            break;
        }
        while deleted(watched).await.len() == before {
            assert!(Instant::now() < end, "{:#?}", operator.log());
        }
        tokio::time::sleep(Duration::from_millis(fastrand::u64(..40))).await;
        operator.kill().await;
        kills += 1;
        let (told, broken) = trail.lines();
        assert!(broken <= kills, "{broken} broken lines after {kills} kills");
        join_all(lanes.iter_mut().map(|lane| lane.check(&told))).await;
        operator = trail.operator(&lanes[0].rig).await;
    }
    wait_for("all objects to go", end - Instant::now(), async || {
        let gone = lanes.iter().all(|lane| objects(&lane.rig).is_empty());
        gone.then_some(())
    })
    .await;
    let rotations = rotation.end();
    let (told, _) = trail.lines();
    for lane in &mut lanes {
        lane.check(&told).await;
        // The line of the call that found the package gone counts too.
        for file_id in &lane.untold {
            let found = told.iter().any(|line| {
                line["namespace"] == lane.rig.namespace
                    && line["fileId"] == **file_id
                    && line["outcome"] == "AlreadyGone"
                    && line["earlierAttempts"]
                        .as_u64()
                        .is_some_and(|earlier| earlier > 0)
            });
            assert!(found, "{file_id} of {} has no line", lane.rig.namespace);
        }
        assert_eq!(deleted(&lane.rig).await.len(), PACKAGES);
    }
    let lost: usize = lanes.iter().map(|lane| lane.untold.len()).sum();
    println!(
        "{} lines, {kills} kills, {lost} answers lost by them, {rotations} rotations",
        told.len()
    );
    assert!(
        kills >= 5 && rotations >= 5,
        "{kills} kills, {rotations} rotations"
    );
}

#[tokio::test]
async fn without_a_file_audit_lines_are_alone_on_standard_output() {
    let (_turn, plane) = alone().await;
    let layout = Layout {
        platform: json!({"quota": {"calls": 100, "window": "1s"}, "guard": unguarded()}),
        ..Layout::default()
    };
    let rig = Rig::on(plane, "stdout", layout).await;
    let kubeconfig = plane.kubeconfig_for(OPERATOR, OPERATOR);
    let mut operator = Operator::start(&kubeconfig, OPERATOR, &[]);
    operator.ready().await;
    rig.active(&[("a", "package-00001")]).await;
    rig.delete("a");
    rig.gone("a").await;
    let lines = operator.stdout();
    let lines: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert_eq!(
        (&lines[0]["kind"], &lines[0]["name"]),
        (&json!("PackageDeletion"), &json!("a"))
    );
}
