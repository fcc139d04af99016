//! Processes that end, succeed each other, and run where they shouldn't.

use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::sleep;

use crate::stage::{GRACE, Stage};

/// The leader stops in order while deletions are in progress, and its successor too.
pub async fn hand_over(stage: &Stage<'_>) {
    stage.wish_three().await;
    stage.delete("a").await;
    sleep(GRACE).await;
    stage.world.stop_leader().await;
    stage.delete("b").await;
    stage.goes("a").await;
    sleep(GRACE + Duration::from_secs(10)).await;
    stage.world.stop_leader().await;
    stage.delete("c").await;
    stage.release_what_is_held().await;
    stage.ends().await;
}

/// A second operator with its Lease in another namespace is started in addition to the first.
pub async fn second_install(stage: &Stage<'_>) {
    stage.wish("a", "package-00001").await;
    stage
        .world
        .add_namespace("elsewhere", &serde_json::json!({}))
        .await;
    stage.world.allow_lease("elsewhere");
    let second = stage.world.start_in("vpo-x", "elsewhere");
    sleep(Duration::from_secs(40)).await;
    stage.delete("a").await;
    stage.goes("a").await;
    stage.world.stop_leader().await;
    stage.wish("b", "package-00002").await;
    stage.delete("b").await;
    stage.ends().await;
    second.crash().await;
}

/// The clocks of two machines differ, and one of them is changed while deletions wait.
pub async fn clocks(stage: &Stage<'_>) {
    stage
        .world
        .set_clock("vpo-1", SignedDuration::from_secs(-25));
    stage.wish_three().await;
    stage.delete("a").await;
    sleep(GRACE / 2).await;
    stage
        .world
        .set_clock("vpo-0", SignedDuration::from_mins(10));
    stage.goes("a").await;
    stage.delete("b").await;
    stage.world.stop_leader().await;
    stage.goes("b").await;
    stage.delete("c").await;
    sleep(GRACE / 2).await;
    stage
        .world
        .set_clock("vpo-0", SignedDuration::from_mins(-10));
    stage
        .world
        .set_clock("vpo-1", SignedDuration::from_mins(-10));
    stage.ends().await;
}
