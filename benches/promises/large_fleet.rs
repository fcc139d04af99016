//! One large fleet for all benches that need one, since its creation takes longer than the benches.

use std::time::Duration;

use crate::figures::Row;
use crate::stage::Stage;
use crate::{idle, start, storm};

/// Observes an idle fleet, then a start with due work, then a storm of edits.
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
