//! Several objects for one package, and strangers who name the package.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::stage::{BOUND, GRACE, Stage};

/// The grace period in the scenes about keepers.
const UNDO: Duration = Duration::from_secs(30);

pub async fn rename_delete_first(stage: &Stage<'_>) {
    stage.wish("old", "package-00001").await;
    stage.delete("old").await;
    sleep(Duration::from_millis(700)).await;
    stage
        .create("new", "production", "package-00001", &json!({}))
        .await;
    stage.ends().await;
}

pub async fn rename_create_first(stage: &Stage<'_>) {
    stage.wish("old", "package-00001").await;
    stage.wish("depot/new", "package-00001").await;
    stage.delete("old").await;
    stage.ends().await;
}

/// An object moves to another Platform of the same application: a new object is created, then the old one is deleted.
pub async fn move_platform(stage: &Stage<'_>) {
    stage.wish("old", "package-00001").await;
    stage.wish_on("spare", "new", "package-00001").await;
    stage.delete("old").await;
    stage.goes("old").await;
    // A package with the same id in another application is a different package.
    stage.wish_on("staging", "other", "package-00001").await;
    stage.delete("new").await;
    stage.ends().await;
}

/// An object is moved off a Platform whose Secret then names another application. The object is released all the same,
/// since another object keeps its package.
pub async fn left_a_broken_platform(stage: &Stage<'_>) {
    stage.wish("first", "package-00002").await;
    stage.wish("old", "package-00001").await;
    stage.wish_on("spare", "new", "package-00001").await;
    // Accepts the credential of both Platforms.
    stage.delete("first").await;
    stage.goes("first").await;
    stage
        .put_secret("production", "app-2", "second-secret")
        .await;
    stage.says("old", "ApplicationChanged").await;
    stage.delete("old").await;
    stage.goes("old").await;
    stage
        .put_secret("production", "app-1", "first-secret")
        .await;
    stage.ends().await;
}

/// New objects claim packages just when the grace periods of their deletions end.
pub async fn claimed_at_the_last_moment(stage: &Stage<'_>) {
    for number in 1..=BOUND {
        stage
            .wish(&format!("old-{number}"), &format!("package-{number:05}"))
            .await;
    }
    for number in 1..=BOUND {
        stage.delete(&format!("old-{number}")).await;
    }
    sleep(GRACE * 97 / 100).await;
    for number in 1..=BOUND {
        let (name, file) = (format!("new-{number}"), format!("package-{number:05}"));
        stage.create(&name, "production", &file, &json!({})).await;
        sleep(Duration::from_millis(100)).await;
    }
    stage.ends().await;
}

/// An object is split into two, and the split is reverted.
pub async fn split_and_reverted(stage: &Stage<'_>) {
    stage.wish("whole", "package-00001").await;
    stage.wish("part-1", "package-00001").await;
    stage.wish("part-2", "package-00002").await;
    stage.delete("whole").await;
    stage.goes("whole").await;
    stage.wish("whole", "package-00001").await;
    stage.delete("part-1").await;
    stage.delete("part-2").await;
    stage.ends().await;
}

/// Several objects of one package go together while turns are scarce: the one that holds the turn of the package changes its
/// mind, another is let go without the package, and a retired one has a deleted one behind it.
pub async fn one_package_of_many(stage: &Stage<'_>) {
    let spec = json!({"quota": {"calls": 2, "window": "60s"}, "guard": {"maxDeletions": 50}});
    for platform in ["production", "spare"] {
        stage.change_platform(platform, spec.clone()).await;
    }
    for number in 2..=4 {
        let (name, file) = (format!("other-{number}"), format!("package-{number:05}"));
        stage.wish(&name, &file).await;
    }
    for name in ["a", "b", "c", "d", "depot/e"] {
        stage.wish(name, "package-00001").await;
    }
    for number in 2..=4 {
        stage.delete(&format!("other-{number}")).await;
    }
    for name in ["a", "b", "c", "d", "depot/e"] {
        stage.retire(name).await;
        sleep(Duration::from_millis(300)).await;
    }
    stage.delete("b").await;
    sleep(Duration::from_secs(20)).await;
    for name in ["a", "depot/e"] {
        stage.pause(name, true).await;
    }
    stage.retain("c").await;
    stage.delete("c").await;
    sleep(Duration::from_secs(40)).await;
    for name in ["a", "depot/e"] {
        stage.pause(name, false).await;
    }
    stage.delete("d").await;
    stage.ends().await;
}

/// A Secret names another application for a while, and meanwhile an object is renamed.
pub async fn wrong_application(stage: &Stage<'_>) {
    stage.wish("meter", "package-00001").await;
    stage
        .put_secret("production", "app-2", "second-secret")
        .await;
    sleep(Duration::from_secs(5)).await;
    stage
        .create("meter-fw", "production", "package-00001", &json!({}))
        .await;
    sleep(Duration::from_secs(10)).await;
    stage.delete("meter").await;
    sleep(Duration::from_secs(10)).await;
    stage
        .put_secret("production", "app-1", "first-secret")
        .await;
    sleep(Duration::from_secs(60)).await;
    stage.accept("meter-fw", "app-1").await;
    stage.ends().await;
}

/// A stranger's objects name our packages: one claims a package that we delete, one deletes a package that we want.
pub async fn strangers(stage: &Stage<'_>) {
    stage.stranger().await;
    stage.wish("a", "package-00001").await;
    stage.wish("b", "package-00002").await;
    stage.strange("x", "package-00001", &json!({})).await;
    let retired = json!({"lifecycle": "Retired"});
    stage.strange("y", "package-00002", &retired).await;
    sleep(Duration::from_secs(10)).await;
    stage.delete("a").await;
    stage.says("a", "ClaimUnclear").await;
    stage.disregard_strangers(&["a".to_owned()]).await;
    stage.ends().await;
}

/// As `strangers`, with a token that is valid until somebody logs in: the stranger's claims count until then.
pub async fn stranger_with_a_token(stage: &Stage<'_>) {
    let token = stage.world.platform.log_in("app-1", "first-secret");
    stage.stranger_with(&token, json!({})).await;
    stage.strange("x", "package-00001", &json!({})).await;
    stage.wish("a", "package-00001").await;
    stage.wish("b", "package-00002").await;
    sleep(Duration::from_secs(10)).await;
    stage.delete("a").await;
    sleep(Duration::from_secs(30)).await;
    stage.delete("b").await;
    stage.disregard_strangers(&["a".to_owned()]).await;
    stage.ends_but_for(&["package-00001"]).await;
}

/// Tells the current leader to stop.
fn hand_over(stage: &Stage<'_>) {
    if let Some(leader) = stage.world.leader() {
        stage.world.stop(&leader);
    }
}

/// Retires `old`, which then waits because of the claim of `keeper`.
async fn kept(stage: &Stage<'_>, keeper: &str, old: &str) {
    let guard = json!({"guard": {"gracePeriod": "30s"}});
    for platform in ["production", "spare"] {
        stage.change_platform(platform, guard.clone()).await;
    }
    stage.wish(keeper, "package-00001").await;
    stage.wish(old, "package-00001").await;
    stage.retire(old).await;
    stage.says(old, "StillClaimed").await;
    sleep(UNDO * 2).await;
}

/// A retired object waits because of another object's claim. That object is deleted by mistake and restored within its
/// grace period.
pub async fn keeper_deleted_by_mistake(stage: &Stage<'_>) {
    kept(stage, "keeper", "old").await;
    stage.retire("keeper").await;
    sleep(UNDO / 3).await;
    stage.revive("keeper").await;
    sleep(UNDO * 2).await;
    stage.delete("keeper").await;
    sleep(UNDO / 3).await;
    stage.revive("old").await;
    stage.ends().await;
}

/// The keeper moves to a Platform of its application, where it keeps the package, and then to one of another
/// application. The leader changes each time.
pub async fn keeper_moved(stage: &Stage<'_>) {
    kept(stage, "keeper", "old").await;
    stage.wish_on("spare", "moved", "package-00001").await;
    stage.delete("keeper").await;
    hand_over(stage);
    stage.goes("keeper").await;
    sleep(UNDO * 2).await;
    assert!(stage.world.platform.has("app-1", "package-00001"));
    stage.wish_on("staging", "away", "package-00001").await;
    stage.delete("moved").await;
    sleep(UNDO / 3).await;
    hand_over(stage);
    sleep(UNDO / 3).await;
    assert!(stage.world.platform.has("app-1", "package-00001"));
    stage.revive("old").await;
    stage.ends().await;
}

/// The namespace of the keeper is deleted by mistake, and the leader changes before the deletion is reverted.
pub async fn keeper_with_its_namespace(stage: &Stage<'_>) {
    kept(stage, "keeper", "depot/old").await;
    stage.delete_fleet().await;
    hand_over(stage);
    sleep(UNDO * 2 / 3).await;
    assert!(stage.world.platform.has("app-1", "package-00001"));
    stage.revive("depot/old").await;
    stage.world.end_namespaces().await;
    stage.ends().await;
}

/// The claim on a retired object's package is unclear, which a pause hides from the status. The keeper is deleted by
/// mistake while no process runs, and the pause ends.
pub async fn keeper_behind_a_pause(stage: &Stage<'_>) {
    let guard = json!({"guard": {"gracePeriod": "30s"}});
    stage.change_platform("production", guard).await;
    stage.wish_on("spare", "keeper", "package-00001").await;
    stage.wish("old", "package-00001").await;
    stage.put_secret("spare", "app-2", "second-secret").await;
    stage.says("keeper", "ApplicationChanged").await;
    stage.retire("old").await;
    stage.says("old", "ClaimUnclear").await;
    stage.pause("old", true).await;
    stage.says("old", "Paused").await;
    sleep(UNDO * 2).await;
    hand_over(stage);
    stage.delete("keeper").await;
    sleep(UNDO / 3).await;
    stage.pause("old", false).await;
    sleep(UNDO / 3).await;
    assert!(stage.world.platform.has("app-1", "package-00001"));
    stage.revive("old").await;
    stage.put_secret("spare", "app-1", "first-secret").await;
    // A credential whose first login fails is tried once more.
    sleep(UNDO * 4).await;
    stage.ends().await;
}
