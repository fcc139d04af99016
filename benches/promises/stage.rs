//! The control plane and the operator of a bench.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::Mutex;

use crate::machine;
use crate::support::{
    AuditEvent, Layout, OPERATOR, Operator, Plane, Rig, SimulatorOptions, start_operator,
};

/// A new control plane with a new operator.
pub struct Stage {
    plane: Plane,
    operator: Mutex<Operator>,
}

/// The quota of a bench, and its number of objects.
pub struct Setting {
    /// The number of objects.
    pub objects: usize,
    /// The number of calls in one window.
    pub calls: usize,
    /// The length of the window, in seconds.
    pub seconds: u64,
}

impl Setting {
    /// The length of the window.
    pub fn window(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

impl Stage {
    /// Starts control plane and operator.
    pub async fn start() -> Self {
        let plane = Plane::start();
        plane.install();
        let operator = Mutex::new(ready_operator(&plane).await);
        Self { plane, operator }
    }

    /// The control plane.
    pub fn plane(&self) -> &Plane {
        &self.plane
    }

    /// Stops the operator and starts it again.
    pub async fn restart_operator(&self) {
        self.stop_operator().await;
        self.start_operator(start_operator(&self.plane, &[])).await;
    }

    /// Stops the operator as a rollout does.
    pub async fn stop_operator(&self) {
        self.operator.lock().await.terminate().await;
    }

    /// Uses a newly started operator in place of the stopped one, and waits until it is ready.
    pub async fn start_operator(&self, mut started: Operator) {
        machine::pin(started.id().await, &[]);
        started.ready().await;
        *self.operator.lock().await = started;
    }

    /// Kills the operator and starts it again as the same pod, as after a crash of the container. Returns the time
    /// until it was ready.
    pub async fn crash_operator(&self) -> Duration {
        let mut operator = self.operator.lock().await;
        operator.kill().await;
        let killed = Instant::now();
        *operator = ready_operator(&self.plane).await;
        machine::pin(operator.id().await, &[]);
        killed.elapsed()
    }

    async fn pid(&self) -> u32 {
        self.operator.lock().await.id().await
    }

    /// Adds a platform with its own simulator, and pins each process to its core.
    pub async fn rig(&self, subject: &str, setting: &Setting) -> Rig<'_> {
        let rig = self.unpinned_rig(subject, setting).await;
        self.pin(&rig).await;
        rig
    }

    /// Adds a platform with its own simulator without pinning the processes (until [`Self::pin`]), so that the creation
    /// of many objects takes less time.
    pub async fn unpinned_rig(&self, subject: &str, setting: &Setting) -> Rig<'_> {
        let window = format!("{}s", setting.seconds);
        let layout = Layout {
            simulator: SimulatorOptions {
                packages: setting.objects + 1,
                quota_calls: setting.calls,
                quota_window: &window,
                ..SimulatorOptions::default()
            },
            platform: json!({"quota": {"calls": setting.calls, "window": window}}),
        };
        self.unpin(&[]).await;
        Rig::on(&self.plane, subject, layout).await
    }

    /// Lets each process run on any core, including those of `rigs`.
    pub async fn unpin(&self, rigs: &[&Rig<'_>]) {
        let mut all: Vec<u32> = self.plane.processes().values().copied().collect();
        all.push(self.pid().await);
        for rig in rigs {
            all.push(rig.simulator.id().await);
        }
        machine::unpin(&all);
    }

    /// Pins each process to its core.
    pub async fn pin(&self, rig: &Rig<'_>) {
        let mut others: Vec<u32> = self.plane.processes().values().copied().collect();
        others.push(rig.simulator.id().await);
        machine::pin(self.pid().await, &others);
    }

    /// The CPU time of the operator since its start.
    pub async fn cpu_time(&self) -> Duration {
        machine::cpu_time(self.pid().await)
    }

    /// The peak of the operator's resident memory, in MiB.
    pub async fn peak_memory(&self) -> f64 {
        machine::memory(self.pid().await, "VmHWM")
    }

    /// Resets the peak memory.
    pub async fn reset_peak_memory(&self) {
        machine::reset_peak(self.pid().await);
    }

    /// The number of the operator's writes from this place of the audit log on: first those of other kinds, then those
    /// of Leases.
    pub fn operator_writes(&self, start: u64) -> (usize, usize) {
        let (leases, others): (Vec<_>, Vec<_>) = self
            .operator_events(start)
            .partition(|event| event.resource == "leases");
        (others.len(), leases.len())
    }

    /// The number of writes to each object with the rights of the operator, from this place of the audit log on.
    pub fn writes_each(&self, start: u64) -> Vec<usize> {
        let mut counts = BTreeMap::<(String, String), usize>::new();
        let events = self.operator_events(start);
        for event in events.filter(|event| event.resource == "versionpackages") {
            *counts.entry((event.namespace, event.name)).or_default() += 1;
        }
        counts.into_values().collect()
    }

    fn operator_events(&self, start: u64) -> impl Iterator<Item = AuditEvent> {
        let user = format!("system:serviceaccount:{OPERATOR}:{OPERATOR}");
        let events = self.plane.audit_events_from(start).into_iter();
        events
            .filter(move |event| event.user == user)
            .filter(|event| !matches!(event.verb.as_str(), "get" | "list" | "watch"))
    }

    /// The metrics of the operator.
    pub async fn metrics(&self) -> String {
        let operator = self.operator.lock().await;
        operator.admin_page("/metrics").await.expect("metrics")
    }

    /// The current resident memory of the operator, in MiB.
    pub async fn memory(&self) -> f64 {
        machine::memory(self.pid().await, "VmRSS")
    }
}

async fn ready_operator(plane: &Plane) -> Operator {
    let mut operator = start_operator(plane, &[]);
    operator.ready().await;
    operator
}
