//! Removing the operator's prerequisites in the wrong order deletes no packages by accident, and no object disappears
//! without its package or without a message.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod support;

use std::time::Duration;

use serde_json::json;
use support::{Fleet, Layout, OPERATOR, Rig, SimulatorOptions, alone, start_operator, wait_for};

/// More deletions than the default limit allows without a release.
const MANY: usize = 60;
/// The time limit: an ending namespace or definition is checked with growing pauses.
const END: Duration = Duration::from_secs(90);

#[tokio::test]
async fn deleting_the_definitions_first_deletes_no_packages() {
    let (_turn, plane) = alone().await;
    let mut operator = start_operator(plane, &[]);
    operator.ready().await;
    let layout = Layout {
        simulator: SimulatorOptions {
            packages: MANY,
            quota_window: "1s",
            ..SimulatorOptions::default()
        },
        // Only the parts of a Platform that the test needs; the guard has its defaults.
        platform: json!({"quota": {"calls": 100, "window": "1s"}, "guard": {}}),
    };
    let rig = Rig::on(plane, "definitions", layout).await;
    let fleet = Fleet::create(&rig, 1..MANY + 1).await;
    plane
        .kubectl(&[
            "delete",
            "crd",
            "versionpackages.iodm.dev",
            "platforms.iodm.dev",
            "--wait=false",
        ])
        .expect_ok();
    fleet.held().await;
    // The definition of Platforms is deleted after that of packages.
    let what = "the Platform to hold all, and to stay for them";
    rig.platform_becomes("production", what, |platform| {
        platform["status"]["hold"]["count"] == MANY && support::ready(platform)["reason"] == "InUse"
    })
    .await;
    let ledger = rig.simulator.ledger().await;
    assert!(ledger.iter().all(|call| call["method"] != "DELETE"));

    // The way out: the objects are released, the packages stay, and the definitions end.
    for number in 1..=MANY {
        let object = format!("vp/package-{number:05}");
        rig.patch(&object, &json!({"spec": {"deletionPolicy": "Retain"}}));
    }
    wait_for("the definitions to end", END, async || {
        let said = plane.kubectl(&[
            "get",
            "crd",
            "versionpackages.iodm.dev",
            "platforms.iodm.dev",
        ]);
        (said.stderr.matches("NotFound").count() == 2).then_some(())
    })
    .await;
    let ledger = rig.simulator.ledger().await;
    assert!(ledger.iter().all(|call| call["method"] != "DELETE"));
    operator.terminate().await;
    plane.install();
}

#[tokio::test]
async fn without_its_namespace_the_operator_ends_and_deletions_continue_after_a_reinstallation() {
    let (_turn, plane) = alone().await;
    let mut operator = start_operator(
        plane,
        &[
            "--lease-duration",
            "6s",
            "--call-timeout",
            "3s",
            "--connect-timeout",
            "1s",
        ],
    );
    operator.ready().await;
    let rig = Rig::on(plane, "orphaned", Layout::default()).await;
    rig.active(&[("a", "package-00001")]).await;
    plane
        .kubectl(&["delete", "namespace", OPERATOR, "--wait=false"])
        .expect_ok();
    operator.ended(END).await;
    rig.delete("a");
    // Nobody removes the finalizer, so no object disappears unnoticed.
    assert!(rig.get("a").await.is_some());
    assert!(rig.simulator.has("package-00001").await);
    wait_for("the namespace to end", END, async || {
        let said = plane.kubectl(&["get", "namespace", OPERATOR]);
        said.stderr.contains("NotFound").then_some(())
    })
    .await;
    plane.install();
    let mut operator = start_operator(plane, &[]);
    operator.ready().await;
    rig.gone("a").await;
    assert_eq!(rig.deletes("package-00001").await.len(), 1);
    operator.terminate().await;
}
