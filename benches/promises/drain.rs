//! A backlog of one application, requested at once.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::figures::{Row, Rows, number};
use crate::stage::{Setting, Stage};
use crate::support::{Drain, Fleet, pace};

/// The time from the last requested deletion until all waiting objects have had their status write.
const ALL_PARKED: Duration = Duration::from_secs(10);

/// A drain, and its target compared with an ideal client.
pub struct Load {
    setting: Setting,
    /// How the platform counts, in the simulator's terms.
    quota: Quota,
    pace: Pace,
    /// The cost targets; `None` where the cost is only reported.
    cost: Option<Cost>,
}

/// How the platform counts.
struct Quota {
    kind: &'static str,
    count_refused: bool,
}

/// The target of the drain time, compared with the paced floor: the drain time of an ideal client that keeps to the
/// quota.
enum Pace {
    /// At most this multiple of the floor.
    Ratio(f64),
    /// At most this much later, for a floor near zero.
    Beyond(Duration),
}

struct Cost {
    cpu_seconds: f64,
    peak_mib: f64,
}

const SLIDING: Quota = Quota {
    kind: "sliding",
    count_refused: false,
};

/// A load with a window ten times shorter, so that the API server's milliseconds weigh ten times as much.
const fn compressed(objects: usize, quota: Quota, pace: Pace) -> Load {
    Load {
        setting: Setting {
            objects,
            calls: 100,
            seconds: 6,
        },
        quota,
        pace,
        cost: None,
    }
}

/// The deletions of one window.
pub const FEW: Load = compressed(100, SLIDING, Pace::Beyond(Duration::from_millis(500)));
/// The deletions of five windows.
pub const SOME: Load = compressed(500, SLIDING, Pace::Ratio(1.03));
/// The deletions of ten windows.
pub const MANY: Load = compressed(1000, SLIDING, Pace::Ratio(1.03));

/// A platform with fixed windows.
pub const FIXED: Load = compressed(
    500,
    Quota {
        kind: "fixed",
        count_refused: false,
    },
    Pace::Ratio(1.03),
);
/// A platform with a sliding window.
pub const LOG: Load = compressed(500, SLIDING, Pace::Ratio(1.03));
/// A platform with a sliding window that also counts refused calls.
pub const LOG_OF_ALL: Load = compressed(
    500,
    Quota {
        kind: "sliding",
        count_refused: true,
    },
    Pace::Ratio(1.03),
);
/// A platform with a token bucket.
pub const BUCKET: Load = compressed(
    500,
    Quota {
        kind: "bucket",
        count_refused: false,
    },
    Pace::Ratio(1.03),
);

/// The platform's own quota.
pub const REAL_TIME: Load = Load {
    setting: Setting {
        objects: 300,
        calls: 100,
        seconds: 60,
    },
    quota: SLIDING,
    pace: Pace::Ratio(1.01),
    cost: Some(Cost {
        cpu_seconds: 2.0,
        peak_mib: 25.0,
    }),
};

pub async fn run(bench: &'static str, load: &Load) -> Vec<Row> {
    let Setting { objects, calls, .. } = load.setting;
    let window = load.setting.window();
    let stage = Stage::start().await;
    let rig = stage.rig("drain", &load.setting).await;
    let Quota {
        kind,
        count_refused,
    } = load.quota;
    let quota: Value = json!({"kind": kind, "countRefused": count_refused});
    rig.simulator.admin(Method::PUT, "/quota", &quota).await;
    let fleet = Fleet::create(&rig, 2..objects + 2).await;
    fleet.warm_up(window).await;
    fleet.rest(window).await;
    let before = stage.cpu_time().await;
    let least = window * u32::try_from(objects.div_ceil(calls) - 1).expect("a number of windows");
    let drain = fleet.drain(least).await;
    let cpu = stage.cpu_time().await.saturating_sub(before);

    let mut rows = Rows::of(bench);
    tell_pace(&mut rows, &drain, load);
    tell_calls(&mut rows, &drain, load);
    tell_writes(&mut rows, &drain);
    if let Some((begun, length)) = standstill(&drain, &load.setting) {
        let writes = fleet.operator_writes("versionpackages", begun, begun + length);
        let writes = number(writes.len());
        rows.exactly("writes while the rest is parked", writes, "", 0.0);
        rows.know("watched for that", length.as_secs_f64(), "s");
    }
    let (cpu, peak) = (cpu.as_secs_f64(), stage.peak_memory().await);
    let (about_cpu, about_peak) = ("CPU time of the operator", "peak memory of the operator");
    if let Some(cost) = &load.cost {
        rows.at_most(about_cpu, cpu, "s", cost.cpu_seconds);
        rows.at_most(about_peak, peak, "MiB", cost.peak_mib);
    } else {
        rows.know(about_cpu, cpu, "s");
        rows.know(about_peak, peak, "MiB");
    }
    rows.done()
}

fn tell_pace(rows: &mut Rows, drain: &Drain, load: &Load) {
    let pace = drain.pace(load.setting.calls, load.setting.window());
    let seconds = |time: Duration| time.as_secs_f64();
    let first = drain.asked.first().copied().unwrap_or_default();
    let last = drain.asked.last().copied().unwrap_or_default();
    let asked = seconds(last.saturating_sub(first));
    rows.know("deletes asked for within", asked, "s");
    rows.know("paced floor", seconds(pace.floor), "s");
    let time = seconds(pace.time);
    rows.know("time from the first delete to the last call", time, "s");
    match load.pace {
        Pace::Ratio(most) => {
            let ratio = seconds(pace.time) / seconds(pace.floor);
            rows.at_most("time / paced floor", ratio, "", most);
        }
        Pace::Beyond(most) => {
            let beyond = seconds(pace.time.saturating_sub(pace.floor));
            rows.at_most("time beyond the paced floor", beyond, "s", seconds(most));
        }
    }
}

fn tell_calls(rows: &mut Rows, drain: &Drain, load: &Load) {
    let Setting { objects, calls, .. } = load.setting;
    let throttled = number(drain.verdicts("throttled"));
    rows.exactly("calls refused", throttled, "", 0.0);
    let logins = drain.verdicts("logged-in");
    rows.know("logins", number(logins), "");
    let deletes = number(drain.calls.len() - logins) / number(objects);
    rows.exactly("calls per delete beside logins", deletes, "", 1.0);
    let densest = number(pace::most_in_window(&drain.calls, load.setting.window()));
    rows.at_most("most calls in one window", densest, "", number(calls));
}

fn tell_writes(rows: &mut Rows, drain: &Drain) {
    let most = |writes: &[usize]| number(writes.iter().copied().max().unwrap_or(0));
    let births = most(&drain.birth_writes);
    rows.at_most("most writes to an object at birth", births, "", 2.0);
    let deletions = most(&drain.deletion_writes);
    let figure = "most writes to an object for its deletion";
    rows.at_most(figure, deletions, "", 3.0);
    let two = drain.deletion_writes.iter().filter(|writes| **writes == 2);
    let two = number(two.count());
    rows.know("objects with 2 writes for their deletion", two, "");
    let events = number(drain.events) / number(drain.asked.len());
    rows.at_most("events per deletion", events, "", 1.0);
}

/// The time in the first window after the quota is used up and the status of each waiting object is written: its start
/// and its length. `None` if there is no such time.
fn standstill(drain: &Drain, setting: &Setting) -> Option<(Duration, Duration)> {
    if drain.calls.len() <= setting.calls {
        return None;
    }
    let parked = *drain.asked.last()? + ALL_PARKED;
    let next = drain.calls.first()?.answered + setting.window();
    let length = next.checked_sub(parked + Duration::from_secs(1))?;
    Some((parked, length))
}
