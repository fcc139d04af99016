//! A backlog on one application, asked for at once.

use std::time::Duration;

use crate::figures::{Row, Rows, Target, number};
use crate::stage::{Setting, Stage};
use crate::support::{Fleet, pace};

/// The drain and how near it has to come to an ideal client.
pub struct Load {
    setting: Setting,
    ratio: f64,
}

/// The window compressed ten times, so that the API server's own milliseconds weigh ten times as much.
pub const COMPRESSED: Load = Load {
    setting: Setting {
        objects: 300,
        calls: 100,
        seconds: 6,
    },
    ratio: 1.03,
};

/// The quota as the platform has it.
pub const REAL_TIME: Load = Load {
    setting: Setting {
        objects: 300,
        calls: 100,
        seconds: 60,
    },
    ratio: 1.01,
};

pub async fn run(bench: &'static str, load: &Load) -> Vec<Row> {
    let Setting { objects, calls, .. } = load.setting;
    let window = load.setting.window();
    let stage = Stage::start().await;
    let rig = stage.rig("drain", &load.setting).await;
    let fleet = Fleet::create(&rig, objects).await;
    fleet.warm_up(window).await;
    fleet.rest(window).await;
    let before = stage.cpu_time();
    let least = window * u32::try_from(objects.div_ceil(calls) - 1).expect("a number of windows");
    let drain = fleet.drain(least).await;
    let cpu = stage.cpu_time().saturating_sub(before);

    let pace = drain.pace(calls, window);
    let asked = drain.asked.last().copied().unwrap_or_default();
    let asked = asked.saturating_sub(drain.asked.first().copied().unwrap_or_default());
    let of_each = |total: usize| number(total) / number(objects);
    let most = |writes: &[usize]| number(writes.iter().copied().max().unwrap_or(0));
    let of_these = |count: usize| {
        let these = drain.deletion_writes.iter();
        number(these.filter(|writes| **writes == count).count())
    };
    let mut rows = Rows::of(bench);
    let seconds = Duration::as_secs_f64;
    rows.know("deletes asked for within", seconds(&asked), "s");
    rows.know("paced floor", seconds(&pace.floor), "s");
    rows.know(
        "time from the first delete to the last call",
        seconds(&pace.time),
        "s",
    );
    let ratio = seconds(&pace.time) / seconds(&pace.floor);
    rows.reach("time / paced floor", ratio, "", Target::AtMost(load.ratio));
    let throttled = number(drain.verdicts("throttled"));
    rows.reach("calls refused", throttled, "", Target::Exactly(0.0));
    let logins = drain.verdicts("logged-in");
    rows.know("logins", number(logins), "");
    let deletes = of_each(drain.calls.len() - logins);
    rows.reach(
        "calls per delete beside logins",
        deletes,
        "",
        Target::Exactly(1.0),
    );
    let densest = number(pace::most_in_window(&drain.calls, window));
    rows.reach(
        "most calls in one window",
        densest,
        "",
        Target::AtMost(number(calls)),
    );
    let births = most(&drain.birth_writes);
    rows.reach(
        "most writes to an object at birth",
        births,
        "",
        Target::AtMost(2.0),
    );
    let deletions = most(&drain.deletion_writes);
    rows.reach(
        "most writes to an object for its deletion",
        deletions,
        "",
        Target::AtMost(3.0),
    );
    rows.know("objects with 2 writes for their deletion", of_these(2), "");
    let events = of_each(drain.events);
    rows.reach("events per deletion", events, "", Target::AtMost(1.0));
    rows.reach(
        "CPU time of the operator",
        seconds(&cpu),
        "s",
        Target::AtMost(2.0),
    );
    rows.reach(
        "peak memory of the operator",
        stage.peak_memory(),
        "MiB",
        Target::AtMost(25.0),
    );
    rows.done()
}
