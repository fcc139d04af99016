//! Credentials, certificates and the right to read them: what is wrong, how it is repaired, and that no secret is ever
//! shown.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod api_server;
mod certificates;
mod refused;
mod secrets;
#[path = "../support/mod.rs"]
mod support;
mod unreadable;

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use support::{
    ApiProxy, History, Layout, OPERATOR, Operator, Plane, Rig, Simulator, SimulatorOptions, ready,
    shared, start_operator, wait_for,
};

/// How soon a repaired Secret, Role or Platform takes effect.
const HEALED: Duration = Duration::from_secs(5);

const FIRST: &str = "package-00001";
const SECOND: &str = "package-00002";
/// The secret that the simulators here accept.
const RIGHT: &str = "correct-horse-battery";

fn message(object: &Value) -> String {
    ready(object)["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn set_secret(rig: &Rig<'_>, name: &str, values: &Value) {
    rig.patch(&format!("secret/{name}"), &json!({"stringData": values}));
}

/// Waits until an object is gone within the time limit of a repair.
async fn goes(rig: &Rig<'_>, name: &str) {
    wait_for(&format!("{name} to go"), HEALED, async || {
        rig.get(name).await.is_none().then_some(())
    })
    .await;
}

/// Waits until a Platform has `reason`; returns its message.
async fn platform_says(plane: &Plane, namespace: &str, name: &str, reason: &str) -> String {
    let what = format!("the Platform {name} to say {reason}");
    wait_for(&what, HEALED, async || {
        let get = ["get", "platform", "-n", namespace, name, "-o", "json"];
        let object: Value = serde_json::from_str(&plane.kubectl(&get).expect_ok()).unwrap();
        (ready(&object)["reason"] == reason).then(|| message(&object))
    })
    .await
}

/// Logs in as another client would.
async fn log_in(simulator: &Simulator, app_id: &str, secret: &str) -> String {
    simulator.log_in(app_id, secret).await
}

/// A slow quota, so that deletions wait, and `count` objects.
async fn crowd(subject: &str, calls: usize, count: usize) -> (Rig<'static>, History, Vec<String>) {
    let layout = Layout {
        simulator: SimulatorOptions {
            packages: count,
            quota_calls: calls,
            quota_window: "2s",
            ..SimulatorOptions::default()
        },
        platform: json!({"quota": {"calls": calls, "window": "2s"}}),
    };
    let rig = Rig::shared(subject, layout).await;
    let history = rig.history().await;
    let names: Vec<String> = (1..=count).map(|n| format!("package-{n:05}")).collect();
    let packages: Vec<(&str, &str)> = names.iter().map(|n| (n.as_str(), n.as_str())).collect();
    rig.active(&packages).await;
    (rig, history, names)
}

/// Deletes everything while the Platform only observes, so that all deletions start to wait at the same time, at
/// [`let_go`].
async fn delete_all(rig: &Rig<'_>, names: &[String]) {
    rig.patch("platform/production", &json!({"spec": {"mode": "Observe"}}));
    rig.kubectl(&["delete", "vp", "--all", "--wait=false"])
        .expect_ok();
    for name in names {
        rig.reason(name, "WouldDelete").await;
    }
}

fn let_go(rig: &Rig<'_>) {
    rig.patch("platform/production", &json!({"spec": {"mode": "Enforce"}}));
}

async fn with_verdict(rig: &Rig<'_>, verdict: &str) -> usize {
    let ledger = rig.simulator.ledger().await;
    ledger
        .iter()
        .filter(|call| call["verdict"] == verdict)
        .count()
}

fn assert_never_stalled(history: &History) {
    for object in history.versions() {
        assert_ne!(object["status"]["phase"], "Stalled", "{object:#}");
    }
}
