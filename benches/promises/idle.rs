//! What objects cost with which nothing is to be done.

use std::time::Duration;

use crate::figures::{Row, Rows, Target, number};
use crate::stage::{Setting, Stage};
use crate::support::{Fleet, pace};

const SETTING: Setting = Setting {
    objects: 300,
    calls: 100,
    seconds: 6,
};

/// Watches 300 objects that are Active for so long.
pub async fn run(bench: &'static str, length: Duration) -> Vec<Row> {
    let stage = Stage::start().await;
    let rig = stage.rig("idle", &SETTING).await;
    let fleet = Fleet::create(&rig, SETTING.objects).await;
    fleet.warm_up(SETTING.window()).await;
    // The Platform's status follows its session at most every 10 s.
    fleet.rest(SETTING.window() + Duration::from_secs(10)).await;
    let (begun, before) = (pace::now(), stage.cpu_time());
    tokio::time::sleep(length).await;
    let cpu = stage.cpu_time().saturating_sub(before);
    let calls = number(fleet.calls(begun).await.len());
    let writes = |resource| number(fleet.operator_writes(resource, begun, Duration::MAX).len());

    let mut rows = Rows::of(bench);
    rows.know("objects", number(SETTING.objects), "");
    rows.know("length", length.as_secs_f64(), "s");
    rows.reach("platform calls", calls, "", Target::Exactly(0.0));
    let packages = writes("versionpackages");
    rows.reach(
        "writes to VersionPackages",
        packages,
        "",
        Target::Exactly(0.0),
    );
    rows.reach(
        "writes to Platforms",
        writes("platforms"),
        "",
        Target::Exactly(0.0),
    );
    rows.reach("events", writes("events"), "", Target::Exactly(0.0));
    let share = cpu.as_secs_f64() / length.as_secs_f64() * 100.0;
    rows.reach("share of a core", share, "%", Target::AtMost(0.5));
    rows.know("memory of the operator", stage.memory(), "MiB");
    rows.done()
}
