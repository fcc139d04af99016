//! What Flux, Argo CD and kube-state-metrics make of an object of every phase and reason, with the files of `docs/` as users take them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy.toml allows them in test functions, not in what those call"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};
use version_package_operator::api::condition::{Verdict, merge};
use version_package_operator::api::platform::{Mode, Platform, PlatformReason};
use version_package_operator::api::reason::{Phase, Progress, Reason};
use version_package_operator::api::version_package::VersionPackage;

use support::{argo_action, argo_actions, argo_health, flux_health, kstatus, tool};

const HEALTH: &str = "docs/argocd/health.lua";
const EXPRESSIONS: &str = "docs/flux/packages.yaml";
const KINDS: [&str; 2] = ["VersionPackage", "Platform"];

/// What says that nothing is wrong, but that a person, or a rule of theirs, holds a deletion.
const HOLDS: [&str; 4] = ["GracePeriod", "MassDeletionHeld", "Paused", "WouldDelete"];

/// An object as the operator writes it, and what it is meant to say.
struct State {
    object: Value,
    progress: Progress,
    reason: &'static str,
    message: &'static str,
    deleted: bool,
}

/// Every kind with every reason, wanted and being deleted.
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

/// Fails where the status has a field or a value that the types don't know.
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
    let verdict = Verdict {
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
            "session": {"appId": "app-1", "callsInWindow": 1}, "queue": {"length": 0}, "guard": {"reserved": 0},
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

/// An object of each kind that nobody has looked at yet, and one whose newest change nobody has seen.
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

#[test]
fn flux_sees_each_reason_as_its_phase_promises() {
    let states = states();
    for (state, seen) in states.iter().zip(kstatus(&objects(&states))) {
        assert_eq!(seen, flux_expects(state), "{}", state.object);
    }
    assert_eq!(kstatus(&unseen()), ["InProgress"; 4]);
}

#[test]
fn the_documented_expressions_agree_with_kstatus_and_name_a_deletion_that_waits_for_a_person() {
    let states = states();
    for (state, seen) in states
        .iter()
        .zip(flux_health(EXPRESSIONS, &objects(&states)))
    {
        let expected = match flux_expects(state) {
            "Terminating" if state.progress == Progress::Stalled => "Failed",
            "Terminating" => "InProgress",
            other => other,
        };
        assert_eq!(seen, expected, "{}", state.object);
    }
    assert_eq!(flux_health(EXPRESSIONS, &unseen()), ["InProgress"; 4]);
}

#[test]
fn argo_cd_sees_each_reason_as_the_documented_script_promises() {
    let states = states();
    for (state, seen) in states.iter().zip(argo_health(HEALTH, &objects(&states))) {
        assert_eq!(seen.status, argo_expects(state), "{}", state.object);
        let silent = state.deleted && state.progress == Progress::Done;
        assert!(silent || seen.message.ends_with(state.message), "{seen:?}");
    }
    let mut bare = unseen();
    bare.push(json!({"kind": "VersionPackage", "metadata": {"generation": 1}, "spec": {}}));
    bare.push(json!({"kind": "VersionPackage", "metadata": {"generation": 1}, "status": {"observedGeneration": 1}}));
    for seen in argo_health(HEALTH, &bare) {
        assert_eq!(seen.status, "Progressing", "{}", seen.message);
        assert_eq!(seen.message, "Waiting for the operator");
    }
    bare[0]["metadata"]["deletionTimestamp"] = json!("2026-11-23T08:00:00Z");
    let seen = argo_health(HEALTH, &bare[..1]).remove(0);
    assert_eq!(
        (&*seen.status, &*seen.message),
        ("Progressing", "Pending deletion")
    );
}

#[test]
fn scripts_run_with_the_libraries_that_argo_cd_gives_and_no_others() {
    let object = [package(Reason::Active)];
    for (script, expected) in [
        ("return {status = 'Healthy', message = 'fine'}", "Healthy"),
        (
            "local os = require('os') os.time() table.insert({}, os.date('!%Y')) return {status = 'Healthy'}",
            "Healthy",
        ),
        ("return {status = string.format('Healthy')}", "Unknown"),
        ("return {status = ('Healthy'):sub(1)}", "Unknown"),
        ("math.floor(1) return {status = 'Healthy'}", "Unknown"),
        ("os.time() return {status = 'Healthy'}", "Unknown"),
        (
            "require('os').getenv('HOME') return {status = 'Healthy'}",
            "Unknown",
        ),
        ("while true do end", "Unknown"),
        ("return {status = 'Fine'}", "Unknown"),
        ("return 'Healthy'", "Unknown"),
        ("return", "Unknown"),
    ] {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), script).unwrap();
        let seen = argo_health(file.path().to_str().unwrap(), &object).remove(0);
        assert_eq!(seen.status, expected, "{script}: {}", seen.message);
    }
}

fn actions_folder(kind: &str) -> String {
    format!("docs/argocd/actions/{kind}")
}

/// The actions of a kind by their files.
fn actions(kind: &str) -> BTreeSet<String> {
    fs::read_dir(tool::root().join(actions_folder(kind)))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.strip_suffix(".lua").unwrap().to_owned())
        .filter(|name| name != "discovery")
        .collect()
}

/// Which actions Argo CD lets somebody run on each object now.
fn enabled(kind: &str, objects: &[Value]) -> Vec<Vec<String>> {
    let script = format!("{}/discovery.lua", actions_folder(kind));
    let all = actions(kind);
    let of_one = |offered: BTreeMap<String, bool>| {
        assert_eq!(offered.keys().cloned().collect::<BTreeSet<_>>(), all);
        let enabled = offered.into_iter().filter(|(_, enabled)| *enabled);
        enabled.map(|(name, _)| name).collect()
    };
    argo_actions(&script, objects)
        .into_iter()
        .map(of_one)
        .collect()
}

fn run(action: &str, kind: &str, objects: &[Value]) -> Vec<Value> {
    let folder = actions_folder(kind);
    argo_action(&format!("{folder}/{action}.lua"), objects)
}

fn annotated(annotations: &Value) -> Value {
    json!({"metadata": {"annotations": annotations}})
}

/// Objects of every reason of a kind, wanted and being deleted.
fn of_kind(kind: &str) -> Vec<Value> {
    let mut objects = objects(&states());
    objects.retain(|object| object["kind"] == kind);
    objects
}

#[test]
fn pausing_and_resuming_by_argo_cd_change_the_annotation_and_nothing_else() {
    let kind = "VersionPackage";
    let plain = of_kind(kind);
    let with = |annotations: Value| -> Vec<Value> {
        let mut objects = plain.clone();
        for object in &mut objects {
            object["metadata"]["annotations"] = annotations.clone();
        }
        objects
    };
    let (paused, ours) = (json!({"iodm.dev/paused": "true"}), "iodm.dev/paused");
    let each = |patch: Value| vec![annotated(&patch); plain.len()];
    assert_eq!(enabled(kind, &plain), vec![["pause", "retry"]; plain.len()]);
    assert_eq!(run("pause", kind, &plain), each(paused.clone()));
    let teams = with(json!({"team": "meters"}));
    assert_eq!(run("pause", kind, &teams), each(paused.clone()));

    let alone = with(paused);
    assert_eq!(
        enabled(kind, &alone),
        vec![["resume", "retry"]; plain.len()]
    );
    assert_eq!(run("resume", kind, &alone), each(Value::Null));
    let both = with(json!({"team": "meters", ours: "true"}));
    assert_eq!(run("resume", kind, &both), each(json!({ours: null})));
}

#[test]
fn retrying_by_argo_cd_asks_with_the_time_of_now() {
    let mut object = package(Reason::UnexpectedAnswer);
    object["metadata"]["annotations"] = json!({"iodm.dev/requested-at": "before"});
    let patch = run("retry", "VersionPackage", &[object]).remove(0);
    let at = patch["metadata"]["annotations"]["iodm.dev/requested-at"].clone();
    assert_eq!(patch, annotated(&json!({"iodm.dev/requested-at": at})));
    let at: Timestamp = at.as_str().unwrap().parse().unwrap();
    assert!(at.duration_until(Timestamp::now()).as_secs().abs() < 60);
}

#[test]
fn releasing_by_argo_cd_names_the_hold_of_now() {
    let kind = "Platform";
    let mut objects = of_kind(kind);
    objects.extend(unseen().into_iter().filter(|o| o["kind"] == kind));
    let said = enabled(kind, &objects)
        .into_iter()
        .zip(run("release-hold", kind, &objects));
    let mut held = 0;
    for (object, (enabled, patch)) in objects.iter().zip(said) {
        if object["status"].get("hold").is_some() {
            held += 1;
            assert_eq!(enabled, ["release-hold"]);
            assert_eq!(patch, annotated(&json!({"iodm.dev/release-hold": "h-3"})));
        } else {
            assert!(enabled.is_empty(), "{object}");
            assert_eq!(patch, json!({}));
        }
    }
    assert_eq!(held, 2);
}

/// What Argo CD needn't look at: numbers and notes that come and go without a change of health or of its message.
fn ignored(kind: &str) -> &'static [&'static str] {
    if kind == "Platform" {
        &[
            "/status/session",
            "/status/packages",
            "/status/queue",
            "/status/guard",
        ]
    } else {
        &[
            "/status/application",
            "/status/package",
            "/status/deletion",
            "/status/lastHandledRequestedAt",
        ]
    }
}

/// `text` as a block of YAML under `key`.
fn block(key: &str, text: &str) -> String {
    let mut block = format!("{key}: |\n");
    for line in text.lines() {
        let line = format!("  {line}");
        writeln!(block, "{}", line.trim_end()).unwrap();
    }
    block
}

/// The patch of Argo CD's settings that ships the scripts together.
fn argocd_cm() -> String {
    let mut data = String::new();
    for kind in KINDS {
        let key = |what: &str| format!("resource.customizations.{what}.iodm.dev_{kind}");
        data.push_str(&block(&key("health"), &read(HEALTH)));
        let folder = actions_folder(kind);
        let mut scripts = block("discovery.lua", &read(&format!("{folder}/discovery.lua")));
        scripts.push_str("definitions:\n");
        for action in actions(kind) {
            let script = read(&format!("{folder}/{action}.lua"));
            let definition = format!("name: {action}\n{}", block("action.lua", &script));
            let indented = block("", &definition);
            let indented = indented.split_once('\n').unwrap().1;
            scripts.push_str(&indented.replacen("  ", "- ", 1));
        }
        data.push_str(&block(&key("actions"), &scripts));
        let pointers: Vec<_> = ignored(kind).iter().map(|p| format!("- {p}")).collect();
        let pointers = format!("jsonPointers:\n{}", pointers.join("\n"));
        data.push_str(&block(&key("ignoreResourceUpdates"), &pointers));
    }
    format!(
        "# kubectl -n argocd patch configmap argocd-cm --type=merge --patch-file docs/argocd/argocd-cm.yaml\n\
         # Made of the scripts beside it: UPDATE_DOCS=1 cargo test --test gitops_tools\n{}",
        block("data", &data).replacen("data: |", "data:", 1)
    )
}

#[test]
fn the_settings_for_argo_cd_hold_the_scripts_as_they_are() {
    let path = "docs/argocd/argocd-cm.yaml";
    let wanted = argocd_cm();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(tool::root().join(path), &wanted).unwrap();
    }
    assert!(
        read(path) == wanted,
        "run UPDATE_DOCS=1 cargo test --test gitops_tools"
    );
    let settings: Value = serde_saphyr::from_str(&wanted).unwrap();
    let inner = |key: &str| -> Value {
        let text = settings["data"][key]
            .as_str()
            .unwrap_or_else(|| panic!("no {key}"));
        serde_saphyr::from_str(text).unwrap()
    };
    for kind in KINDS {
        let key = |what: &str| format!("resource.customizations.{what}.iodm.dev_{kind}");
        assert_eq!(settings["data"][key("health")], read(HEALTH));
        let actions_said = inner(&key("actions"));
        let folder = actions_folder(kind);
        assert_eq!(
            actions_said["discovery.lua"],
            read(&format!("{folder}/discovery.lua"))
        );
        let definitions = actions_said["definitions"].as_array().unwrap();
        assert_eq!(definitions.len(), actions(kind).len());
        for definition in definitions {
            let name = definition["name"].as_str().unwrap();
            assert_eq!(
                definition["action.lua"],
                read(&format!("{folder}/{name}.lua"))
            );
        }
        let pointers = inner(&key("ignoreResourceUpdates"));
        assert_eq!(pointers, json!({"jsonPointers": ignored(kind)}));
    }
}

#[test]
fn what_argo_cd_is_told_to_ignore_is_there_and_says_nothing_of_health() {
    for kind in KINDS {
        let objects = of_kind(kind);
        let mut stripped = objects.clone();
        for pointer in ignored(kind) {
            assert!(
                objects.iter().any(|o| o.pointer(pointer).is_some()),
                "{kind} {pointer}"
            );
            let field = pointer.strip_prefix("/status/").unwrap();
            for object in &mut stripped {
                object["status"].as_object_mut().unwrap().remove(field);
            }
        }
        let said = |objects: &[Value]| -> Vec<(String, String)> {
            let seen = argo_health(HEALTH, objects).into_iter();
            seen.map(|health| (health.status, health.message)).collect()
        };
        assert_eq!(said(&objects), said(&stripped));
    }
}

/// A path as kube-state-metrics reads it: names of fields, or `[type=Ready]` for an item of a list.
fn resolve<'a>(object: &'a Value, path: &Value) -> Option<&'a Value> {
    path.as_array()
        .unwrap()
        .iter()
        .try_fold(object, |value, part| {
            let part = part.as_str().unwrap();
            match part
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
            {
                Some(lookup) => {
                    let (key, wanted) = lookup.split_once('=').unwrap();
                    value.as_array()?.iter().find(|item| item[key] == wanted)
                }
                None => value.get(part),
            }
        })
}

fn state_metrics() -> Vec<Value> {
    let file: Value =
        serde_saphyr::from_str(&read("docs/kube-state-metrics/customresourcestate.yaml")).unwrap();
    assert_eq!(file["kind"], "CustomResourceStateMetrics");
    file["spec"]["resources"].as_array().unwrap().clone()
}

#[test]
fn every_path_for_kube_state_metrics_leads_to_a_value_of_its_type() {
    let resources = state_metrics();
    let kinds = resources.iter().map(|r| &r["groupVersionKind"]["kind"]);
    assert_eq!(kinds.collect::<Vec<_>>(), KINDS);
    for resource in &resources {
        let kind = &resource["groupVersionKind"];
        let expected = json!({"group": "iodm.dev", "version": "v1alpha1", "kind": kind["kind"]});
        assert_eq!(kind, &expected);
        let objects = of_kind(kind["kind"].as_str().unwrap());
        let values = |path: &Value| -> Vec<&Value> {
            let found: Vec<_> = objects.iter().filter_map(|o| resolve(o, path)).collect();
            assert!(!found.is_empty(), "{path} leads nowhere on any {kind}");
            found
        };
        let labels = |labels: &Value| {
            for (label, path) in labels.as_object().into_iter().flatten() {
                assert!(values(path).iter().all(|v| v.is_string()), "{label}");
            }
        };
        labels(&resource["labelsFromPath"]);
        for metric in resource["metrics"].as_array().unwrap() {
            let each = &metric["each"];
            match each["type"].as_str().unwrap() {
                "Info" => {
                    assert!(metric["name"].as_str().unwrap().ends_with("info"));
                    labels(&each["info"]["labelsFromPath"]);
                }
                "StateSet" => {
                    let listed = each["stateSet"]["list"].as_array().unwrap();
                    let found = values(&each["stateSet"]["path"]);
                    assert!(found.iter().all(|v| listed.contains(v)), "{metric}");
                    assert!(listed.iter().all(|v| found.contains(&v)), "{metric}");
                }
                "Gauge" => {
                    for value in values(&each["gauge"]["path"]) {
                        let time = || value.as_str()?.parse::<Timestamp>().ok();
                        assert!(value.is_number() || time().is_some(), "{metric}");
                    }
                }
                other => panic!("{other} is no type of kube-state-metrics"),
            }
        }
    }
}

#[test]
fn the_words_for_kube_state_metrics_are_those_of_the_enums() {
    let mut lists = BTreeMap::new();
    for resource in state_metrics() {
        let kind = resource["groupVersionKind"]["kind"]
            .as_str()
            .unwrap()
            .to_owned();
        for metric in resource["metrics"].as_array().unwrap() {
            let list = metric["each"]["stateSet"]["list"].clone();
            if list.is_array() {
                let name = metric["name"].as_str().unwrap();
                lists.insert(format!("{kind} {name}"), list);
            }
        }
    }
    let reasons = PlatformReason::ALL.iter().map(|r| r.as_str());
    let wanted = [
        ("VersionPackage phase", json!(Phase::ALL)),
        ("Platform mode", json!([Mode::Enforce, Mode::Observe])),
        ("Platform reason", json!(reasons.collect::<Vec<_>>())),
    ];
    let wanted = wanted.map(|(name, list)| (name.to_owned(), list));
    assert_eq!(lists, BTreeMap::from(wanted));
}

/// The table of the guide: each phase as Flux and Argo CD show it, by their own answers.
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
fn the_guide_shows_each_phase_as_the_tools_do() {
    let guide = read("docs/gitops.md");
    let table = phases_table();
    assert!(
        guide.contains(&table),
        "docs/gitops.md lacks the table:\n{table}"
    );
}
