//! Git tools on a real control plane: Flux's own engine, Argo CD's actions and kubectl apply, wait for, change and
//! prune objects. No object looks ready too early, and no tool fights over a field.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod support;

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use support::{
    AuditEvent, Flux, Layout, OPERATOR, Rig, SOON, argo_action, argo_health, ready, wait_for,
};

const FIRST: &str = "package-00001";
const SECOND: &str = "package-00002";
const THIRD: &str = "package-00003";
/// The package of the barrier object, which shows that the operator has handled all earlier changes.
const LAST: &str = "package-00019";

const PLATFORMS: &str = "docs/flux/platforms.yaml";
const PACKAGES: &str = "docs/flux/packages.yaml";

fn is_current(object: &Value) -> bool {
    object["status"]["observedGeneration"] == object["metadata"]["generation"]
}

/// The operator's writes to packages of this namespace since a place in the audit log.
///
/// An object created last shows that the operator has handled all earlier changes. Its own writes don't count.
async fn writes_of_the_operator(rig: &Rig<'_>, since: u64) -> Vec<AuditEvent> {
    let barrier = "looked-at-last";
    rig.active(&[(barrier, LAST)]).await;
    let operator = format!("system:serviceaccount:{OPERATOR}:{OPERATOR}");
    wait_for("the audit log to tell the last write", SOON, async || {
        let mut events = rig.plane.audit_events_from(since);
        events.retain(|event| {
            let ours = event.user == operator && event.namespace == rig.namespace;
            ours && event.resource == "versionpackages" && !event.reads()
        });
        let told = |e: &AuditEvent| e.name == barrier && e.subresource == "status";
        let all_told = events.iter().any(told);
        events.retain(|event| event.name != barrier);
        all_told.then_some(events)
    })
    .await
}

/// The resourceVersions of objects, which change with every write.
async fn versions(rig: &Rig<'_>, names: &[&str]) -> Vec<Value> {
    let mut versions = Vec::new();
    for name in names {
        let object = rig.get(name).await.expect("the object is there");
        versions.push(object["metadata"]["resourceVersion"].clone());
    }
    versions
}

fn list(items: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

#[tokio::test]
async fn flux_waits_for_the_operator_recovers_from_a_failure_and_prunes_completely() {
    let rig = Rig::shared("flux", Layout::default()).await;
    let (plane, history) = (rig.plane, rig.history().await);
    let secrets = ["production-app", "production-ca", "fleet-app", "fleet-ca"];
    plane.grant_secrets(&rig.namespace, &secrets);
    let quota = Layout::default().platform;
    let platform = rig.simulator.platform(&rig.namespace, "fleet", &quota);
    let platform: Value = serde_json::from_str(&platform).unwrap();
    let platform = platform["items"].as_array().unwrap();
    let package = |name: &str, file_id: &str, spec: Value| {
        let mut spec = spec;
        spec["platformRef"] = json!({"name": "fleet"});
        rig.manifest(name, file_id, &spec)
    };
    let id = |name: &str| format!("VersionPackage/{}/{name}", rig.namespace);
    let names = ["wanted", "retired", "pruned"];

    // The platforms first, as the second Kustomization depends on the first.
    let revision = Flux::new(plane, PLATFORMS).reconcile(platform);
    assert_eq!(revision.unhealthy, "");
    assert_eq!(revision.pruned, None);
    let get = ["get", "platform", "fleet", "-o", "json"];
    let object: Value = serde_json::from_str(&rig.kubectl(&get).expect_ok()).unwrap();
    assert_eq!(ready(&object)["reason"], "Available");
    assert!(is_current(&object));

    let mut packages = Flux::new(plane, PACKAGES);
    let files = [FIRST, SECOND, THIRD];
    let mut set: Vec<Value> = names
        .iter()
        .zip(files)
        .map(|(name, file_id)| package(name, file_id, json!({})))
        .collect();
    let revision = packages.reconcile(&set);
    assert_eq!(revision.unhealthy, "");
    for name in names {
        assert_eq!(revision.applied[&id(name)], "created");
        let object = rig.get(name).await.unwrap();
        assert_eq!(ready(&object)["reason"], "Active");
        assert!(is_current(&object));
    }

    // Applying the same revision again causes no write of Flux or the operator.
    let (start, before) = (plane.audit_end(), versions(&rig, &names).await);
    let revision = packages.reconcile(&set);
    assert_eq!(revision.unhealthy, "");
    assert!(
        revision
            .applied
            .values()
            .all(|action| action == "unchanged")
    );
    assert_eq!(versions(&rig, &names).await, before);
    let writes = writes_of_the_operator(&rig, start).await;
    assert!(writes.is_empty(), "{writes:?}");

    // A change is complete only when the package is deleted.
    set[1] = package("retired", SECOND, json!({"lifecycle": "Retired"}));
    let revision = packages.reconcile(&set);
    assert_eq!(revision.unhealthy, "");
    assert_eq!(revision.applied[&id("retired")], "configured");
    assert!(!rig.simulator.has(SECOND).await);

    // Objects removed from Git are deleted with their packages; the others stay.
    let pruned = set.pop().unwrap();
    let revision = packages.reconcile(&set);
    assert_eq!(revision.unhealthy, "");
    assert_eq!(revision.pruned.unwrap()[&id("pruned")], "deleted");
    rig.gone("pruned").await;
    assert_eq!(rig.deletes(THIRD).await.len(), 1);
    assert!(!rig.simulator.has(THIRD).await);
    assert!(rig.simulator.has(FIRST).await);

    // A failure is reported at once, long before the timeout, and ends with its cause.
    rig.simulator
        .fault(FIRST, &json!("bare-404"), &json!("forever"))
        .await;
    set[0] = package("wanted", FIRST, json!({"lifecycle": "Retired"}));
    let revision = packages.reconcile(&set);
    let early = "failed early due to stalled resources";
    assert!(
        revision.unhealthy.starts_with(early),
        "{}",
        revision.unhealthy
    );
    assert!(revision.unhealthy.contains(&id("wanted")));
    assert!(!revision.unhealthy.contains(&id("retired")));
    let simulator = &rig.simulator;
    simulator
        .admin(Method::DELETE, "/faults", &Value::Null)
        .await;
    rig.annotate("vp/wanted", "requested-at", Some("mended"));
    rig.reason("wanted", "Deleted").await;
    let revision = packages.reconcile(&set);
    assert_eq!(revision.unhealthy, "");

    history
        .gone(pruned["metadata"]["name"].as_str().unwrap())
        .await;
    history.assert_kstatus();
}

#[tokio::test]
async fn kubectl_wait_returns_when_the_operator_has_handled_the_newest_change() {
    let rig = Rig::shared("wait", Layout::default()).await;
    let wait = |condition: &str, object: &str| {
        let condition = format!("--for={condition}");
        rig.kubectl(&["wait", &condition, object, "--timeout=20s"])
            .expect_ok();
    };
    let manifest = rig.manifest("meter", FIRST, &json!({}));
    rig.plane.apply(&manifest.to_string()).expect_ok();
    wait("condition=Ready", "vp/meter");
    assert_eq!(ready(&rig.get("meter").await.unwrap())["reason"], "Active");
    // The object was ready before; for the new generation it isn't until the package is deleted.
    rig.retire("meter");
    wait("condition=Ready", "vp/meter");
    assert_eq!(ready(&rig.get("meter").await.unwrap())["reason"], "Deleted");
    assert!(!rig.simulator.has(FIRST).await);
    wait("condition=Ready", "platform/production");

    rig.active(&[("held", SECOND)]).await;
    rig.annotate("vp/held", "paused", Some("true"));
    rig.delete("held");
    wait("condition=Stalled", "vp/held");
    let refused = ["wait", "--for=delete", "vp/held", "--timeout=1s"];
    rig.kubectl(&refused).expect_refused();
    assert!(rig.simulator.has(SECOND).await);
    rig.annotate("vp/held", "paused", None);
    wait("delete", "vp/held");
    assert!(!rig.simulator.has(SECOND).await);
}

#[tokio::test]
async fn kubectl_apply_prune_deletes_exactly_the_objects_removed_from_the_set() {
    let rig = Rig::shared("prune", Layout::default()).await;
    let labelled = |name: &str, file_id: &str| {
        let mut manifest = rig.manifest(name, file_id, &json!({}));
        manifest["metadata"]["labels"] = json!({"team": "meters"});
        manifest
    };
    let set = [labelled("kept", FIRST), labelled("dropped", SECOND)];
    let allow = "--prune-allowlist=iodm.dev/v1alpha1/VersionPackage";
    let namespace = rig.namespace.as_str();
    let apply = |set: &[Value]| {
        let command = [
            "-n",
            namespace,
            "apply",
            "--prune",
            "-l",
            "team=meters",
            allow,
            "-f",
            "-",
        ];
        let plane = rig.plane;
        plane
            .kubectl_with(plane.kubeconfig(), &command, &list(set))
            .expect_ok()
    };
    rig.active(&[("unlabelled", THIRD)]).await;
    apply(&set);
    for name in ["kept", "dropped"] {
        rig.reason(name, "Active").await;
    }
    let (start, before) = (
        rig.plane.audit_end(),
        versions(&rig, &["kept", "dropped"]).await,
    );
    let said = apply(&set);
    assert_eq!(
        said.lines()
            .filter(|line| line.ends_with(" unchanged"))
            .count(),
        2,
        "{said}"
    );
    assert_eq!(versions(&rig, &["kept", "dropped"]).await, before);
    let writes = writes_of_the_operator(&rig, start).await;
    assert!(writes.is_empty(), "{writes:?}");

    let said = apply(&set[..1]);
    assert!(
        said.contains("versionpackage.iodm.dev/dropped pruned"),
        "{said}"
    );
    rig.gone("dropped").await;
    assert_eq!(rig.deletes(SECOND).await.len(), 1);
    for (name, file_id) in [("kept", FIRST), ("unlabelled", THIRD)] {
        assert_eq!(ready(&rig.get(name).await.unwrap())["reason"], "Active");
        assert!(rig.simulator.has(file_id).await);
    }
}

#[tokio::test]
async fn kubectl_delete_k_returns_when_every_package_is_gone() {
    let rig = Rig::shared("kustomize", Layout::default()).await;
    let folder = TempDir::new().unwrap();
    let files = [("first", FIRST), ("second", SECOND)];
    for (name, file_id) in files {
        let manifest = rig.manifest(name, file_id, &json!({})).to_string();
        std::fs::write(folder.path().join(format!("{name}.yaml")), manifest).unwrap();
    }
    let kustomization = json!({"resources": ["first.yaml", "second.yaml"]}).to_string();
    std::fs::write(folder.path().join("kustomization.yaml"), kustomization).unwrap();
    let path = folder.path().to_str().unwrap();
    rig.kubectl(&["apply", "-k", path]).expect_ok();
    for (name, _) in files {
        rig.reason(name, "Active").await;
    }
    rig.kubectl(&["delete", "-k", path, "--timeout=20s"])
        .expect_ok();
    for (name, file_id) in files {
        assert!(rig.get(name).await.is_none());
        assert!(!rig.simulator.has(file_id).await);
        assert_eq!(rig.deletes(file_id).await.len(), 1);
    }
}

/// The owners of an object's fields: for `metadata` each field by name, else `spec` or `status`.
fn owners(rig: &Rig<'_>, name: &str) -> BTreeSet<(String, String)> {
    let get = ["get", "vp", name, "-o", "json", "--show-managed-fields"];
    let object: Value = serde_json::from_str(&rig.kubectl(&get).expect_ok()).unwrap();
    let fields = |set: &Value| -> Vec<String> {
        let keys = set.as_object().unwrap().keys();
        keys.map(|key| key.trim_start_matches("f:").to_owned())
            .collect()
    };
    let mut owners = BTreeSet::new();
    for entry in object["metadata"]["managedFields"].as_array().unwrap() {
        let mut theirs = fields(&entry["fieldsV1"]);
        if let Some(metadata) = entry["fieldsV1"].get("f:metadata") {
            theirs.retain(|field| field != "metadata");
            theirs.extend(fields(metadata));
        }
        let manager = entry["manager"].as_str().unwrap();
        owners.extend(theirs.into_iter().map(|field| (manager.to_owned(), field)));
    }
    owners
}

#[tokio::test]
async fn two_field_managers_and_the_operator_keep_their_own_fields() {
    let rig = Rig::shared("managers", Layout::default()).await;
    let apply = |manager: &str, manifest: &Value| {
        let manager = format!("--field-manager={manager}");
        let command = ["apply", "--server-side", &manager, "-f", "-"];
        let plane = rig.plane;
        plane.kubectl_with(plane.kubeconfig(), &command, &manifest.to_string())
    };
    let by_git = rig.manifest("meter", FIRST, &json!({"deletionPolicy": "Delete"}));
    let mut by_person = by_git.clone();
    by_person["spec"] = json!({"retireAfter": "2100-01-01T00:00:00Z"});
    by_person["metadata"]["labels"] = json!({"team": "meters"});
    apply("git", &by_git).expect_ok();
    rig.reason("meter", "Active").await;
    apply("person", &by_person).expect_ok();
    rig.reason("meter", "Scheduled").await;

    // A repeated apply of an unchanged object writes nothing, and takes nothing from the other manager.
    let (start, before) = (rig.plane.audit_end(), versions(&rig, &["meter"]).await);
    for _ in 0..3 {
        apply("git", &by_git).expect_ok();
        apply("person", &by_person).expect_ok();
    }
    assert_eq!(versions(&rig, &["meter"]).await, before);
    // The operator ignores labels.
    rig.kubectl(&["label", "vp/meter", "floor=3"]).expect_ok();
    let writes = writes_of_the_operator(&rig, start).await;
    assert!(writes.is_empty(), "{writes:?}");
    let mut contrary = by_git.clone();
    contrary["spec"]["retireAfter"] = json!("2200-01-01T00:00:00Z");
    let refused = apply("git", &contrary).expect_refused();
    assert!(refused.contains("conflict with \"person\""), "{refused}");
    assert!(refused.contains(".spec.retireAfter"), "{refused}");

    let people = ["git", "person", "kubectl-label"];
    let (theirs, ours): (BTreeSet<_>, BTreeSet<_>) = owners(&rig, "meter")
        .into_iter()
        .partition(|(manager, _)| people.contains(&manager.as_str()));
    assert!(
        theirs
            .iter()
            .all(|(_, field)| ["spec", "labels"].contains(&field.as_str()))
    );
    let ours: BTreeSet<_> = ours.iter().map(|(_, field)| field.as_str()).collect();
    assert_eq!(ours, BTreeSet::from(["finalizers", "status"]));
}

#[tokio::test]
async fn the_actions_of_argo_cd_pause_resume_and_retry_a_deletion() {
    let rig = Rig::shared("argo", Layout::default()).await;
    let run = async |name: &str, action: &str| {
        let script = format!("docs/argocd/actions/VersionPackage/{action}.lua");
        let patches = argo_action(&script, &[rig.get(name).await.unwrap()]);
        rig.patch(&format!("vp/{name}"), &patches[0]);
    };
    let health = |object: &Value| {
        let health = argo_health("docs/argocd/health.lua", std::slice::from_ref(object));
        health.into_iter().next().unwrap()
    };
    rig.active(&[("deleted", FIRST), ("retired", SECOND)]).await;
    assert_eq!(health(&rig.get("deleted").await.unwrap()).status, "Healthy");
    for name in ["deleted", "retired"] {
        run(name, "pause").await;
    }
    rig.delete("deleted");
    rig.retire("retired");
    let deleted = health(&rig.reason("deleted", "Paused").await);
    assert_eq!(deleted.status, "Degraded");
    assert!(
        deleted.message.starts_with("Pending deletion: "),
        "{}",
        deleted.message
    );
    let retired = health(&rig.reason("retired", "Paused").await);
    assert_eq!(retired.status, "Suspended");
    assert!(
        retired.message.contains("iodm.dev/paused"),
        "{}",
        retired.message
    );
    assert!(rig.simulator.has(FIRST).await && rig.simulator.has(SECOND).await);

    rig.simulator
        .fault(SECOND, &json!("bare-404"), &json!(1))
        .await;
    for name in ["deleted", "retired"] {
        run(name, "resume").await;
    }
    rig.gone("deleted").await;
    let stalled = health(&rig.reason("retired", "UnexpectedAnswer").await);
    assert_eq!(stalled.status, "Degraded");
    run("retired", "retry").await;
    let done = rig.reason("retired", "Deleted").await;
    assert_eq!(health(&done).status, "Healthy");
    let asked = &done["metadata"]["annotations"]["iodm.dev/requested-at"];
    assert_eq!(&done["status"]["lastHandledRequestedAt"], asked);
}
