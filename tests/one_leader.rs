//! One process leads in a cluster, whatever namespaces the processes use: the `ClusterRoleBinding` determines where the
//! Lease is.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod support;

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use support::{
    Layout, OPERATOR, Operator, Plane, Process, Rig, SHORT_LEASE, SHORT_LEASE_FLAGS, SOON, alone,
    tool, wait_for,
};

const BINDING: &str = "clusterrolebinding/version-package-operator";

/// Lets the binding name the `ServiceAccounts` of these namespaces.
fn bind(plane: &Plane, namespaces: &[&str]) {
    let account = |namespace: &&str| json!({"kind": "ServiceAccount", "name": OPERATOR, "namespace": namespace});
    let subjects: Vec<Value> = namespaces.iter().map(account).collect();
    let patch = json!({"subjects": subjects}).to_string();
    let arguments = ["patch", BINDING, "--type=merge", "-p", &patch];
    plane.kubectl(&arguments).expect_ok();
}

fn bind_as_shipped(plane: &Plane) {
    plane
        .kubectl(&["apply", "-f", "manifests/install/rbac.yaml"])
        .expect_ok();
    bind(plane, &[OPERATOR]);
}

/// A second installation: a namespace with a ServiceAccount that may write a Lease there.
fn second_installation(plane: &Plane) -> String {
    let namespace = plane.namespace("second");
    let lease = ["--verb=get,update,create", "--resource=leases"];
    for arguments in [
        ["create", "serviceaccount", OPERATOR].as_slice(),
        &["create", "role", OPERATOR, lease[0], lease[1]],
        &[
            "create",
            "rolebinding",
            OPERATOR,
            "--role=version-package-operator",
            &format!("--serviceaccount={OPERATOR}:{OPERATOR}"),
            &format!("--serviceaccount={namespace}:{OPERATOR}"),
        ],
    ] {
        let mut all = vec!["-n", namespace.as_str()];
        all.extend(arguments);
        plane.kubectl(&all).expect_ok();
    }
    namespace
}

fn start(plane: &Plane, pod: &str, kubeconfig: &Path, namespace: &str) -> Operator {
    // Leftovers of an earlier test must not decide who leads.
    let delete = [
        "-n",
        OPERATOR,
        "delete",
        "lease",
        OPERATOR,
        "--ignore-not-found",
    ];
    if pod == "first" {
        plane.kubectl(&delete).expect_ok();
    }
    Operator::start_pod(pod, kubeconfig, namespace, &SHORT_LEASE_FLAGS)
}

/// Waits until `/readyz` contains all of these words.
async fn is_not_ready(operator: &Operator, words: &[&str]) {
    let what = format!("not to be ready because of {words:?}");
    wait_for(&what, SOON, async || {
        let said = reqwest::get(operator.admin_url("/readyz")).await.ok()?;
        let ready = said.status().is_success();
        let text = said.text().await.ok()?;
        (!ready && words.iter().all(|word| text.contains(word))).then_some(())
    })
    .await;
}

async fn leads(operator: &Operator) {
    wait_for("to lead", SOON, async || {
        let metrics = operator.admin_page("/metrics").await?;
        metrics.contains("vpo_leading 1").then_some(())
    })
    .await;
}

fn has_lease(plane: &Plane, namespace: &str) -> bool {
    plane
        .kubectl(&["-n", namespace, "get", "lease", OPERATOR])
        .ok
}

#[tokio::test]
async fn a_second_process_with_a_lease_in_another_namespace_does_not_lead_and_names_both_namespaces()
 {
    let (_turn, plane) = alone().await;
    bind_as_shipped(plane);
    support::install_crypto();
    let rig = Rig::on(plane, "two", Layout::default()).await;
    let kubeconfig = plane.kubeconfig_for(OPERATOR, OPERATOR);
    let mut first = start(plane, "first", &kubeconfig, OPERATOR);
    first.ready().await;
    leads(&first).await;
    let elsewhere = second_installation(plane);
    let second = start(plane, "second", &kubeconfig, &elsewhere);
    is_not_ready(
        &second,
        &[
            "namespace",
            &elsewhere,
            "version-package-operator/version-package-operator",
        ],
    )
    .await;
    rig.active(&[("a", "package-00001"), ("b", "package-00002")])
        .await;
    rig.delete_all(&["a", "b"]);
    rig.gone("a").await;
    rig.gone("b").await;
    tokio::time::sleep(SHORT_LEASE).await;
    assert!(!has_lease(plane, &elsewhere));
    assert_eq!(rig.logins().await, 1);
    assert!(first.is_running());
}

#[tokio::test]
async fn a_binding_changed_to_another_namespace_ends_the_leadership() {
    let (_turn, plane) = alone().await;
    bind_as_shipped(plane);
    let elsewhere = second_installation(plane);
    // One process keeps its rights when the binding changes, the other loses them with it.
    let own = plane.kubeconfig_for(OPERATOR, OPERATOR);
    for kubeconfig in [plane.kubeconfig(), &own] {
        let mut first = start(plane, "first", kubeconfig, OPERATOR);
        first.ready().await;
        leads(&first).await;
        let other = plane.kubeconfig_for(&elsewhere, OPERATOR);
        let mut second = start(plane, "second", &other, &elsewhere);
        bind(plane, &[&elsewhere]);
        let ended = first.ended(SHORT_LEASE * 2).await;
        assert!(!ended.success());
        let log = first.log().join("\n");
        assert!(
            log.contains("was lost: ") && log.contains("names the ServiceAccount"),
            "{log}"
        );
        // The process has seen the foreign binding, or starts without a Lease there; it leads in the end either way.
        second.ready().await;
        leads(&second).await;
        drop(second);
        bind(plane, &[OPERATOR]);
        let delete = ["-n", &elsewhere, "delete", "lease", OPERATOR];
        plane.kubectl(&delete).expect_ok();
    }
}

#[tokio::test]
async fn no_process_starts_to_lead_while_the_binding_names_two_namespaces_and_a_leader_continues() {
    let (_turn, plane) = alone().await;
    bind_as_shipped(plane);
    support::install_crypto();
    let elsewhere = second_installation(plane);
    let kubeconfig = plane.kubeconfig_for(OPERATOR, OPERATOR);
    let mut first = start(plane, "first", &kubeconfig, OPERATOR);
    first.ready().await;
    leads(&first).await;
    bind(plane, &[OPERATOR, &elsewhere]);
    let other = plane.kubeconfig_for(&elsewhere, OPERATOR);
    let second = start(plane, "second", &other, &elsewhere);
    is_not_ready(&second, &["names 2 ServiceAccounts"]).await;
    is_not_ready(&first, &["names 2 ServiceAccounts"]).await;
    tokio::time::sleep(SHORT_LEASE * 2).await;
    assert!(first.is_running() && !has_lease(plane, &elsewhere));
    bind(plane, &[OPERATOR]);
    first.ready().await;
}

#[tokio::test]
async fn without_a_binding_a_process_with_a_kubeconfig_leads_only_in_an_explicit_namespace() {
    let (_turn, plane) = alone().await;
    support::install_crypto();
    plane
        .kubectl(&["delete", BINDING, "--ignore-not-found"])
        .expect_ok();
    let admin = plane.kubeconfig();
    let untold = Process::start(
        tool::vpo(),
        [
            "run",
            "--admin-listen",
            "127.0.0.1:0",
            "--log-format",
            "json",
        ],
        [("KUBECONFIG", admin.as_os_str())],
    );
    wait_for("to say what is missing", SOON, async || {
        let log = untold.stderr().join("\n");
        let said =
            log.contains("there is no ClusterRoleBinding") && log.contains("the same --namespace");
        said.then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!has_lease(plane, "default"));
    let mut told = start(plane, "first", admin, OPERATOR);
    told.ready().await;
    leads(&told).await;
    // From now on there is a binding, which names another namespace.
    plane
        .kubectl(&["apply", "-f", "manifests/install/rbac.yaml"])
        .expect_ok();
    bind(plane, &["default"]);
    let ended = told.ended(SHORT_LEASE * 2).await;
    assert!(!ended.success(), "{:#?}", told.log());
    bind_as_shipped(plane);
}
