//! Installation and removal as in the README: the API server and the binary accept the shipped files, and nothing in
//! them deletes a package by accident.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use support::{
    Layout, OPERATOR, Operator, Plane, Process, Rig, SOON, alone, install_crypto, start_operator,
    wait_for,
};

/// The objects that a folder of manifests builds.
fn built(plane: &Plane, folder: &str) -> Vec<Value> {
    let text = plane.kubectl(&["kustomize", folder]).expect_ok();
    serde_saphyr::from_multiple(&text).unwrap()
}

fn deployment(plane: &Plane) -> Value {
    let objects = built(plane, "manifests/install");
    let mut deployments = objects.into_iter().filter(|o| o["kind"] == "Deployment");
    deployments.next().unwrap()
}

/// The output of `vpo run --help`.
fn help() -> String {
    let vpo = Command::new(env!("CARGO_BIN_EXE_vpo"))
        .args(["run", "--help"])
        .output()
        .unwrap();
    assert!(vpo.status.success());
    String::from_utf8(vpo.stdout).unwrap()
}

fn texts(values: &Value) -> Vec<String> {
    let values = values.as_array().unwrap().iter();
    values
        .map(|value| value.as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn everything_shipped_is_accepted_without_a_warning() {
    let (_turn, plane) = alone().await;
    let namespace = plane.namespace("access");
    for arguments in [
        ["apply", "-f", "crds"].as_slice(),
        &["apply", "-k", "manifests/install"],
        &["apply", "-n", &namespace, "-k", "manifests/platform-access"],
        // The namespaces first, as a Git tool would apply them.
        &["apply", "-f", "manifests/samples/namespaces.yaml"],
        &["apply", "-k", "manifests/samples"],
    ] {
        let said = plane.kubectl(arguments);
        assert!(said.ok, "{arguments:?}: {}", said.stderr);
        assert_eq!(said.stderr, "", "{arguments:?}");
    }
    // Deleting the operator's manifests must not delete the definitions, and with them every object.
    let kinds: Vec<_> = built(plane, "manifests/install")
        .iter()
        .map(|object| object["kind"].clone())
        .collect();
    assert!(!kinds.contains(&json!("CustomResourceDefinition")));
    plane
        .kubectl(&["delete", "-k", "manifests/samples", "--wait=false"])
        .expect_ok();
}

#[tokio::test]
async fn the_deployment_runs_a_leader_and_a_standby_without_privileges() {
    let deployment = deployment(Plane::shared());
    let spec = &deployment["spec"];
    assert_eq!(spec["replicas"], 2);
    // The new pod is ready, with everything listed, before the old one releases its Lease.
    assert_eq!(
        spec["strategy"],
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}})
    );
    let pod = &spec["template"]["spec"];
    assert_eq!(pod["serviceAccountName"], OPERATOR);
    // A stop takes up to 10 s. A kill during that time would lose the handling of an answer.
    assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() > 10);
    // The user is the one of the image: OpenShift refuses a fixed one.
    assert_eq!(
        pod["securityContext"],
        json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}})
    );
    for field in ["hostNetwork", "hostPID", "hostIPC", "volumes"] {
        assert_eq!(pod.get(field), None, "{field}");
    }
    let [container] = pod["containers"].as_array().unwrap().as_slice() else {
        panic!("one container: {pod:#}");
    };
    assert_eq!(
        container["securityContext"],
        json!({
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        })
    );
    for resource in ["cpu", "memory"] {
        assert!(container["resources"]["requests"].get(resource).is_some());
    }
    let port = |probe: &str| &container[probe]["httpGet"]["port"];
    assert_eq!(
        (port("livenessProbe"), port("readinessProbe")),
        (&json!("admin"), &json!("admin"))
    );
    assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/livez");
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");
}

#[tokio::test]
async fn the_binary_accepts_the_arguments_and_serves_the_port_of_the_deployment() {
    let (_turn, plane) = alone().await;
    let deployment = deployment(plane);
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let arguments = texts(&container["args"]);
    let help = help();
    let flags = arguments.iter().filter(|word| word.starts_with("--"));
    for flag in flags {
        let name = flag.split('=').next().unwrap();
        assert!(help.contains(name), "{name} in {help}");
    }
    let port = container["ports"][0]["containerPort"].as_u64().unwrap();
    let default = format!("[default: [::]:{port}]");
    assert!(help.contains(&default), "{default} in {help}");
    let environment = container["env"].as_array().unwrap().iter();
    let environment: Vec<_> = environment
        .map(|value| {
            (
                value["name"].as_str().unwrap(),
                value["valueFrom"]["fieldRef"]["fieldPath"]
                    .as_str()
                    .unwrap(),
            )
        })
        .collect();
    assert_eq!(
        environment,
        [
            ("POD_NAME", "metadata.name"),
            ("POD_UID", "metadata.uid"),
            ("POD_NAMESPACE", "metadata.namespace")
        ]
    );

    install_crypto();
    let kubeconfig = plane.kubeconfig_for(OPERATOR, OPERATOR);
    let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    arguments.push("--admin-listen=127.0.0.1:0");
    let operator = Process::start(
        env!("CARGO_BIN_EXE_vpo"),
        &arguments,
        [
            ("KUBECONFIG", kubeconfig.as_os_str()),
            ("POD_NAMESPACE", OPERATOR.as_ref()),
        ],
    );
    wait_for("the operator to be ready", SOON, async || {
        let line = operator
            .stderr()
            .into_iter()
            .find(|line| line.contains("starting"))?;
        let line: Value = serde_json::from_str(&line).unwrap();
        let admin = line["admin"]
            .as_str()
            .or(line["fields"]["admin"].as_str())?;
        let ready = reqwest::get(format!("http://{admin}/readyz")).await.ok()?;
        ready.status().is_success().then_some(())
    })
    .await;
}

/// Runs the script that the README names, which has to succeed; returns what it said.
fn uninstall(plane: &Plane, flags: &[&str]) -> String {
    let (success, said) = try_uninstall(plane, flags);
    assert!(success, "{flags:?}: {said}");
    said
}

/// Runs the script; returns whether it succeeded, and what it said.
fn try_uninstall(plane: &Plane, flags: &[&str]) -> (bool, String) {
    let kubectl = format!(
        "{} --kubeconfig {}",
        Plane::kubectl_path().display(),
        plane.kubeconfig().display()
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/uninstall.sh");
    let script = Command::new(script)
        .args(flags)
        .env("KUBECTL", kubectl)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&script.stdout),
        String::from_utf8_lossy(&script.stderr)
    );
    (script.status.success(), said)
}

/// The specs of all objects, without the statuses.
fn wishes(plane: &Plane) -> Vec<Value> {
    let kinds = "vp,platforms,deployments,clusterroles,clusterrolebindings,roles,rolebindings,crds";
    let list = plane.kubectl(&["get", kinds, "--all-namespaces", "-o", "json"]);
    let list: Value = serde_json::from_str(&list.expect_ok()).unwrap();
    let items = list["items"].as_array().unwrap().iter();
    items
        .map(|object| {
            let meta = &object["metadata"];
            json!([
                object["kind"],
                meta["namespace"],
                meta["name"],
                meta["uid"],
                meta["generation"],
                meta["annotations"],
                meta["deletionTimestamp"],
                object["spec"],
                object["rules"]
            ])
        })
        .collect()
}

fn deletes(ledger: &[Value]) -> usize {
    ledger
        .iter()
        .filter(|call| call["method"] == "DELETE")
        .count()
}

/// Nobody would take the finalizers off: the script says so, and touches no object.
fn stops_without_an_operator(plane: &Plane, rig: &Rig<'_>) {
    let mut early = rig.manifest("early", "package-00006", &json!({}));
    early["metadata"]["finalizers"] = json!(["iodm.dev/package"]);
    plane.apply(&early.to_string()).expect_ok();
    let dry = uninstall(plane, &["--dry-run", "--timeout", "7"]);
    assert!(
        dry.contains("with --yes this would end here: no operator runs"),
        "{dry}"
    );
    let (success, said) = try_uninstall(plane, &["--yes", "--timeout", "7"]);
    assert!(!success && said.contains("no operator runs"), "{said}");
    let policy = "jsonpath={.spec.deletionPolicy} {.metadata.deletionTimestamp}";
    let early = rig.kubectl(&["get", "vp", "early", "-o", policy]);
    assert_eq!(early.expect_ok(), "Delete ");
    rig.patch("platform/production", &json!({"spec": {"mode": "Enforce"}}));
}

#[tokio::test]
async fn uninstalling_deletes_no_package_and_leaves_nothing_stuck() {
    let plane = Plane::start();
    plane.install();
    let rig = Rig::on(&plane, "fleet", Layout::default()).await;
    stops_without_an_operator(&plane, &rig);
    let mut operator: Operator = start_operator(&plane, &[]);
    operator.ready().await;
    // Objects in every situation: live, retired with a deleted package, held, deleted and held, without a Platform.
    rig.active(&[("wanted", "package-00001"), ("done", "package-00002")])
        .await;
    rig.retire("done");
    rig.reason("done", "Deleted").await;
    rig.active(&[("held", "package-00003"), ("going", "package-00004")])
        .await;
    for name in ["held", "going"] {
        rig.annotate(&format!("vp/{name}"), "paused", Some("true"));
    }
    rig.retire("held");
    rig.reason("held", "Paused").await;
    rig.delete("going");
    rig.reason("going", "Paused").await;
    let lost = rig.manifest(
        "lost",
        "package-00005",
        &json!({"platformRef": {"name": "none"}}),
    );
    plane.apply(&lost.to_string()).expect_ok();
    rig.reason("lost", "PlatformNotFound").await;
    assert_eq!(deletes(&rig.simulator.ledger().await), 1);

    let before = wishes(&plane);
    let said = uninstall(&plane, &["--dry-run", "--with-crds"]);
    for name in ["wanted", "done", "held", "going", "lost", "production"] {
        assert!(said.contains(name), "{name} in {said}");
    }
    assert_eq!(wishes(&plane), before);
    for done in ["->", "Retain, deleted", "no operator runs"] {
        assert!(!said.contains(done), "{done} in {said}");
    }

    uninstall(&plane, &["--yes", "--timeout", "60"]);
    let left = plane.kubectl(&["get", "vp", "--all-namespaces", "-o", "name"]);
    assert_eq!(left.expect_ok(), "");
    let mode = rig.kubectl(&[
        "get",
        "platform",
        "production",
        "-o",
        "jsonpath={.spec.mode}",
    ]);
    assert_eq!(mode.expect_ok(), "Observe");
    let part_of = format!("app.kubernetes.io/part-of={OPERATOR}");
    let kinds = "deployments,services,serviceaccounts,networkpolicies,clusterroles,clusterrolebindings,roles,rolebindings";
    wait_for(
        "the operator's own objects to go",
        Duration::from_secs(60),
        async || {
            let left = plane.kubectl(&[
                "get",
                kinds,
                "--all-namespaces",
                "-l",
                &part_of,
                "-o",
                "name",
            ]);
            left.expect_ok().is_empty().then_some(())
        },
    )
    .await;
    // Only the deletion requested before the removal.
    assert_eq!(deletes(&rig.simulator.ledger().await), 1);
    let crds = plane.kubectl(&["get", "crds", "-o", "name"]).expect_ok();
    assert_eq!(crds.matches("iodm.dev").count(), 2, "{crds}");

    uninstall(&plane, &["--yes", "--with-crds"]);
    let crds = plane.kubectl(&["get", "crds", "-o", "name"]).expect_ok();
    assert!(!crds.contains("iodm.dev"), "{crds}");
    assert_eq!(deletes(&rig.simulator.ledger().await), 1);
}
