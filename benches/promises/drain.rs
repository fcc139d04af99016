//! A backlog on one application, asked for at once.

use std::time::Duration;

use crate::figures::{Row, Rows, number};
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
    let fleet = Fleet::create(&rig, 2..objects + 2).await;
    fleet.warm_up(window).await;
    fleet.rest(window).await;
    let before = stage.cpu_time().await;
    let least = window * u32::try_from(objects.div_ceil(calls) - 1).expect("a number of windows");
    let drain = fleet.drain(least).await;
    let cpu = stage.cpu_time().await.saturating_sub(before);

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
    rows.at_most("time / paced floor", ratio, "", load.ratio);
    let throttled = number(drain.verdicts("throttled"));
    rows.exactly("calls refused", throttled, "", 0.0);
    let logins = drain.verdicts("logged-in");
    rows.know("logins", number(logins), "");
    let deletes = of_each(drain.calls.len() - logins);
    rows.exactly("calls per delete beside logins", deletes, "", 1.0);
    let densest = number(pace::most_in_window(&drain.calls, window));
    rows.at_most("most calls in one window", densest, "", number(calls));
    let births = most(&drain.birth_writes);
    rows.at_most("most writes to an object at birth", births, "", 2.0);
    let deletions = most(&drain.deletion_writes);
    rows.at_most(
        "most writes to an object for its deletion",
        deletions,
        "",
        3.0,
    );
    rows.know("objects with 2 writes for their deletion", of_these(2), "");
    let events = of_each(drain.events);
    rows.at_most("events per deletion", events, "", 1.0);
    rows.at_most("CPU time of the operator", seconds(&cpu), "s", 2.0);
    let whole = seconds(&stage.cpu_time().await);
    rows.know("the same from its start, with the birth of all", whole, "s");
    rows.at_most(
        "peak memory of the operator",
        stage.peak_memory().await,
        "MiB",
        25.0,
    );
    rows.done()
}
