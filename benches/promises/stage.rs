//! A control plane and an operator of a bench's own.

use std::time::Duration;

use serde_json::json;

use crate::machine;
use crate::support::{Layout, Operator, Plane, Rig, SimulatorOptions, start_operator};

/// A fresh control plane with a fresh operator.
pub struct Stage {
    plane: Plane,
    _operator: Operator,
    pid: u32,
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
        let mut operator = start_operator(&plane, &[]);
        operator.ready().await;
        let pid = operator.id().await;
        Self {
            plane,
            _operator: operator,
            pid,
        }
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
        machine::pin(self.pid, &others);
        rig
    }

    /// The CPU time of the operator since its start.
    pub fn cpu_time(&self) -> Duration {
        machine::cpu_time(self.pid)
    }

    /// The most memory that the operator ever had resident, in MiB.
    pub fn peak_memory(&self) -> f64 {
        machine::memory(self.pid, "VmHWM")
    }

    /// The memory that the operator has resident now, in MiB.
    pub fn memory(&self) -> f64 {
        machine::memory(self.pid, "VmRSS")
    }
}
