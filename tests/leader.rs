//! Two operators, one Lease: only its holder sends, and whoever follows knows what was sent.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod support;

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use support::{
    ApiProxy, AuditEvent, Layout, OPERATOR, Operator, Plane, Rig, SimulatorOptions, wait_for,
};
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

/// A control plane of its own for one test at a time, with no Lease left at the start.
struct Stage {
    plane: &'static Plane,
    leases: Api<Lease>,
    _turn: MutexGuard<'static, ()>,
}

impl Stage {
    /// Operators serve a whole cluster, so two tests at once need two; they mostly wait.
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
        // kubectl wants the verb first; flags may stand anywhere.
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

    /// What the Lease remembers of calls; empty where there is nothing.
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
        ready(Operator::start_pod(pod, kubeconfig, OPERATOR, &FLAGS)).await
    }

    /// Waits until the pod leads.
    async fn leads(&self, pod: &str) {
        wait_for(&format!("{pod} to lead"), LEASE * 4, async || {
            (self.holder().await == pod).then_some(())
        })
        .await;
    }

    /// The id of the token in a kubeconfig, as the audit log has it.
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
        self.within_quota(&ledger);
        self.all_deleted(&ledger, cut);
        ledger
    }

    /// No window held more than the quota.
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

    /// Nothing was refused, each package was deleted, and at most `cut` calls were made more than once.
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

/// When each call came, in milliseconds of the platform's clock.
fn times(ledger: &[Value]) -> Vec<f64> {
    let time = |row: &Value| row["ms"].as_f64().unwrap();
    ledger.iter().map(time).collect()
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
    // Enough that calls are left however late the kill comes.
    let load = stage.rig("kill", 240, 40, "2s").await;
    let mut a = stage.start("a").await;
    stage.leads("a").await;
    let b = stage.start("b").await;
    load.born().await;
    load.delete().await;
    load.called(60, LOAD).await;
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
    let load = stage.rig("stop", 150, 10, "1s").await;
    let mut a = stage.start("a").await;
    stage.leads("a").await;
    let b = stage.start("b").await;
    load.born().await;
    load.delete().await;
    load.called(30, LOAD).await;
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
    const STOPS: usize = 20;
    let stage = Stage::enter().await;
    let load = stage.rig("freeze", 250, 6, "2s").await;
    // Short, since each stop lasts longer. A Lease that is lost without a stop, on a busy machine, is one more change.
    let kubeconfig = stage.plane.kubeconfig_for(OPERATOR, OPERATOR);
    let flags = [
        "--lease-duration=4s",
        "--call-timeout=2s",
        "--connect-timeout=1s",
    ];
    let mut started = 0;
    let mut start = || {
        started += 1;
        let pod = format!("pod-{started}");
        let operator = Operator::start_pod(&pod, &kubeconfig, OPERATOR, &flags);
        (pod, operator)
    };
    // Two wait, so that one does while another starts anew.
    let mut pods = BTreeMap::new();
    for _ in 0..3 {
        let (pod, operator) = start();
        pods.insert(pod, ready(operator).await);
    }
    load.born().await;
    load.delete().await;
    let since = Instant::now();
    let (mut stops, mut within_a_burst) = (0, 0);
    while stops < STOPS + within_a_burst {
        stops += 1;
        let calls = between_calls(&load).await;
        let mut leader = wait_for("a leader", LEASE * 4, async || {
            pods.remove(&stage.holder().await)
        })
        .await;
        leader.freeze();
        // On a busy machine a stop may come too late for its place; then there is one more.
        let too_late = load.rig.simulator.ledger().await.len() > calls;
        within_a_burst += usize::from(too_late);
        load.called_again(LOAD).await;
        leader.thaw();
        let ended = leader.ended(Duration::from_secs(5)).await;
        assert!(
            !ended.success(),
            "a lost Lease ends the process with an error"
        );
        pods.retain(|_, operator| operator.is_running());
        while pods.len() < 3 {
            pods.extend([start()]);
        }
    }
    let ledger = load.rig.simulator.ledger().await;
    load.within_quota(&ledger);
    eprintln!(
        "{stops} stops in {:?}, {within_a_burst} within a burst",
        since.elapsed()
    );
    // The rest is not what this is about.
    let quota = json!({"calls": 100, "window": "1s"});
    load.rig.simulator.switch("/quota", &quota).await;
    load.rig
        .patch("platform/production", &json!({"spec": {"quota": quota}}));
    load.gone().await;
    let ledger = load.rig.simulator.ledger().await;
    let terms = stage
        .seen_lease()
        .await
        .and_then(|lease| lease.spec?.lease_transitions);
    let terms = usize::try_from(terms.unwrap()).unwrap() + 1;
    // A Lease that is lost without a stop may be lost within a burst.
    load.all_deleted(&ledger, (terms - 1 - stops + within_a_burst) * load.calls);
    assert_eq!(
        late(&ledger).len(),
        0,
        "each leader begins with a token of its own"
    );
    let logins = logins(&ledger);
    assert!(
        (stops + 1..=terms).contains(&logins),
        "{logins} logins in {terms} terms"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_stood_still_while_it_connected_sends_nothing_when_it_goes_on() {
    let stage = Stage::enter().await;
    let load = stage.rig("connecting", 3, 20, "1s").await;
    let kubeconfig = stage.plane.kubeconfig_for(OPERATOR, OPERATOR);
    // Connecting may take as long as the whole call, so that the stop surely comes in between.
    let flags = [
        "--lease-duration=6s",
        "--call-timeout=3s",
        "--connect-timeout=3s",
    ];
    let mut a = ready(Operator::start_pod("a", &kubeconfig, OPERATOR, &flags)).await;
    stage.leads("a").await;
    let b = ready(Operator::start_pod("b", &kubeconfig, OPERATOR, &flags)).await;
    load.born().await;
    load.rig.simulator.freeze();
    load.delete().await;
    wait_for(
        "a connection that hangs",
        Duration::from_secs(5),
        async || {
            connections_to(&load.rig.simulator.endpoint())
                .gt(&0)
                .then_some(())
        },
    )
    .await;
    a.freeze();
    // What the platform says of the connection now waits for the one that stands still.
    load.rig.simulator.thaw();
    load.called(1, LEASE * 4).await;
    a.thaw();
    assert!(!a.ended(Duration::from_secs(5)).await.success());
    load.gone().await;
    let ledger = load.proven(0).await;
    assert_eq!((logins(&ledger), late(&ledger).len()), (1, 0));
    drop(b);
}

/// How many connections stand from this machine to an endpoint on it.
fn connections_to(endpoint: &str) -> usize {
    let port: u16 = endpoint.rsplit(':').next().unwrap().parse().unwrap();
    let remote = format!("0100007F:{port:04X}");
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let stands = |line: &&str| {
        let mut fields = line.split_whitespace().skip(2);
        (fields.next(), fields.next()) == (Some(&remote), Some("01"))
    };
    table.lines().filter(stands).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_after_a_refusal_outlives_a_crash_and_a_clean_stop() {
    let stage = Stage::enter().await;
    let load = stage.rig("pause", 2, 20, "16s").await;
    let kubeconfig = stage.plane.kubeconfig_for(OPERATOR, OPERATOR);
    // As it is shipped: a regular renewal comes too rarely to tell of the pause in time.
    let start = async || ready(Operator::start_pod("only", &kubeconfig, OPERATOR, &[])).await;
    let mut only = start().await;
    load.born().await;
    load.rig.neighbour(20).await;
    load.delete().await;
    load.called(1, LOAD).await;
    wait_for(
        "the Lease to tell of it",
        Duration::from_secs(3),
        async || stage.call_log().await.contains("throttled").then_some(()),
    )
    .await;
    only.kill().await;
    only = start().await;
    load.called(2, LOAD).await;
    let ended = only.terminate().await;
    assert!(ended.success(), "{ended}: {:#?}", only.log());
    only = start().await;
    load.gone().await;
    let ledger = load.rig.simulator.ledger().await;
    let verdicts: Vec<_> = ledger
        .iter()
        .map(|row| row["verdict"].as_str().unwrap())
        .collect();
    assert_eq!(verdicts[..3], ["throttled", "throttled", "logged-in"]);
    // Others took all, so each pause lasts half a window.
    let times = times(&ledger);
    for pair in times[..3].windows(2) {
        let pause = pair[1] - pair[0];
        assert!(
            pause >= load.window_ms / 2.0,
            "the next one called after {pause} ms"
        );
    }
    drop(only);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_only_reads_while_the_leader_works() {
    let stage = Stage::enter().await;
    let load = stage.rig("standby", 40, 20, "1s").await;
    let own = stage.plane.kubeconfig_for(OPERATOR, OPERATOR);
    let leader = stage.credential(&own);
    let mut a = stage.start_with("a", &own).await;
    stage.leads("a").await;
    // Of the same account, but each token has an id that the audit log tells.
    let own = stage.plane.kubeconfig_for(OPERATOR, OPERATOR);
    let standby = stage.credential(&own);
    assert_ne!(leader, standby);
    let mut b = stage.start_with("b", &own).await;
    let since = support::pace::now();
    load.born().await;
    load.delete().await;
    load.gone().await;
    let events = stage.plane.audit_events();
    let by = |credential: &str| {
        let of = |event: &&AuditEvent| {
            event.credential == credential && !event.user_agent.starts_with("kubectl")
        };
        events.iter().filter(of).cloned().collect::<Vec<_>>()
    };
    let reads = |event: &&AuditEvent| matches!(event.verb.as_str(), "get" | "list" | "watch");
    let writes = by(&leader).iter().filter(|event| !reads(event)).count();
    assert!(writes > 40 * 4, "the leader wrote {writes} times");
    let standby = by(&standby);
    let wrote: Vec<_> = standby.iter().filter(|event| !reads(event)).collect();
    assert!(wrote.is_empty(), "{wrote:#?}");
    let looked: Vec<_> = standby
        .iter()
        .filter(|event| support::pace::since_epoch(event.time.parse().unwrap()) > since)
        .filter(|event| event.verb != "watch")
        .collect();
    assert!(!looked.is_empty());
    let elsewhere: Vec<_> = looked
        .iter()
        .filter(|event| event.resource != "leases")
        .collect();
    assert!(elsewhere.is_empty(), "{elsewhere:#?}");
    assert!(b.is_running() && a.is_running());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_is_deleted_and_created_again_goes_on_with_its_log_also_over_a_restart() {
    let stage = Stage::enter().await;
    let load = stage.rig("again", 25, 10, "8s").await;
    let create = || {
        let quota = json!({"quota": {"calls": 10, "window": "8s"}});
        let simulator = &load.rig.simulator;
        let manifests = simulator.platform(&load.rig.namespace, "production", &quota);
        load.rig.plane.apply(&manifests).expect_ok();
    };
    let mut only = stage.start("only").await;
    load.born().await;
    load.delete().await;
    load.called(10, LOAD).await;
    load.rig.give_up_platform("production").await;
    load.rig.reason("p-25", "PlatformNotFound").await;
    create();
    load.called(20, LOAD).await;
    load.rig.give_up_platform("production").await;
    only.kill().await;
    only = stage.start("only").await;
    stage.leads("only").await;
    create();
    load.gone().await;
    load.proven(3).await;
    drop(only);
}

/// Waits for a moment without a call under way, nor a pass after one: the quota is used up for now. Returns
/// how many calls there were.
async fn between_calls(load: &Load<'_>) -> usize {
    let mut quiet = (0, Instant::now());
    wait_for("a pause between calls", LOAD, async || {
        let ledger = load.rig.simulator.ledger().await;
        if ledger.len() != quiet.0 {
            quiet = (ledger.len(), Instant::now());
        }
        let ended = ledger.iter().all(|row| !row["doneMs"].is_null());
        if ledger.is_empty() || !ended || quiet.1.elapsed() < Duration::from_millis(300) {
            return None;
        }
        let deleted = ledger.iter().filter(|row| row["verdict"] == "deleted");
        let settled = load.list().await.len() + deleted.count() == load.packages;
        settled.then_some(ledger.len())
    })
    .await
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
        stage.holder().await.starts_with("new").then_some(())
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
    let text = stage.call_log().await;
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
    let times = times(&load.rig.simulator.ledger().await);
    let pause = times[2] - times[1];
    assert!(pause >= 20e3, "the next process called after {pause} ms");
    drop(again);
}
