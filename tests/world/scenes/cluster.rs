//! Changes of the cluster: policies, definitions and backups.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::stage::{Stage, has_ours};

/// A policy refuses to remove finalizers for a while.
pub async fn finalizers_kept(stage: &Stage<'_>) {
    stage.wish("a", "package-00001").await;
    stage.wish("b", "package-00002").await;
    stage.deny("keep", |attempt| {
        attempt.resource == "versionpackages.iodm.dev"
            && attempt.old.is_some_and(has_ours)
            && !has_ours(attempt.object)
    });
    stage.delete("a").await;
    stage.says("a", "FinalizerRefused").await;
    sleep(Duration::from_secs(60)).await;
    stage.allow("keep");
    stage.delete("b").await;
    stage.ends().await;
}

/// A policy refuses to add finalizers for a while, so nothing is accepted.
pub async fn finalizers_refused(stage: &Stage<'_>) {
    stage.deny("refuse", |attempt| {
        attempt.resource == "versionpackages.iodm.dev" && has_ours(attempt.object)
    });
    stage
        .create("a", "production", "package-00001", &json!({}))
        .await;
    stage.says("a", "FinalizerRefused").await;
    stage.allow("refuse");
    stage.comes_to("a", "Active").await;
    stage.delete("a").await;
    stage.ends().await;
}

/// A policy refuses the statuses of packages for a while: nothing is deleted without its intent.
pub async fn statuses_refused(stage: &Stage<'_>) {
    stage.wish("a", "package-00001").await;
    stage.deny("mute", |attempt| {
        attempt.resource == "versionpackages.iodm.dev" && attempt.subresource == "status"
    });
    stage.delete("a").await;
    sleep(Duration::from_secs(90)).await;
    assert!(stage.world.platform.has("app-1", "package-00001"));
    stage.allow("mute");
    stage.ends().await;
}

/// The definition loses the field that retains packages, and gets it back later.
pub async fn field_lost(stage: &Stage<'_>) {
    let kept = json!({"deletionPolicy": "Retain"});
    stage
        .create("kept", "production", "package-00001", &kept)
        .await;
    stage.comes_to("kept", "Active").await;
    stage.wish("a", "package-00002").await;
    stage.lose_field("versionpackages", "deletionPolicy").await;
    stage.loss_is_seen().await;
    stage.delete("kept").await;
    stage.delete("a").await;
    sleep(Duration::from_secs(60)).await;
    stage.give_fields_back().await;
    stage.confirm_all().await;
    stage.ends().await;
}

/// A backup tool gives an object the status of another package, whose deletion had ended.
pub async fn restored_with_status(stage: &Stage<'_>) {
    stage.wish("a", "package-00001").await;
    let active = stage.back_up("a").unwrap();
    stage.retire("a").await;
    stage.comes_to("a", "Gone").await;
    let ended = stage.back_up("a").unwrap();
    stage.delete("a").await;
    stage.goes("a").await;
    stage.restore("a", &ended, Some("package-00002")).await;
    stage.comes_to("a", "Gone").await;
    stage.restore("b", &active, Some("package-00003")).await;
    sleep(Duration::from_secs(5)).await;
    stage.delete("b").await;
    stage.ends().await;
}

/// The store is restored to a time before a deletion, which people then request again.
pub async fn store_back(stage: &Stage<'_>) {
    stage.wish("a", "package-00001").await;
    stage.wish("b", "package-00002").await;
    let saved = stage.world.cluster.save();
    stage.delete("b").await;
    stage.goes("b").await;
    stage.go_back(&saved);
    sleep(Duration::from_secs(30)).await;
    stage.delete("b").await;
    stage.goes("b").await;
    stage.delete("a").await;
    stage.ends().await;
}
