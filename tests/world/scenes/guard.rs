//! Many deletions at the same time.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::faults::Fault;
use crate::stage::{BOUND, GRACE, Stage};

fn file(number: usize) -> String {
    format!("package-{number:05}")
}

/// Requests more deletions at the same time than run without a release.
async fn many(stage: &Stage<'_>) -> Vec<String> {
    let names: Vec<String> = (1..=BOUND + 2).map(|number| format!("m{number}")).collect();
    for (index, name) in names.iter().enumerate() {
        let file = file(index + 1);
        stage.create(name, "production", &file, &json!({})).await;
    }
    for name in &names {
        stage.comes_to(name, "Active").await;
    }
    for name in &names {
        stage.delete(name).await;
    }
    names
}

pub async fn mass_released(stage: &Stage<'_>) {
    many(stage).await;
    stage.release("production").await;
    // Deletions requested after the release are held again.
    stage.release_what_is_held().await;
    stage.ends().await;
}

/// A release frees the held deletions, and none that come later.
pub async fn more_after_a_release(stage: &Stage<'_>) {
    let later: Vec<String> = (1..=BOUND + 1)
        .map(|number| format!("later-{number}"))
        .collect();
    for (index, name) in later.iter().enumerate() {
        stage.wish(name, &file(BOUND + 3 + index)).await;
    }
    let names = many(stage).await;
    stage.release("production").await;
    stage.release_what_is_held().await;
    for name in &names {
        stage.goes(name).await;
    }
    for name in &later {
        stage.delete(name).await;
    }
    // The later deletions exceed the limit by themselves.
    stage.release("production").await;
    stage.release_what_is_held().await;
    stage.ends().await;
}

/// A raised limit that is still too low for the held deletions frees nothing.
pub async fn raised_too_little(stage: &Stage<'_>) {
    many(stage).await;
    sleep(Duration::from_secs(20)).await;
    let guard = json!({"guard": {"maxDeletions": BOUND + 1}});
    stage.change_platform("spare", guard.clone()).await;
    stage.change_platform("production", guard).await;
    sleep(Duration::from_secs(30)).await;
    stage.release_what_is_held().await;
    stage.ends().await;
}

pub async fn mass_retained(stage: &Stage<'_>) {
    let names = many(stage).await;
    sleep(GRACE * 2).await;
    for name in &names {
        stage.retain(name).await;
    }
    // Some packages may have been deleted before the deletions were taken back.
    let files: Vec<String> = (1..=BOUND + 2).map(file).collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    stage.ends_but_for(&files).await;
}

pub async fn namespace(stage: &Stage<'_>) {
    stage.wish("a", "package-00001").await;
    stage.wish("b", "package-00002").await;
    stage.wish("depot/c", "package-00003").await;
    stage.end_fleet().await;
    stage.ends().await;
}

/// A wrong selector prunes all objects, and people restore them.
pub async fn pruned_by_mistake(stage: &Stage<'_>) {
    let names = many(stage).await;
    for name in &names {
        stage.retain(name).await;
    }
    for name in &names {
        stage.goes(name).await;
    }
    for (index, name) in names.iter().enumerate() {
        let file = file(index + 1);
        stage.create(name, "production", &file, &json!({})).await;
    }
    // Some packages may have been deleted before the deletions were taken back.
    let files: Vec<String> = (1..=names.len()).map(file).collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    stage.ends_but_for(&files).await;
}

/// A long grace period with a change of the leader: it runs from the first sight of the deletion.
pub async fn long_grace(stage: &Stage<'_>) {
    let guard = json!({"guard": {"gracePeriod": "5m"}});
    stage.change_platform("production", guard).await;
    stage.wish("a", "package-00001").await;
    let asked = Instant::now();
    stage.delete("a").await;
    sleep(Duration::from_secs(4 * 60)).await;
    stage.world.stop_leader().await;
    stage.goes("a").await;
    // A hanging request takes five minutes; a refused login is tried again after an hour.
    let refused = stage.has_met(Fault::Refused(401));
    assert!(refused || asked.elapsed() < Duration::from_secs(11 * 60));
    stage.ends().await;
}
