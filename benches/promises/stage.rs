//! A control plane and an operator of a bench's own.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::Mutex;

use crate::machine;
use crate::support::{Layout, Operator, Plane, Rig, SimulatorOptions, start_operator};

/// A fresh control plane with a fresh operator.
pub struct Stage {
    plane: Plane,
    operator: Mutex<Operator>,
}

/// The quota of a bench, and how many objects there are.
pub struct Setting {
    /// How many objects.
    pub objects: usize,
    /// Calls in one window.
    pub calls: usize,
    /// The window in whole seconds.
    pub seconds: u64,
}

impl Setting {
    /// The window.
    pub fn window(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

impl Stage {
    /// Starts both.
    pub async fn start() -> Self {
        let plane = Plane::start();
        plane.install();
        let operator = Mutex::new(ready_operator(&plane).await);
        Self { plane, operator }
    }

    /// Ends the operator and starts it anew.
    pub async fn restart_operator(&self) {
        let mut operator = self.operator.lock().await;
        operator.terminate().await;
        *operator = ready_operator(&self.plane).await;
        machine::pin(operator.id().await, &[]);
    }

    /// Kills the operator and starts it anew as the same pod, as when a container crashes; returns how long that took
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

    /// Adds a platform with its own simulator, and gives each process its core.
    pub async fn rig(&self, subject: &str, setting: &Setting) -> Rig<'_> {
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
        let rig = Rig::on(&self.plane, subject, layout).await;
        let mut others: Vec<u32> = self.plane.processes().values().copied().collect();
        others.push(rig.simulator.id().await);
        machine::pin(self.pid().await, &others);
        rig
    }

    /// The CPU time of the operator since its start.
    pub async fn cpu_time(&self) -> Duration {
        machine::cpu_time(self.pid().await)
    }

    /// The most memory that the operator ever had resident, in MiB.
    pub async fn peak_memory(&self) -> f64 {
        machine::memory(self.pid().await, "VmHWM")
    }

    /// The memory that the operator has resident now, in MiB.
    pub async fn memory(&self) -> f64 {
        machine::memory(self.pid().await, "VmRSS")
    }
}

async fn ready_operator(plane: &Plane) -> Operator {
    let mut operator = start_operator(plane, &[]);
    operator.ready().await;
    operator
}
