//! Flux, Argo CD and kube-state-metrics on objects of every phase and reason, with the files of `docs/` as users take
//! them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy.toml allows them in test functions, not in what those call"
)]

mod argo_cd;
mod flux;
mod state_metrics;
#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};
use version_package_operator::api::condition::{Statement, merge};
use version_package_operator::api::platform::{Mode, Platform, PlatformReason};
use version_package_operator::api::reason::{Phase, Progress, Reason};
use version_package_operator::api::version_package::VersionPackage;

use support::{argo_action, argo_actions, argo_health, flux_health, kstatus, tool};

const HEALTH: &str = "docs/argocd/health.lua";
const EXPRESSIONS: &str = "docs/flux/packages.yaml";
const KINDS: [&str; 2] = ["VersionPackage", "Platform"];

/// The reasons for which a person, or a person's rule, holds a deletion without an error.
const HOLDS: [&str; 4] = ["GracePeriod", "MassDeletionHeld", "Paused", "WouldDelete"];

/// An object as the operator writes it, and its intended result.
struct State {
    object: Value,
    progress: Progress,
    reason: &'static str,
    message: &'static str,
    deleted: bool,
}

/// Objects of both kinds with every reason, live and being deleted.
fn states() -> Vec<State> {
    let packages = Reason::ALL.iter().map(|r| {
        let progress = r.phase().progress();
        (package(*r), progress, r.as_str(), r.meaning())
    });
    let platforms = PlatformReason::ALL
        .iter()
        .map(|r| (platform(*r), r.progress(), r.as_str(), r.meaning()));
    let mut states = Vec::new();
    for (object, progress, reason, message) in packages.chain(platforms) {
        assert_readable(&object);
        for deleted in [false, true] {
            let mut object = object.clone();
            if deleted {
                object["metadata"]["deletionTimestamp"] = json!("2026-11-23T08:00:00Z");
            }
            states.push(State {
                object,
                progress,
                reason,
                message,
                deleted,
            });
        }
    }
    states
}

/// Fails where the status has a field or value that the types don't know.
fn assert_readable(object: &Value) {
    let read = if object["kind"] == "Platform" {
        let object: Platform = serde_json::from_value(object.clone()).unwrap();
        serde_json::to_value(object)
    } else {
        let object: VersionPackage = serde_json::from_value(object.clone()).unwrap();
        serde_json::to_value(object)
    };
    assert_eq!(read.unwrap()["status"], object["status"]);
}

fn conditions(progress: Progress, reason: &str, message: &str) -> Value {
    let verdict = Statement {
        progress,
        reason,
        message,
        generation: 3,
    };
    json!(merge(&[], &verdict, Timestamp::UNIX_EPOCH))
}

fn package(reason: Reason) -> Value {
    let phase = reason.phase();
    let mut object = json!({
        "apiVersion": "iodm.dev/v1alpha1", "kind": "VersionPackage",
        "metadata": {"namespace": "fleet", "name": "meter-fw", "generation": 3, "finalizers": ["iodm.dev/package"]},
        "spec": {
            "platformRef": {"name": "production"}, "fileId": "0a1b2c3d",
            "lifecycle": "Active", "deletionPolicy": "Delete", "expect": {"version": "V1.1.10"},
        },
        "status": {
            "observedGeneration": 3, "phase": phase,
            "conditions": conditions(phase.progress(), reason.as_str(), reason.meaning()),
            "application": "app-1", "lastHandledRequestedAt": "again",
            "package": {"name": "meter-fw", "version": "V1.1.10"},
        },
    });
    if phase != Phase::Active && reason != Reason::PackageMissing {
        let asked = Time("2026-11-23T08:00:00Z".parse().unwrap());
        object["spec"]["lifecycle"] = json!("Retired");
        object["status"]["deletion"] = json!({"requestedAt": asked, "attempts": 1});
        if phase == Phase::Gone {
            object["status"]["deletion"]["outcome"] = json!(reason.as_str());
        }
    }
    object
}

fn platform(reason: PlatformReason) -> Value {
    let mode = if reason == PlatformReason::Observing {
        Mode::Observe
    } else {
        Mode::Enforce
    };
    let mut object = json!({
        "apiVersion": "iodm.dev/v1alpha1", "kind": "Platform",
        "metadata": {"namespace": "iot", "name": "production", "generation": 3},
        "spec": {
            "endpoint": "https://iot.example.com:8743", "credentialsSecretRef": {"name": "iot-app"}, "mode": mode,
        },
        "status": {
            "observedGeneration": 3,
            "conditions": conditions(reason.progress(), reason.as_str(), reason.meaning()),
            "session": {"appId": "app-1", "callsInWindow": 1}, "queue": {"length": 0}, "guard": {"record": 0, "group": 0, "reserved": 0},
            "packages": {"active": 1, "retired": 0, "waiting": 0, "held": 0, "stalled": 0, "unmanaged": 0},
        },
    });
    if reason == PlatformReason::MassDeletionHeld {
        object["status"]["hold"] = json!({
            "id": "h-3", "since": "2026-11-23T08:00:00Z", "count": 200, "counted": 210, "reason": "210 are more than 50",
            "platform": "iot/production", "platformUid": "1", "bound": 50,
        });
    }
    object
}

/// An object of each kind without a status, and one with an unseen change.
fn unseen() -> Vec<Value> {
    let wanted = [package(Reason::Active), platform(PlatformReason::Available)];
    let mut objects = Vec::new();
    for object in wanted {
        let (mut new, mut changed) = (object.clone(), object);
        new["status"] = json!({"observedGeneration": -1});
        changed["metadata"]["generation"] = json!(4);
        objects.extend([new, changed]);
    }
    objects
}

fn objects(states: &[State]) -> Vec<Value> {
    states.iter().map(|state| state.object.clone()).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(tool::root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn flux_expects(state: &State) -> &'static str {
    match state.progress {
        _ if state.deleted => "Terminating",
        Progress::Done => "Current",
        Progress::Reconciling => "InProgress",
        Progress::Stalled => "Failed",
    }
}

fn argo_expects(state: &State) -> &'static str {
    match state.progress {
        Progress::Stalled if state.deleted => "Degraded",
        Progress::Done | Progress::Reconciling if state.deleted => "Progressing",
        _ if HOLDS.contains(&state.reason) => "Suspended",
        Progress::Done => "Healthy",
        Progress::Reconciling => "Progressing",
        Progress::Stalled => "Degraded",
    }
}

/// The table of the guide: each phase as Flux and Argo CD show it, by their own code.
fn phases_table() -> String {
    let mut table =
        "| Phase | kstatus, Flux | Argo CD | being deleted: Argo CD |\n|---|---|---|---|\n"
            .to_owned();
    for phase in Phase::ALL {
        let of_phase = Reason::ALL.iter().filter(|r| r.phase() == phase);
        let objects: Vec<Value> = of_phase.clone().map(|r| package(*r)).collect();
        let mut deleted = objects.clone();
        for object in &mut deleted {
            object["metadata"]["deletionTimestamp"] = json!("2026-11-23T08:00:00Z");
        }
        let flux: BTreeSet<String> = kstatus(&objects).into_iter().collect();
        let argo = |objects: &[Value]| {
            let mut by_status: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for (reason, seen) in of_phase.clone().zip(argo_health(HEALTH, objects)) {
                let reasons = by_status.entry(seen.status).or_default();
                reasons.push(format!("`{reason}`"));
            }
            let mut by_status: Vec<_> = by_status.into_iter().collect();
            by_status.sort_by_key(|(_, reasons)| std::cmp::Reverse(reasons.len()));
            let cells = by_status
                .iter()
                .enumerate()
                .map(|(place, (status, reasons))| {
                    if place == 0 {
                        status.clone()
                    } else {
                        format!("{status} for {}", reasons.join(", "))
                    }
                });
            cells.collect::<Vec<_>>().join("; ")
        };
        let flux = flux.into_iter().collect::<Vec<_>>().join("; ");
        writeln!(
            table,
            "| {phase} | {flux} | {} | {} |",
            argo(&objects),
            argo(&deleted)
        )
        .unwrap();
    }
    table
}

#[test]
fn the_guide_shows_each_phase_as_the_tools_show_it() {
    let guide = read("docs/gitops.md");
    let table = phases_table();
    assert!(
        guide.contains(&table),
        "docs/gitops.md lacks the table:\n{table}"
    );
}

/// The objects of a kind with every reason, live and being deleted.
fn of_kind(kind: &str) -> Vec<Value> {
    let mut objects = objects(&states());
    objects.retain(|object| object["kind"] == kind);
    objects
}
