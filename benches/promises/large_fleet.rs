//! One large fleet for all that needs one, since its birth takes longer than what it is born for.

use std::time::Duration;

use crate::figures::Row;
use crate::stage::Stage;
use crate::{idle, start, storm};

/// Rests, then starts with work that is due, then takes a storm of edits.
pub async fn run(quick: bool) -> Vec<Row> {
    let (bench, load, storm) = if quick {
        ("idle-1000", &idle::SMALL, Duration::from_secs(15))
    } else {
        ("idle-10000", &idle::LARGE, Duration::from_secs(120))
    };
    let stage = Stage::start().await;
    let rig = stage.unpinned_rig("fleet", &load.setting).await;
    let (fleet, mut rows) = idle::run(bench, load, &stage, &rig).await;
    rows.extend(start::run(&stage, &fleet).await);
    rows.extend(storm::run(&stage, &fleet, load.setting.window(), storm).await);
    rows
}
