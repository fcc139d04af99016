//! Two operators, one Lease: only its holder sends calls, and its successor knows which calls were sent.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod inheritance;
mod last_events;
mod renewals;
mod standstill;
mod succession;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use reqwest::Method;
use serde_json::{Value, json};
use support::{
    ApiProxy, AuditEvent, Layout, OPERATOR, Operator, Plane, Rig, SHORT_LEASE, SHORT_LEASE_FLAGS,
    SimulatorOptions, wait_for,
};
use tokio::sync::{Mutex, MutexGuard};

/// The time limit of a whole load.
const LOAD: Duration = Duration::from_secs(90);

/// A control plane for one test at a time, without a Lease at the start.
struct Stage {
    plane: &'static Plane,
    leases: Api<Lease>,
    _turn: MutexGuard<'static, ()>,
}

impl Stage {
    /// Operators serve a whole cluster, so two concurrent tests need two control planes; the tests mostly wait.
    async fn enter() -> Self {
        static PLANES: [LazyLock<Plane>; 2] = [const { LazyLock::new(Stage::installed) }; 2];
        static TURNS: [Mutex<()>; 2] = [const { Mutex::const_new(()) }; 2];
        let (turn, plane) = tokio::select! {
            turn = TURNS[0].lock() => (turn, &PLANES[0]),
            turn = TURNS[1].lock() => (turn, &PLANES[1]),
        };
        let stage = Self {
            plane,
            leases: Api::namespaced(plane.client().await, OPERATOR),
            _turn: turn,
        };
        stage.lease(&["delete", "--ignore-not-found"]).expect_ok();
        stage
    }

    fn installed() -> Plane {
        let plane = Plane::start();
        plane.install();
        plane
    }

    fn lease(&self, verb: &[&str]) -> support::Said {
        let mut all = vec!["-n", OPERATOR];
        all.extend(verb);
        all.extend(["lease", OPERATOR]);
        // kubectl requires the verb first; flags may be anywhere.
        self.plane.kubectl(&all)
    }

    /// The pod that holds the Lease; empty where none does.
    async fn holder(&self) -> String {
        let spec = self.seen_lease().await.and_then(|lease| lease.spec);
        let identity = spec.and_then(|spec| spec.holder_identity);
        let identity = identity.unwrap_or_default();
        let pod = identity.split('_').next();
        pod.unwrap_or_default().to_owned()
    }

    /// The call log in the Lease; empty where there is none.
    async fn call_log(&self) -> String {
        let annotations = self
            .seen_lease()
            .await
            .and_then(|lease| lease.metadata.annotations);
        let log = annotations.and_then(|mut all| all.remove("iodm.dev/call-log"));
        log.unwrap_or_default()
    }

    async fn seen_lease(&self) -> Option<Lease> {
        self.leases
            .get_opt(OPERATOR)
            .await
            .expect("the API server answers")
    }

    /// Starts the operator as a pod of this name, and waits until it is ready.
    async fn start(&self, pod: &str) -> Operator {
        let kubeconfig = self.plane.kubeconfig_for(OPERATOR, OPERATOR);
        self.start_with(pod, &kubeconfig).await
    }

    async fn start_with(&self, pod: &str, kubeconfig: &std::path::Path) -> Operator {
        ready(Operator::start_pod(
            pod,
            kubeconfig,
            OPERATOR,
            &SHORT_LEASE_FLAGS,
        ))
        .await
    }

    /// Starts a leader `a` and a standby `b`, deletes all packages, and waits until the platform has received `calls`
    /// calls.
    async fn at_work(&self, load: &Load<'_>, calls: usize) -> (Operator, Operator) {
        let a = self.start("a").await;
        self.leads("a").await;
        let b = self.start("b").await;
        load.born().await;
        load.delete().await;
        load.called(calls, LOAD).await;
        (a, b)
    }

    /// Waits until the pod leads.
    async fn leads(&self, pod: &str) {
        wait_for(&format!("{pod} to lead"), SHORT_LEASE * 4, async || {
            (self.holder().await == pod).then_some(())
        })
        .await;
    }

    /// The id of the token in a kubeconfig, as in the audit log.
    fn credential(&self, kubeconfig: &std::path::Path) -> String {
        let who = ["auth", "whoami", "-o", "json"];
        let said = self.plane.kubectl_with(kubeconfig, &who, "").expect_ok();
        let said: Value = serde_json::from_str(&said).unwrap();
        let id =
            &said["status"]["userInfo"]["extra"]["authentication.kubernetes.io/credential-id"][0];
        id.as_str().unwrap().to_owned()
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

async fn ready(mut operator: Operator) -> Operator {
    operator.ready().await;
    operator
}

/// Packages to be deleted, and the platform's view of it.
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

    /// Requests all deletions with one request.
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

    /// Waits until the platform has received `count` calls.
    async fn called(&self, count: usize, deadline: Duration) {
        wait_for(&format!("{count} calls"), deadline, async || {
            (self.rig.simulator.ledger().await.len() >= count).then_some(())
        })
        .await;
    }

    /// Waits until the platform receives another call; returns the time that this took.
    async fn called_again(&self, deadline: Duration) -> Duration {
        let (before, since) = (self.rig.simulator.ledger().await.len(), Instant::now());
        self.called(before + 1, deadline).await;
        since.elapsed()
    }

    /// Checks that no window held more calls than the quota, no call was refused, each package was deleted, and at most
    /// `cut` calls were repeated; returns the ledger.
    async fn proven(&self, cut: usize) -> Vec<Value> {
        let ledger = self.rig.simulator.ledger().await;
        self.within_quota(&ledger);
        self.all_deleted(&ledger, cut);
        ledger
    }

    /// Checks that no window held more calls than the quota.
    fn within_quota(&self, ledger: &[Value]) {
        for pair in times(ledger).windows(self.calls + 1) {
            let span = pair[self.calls] - pair[0];
            assert!(
                span >= self.window_ms,
                "{} calls within {span} ms",
                self.calls + 1
            );
        }
    }

    /// Checks that no call was refused, each package was deleted, and at most `cut` calls were repeated.
    fn all_deleted(&self, ledger: &[Value], cut: usize) {
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
    }
}

/// The arrival times of the calls, in milliseconds of the platform's clock.
fn times(ledger: &[Value]) -> Vec<f64> {
    let time = |row: &Value| row["ms"].as_f64().unwrap();
    ledger.iter().map(time).collect()
}

/// The calls with a token that a later login has ended: sent by a former leader.
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
