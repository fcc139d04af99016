//! One object and its package, from creation to deletion.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::stage::{GRACE, Stage};

pub async fn plain(stage: &Stage<'_>) {
    stage.wish_three().await;
    stage.delete("a").await;
    stage.goes("a").await;
    stage.delete("b").await;
    stage.ends().await;
}

/// An object retires at a set time, which is postponed once.
pub async fn scheduled(stage: &Stage<'_>) {
    let minute = Duration::from_secs(60);
    stage.wish("a", "package-00001").await;
    stage.retires_in("a", minute).await;
    sleep(minute / 2).await;
    stage.retires_in("a", minute).await;
    sleep(minute).await;
    stage.is_due("a");
    stage.ends().await;
}

pub async fn retire(stage: &Stage<'_>) {
    stage.wish("a", "package-00001").await;
    stage.wish("b", "package-00002").await;
    stage.retire("a").await;
    stage.comes_to("a", "Gone").await;
    stage.delete("a").await;
    stage.ends().await;
}

/// An object is retired, revived within its grace period, and retired again.
pub async fn waver(stage: &Stage<'_>) {
    stage.wish("a", "package-00001").await;
    stage.retire("a").await;
    sleep(GRACE / 2).await;
    stage.revive("a").await;
    stage.comes_to("a", "Active").await;
    sleep(GRACE * 2).await;
    stage.retire("a").await;
    stage.ends().await;
}

pub async fn expect(stage: &Stage<'_>) {
    let right = json!({"expect": {"fileType": "firmwarePackage"}});
    stage
        .create("right", "production", "package-00001", &right)
        .await;
    let wrong = json!({"expect": {"version": "mistaken"}});
    stage
        .create("wrong", "production", "package-00002", &wrong)
        .await;
    stage.comes_to("right", "Active").await;
    stage.comes_to("wrong", "Active").await;
    stage.delete("wrong").await;
    stage.delete("right").await;
    stage.goes("right").await;
    stage.says("wrong", "IdentityMismatch").await;
    stage.retain("wrong").await;
    stage.ends().await;
}

pub async fn pause_and_retain(stage: &Stage<'_>) {
    stage.wish("a", "package-00001").await;
    stage.wish("b", "package-00002").await;
    stage.pause("a", true).await;
    stage.delete("a").await;
    stage.says("a", "Paused").await;
    stage.pause("b", true).await;
    stage.retain("b").await;
    stage.delete("b").await;
    stage.goes("b").await;
    sleep(GRACE * 2).await;
    stage.pause("a", false).await;
    stage.ends().await;
}

/// A finalizer is removed by hand while a deletion waits, and the name is reused for another package.
pub async fn forced_and_created_anew(stage: &Stage<'_>) {
    stage.wish("a", "package-00001").await;
    stage.delete("a").await;
    sleep(GRACE.mul_f64(0.94)).await;
    stage.force("a").await;
    stage.goes("a").await;
    stage.wish("a", "package-00002").await;
    stage.ends_but_for(&["package-00001"]).await;
}

/// A tool replaces an object: it deletes the object, waits, and creates it again. The package was deleted with the
/// first object.
pub async fn replaced(stage: &Stage<'_>) {
    stage.wish("a", "package-00001").await;
    stage.delete("a").await;
    stage.goes("a").await;
    stage
        .create("a", "production", "package-00001", &json!({}))
        .await;
    stage.ends().await;
}
