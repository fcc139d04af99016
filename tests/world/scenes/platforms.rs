//! Changes of a Platform, its Secret and its quota.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::stage::{GRACE, Stage};

/// Another client of the application logs in, which ends our token.
pub async fn token_lost(stage: &Stage<'_>) {
    stage.wish("a", "package-00001").await;
    stage.wish("b", "package-00002").await;
    stage.delete("a").await;
    stage.goes("a").await;
    stage.world.platform.end_token("app-1");
    stage.delete("b").await;
    stage.ends().await;
}

pub async fn secret_rotated(stage: &Stage<'_>) {
    stage.wish("a", "package-00001").await;
    stage.wish("b", "package-00002").await;
    stage.delete("a").await;
    stage.goes("a").await;
    stage.world.platform.set_secret("app-1", "third-secret");
    stage.world.platform.end_token("app-1");
    stage.delete("b").await;
    sleep(Duration::from_secs(20)).await;
    for name in ["production", "spare"] {
        stage.put_secret(name, "app-1", "third-secret").await;
    }
    stage.ends().await;
}

pub async fn platform_edited(stage: &Stage<'_>) {
    stage.wish("a", "package-00001").await;
    stage.wish("b", "package-00002").await;
    stage.delete("a").await;
    let quota = json!({"quota": {"calls": 50, "window": "60s"}});
    stage.change_platform("production", quota).await;
    stage.goes("a").await;
    stage.delete("b").await;
    let quota = json!({"quota": {"calls": 80, "window": "60s"}});
    stage.change_platform("production", quota).await;
    stage.ends().await;
}

pub async fn observe(stage: &Stage<'_>) {
    stage.wish("a", "package-00001").await;
    stage.wish("b", "package-00002").await;
    stage.delete("a").await;
    stage
        .change_platform("production", json!({"mode": "Observe"}))
        .await;
    stage.delete("b").await;
    stage.says("b", "WouldDelete").await;
    sleep(GRACE * 2).await;
    stage
        .change_platform("production", json!({"mode": "Enforce"}))
        .await;
    stage.ends().await;
}

/// The namespace of the Platforms and Secrets is deleted by mistake and created again, while one object is to be
/// deleted.
pub async fn platforms_deleted(stage: &Stage<'_>) {
    stage.wish("a", "package-00001").await;
    stage.wish("b", "package-00002").await;
    stage.delete("a").await;
    stage.delete_iot().await;
    sleep(GRACE * 4).await;
    stage.bring_iot_back().await;
    stage.comes_to("b", "Active").await;
    stage.delete("b").await;
    stage.ends().await;
}

/// A queue longer than the quota of two windows.
pub async fn small_quota(stage: &Stage<'_>) {
    let spec = json!({"quota": {"calls": 3, "window": "60s"}, "guard": {"maxDeletions": 50}});
    for platform in ["production", "spare"] {
        stage.change_platform(platform, spec.clone()).await;
    }
    let names: Vec<String> = (1..=7).map(|number| format!("q{number}")).collect();
    for (index, name) in names.iter().enumerate() {
        stage.wish(name, &format!("package-{:05}", index + 1)).await;
    }
    for name in &names {
        stage.delete(name).await;
    }
    stage.ends().await;
}

/// The platform throttles calls, since another client uses up the quota.
pub async fn neighbour(stage: &Stage<'_>) {
    stage.wish("a", "package-00001").await;
    stage.wish("b", "package-00002").await;
    stage.delete("a").await;
    stage.goes("a").await;
    stage.world.platform.use_up("app-1");
    stage.delete("b").await;
    stage.ends().await;
}
