//! What objects cost with which nothing is to be done.

use std::time::Duration;

use crate::figures::{Row, Rows, number};
use crate::stage::{Setting, Stage};
use crate::support::{Fleet, pace};

/// How many objects, and the memory that they may take in MiB.
pub struct Load {
    setting: Setting,
    memory: Option<f64>,
}

/// The fleet that is drained elsewhere.
pub const FEW: Load = Load {
    setting: Setting {
        objects: 300,
        calls: 100,
        seconds: 6,
    },
    memory: None,
};

/// A large fleet. 40 MB are 38.1 MiB.
pub const MANY: Load = Load {
    setting: Setting {
        objects: 10_000,
        calls: 100,
        seconds: 6,
    },
    memory: Some(38.1),
};

/// Watches objects that are Active for so long, then starts the operator anew.
pub async fn run(bench: &'static str, load: &Load, length: Duration) -> Vec<Row> {
    let Load { setting, memory } = load;
    let stage = Stage::start().await;
    let begun = pace::now();
    let rig = stage.rig("idle", setting).await;
    let fleet = Fleet::create(&rig, 2..setting.objects + 2).await;
    let birth = pace::now().saturating_sub(begun);
    fleet.warm_up(setting.window()).await;
    // The Platform's status follows its session at most every 10 s.
    fleet.rest(setting.window() + Duration::from_secs(10)).await;

    let (begun, before) = (pace::now(), stage.cpu_time().await);
    tokio::time::sleep(length).await;
    let cpu = stage.cpu_time().await.saturating_sub(before);
    let calls = number(fleet.calls(begun).await.len());
    let writes = |resource| number(fleet.operator_writes(resource, begun, Duration::MAX).len());

    let mut rows = Rows::of(bench);
    rows.know("objects", number(setting.objects), "");
    rows.know("birth of all", birth.as_secs_f64(), "s");
    rows.know("length", length.as_secs_f64(), "s");
    rows.exactly("platform calls", calls, "", 0.0);
    let packages = writes("versionpackages");
    rows.exactly("writes to VersionPackages", packages, "", 0.0);
    rows.exactly("writes to Platforms", writes("platforms"), "", 0.0);
    rows.exactly("events", writes("events"), "", 0.0);
    let share = cpu.as_secs_f64() / length.as_secs_f64() * 100.0;
    rows.at_most("share of a core", share, "%", 0.5);
    let mut held = |figure, value| match memory {
        Some(most) => rows.at_most(figure, value, "MiB", *most),
        None => rows.know(figure, value, "MiB"),
    };
    held("memory after the birth of all", stage.memory().await);
    let peak = stage.peak_memory().await;
    stage.restart_operator().await;
    held("memory after a start", stage.memory().await);
    rows.know("peak memory at the birth of all", peak, "MiB");
    rows.know("peak memory at a start", stage.peak_memory().await, "MiB");
    rows.done()
}
