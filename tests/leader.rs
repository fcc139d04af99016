//! Two operators, one Lease: only its holder sends, and whoever follows knows what was sent.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use support::{ApiProxy, Layout, OPERATOR, Operator, Plane, Rig, SimulatorOptions, wait_for};
use tokio::sync::{Mutex, MutexGuard};

/// The Lease of these tests, and what has to fit into it.
const LEASE: Duration = Duration::from_secs(6);
const FLAGS: [&str; 3] = [
    "--lease-duration=6s",
    "--call-timeout=2s",
    "--connect-timeout=1s",
];
/// How long a whole load may take.
const LOAD: Duration = Duration::from_secs(90);

/// The control plane of all tests here, one test after the other, with no Lease left at the start.
struct Stage {
    plane: &'static Plane,
    _turn: MutexGuard<'static, ()>,
}

impl Stage {
    async fn enter() -> Self {
        static TURN: Mutex<()> = Mutex::const_new(());
        static INSTALLED: std::sync::Once = std::sync::Once::new();
        let turn = TURN.lock().await;
        let plane = Plane::shared();
        INSTALLED.call_once(|| plane.install());
        let stage = Self { plane, _turn: turn };
        stage.lease(&["delete", "--ignore-not-found"]).expect_ok();
        stage
    }

    fn lease(&self, verb: &[&str]) -> support::Said {
        let mut all = vec!["-n", OPERATOR];
        all.extend(verb);
        all.extend(["lease", OPERATOR]);
        // kubectl wants the verb first; flags may stand anywhere.
        self.plane.kubectl(&all)
    }

    fn holder(&self) -> String {
        let path = "-o=jsonpath={.spec.holderIdentity}";
        self.lease(&["get", path, "--ignore-not-found"]).expect_ok()
    }

    /// Starts the operator as a pod of this name, and waits until it is ready.
    async fn start(&self, pod: &str) -> Operator {
        let kubeconfig = self.plane.kubeconfig_for(OPERATOR, OPERATOR);
        self.start_with(pod, &kubeconfig).await
    }

    async fn start_with(&self, pod: &str, kubeconfig: &std::path::Path) -> Operator {
        let mut operator = Operator::start_pod(pod, kubeconfig, OPERATOR, &FLAGS);
        operator.ready().await;
        operator
    }

    /// Waits until the pod leads.
    async fn leads(&self, pod: &str) {
        wait_for(&format!("{pod} to lead"), LEASE * 4, async || {
            self.holder().starts_with(pod).then_some(())
        })
        .await;
    }

    async fn rig(
        &self,
        subject: &str,
        packages: usize,
        calls: usize,
        window: &'static str,
    ) -> Load<'static> {
        let layout = Layout {
            simulator: SimulatorOptions {
                packages,
                quota_calls: calls,
                quota_window: window,
                ..SimulatorOptions::default()
            },
            platform: json!({"quota": {"calls": calls, "window": window}}),
        };
        let rig = Rig::on(self.plane, subject, layout).await;
        let kind = GroupVersionKind::gvk("iodm.dev", "v1alpha1", "VersionPackage");
        let kind = ApiResource::from_gvk_with_plural(&kind, "versionpackages");
        let api = Api::namespaced_with(self.plane.client().await, &rig.namespace, &kind);
        let seconds: u32 = window.trim_end_matches('s').parse().unwrap();
        Load {
            rig,
            api,
            packages,
            calls,
            window_ms: f64::from(seconds) * 1e3,
        }
    }
}

/// Packages to be deleted, and what the platform saw of it.
struct Load<'a> {
    rig: Rig<'a>,
    api: Api<DynamicObject>,
    packages: usize,
    calls: usize,
    window_ms: f64,
}

impl Load<'_> {
    /// Creates an object for each package and waits until all are Active.
    async fn born(&self) {
        let items: Vec<Value> = (1..=self.packages)
            .map(|n| {
                self.rig
                    .manifest(&format!("p-{n}"), &format!("package-{n:05}"), &json!({}))
            })
            .collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        self.rig.plane.apply(&list.to_string()).expect_ok();
        wait_for("all to be Active", LOAD, async || {
            let active = self
                .list()
                .await
                .iter()
                .filter(|o| o.data["status"]["phase"] == "Active")
                .count();
            (active == self.packages).then_some(())
        })
        .await;
    }

    async fn list(&self) -> Vec<DynamicObject> {
        self.api
            .list(&ListParams::default())
            .await
            .expect("a list")
            .items
    }

    /// Asks for all deletions with one request.
    async fn delete(&self) {
        let all = ListParams::default();
        let deleted = self
            .api
            .delete_collection(&DeleteParams::default(), &all)
            .await;
        deleted.expect("the deletions are accepted");
    }

    async fn gone(&self) {
        wait_for("all to go", LOAD, async || {
            self.list().await.is_empty().then_some(())
        })
        .await;
    }

    /// Waits until the platform saw `count` calls.
    async fn called(&self, count: usize, deadline: Duration) {
        wait_for(&format!("{count} calls"), deadline, async || {
            (self.rig.simulator.ledger().await.len() >= count).then_some(())
        })
        .await;
    }

    /// Waits until the platform was called anew; how long that took.
    async fn called_again(&self, deadline: Duration) -> Duration {
        let (before, since) = (self.rig.simulator.ledger().await.len(), Instant::now());
        self.called(before + 1, deadline).await;
        since.elapsed()
    }

    /// No window held more than the quota, nothing was refused, each package was deleted, and at most
    /// `cut` calls were made more than once; returns the ledger.
    async fn proven(&self, cut: usize) -> Vec<Value> {
        let ledger = self.rig.simulator.ledger().await;
        let times: Vec<f64> = ledger
            .iter()
            .map(|row| row["ms"].as_f64().unwrap())
            .collect();
        for pair in times.windows(self.calls + 1) {
            let span = pair[self.calls] - pair[0];
            assert!(
                span >= self.window_ms,
                "{} calls within {span} ms",
                self.calls + 1
            );
        }
        let throttled: Vec<_> = ledger
            .iter()
            .filter(|row| row["verdict"] == "throttled")
            .collect();
        assert!(throttled.is_empty(), "{throttled:?}");
        let mut deletes: BTreeMap<&str, usize> = BTreeMap::new();
        for row in ledger.iter().filter(|row| row["method"] == "DELETE") {
            *deletes.entry(row["path"].as_str().unwrap()).or_default() += 1;
        }
        assert_eq!(deletes.len(), self.packages, "nothing is lost");
        let extra: usize = deletes.values().map(|count| count - 1).sum();
        assert!(
            deletes.values().all(|count| *count <= 2) && extra <= cut,
            "{extra} extra calls"
        );
        ledger
    }
}

/// The calls with a token that a later login has ended: sent by a process that led before.
fn late(ledger: &[Value]) -> Vec<&Value> {
    ledger
        .iter()
        .filter(|row| row["verdict"] == "token-refused")
        .collect()
}

fn logins(ledger: &[Value]) -> usize {
    ledger
        .iter()
        .filter(|row| row["verdict"] == "logged-in")
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_the_standby_goes_on_within_the_lease_and_five_seconds() {
    let stage = Stage::enter().await;
    let load = stage.rig("kill", 150, 60, "2s").await;
    let mut a = stage.start("a").await;
    stage.leads("a").await;
    let b = stage.start("b").await;
    load.born().await;
    load.delete().await;
    load.called(90, LOAD).await;
    a.kill().await;
    let pause = load.called_again(LEASE + Duration::from_secs(5)).await;
    eprintln!("first call {pause:?} after the kill");
    load.gone().await;
    let ledger = load.proven(20).await;
    assert_eq!((logins(&ledger), late(&ledger).len()), (2, 0));
    drop(b);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_clean_stop_the_standby_goes_on_within_two_seconds() {
    let stage = Stage::enter().await;
    let load = stage.rig("stop", 200, 40, "1s").await;
    let mut a = stage.start("a").await;
    stage.leads("a").await;
    let b = stage.start("b").await;
    load.born().await;
    load.delete().await;
    load.called(60, LOAD).await;
    let ended = a.terminate().await;
    assert!(ended.success(), "{ended}: {:#?}", a.log());
    let pause = load.called_again(Duration::from_secs(2)).await;
    eprintln!("first call {pause:?} after the end");
    load.gone().await;
    let ledger = load.proven(0).await;
    assert_eq!((logins(&ledger), late(&ledger).len()), (2, 0));
    drop(b);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_stood_still_for_longer_than_its_lease_sends_nothing_more() {
    const STOPS: usize = 4;
    let stage = Stage::enter().await;
    let load = stage.rig("freeze", 120, 10, "2s").await;
    let mut leader = stage.start("pod-0").await;
    stage.leads("pod-0").await;
    load.born().await;
    load.delete().await;
    for stop in 1..=STOPS {
        let standby = stage.start(&format!("pod-{stop}")).await;
        between_calls(&load).await;
        leader.freeze();
        load.called_again(LEASE + Duration::from_secs(5)).await;
        leader.thaw();
        let ended = leader.ended(Duration::from_secs(5)).await;
        assert!(
            !ended.success(),
            "a lost Lease ends the process with an error"
        );
        leader = standby;
    }
    load.gone().await;
    let ledger = load.proven(0).await;
    assert_eq!((logins(&ledger), late(&ledger).len()), (STOPS + 1, 0));
}

/// Waits for a moment without a call under way: the quota is used up for now.
async fn between_calls(load: &Load<'_>) {
    let mut quiet = (0, Instant::now());
    wait_for("a pause between calls", LOAD, async || {
        let ledger = load.rig.simulator.ledger().await;
        if ledger.len() != quiet.0 {
            quiet = (ledger.len(), Instant::now());
        }
        let ended = ledger.iter().all(|row| !row["doneMs"].is_null());
        (!ledger.is_empty() && ended && quiet.1.elapsed() > Duration::from_millis(300))
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_cut_off_from_the_api_server_ends_and_the_standby_goes_on() {
    let stage = Stage::enter().await;
    let load = stage.rig("cut", 200, 30, "2s").await;
    let own = stage.plane.kubeconfig_for(OPERATOR, OPERATOR);
    let proxy = ApiProxy::start(stage.plane, &own);
    let mut a = stage.start_with("a", proxy.kubeconfig()).await;
    stage.leads("a").await;
    let b = stage.start("b").await;
    load.born().await;
    load.delete().await;
    load.called(60, LOAD).await;
    proxy.cut();
    let ended = a.ended(LEASE + Duration::from_secs(1)).await;
    assert!(!ended.success());
    let log = a.log().join("\n");
    assert!(
        log.contains("lost: it could not be renewed in time"),
        "{log}"
    );
    load.called_again(LEASE + Duration::from_secs(5)).await;
    load.gone().await;
    let ledger = load.proven(20).await;
    assert_eq!((logins(&ledger), late(&ledger).len()), (2, 0));
    drop(b);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_under_load_loses_nothing_and_overdraws_nothing() {
    let stage = Stage::enter().await;
    let load = stage.rig("roll", 500, 100, "2s").await;
    let mut old = [stage.start("old-0").await, stage.start("old-1").await];
    load.born().await;
    load.delete().await;
    load.called(120, LOAD).await;
    let mut new = Vec::new();
    for (n, old) in old.iter_mut().enumerate() {
        new.push(stage.start(&format!("new-{n}")).await);
        let ended = old.terminate().await;
        assert!(ended.success(), "{ended}: {:#?}", old.log());
    }
    wait_for("a new one to lead", LEASE, async || {
        stage.holder().starts_with("new").then_some(())
    })
    .await;
    load.gone().await;
    let ledger = load.proven(0).await;
    assert_eq!(late(&ledger).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_container_takes_its_lease_back_at_once_and_remembers_its_calls() {
    let stage = Stage::enter().await;
    let load = stage.rig("crash", 300, 100, "4s").await;
    let mut only = stage.start("only").await;
    load.born().await;
    load.delete().await;
    for round in 1..=3 {
        load.called(80 * round, LOAD).await;
        only.kill().await;
        let since = Instant::now();
        only = stage.start("only").await;
        stage.leads("only").await;
        wait_for("the restarted one to lead", LEASE, async || {
            only.log()
                .iter()
                .any(|line| line.contains("TakeBack"))
                .then_some(())
        })
        .await;
        eprintln!("leads again {:?} after the kill", since.elapsed());
    }
    load.gone().await;
    load.proven(60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_install_starts_at_once_and_a_lease_without_a_readable_log_costs_one_window() {
    let stage = Stage::enter().await;
    let load = stage.rig("first", 2, 5, "20s").await;
    let mut only = stage.start("only").await;
    load.rig
        .active(&[("one", "package-00001"), ("two", "package-00002")])
        .await;
    let since = Instant::now();
    load.rig.delete("one");
    load.rig.gone("one").await;
    assert!(
        since.elapsed() < Duration::from_secs(5),
        "{:?}",
        since.elapsed()
    );
    assert!(only.terminate().await.success());
    let text = stage
        .lease(&[
            "get",
            "-o=jsonpath={.metadata.annotations.iodm\\.dev/call-log}",
        ])
        .expect_ok();
    let log: Value = serde_json::from_str(&text).expect("the log is JSON");
    let calls: u64 = log["sessions"][0]["calls"]
        .as_object()
        .unwrap()
        .values()
        .map(|n| n.as_u64().unwrap())
        .sum();
    assert_eq!(
        (calls, &log["sessions"][0]["reserved"]),
        (2, &json!(0)),
        "{text}"
    );

    let garbled = [
        "-n",
        OPERATOR,
        "annotate",
        "--overwrite",
        "lease",
        OPERATOR,
        "iodm.dev/call-log=?",
    ];
    stage.plane.kubectl(&garbled).expect_ok();
    let again = stage.start("again").await;
    load.rig.delete("two");
    wait_for("the second to go", Duration::from_secs(30), async || {
        load.rig.get("two").await.is_none().then_some(())
    })
    .await;
    let ledger = load.rig.simulator.ledger().await;
    let times: Vec<f64> = ledger
        .iter()
        .map(|row| row["ms"].as_f64().unwrap())
        .collect();
    let pause = times[2] - times[1];
    assert!(pause >= 20e3, "the next process called after {pause} ms");
    drop(again);
}
