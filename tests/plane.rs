//! The basis of all end-to-end tests: a real control plane that ends with its owner.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{Plane, Process, wait_for};

/// The time limit until the end of an owner has ended everything it started.
const END: Duration = Duration::from_secs(10);
/// The time limit: the controller checks an ending namespace again after growing pauses.
const NAMESPACE_END: Duration = Duration::from_secs(60);

#[test]
fn the_server_reports_its_version_and_kubectl_accepts_it() {
    let said = Plane::shared().kubectl(&["version"]);
    assert!(said.stdout.contains("Server Version: v1."), "{said:?}");
    assert_eq!(said.stderr, "");
}

#[test]
fn a_token_without_a_role_is_refused_and_the_audit_log_shows_it() {
    let plane = Plane::shared();
    let namespace = plane.namespace("rbac");
    plane
        .kubectl(&["create", "serviceaccount", "nobody", "-n", &namespace])
        .expect_ok();
    let kubeconfig = plane.kubeconfig_for(&namespace, "nobody");
    let refusal = plane
        .kubectl_with(&kubeconfig, &["get", "secrets", "-n", &namespace], "")
        .expect_refused();
    assert!(refusal.contains("Forbidden"), "{refusal}");

    let user = format!("system:serviceaccount:{namespace}:nobody");
    let deadline = Instant::now() + END;
    let event = loop {
        let events = plane.audit_events();
        if let Some(event) = events
            .into_iter()
            .find(|event| event.user == user && event.resource == "secrets")
        {
            break event;
        }
        assert!(Instant::now() < deadline, "no audit event of {user}");
    };
    assert_eq!((event.verb.as_str(), event.code), ("list", 403));
    assert!(event.user_agent.starts_with("kubectl/"), "{event:?}");
}

#[tokio::test]
async fn a_namespace_ends_only_after_the_finalizers_in_it() {
    let plane = Plane::shared();
    let namespace = plane.namespace("ending");
    let held = serde_json::json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"namespace": namespace, "name": "held", "finalizers": ["iodm.dev/package"]},
    });
    plane.apply(&held.to_string()).expect_ok();
    plane
        .kubectl(&["delete", "namespace", &namespace, "--wait=false"])
        .expect_ok();
    wait_for(
        "the controller to name the finalizer",
        NAMESPACE_END,
        async || {
            let said = plane.kubectl(&["get", "namespace", &namespace, "-o", "json"]);
            said.stdout
                .contains("iodm.dev/package in 1 resource instances")
                .then_some(())
        },
    )
    .await;
    plane
        .kubectl(&[
            "patch",
            "configmap",
            "held",
            "-n",
            &namespace,
            "--type=json",
            r#"--patch=[{"op": "remove", "path": "/metadata/finalizers"}]"#,
        ])
        .expect_ok();
    wait_for(
        "the namespace to end",
        Duration::from_secs(60),
        async || {
            let said = plane.kubectl(&["get", "namespace", &namespace]);
            said.stderr.contains("NotFound").then_some(())
        },
    )
    .await;
}

#[tokio::test]
async fn a_client_reads_what_kubectl_wrote() {
    let plane = Plane::shared();
    let namespace = plane.namespace("client");
    let api: kube::Api<k8s_openapi::api::core::v1::Namespace> =
        kube::Api::all(plane.client().await);
    assert!(api.get_opt(&namespace).await.unwrap().is_some());
}

#[tokio::test]
async fn a_dropped_plane_leaves_no_process_and_no_folder() {
    let plane = Plane::start();
    let (pids, dir) = (
        plane.processes().values().copied().collect::<Vec<_>>(),
        plane.dir().to_owned(),
    );
    assert!(pids.iter().all(|&pid| runs(pid)) && dir.exists());
    drop(plane);
    gone(&pids, &dir).await;
}

#[tokio::test]
async fn an_owner_that_is_killed_takes_everything_with_it() {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture", OWNER])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let line = BufReader::new(owner.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix(STARTED).map(str::to_owned))
        .expect("the owner says what it started");
    let (dir, pids): (String, Vec<u32>) = serde_json::from_str(&line).unwrap();
    assert!(pids.iter().all(|&pid| runs(pid)));
    owner.kill().unwrap();
    owner.wait().unwrap();
    gone(&pids, Path::new(&dir)).await;
}

const OWNER: &str = "owner_that_waits_to_be_killed";
const STARTED: &str = "started ";

#[tokio::test]
#[ignore = "started by an_owner_that_is_killed_takes_everything_with_it, as a process of its own"]
async fn owner_that_waits_to_be_killed() {
    let plane = Plane::start();
    let child = Process::start("sleep", ["600"], [("LC_ALL", "C")]);
    let child_id = child.id().await;
    let pids: Vec<u32> = plane
        .processes()
        .values()
        .copied()
        .chain([child_id])
        .collect();
    println!(
        "\n{STARTED}{}",
        serde_json::json!([plane.dir().to_str().unwrap(), pids])
    );
    std::thread::park();
}

#[tokio::test]
async fn a_child_gets_its_signals_and_its_output_is_kept() {
    let script = "trap 'echo stopping; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
    let mut child = Process::start("bash", ["-c", script], [("LC_ALL", "C")]);
    wait_for("the first line", END, async || {
        (child.stdout() == ["ready"]).then_some(())
    })
    .await;
    child.signal("TERM");
    assert_eq!(child.ended(END).await.code(), Some(7));
    wait_for("the last line", END, async || {
        (child.stdout() == ["ready", "stopping"]).then_some(())
    })
    .await;
}

async fn gone(pids: &[u32], dir: &Path) {
    wait_for("the end of everything started", END, async || {
        (!pids.iter().any(|&pid| runs(pid)) && !dir.exists()).then_some(())
    })
    .await;
}

/// Whether a process runs. A process that ended and wasn't waited for doesn't.
fn runs(pid: u32) -> bool {
    let output = Command::new("ps")
        .args(["-o", "stat=", "-p", &pid.to_string()])
        .output()
        .expect("ps can be run");
    let state = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    !state.is_empty() && !state.starts_with('Z')
}
