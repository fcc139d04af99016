//! The cost of objects that need no work.

use std::time::Duration;

use crate::figures::{Row, Rows, number};
use crate::stage::{Setting, Stage};
use crate::support::{Fleet, Rig, pace};

/// The number of objects, the time of observation, and the memory target in MiB.
pub struct Load {
    /// The number of objects and their quota.
    pub setting: Setting,
    /// The length of each of the two idle periods.
    pub length: Duration,
    /// The memory target in MiB; `None` without one.
    pub memory: Option<f64>,
}

/// The platform's own quota in real time: little here depends on it.
const fn fleet(objects: usize) -> Setting {
    Setting {
        objects,
        calls: 100,
        seconds: 60,
    }
}

/// A fleet for a quick run.
pub const SMALL: Load = Load {
    setting: Setting {
        objects: 1000,
        calls: 100,
        seconds: 6,
    },
    length: Duration::from_secs(15),
    memory: None,
};

/// A large fleet. 40 MB are 38.1 MiB.
pub const LARGE: Load = Load {
    setting: fleet(10_000),
    length: Duration::from_secs(180),
    memory: Some(38.1),
};

/// The largest fleet that one operator is designed for. 150 MB are 143 MiB.
pub const HUGE: Load = Load {
    setting: fleet(50_000),
    length: Duration::from_secs(180),
    memory: Some(143.0),
};

/// The names of the figures of one idle period.
struct Words {
    calls: &'static str,
    writes: &'static str,
    leases: &'static str,
    share: &'static str,
    memory: &'static str,
    peak: &'static str,
}

const AFTER_BIRTH: Words = Words {
    calls: "platform calls after the birth of all",
    writes: "writes after the birth of all, the Lease's apart",
    leases: "writes to the Lease after the birth of all",
    share: "share of a core after the birth of all",
    memory: "memory after the birth of all",
    peak: "peak memory up to then",
};

const AFTER_START: Words = Words {
    calls: "platform calls after a start",
    writes: "writes after a start, the Lease's apart",
    leases: "writes to the Lease after a start",
    share: "share of a core after a start",
    memory: "memory after a start",
    peak: "peak memory since the start",
};

/// Runs the bench with a control plane of its own.
pub async fn alone(bench: &'static str, load: &Load) -> Vec<Row> {
    let stage = Stage::start().await;
    let rig = stage.unpinned_rig("idle", &load.setting).await;
    let (fleet, rows) = run(bench, load, &stage, &rig).await;
    drop(fleet);
    rows
}

/// Creates the objects and observes the idle operator, then again after a restart of the operator.
pub async fn run<'a>(
    bench: &'static str,
    load: &Load,
    stage: &Stage,
    rig: &'a Rig<'a>,
) -> (Fleet<'a>, Vec<Row>) {
    let begun = pace::now();
    let fleet = Fleet::create(rig, 2..load.setting.objects + 2).await;
    let birth = pace::now().saturating_sub(begun);
    stage.pin(rig).await;
    // With a valid token an unnecessary renewal would show.
    fleet.warm_up(load.setting.window()).await;

    let mut rows = Rows::of(bench);
    rows.know("objects", number(load.setting.objects), "");
    rows.know("birth of all, on all cores", birth.as_secs_f64(), "s");
    rows.know("length of each time", load.length.as_secs_f64(), "s");
    rest(&mut rows, &AFTER_BIRTH, load, stage, &fleet).await;
    stage.restart_operator().await;
    rest(&mut rows, &AFTER_START, load, stage, &fleet).await;
    (fleet, rows.done())
}

/// Observes the operator while there is nothing to do.
async fn rest(rows: &mut Rows, words: &Words, load: &Load, stage: &Stage, fleet: &Fleet<'_>) {
    fleet.settle(load.setting.window()).await;
    let (begun, mark, before) = (
        pace::now(),
        stage.plane().audit_end(),
        stage.cpu_time().await,
    );
    tokio::time::sleep(load.length).await;
    let cpu = stage.cpu_time().await.saturating_sub(before);
    let (writes, leases) = stage.operator_writes(mark);
    let calls = number(fleet.calls(begun).await.len());

    rows.exactly(words.calls, calls, "", 0.0);
    rows.exactly(words.writes, number(writes), "", 0.0);
    rows.know(words.leases, number(leases), "");
    let share = cpu.as_secs_f64() / load.length.as_secs_f64() * 100.0;
    rows.at_most(words.share, share, "%", 0.5);
    let memory = stage.memory().await;
    match load.memory {
        Some(most) => rows.at_most(words.memory, memory, "MiB", most),
        None => rows.know(words.memory, memory, "MiB"),
    }
    rows.know(words.peak, stage.peak_memory().await, "MiB");
}
