//! One world: a cluster, a platform, and the processes started in it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cluster_in_memory::Cluster;
use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use version_package_operator::clock::Clock;
use version_package_operator::leader::{self, Source};
use version_package_operator::operator::{self, Face, Ports};

use crate::api_server::Port;
use crate::around::Around;
use crate::audit::Paper;
use crate::chance::Chance;
use crate::faults::Faults;
use crate::life::Life;
use crate::people::{DEFINITIONS, PEOPLE, People};
use crate::platform::{CALL_TIMEOUT, Platform};
use crate::process::Process;
use crate::record::Record;
use crate::story::OnFailure;
use crate::trace::Trace;

/// The namespace of the operator in the shipped manifests, which also holds its Lease.
pub const HOME: &str = "version-package-operator";
/// The user name of the operator's processes.
pub const OPERATOR: &str =
    "system:serviceaccount:version-package-operator:version-package-operator";
/// The duration of a Lease without a renewal.
pub const LEASE: Duration = Duration::from_secs(30);
/// The time at which every world begins.
const BEGINS: &str = "2026-03-01T12:00:00Z";
/// The time limit of all waits: longer than an hour, after which a refused login is tried again.
const NEVER: Duration = Duration::from_secs(7200);

/// The cluster, the platform and the processes of one world.
pub struct World {
    pub cluster: Cluster,
    pub people: People,
    pub platform: Platform,
    pub paper: Paper,
    pub faults: Faults,
    pub trace: Trace,
    pub record: Record,
    clock: Clock,
    chance: Chance,
    /// The stop tokens of the newest process of each pod.
    stops: Mutex<BTreeMap<String, CancellationToken>>,
    /// How far the clock of each pod's machine is ahead, in milliseconds.
    ahead: Arc<Mutex<BTreeMap<String, i64>>>,
}

/// Plays `scene` in a world of its own. Time advances only while every task waits, and all random numbers come from
/// `seed`.
pub fn run<T>(seed: u64, scene: impl AsyncFnOnce(&World) -> T) -> T {
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let world = World::new(seed).await;
        let _trace = world.trace.told_on_failure();
        let _story = OnFailure(world.record.clone());
        scene(&world).await
    })
}

impl World {
    /// A cluster with our definitions and the shipped rights; a platform without applications.
    async fn new(seed: u64) -> Self {
        let (begins, begun): (Timestamp, _) = (BEGINS.parse().unwrap(), Instant::now());
        let wall = move || begins + begun.elapsed();
        let (clock, trace) = (Clock::new(wall), Trace::begin());
        let cluster = Cluster::new(wall, seed);
        let record = Record::begin(&cluster);
        let world = Self {
            people: People::new(cluster.clone(), trace.clone(), record.clone()),
            platform: Platform::new(clock.clone(), Rng::with_seed(seed)),
            paper: Paper::default(),
            faults: Faults::default(),
            chance: Chance::of(seed),
            cluster,
            trace,
            record,
            stops: Mutex::default(),
            ahead: Arc::default(),
            clock,
        };
        world.install().await;
        world
    }

    async fn install(&self) {
        for name in ["versionpackages", "platforms"] {
            let definition = shipped_definition(name);
            self.people.put_up(DEFINITIONS, &definition).await;
        }
        assert_eq!(self.cluster.unknown_rules(), Vec::<String>::new());
        self.add_namespace(HOME, &json!({})).await;
        self.allow_lease(HOME);
        for manifest in manifests("manifests/install/rbac.yaml") {
            let rules = &manifest["rules"];
            match manifest["kind"].as_str() {
                Some("ClusterRole") => self.cluster.grant(OPERATOR, None, rules),
                Some("ClusterRoleBinding") => {
                    let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
                    self.people.put_up(bindings, &manifest).await;
                }
                _ => {}
            }
        }
    }

    /// Lets the operator keep its Lease in this namespace too, as the shipped Role does in [`HOME`].
    pub fn allow_lease(&self, namespace: &str) {
        let shipped = manifests("manifests/install/rbac.yaml");
        for role in shipped.iter().filter(|object| object["kind"] == "Role") {
            self.cluster
                .grant(OPERATOR, Some(namespace), &role["rules"]);
        }
    }

    pub async fn add_namespace(&self, name: &str, labels: &Value) {
        let metadata = json!({"name": name, "labels": labels});
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
        self.people.put_up("/api/v1/namespaces", &namespace).await;
    }

    /// Lets the operator read these Secrets, as `manifests/platform-access` does.
    pub fn show_secrets(&self, namespace: &str, names: &[&str]) {
        let all = manifests("manifests/platform-access/role.yaml");
        let mut rules = all[0]["rules"].clone();
        rules[0]["resourceNames"] = json!(names);
        self.cluster.grant(OPERATOR, Some(namespace), &rules);
    }

    /// Runs the namespace controller until all ending namespaces are gone.
    pub async fn end_namespaces(&self) {
        until("the namespaces that end are gone", async || {
            self.cluster.end_namespaces();
            self.record.take_changes(PEOPLE);
            (!self.cluster.has_ending_namespaces()).then_some(())
        })
        .await;
    }

    /// Sets the clock of a pod's machine ahead by `ahead`, or back where it is negative.
    pub fn set_clock(&self, pod: &str, ahead: SignedDuration) {
        let ahead = i64::try_from(ahead.as_millis()).unwrap();
        let mut all = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(pod.to_owned(), ahead);
    }

    /// The true time.
    pub fn wall(&self) -> Timestamp {
        self.clock.wall()
    }

    fn clock_of(&self, pod: &str) -> Clock {
        let (clock, all, pod) = (self.clock.clone(), Arc::clone(&self.ahead), pod.to_owned());
        Clock::new(move || {
            let all = all.lock().unwrap_or_else(PoisonError::into_inner);
            let ahead = all.get(&pod).copied().unwrap_or_default();
            clock.wall() + SignedDuration::from_millis(ahead)
        })
    }

    /// Starts a process in a pod of this name. A second start is the same pod with a restarted container.
    pub fn start(&self, pod: &str) -> Process {
        self.start_in(pod, HOME)
    }

    /// As [`Self::start`], with the Lease in the namespace `home`.
    pub fn start_in(&self, pod: &str, home: &str) -> Process {
        let (life, stop) = (Life::default(), CancellationToken::new());
        let mut stops = self.stops.lock().unwrap_or_else(PoisonError::into_inner);
        stops.insert(pod.to_owned(), stop.clone());
        drop(stops);
        let around = Around {
            who: pod.to_owned(),
            life: life.clone(),
            chance: self.chance.clone(),
            faults: self.faults.clone(),
            trace: self.trace.clone(),
            record: self.record.clone(),
        };
        let client = || {
            let port = Port {
                around: around.clone(),
                server: self.cluster.user(OPERATOR),
            };
            kube::Client::new(port, HOME)
        };
        let ports = Ports {
            client: client(),
            lease: client(),
            connect: self.platform.connect(&around),
            clock: self.clock_of(pod),
            audit: self.paper.pen(&around),
        };
        let leadership = leader::LeaderSettings {
            namespace: home.to_owned(),
            source: Source::Pod,
            in_pod: true,
            identity: leader::identity(Some(pod), Some("uid")),
            duration: LEASE,
            call_timeout: CALL_TIMEOUT,
        };
        let running = {
            let (pod, life, stop) = (pod.to_owned(), life.clone(), stop.clone());
            tokio::spawn(async move {
                let face = Face::default();
                let ended =
                    operator::run(&ports, leadership, Some(pod.as_str()), &face, &stop).await;
                // Everything that the process left in progress ends with it.
                life.end();
                ended
            })
        };
        Process {
            life,
            stop,
            running,
        }
    }

    /// Tells the process that holds the Lease to stop, once there is one.
    pub async fn stop_leader(&self) {
        let leader = until("somebody holds the Lease", async || self.leader()).await;
        self.stop(&leader);
    }

    /// The pod that holds the Lease.
    pub fn leader(&self) -> Option<String> {
        let lease = self.people.get("leases", HOME, HOME)?;
        let holder = lease["spec"]["holderIdentity"].as_str()?;
        Some(holder.split_once('_')?.0.to_owned())
    }

    /// Tells the process in a pod to stop.
    pub fn stop(&self, pod: &str) {
        let stops = self.stops.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stop) = stops.get(pod) {
            stop.cancel();
        }
    }

    /// The current object of a package; `None` where it doesn't exist.
    pub fn package(&self, namespace: &str, name: &str) -> Option<Value> {
        self.people.get("versionpackages", namespace, name)
    }

    /// Waits until an object is in this phase.
    pub async fn comes_to(&self, namespace: &str, name: &str, phase: &str) {
        let what = format!("{namespace}/{name} is {phase}");
        until(&what, async || {
            let object = self.package(namespace, name)?;
            (object["status"]["phase"] == phase).then_some(())
        })
        .await;
    }

    /// Waits until an object is gone.
    pub async fn goes(&self, namespace: &str, name: &str) {
        until(&format!("{namespace}/{name} is gone"), async || {
            self.package(namespace, name).is_none().then_some(())
        })
        .await;
    }
}

/// Checks repeatedly, in simulated time, until `look` returns a value.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        let waited = begun.elapsed();
        assert!(waited < NEVER, "never: {what}");
        sleep((waited / 20).max(Duration::from_millis(50))).await;
    }
}

/// A shipped definition.
pub fn shipped_definition(plural: &str) -> Value {
    let file = match plural {
        "platforms" => "crds/platforms.iodm.dev.yaml",
        _ => "crds/versionpackages.iodm.dev.yaml",
    };
    manifests(file).remove(0)
}

/// The objects in a shipped file, which is parsed once.
pub fn manifests(file: &'static str) -> Vec<Value> {
    static READ: Mutex<BTreeMap<&str, Vec<Value>>> = Mutex::new(BTreeMap::new());
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    let objects = read.entry(file).or_insert_with(|| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let text = std::fs::read_to_string(path).unwrap();
        serde_saphyr::from_multiple(&text).unwrap()
    });
    objects.clone()
}
