//! Operators that start from the state that an older version left.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::judge::WINDOW;
use crate::stage::{BOUND, OldLease, Stage};

/// Stops the leader and waits for a second.
async fn stop(stage: &Stage<'_>) {
    stage.world.stop_leader().await;
    sleep(Duration::from_secs(1)).await;
}

/// Statuses of the first version, which hold no uid.
pub async fn old_statuses(stage: &Stage<'_>) {
    stage.wish("gone", "package-00001").await;
    stage.retire("gone").await;
    stage.comes_to("gone", "Gone").await;
    stage.wish("paused", "package-00002").await;
    stage.pause("paused", true).await;
    stage.delete("paused").await;
    stage.says("paused", "Paused").await;
    stage.wish("wanted", "package-00003").await;
    stop(stage).await;
    stage.make_statuses_old().await;
    sleep(Duration::from_secs(40)).await;
    stage.pause("paused", false).await;
    stage.delete("gone").await;
    stage.delete("wanted").await;
    stage.confirm_all().await;
    stage.ends().await;
}

/// A Lease that an older version released right after a window full of calls.
pub async fn old_lease_given_back(stage: &Stage<'_>) {
    old_lease(stage, OldLease::GivenBack).await;
}

/// A Lease that the first version still holds, and which expired in the middle of a window full of calls.
pub async fn old_lease_held(stage: &Stage<'_>) {
    old_lease(stage, OldLease::Held).await;
}

async fn old_lease(stage: &Stage<'_>, how: OldLease) {
    stage.wish_three().await;
    // The operator's own calls for these objects belong to another window.
    sleep(WINDOW).await;
    stop(stage).await;
    stage.make_lease_old(how).await;
    for name in ["a", "b", "c"] {
        stage.delete(name).await;
    }
    // Waits until the window of the earlier calls has ended.
    sleep(WINDOW * 2).await;
    stage.release_what_is_held().await;
    stage.ends().await;
}

/// The guard record of the first version: the limit still holds after the start of a newer version.
pub async fn old_guard(stage: &Stage<'_>) {
    for number in 1..=BOUND + 1 {
        let (name, file) = (format!("m{number}"), format!("package-{number:05}"));
        stage.create(&name, "production", &file, &json!({})).await;
        stage.comes_to(&name, "Active").await;
        if number <= BOUND {
            stage.delete(&name).await;
        }
    }
    stage.release_what_is_held().await;
    for number in 1..=BOUND {
        stage.goes(&format!("m{number}")).await;
    }
    stop(stage).await;
    stage.make_statuses_old().await;
    sleep(Duration::from_secs(10)).await;
    stage.delete(&format!("m{}", BOUND + 1)).await;
    stage.confirm_all().await;
    stage.release_what_is_held().await;
    stage.ends().await;
}

/// Definitions of the first version, which lack fields that a newer one needs: it starts with them, and the new ones
/// come later.
pub async fn old_definitions(stage: &Stage<'_>) {
    stage.wish_three().await;
    let kept = json!({"deletionPolicy": "Retain"});
    stage
        .create("kept", "production", "package-00004", &kept)
        .await;
    stage.comes_to("kept", "Active").await;
    stop(stage).await;
    stage.make_statuses_old().await;
    stage.make_definitions_old().await;
    sleep(Duration::from_secs(20)).await;
    stage.delete("a").await;
    stage.retire("b").await;
    stage.delete("kept").await;
    sleep(Duration::from_secs(60)).await;
    for file in ["package-00001", "package-00002", "package-00004"] {
        assert!(stage.world.platform.has("app-1", file), "{file}");
    }
    stage.give_fields_back().await;
    stage.confirm_all().await;
    stage.ends().await;
}
