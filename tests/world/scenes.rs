//! What people do, each scene with one purpose. A scene bears any single fault: it waits for what it needs, and says at its
//! end how everything has to stand.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::stage::{BOUND, GRACE, Stage};

/// A scene that is being played.
type Played<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// One scene.
#[derive(Clone, Copy)]
pub struct Scene {
    pub name: &'static str,
    pub pods: &'static [&'static str],
    pub play: for<'a> fn(&'a Stage<'a>) -> Played<'a>,
}

const ONE: &[&str] = &["vpo-0"];
const TWO: &[&str] = &["vpo-0", "vpo-1"];

impl fmt::Debug for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// All scenes.
pub const ALL: &[Scene] = &[
    Scene {
        name: "plain",
        pods: ONE,
        play: |stage| Box::pin(plain(stage)),
    },
    Scene {
        name: "retire",
        pods: ONE,
        play: |stage| Box::pin(retire(stage)),
    },
    Scene {
        name: "waver",
        pods: ONE,
        play: |stage| Box::pin(waver(stage)),
    },
    Scene {
        name: "rename-delete-first",
        pods: ONE,
        play: |stage| Box::pin(rename_delete_first(stage)),
    },
    Scene {
        name: "rename-create-first",
        pods: ONE,
        play: |stage| Box::pin(rename_create_first(stage)),
    },
    Scene {
        name: "move-platform",
        pods: ONE,
        play: |stage| Box::pin(move_platform(stage)),
    },
    Scene {
        name: "mass-released",
        pods: ONE,
        play: |stage| Box::pin(mass_released(stage)),
    },
    Scene {
        name: "mass-retained",
        pods: ONE,
        play: |stage| Box::pin(mass_retained(stage)),
    },
    Scene {
        name: "namespace",
        pods: ONE,
        play: |stage| Box::pin(namespace(stage)),
    },
    Scene {
        name: "expect",
        pods: ONE,
        play: |stage| Box::pin(expect(stage)),
    },
    Scene {
        name: "token-lost",
        pods: ONE,
        play: |stage| Box::pin(token_lost(stage)),
    },
    Scene {
        name: "secret-rotated",
        pods: ONE,
        play: |stage| Box::pin(secret_rotated(stage)),
    },
    Scene {
        name: "platform-edited",
        pods: ONE,
        play: |stage| Box::pin(platform_edited(stage)),
    },
    Scene {
        name: "observe",
        pods: ONE,
        play: |stage| Box::pin(observe(stage)),
    },
    Scene {
        name: "pause-and-retain",
        pods: ONE,
        play: |stage| Box::pin(pause_and_retain(stage)),
    },
    Scene {
        name: "forced-and-created-anew",
        pods: ONE,
        play: |stage| Box::pin(forced_and_created_anew(stage)),
    },
    Scene {
        name: "hand-over",
        pods: TWO,
        play: |stage| Box::pin(hand_over(stage)),
    },
];

async fn plain(stage: &Stage<'_>) {
    for (name, file) in [
        ("a", "package-00001"),
        ("b", "package-00002"),
        ("c", "package-00003"),
    ] {
        stage.wish(name, file).await;
    }
    stage.delete("a").await;
    stage.goes("a").await;
    stage.delete("b").await;
    stage.ends().await;
}

async fn retire(stage: &Stage<'_>) {
    stage.wish("a", "package-00001").await;
    stage.wish("b", "package-00002").await;
    stage.retire("a").await;
    stage.comes_to("a", "Gone").await;
    stage.delete("a").await;
    stage.ends().await;
}

/// An object is retired, taken back within its grace period, and retired again.
async fn waver(stage: &Stage<'_>) {
    stage.wish("a", "package-00001").await;
    stage.retire("a").await;
    sleep(GRACE / 2).await;
    stage.revive("a").await;
    stage.comes_to("a", "Active").await;
    sleep(GRACE * 2).await;
    stage.retire("a").await;
    stage.ends().await;
}

async fn rename_delete_first(stage: &Stage<'_>) {
    stage.wish("old", "package-00001").await;
    stage.delete("old").await;
    sleep(Duration::from_millis(700)).await;
    stage
        .create("new", "production", "package-00001", &json!({}))
        .await;
    stage.ends().await;
}

async fn rename_create_first(stage: &Stage<'_>) {
    stage.wish("old", "package-00001").await;
    stage.wish("depot/new", "package-00001").await;
    stage.delete("old").await;
    stage.ends().await;
}

/// An object moves to another Platform of the same application: a new object, then the old one goes.
async fn move_platform(stage: &Stage<'_>) {
    stage.wish("old", "package-00001").await;
    stage
        .create("new", "spare", "package-00001", &json!({}))
        .await;
    stage.comes_to("new", "Active").await;
    stage.delete("old").await;
    stage.goes("old").await;
    // A package of the same id of another application is another one.
    stage
        .create("other", "staging", "package-00001", &json!({}))
        .await;
    stage.comes_to("other", "Active").await;
    stage.delete("new").await;
    stage.ends().await;
}

fn file(number: usize) -> String {
    format!("package-{number:05}")
}

/// More deletions at once than go without a person.
async fn many(stage: &Stage<'_>) -> Vec<String> {
    let names: Vec<String> = (1..=BOUND + 2).map(|number| format!("m{number}")).collect();
    for (index, name) in names.iter().enumerate() {
        let file = file(index + 1);
        stage.create(name, "production", &file, &json!({})).await;
    }
    for name in &names {
        stage.comes_to(name, "Active").await;
    }
    for name in &names {
        stage.delete(name).await;
    }
    names
}

async fn mass_released(stage: &Stage<'_>) {
    many(stage).await;
    stage.release("production").await;
    // What came after the release is held anew.
    for _ in 0..4 {
        sleep(Duration::from_secs(15)).await;
        stage.release_all().await;
    }
    stage.ends().await;
}

async fn mass_retained(stage: &Stage<'_>) {
    let names = many(stage).await;
    sleep(GRACE * 2).await;
    for name in &names {
        stage.retain(name).await;
    }
    // Some may have gone before they were taken back.
    let files: Vec<String> = (1..=BOUND + 2).map(file).collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    stage.ends_but_for(&files).await;
}

async fn namespace(stage: &Stage<'_>) {
    stage.wish("a", "package-00001").await;
    stage.wish("b", "package-00002").await;
    stage.wish("depot/c", "package-00003").await;
    stage.end_fleet().await;
    stage.ends().await;
}

async fn expect(stage: &Stage<'_>) {
    let right = json!({"expect": {"fileType": "firmwarePackage"}});
    stage
        .create("right", "production", "package-00001", &right)
        .await;
    let wrong = json!({"expect": {"version": "mistaken"}});
    stage
        .create("wrong", "production", "package-00002", &wrong)
        .await;
    stage.comes_to("right", "Active").await;
    stage.comes_to("wrong", "Active").await;
    stage.delete("wrong").await;
    stage.delete("right").await;
    stage.goes("right").await;
    stage.says("wrong", "IdentityMismatch").await;
    stage.retain("wrong").await;
    stage.ends().await;
}

/// Another client of the application logs in, which ends our token.
async fn token_lost(stage: &Stage<'_>) {
    stage.wish("a", "package-00001").await;
    stage.wish("b", "package-00002").await;
    stage.delete("a").await;
    stage.goes("a").await;
    stage.world.platform.end_token("app-1");
    stage.delete("b").await;
    stage.ends().await;
}

async fn secret_rotated(stage: &Stage<'_>) {
    stage.wish("a", "package-00001").await;
    stage.wish("b", "package-00002").await;
    stage.delete("a").await;
    stage.goes("a").await;
    stage.world.platform.set_secret("app-1", "third-secret");
    stage.world.platform.end_token("app-1");
    stage.delete("b").await;
    sleep(Duration::from_secs(20)).await;
    for name in ["production", "spare"] {
        stage.put_secret(name, "app-1", "third-secret").await;
    }
    stage.ends().await;
}

async fn platform_edited(stage: &Stage<'_>) {
    stage.wish("a", "package-00001").await;
    stage.wish("b", "package-00002").await;
    stage.delete("a").await;
    let quota = json!({"quota": {"calls": 50, "window": "60s"}});
    stage.change_platform("production", quota).await;
    stage.goes("a").await;
    stage.delete("b").await;
    let quota = json!({"quota": {"calls": 80, "window": "60s"}});
    stage.change_platform("production", quota).await;
    stage.ends().await;
}

async fn observe(stage: &Stage<'_>) {
    stage.wish("a", "package-00001").await;
    stage.wish("b", "package-00002").await;
    stage.delete("a").await;
    stage
        .change_platform("production", json!({"mode": "Observe"}))
        .await;
    stage.delete("b").await;
    stage.says("b", "WouldDelete").await;
    sleep(GRACE * 2).await;
    stage
        .change_platform("production", json!({"mode": "Enforce"}))
        .await;
    stage.ends().await;
}

async fn pause_and_retain(stage: &Stage<'_>) {
    stage.wish("a", "package-00001").await;
    stage.wish("b", "package-00002").await;
    stage.pause("a", true).await;
    stage.delete("a").await;
    stage.says("a", "Paused").await;
    stage.pause("b", true).await;
    stage.retain("b").await;
    stage.delete("b").await;
    stage.goes("b").await;
    sleep(GRACE * 2).await;
    stage.pause("a", false).await;
    stage.ends().await;
}

/// A finalizer is taken off by hand while a deletion waits, and the name is used for another package.
async fn forced_and_created_anew(stage: &Stage<'_>) {
    stage.wish("a", "package-00001").await;
    stage.delete("a").await;
    sleep(GRACE.mul_f64(0.94)).await;
    stage.force("a").await;
    stage.goes("a").await;
    stage.wish("a", "package-00002").await;
    stage.ends_but_for(&["package-00001"]).await;
}

/// The leader stops in order while deletions are under way, and the one after it too.
async fn hand_over(stage: &Stage<'_>) {
    for (name, number) in [("a", 1), ("b", 2), ("c", 3)] {
        stage.wish(name, &file(number)).await;
    }
    stage.delete("a").await;
    sleep(GRACE).await;
    stage.world.stop_leader().await;
    stage.delete("b").await;
    stage.goes("a").await;
    sleep(GRACE + Duration::from_secs(10)).await;
    stage.world.stop_leader().await;
    stage.delete("c").await;
    stage.ends().await;
}
