//! Operators that start on what an older version left behind.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::judge::WINDOW;
use crate::stage::{BOUND, OldLease, Stage};

/// Nobody leads any more, for a moment.
async fn stop(stage: &Stage<'_>) {
    stage.world.stop_leader().await;
    sleep(Duration::from_secs(1)).await;
}

/// Statuses that the first version wrote, which carry no uid.
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

/// A Lease that an older version gave back right after a window full of calls.
pub async fn old_lease_given_back(stage: &Stage<'_>) {
    old_lease(stage, OldLease::GivenBack).await;
}

/// A Lease that the first version still holds, and which has ended in the middle of a window full of calls.
pub async fn old_lease_held(stage: &Stage<'_>) {
    old_lease(stage, OldLease::Held).await;
}

async fn old_lease(stage: &Stage<'_>, how: OldLease) {
    stage.wish_three().await;
    // What the operator has called for them is of another window.
    sleep(WINDOW).await;
    stop(stage).await;
    stage.make_lease_old(how).await;
    for name in ["a", "b", "c"] {
        stage.delete(name).await;
    }
    // Until the window of the calls before has ended.
    sleep(WINDOW * 2).await;
    stage.release_what_is_held().await;
    stage.ends().await;
}

/// What the guard of the first version counted: the bound holds over the start of a newer one.
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

/// Definitions of the first version, which lack fields that a newer one needs: it starts on them, they come later.
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
