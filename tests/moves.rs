//! Packages that move through Git survive: renamed, in another namespace or file, in any order.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod support;

use serde_json::{Value, json};
use support::{Layout, Rig, SOON, ready, wait_for};

const FILE: &str = "package-00001";

fn graced(grace: &str) -> Layout<'static> {
    Layout {
        platform: json!({
            "quota": {"calls": 100, "window": "1s"},
            "allowedNamespaces": {"from": "All"},
            "guard": {"maxDeletions": 50, "window": "10m", "gracePeriod": grace},
        }),
        ..Layout::default()
    }
}

/// An object for the package, in any namespace.
fn manifest(rig: &Rig<'_>, namespace: &str, name: &str) -> Value {
    let platform = json!({"name": "production", "namespace": rig.namespace});
    let mut object = rig.manifest(name, FILE, &json!({"platformRef": platform}));
    object["metadata"]["namespace"] = json!(namespace);
    object
}

fn apply(rig: &Rig<'_>, namespace: &str, name: &str) {
    rig.plane
        .apply(&manifest(rig, namespace, name).to_string())
        .expect_ok();
}

fn delete(rig: &Rig<'_>, namespace: &str, name: &str) {
    let arguments = ["-n", namespace, "delete", "vp", name, "--wait=false"];
    rig.plane.kubectl(&arguments).expect_ok();
}

async fn is(rig: &Rig<'_>, namespace: &str, name: &str, reason: &str) {
    wait_for(&format!("{name} to be {reason}"), SOON, async || {
        let arguments = ["-n", namespace, "get", "vp", name, "-o", "json"];
        let said = rig.plane.kubectl(&arguments);
        let object: Value = serde_json::from_str(&said.stdout).ok()?;
        (ready(&object)["reason"] == reason).then_some(())
    })
    .await;
}

async fn gone(rig: &Rig<'_>, namespace: &str, name: &str) {
    wait_for(&format!("{name} to go"), SOON, async || {
        let said = rig.plane.kubectl(&["-n", namespace, "get", "vp", name]);
        said.stderr.contains("NotFound").then_some(())
    })
    .await;
}

async fn survived(rig: &Rig<'_>) {
    assert!(rig.deletes(FILE).await.is_empty());
    assert!(rig.simulator.has(FILE).await);
}

#[tokio::test]
async fn a_package_survives_a_move_that_creates_before_it_deletes() {
    let rig = Rig::shared("create-first", graced("0s")).await;
    let elsewhere = rig.plane.namespace("elsewhere");
    let own = rig.namespace.clone();
    let mut at = (own.clone(), "meter".to_owned());
    apply(&rig, &at.0, &at.1);
    is(&rig, &at.0, &at.1, "Active").await;
    // A rename, a change of the namespace, and both reverted at once.
    for next in [
        (own.clone(), "meter-fw".to_owned()),
        (elsewhere, "meter-fw".to_owned()),
        (own, "meter".to_owned()),
    ] {
        apply(&rig, &next.0, &next.1);
        is(&rig, &next.0, &next.1, "Active").await;
        delete(&rig, &at.0, &at.1);
        gone(&rig, &at.0, &at.1).await;
        at = next;
    }
    survived(&rig).await;
}

#[tokio::test]
async fn a_package_survives_a_move_that_deletes_before_it_creates_within_the_grace_period() {
    let rig = Rig::shared("delete-first", graced("20s")).await;
    let elsewhere = rig.plane.namespace("elsewhere");
    let own = rig.namespace.clone();
    apply(&rig, &own, "meter");
    is(&rig, &own, "meter", "Active").await;
    delete(&rig, &own, "meter");
    is(&rig, &own, "meter", "GracePeriod").await;
    apply(&rig, &elsewhere, "meter");
    gone(&rig, &own, "meter").await;
    is(&rig, &elsewhere, "meter", "Active").await;
    delete(&rig, &elsewhere, "meter");
    is(&rig, &elsewhere, "meter", "GracePeriod").await;
    apply(&rig, &own, "meter-again");
    gone(&rig, &elsewhere, "meter").await;
    survived(&rig).await;
}
