//! A platform that is dead, with hundreds of deletions waiting for it, costs the objects of other platforms nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod support;

use std::time::{Duration, Instant};

use kube::Api;
use kube::api::{DeleteParams, ListParams};
use version_package_operator::api::version_package::VersionPackage;

use support::{Fleet, Layout, Rig, SimulatorOptions};

const MANY: usize = 500;
/// Far more than a birth or a deletion takes on an idle machine, far less than any pause for a dead platform.
const PROMPTLY: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn births_and_deletions_go_on_beside_hundreds_that_wait_for_a_dead_platform() {
    let layout = |packages| Layout {
        simulator: SimulatorOptions {
            packages,
            quota_window: "1s",
            ..SimulatorOptions::default()
        },
        ..Layout::default()
    };
    let mut dead = Rig::shared("dead", layout(MANY)).await;
    let alive = Rig::shared("alive", layout(20)).await;
    drop(Fleet::create(&dead, 1..MANY + 1).await);
    dead.simulator.kill().await;
    let client = dead.plane.client().await;
    let objects = Api::<VersionPackage>::namespaced(client, &dead.namespace);
    objects
        .delete_collection(&DeleteParams::default(), &ListParams::default())
        .await
        .unwrap();
    // The session has failed often enough to be probed, and the others wait.
    dead.platform_reason("production", "PlatformUnavailable")
        .await;

    let begun = Instant::now();
    let names: Vec<String> = (1..=20).map(|n| format!("fresh-{n}")).collect();
    let files: Vec<String> = (1..=20).map(|n| format!("package-{n:05}")).collect();
    let fresh: Vec<(&str, &str)> = names
        .iter()
        .map(String::as_str)
        .zip(files.iter().map(String::as_str))
        .collect();
    alive.active(&fresh).await;
    let born = begun.elapsed();
    let deleting = Instant::now();
    for name in &names[..5] {
        alive.delete(name);
        alive.gone(name).await;
    }
    let gone = deleting.elapsed();
    println!("20 births took {born:?}, 5 deletions one after the other {gone:?}");
    assert!(born < PROMPTLY && gone < PROMPTLY);
    let waiting = objects.list(&ListParams::default()).await.unwrap();
    assert_eq!(
        waiting.items.len(),
        MANY,
        "nothing of the dead platform is let go"
    );
}
