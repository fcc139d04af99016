//! A restored store: all versions are lower than those seen before.

use std::time::Duration;

use serde_json::json;

use crate::support::{
    Layout, Plane, Rig, SHORT_LEASE_FLAGS, SOON, ready, start_operator, wait_for,
};

/// A grace period that is long enough for a restore of the store.
const GRACE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn after_a_restore_of_the_store_everything_is_listed_again_and_grace_periods_restart() {
    let plane = Plane::start();
    plane.install();
    let guard = json!({"maxDeletions": 100, "window": "10m", "gracePeriod": "20s"});
    let layout = Layout {
        platform: json!({"quota": {"calls": 100, "window": "1s"}, "guard": guard}),
        ..Layout::default()
    };
    let rig = Rig::on(&plane, "restored", layout).await;
    let mut operator = start_operator(&plane, &[]);
    operator.ready().await;
    rig.active(&[
        ("waits", "package-00001"),
        ("wanted", "package-00002"),
        ("later", "package-00003"),
    ])
    .await;
    rig.delete("waits");
    rig.reason("waits", "GracePeriod").await;
    plane.save();
    // Changes after the backup: versions grow, and an object is created that the restored store lacks.
    rig.active(&[("unknown", "package-00004")]).await;
    for calls in [101, 102, 103, 104, 100] {
        rig.patch(
            "platform/production",
            &json!({"spec": {"quota": {"calls": calls}}}),
        );
    }
    plane.grow(40);
    rig.annotate("vp/wanted", "note", Some("after the snapshot"));
    let restored = std::time::Instant::now();
    plane.restore();

    wait_for("the restore to be noticed", SOON, async || {
        let log = operator.log();
        log.iter()
            .any(|line| line.contains("everything is listed anew"))
            .then_some(())
    })
    .await;
    // New changes are seen at once, although their versions were passed long ago: an emergency stop, and an object.
    for (mode, reason) in [("Observe", "Observing"), ("Enforce", "Available")] {
        rig.patch("platform/production", &json!({"spec": {"mode": mode}}));
        rig.platform_reason("production", reason).await;
    }
    rig.patch("vp/later", &json!({"spec": {"lifecycle": "Retired"}}));
    rig.reason("later", "GracePeriod").await;
    assert!(rig.get("unknown").await.is_none());
    assert_eq!(ready(&rig.get("wanted").await.unwrap())["reason"], "Active");
    rig.gone("waits").await;
    let calls = rig.deletes("package-00001").await;
    assert_eq!(calls.len(), 1);
    let took = restored.elapsed();
    assert!(took >= GRACE, "{took:?} after the restore");
    rig.reason("later", "Deleted").await;
    assert!(operator.is_running());
    operator.ready().await;
}

#[tokio::test]
async fn a_leader_that_takes_a_long_expired_lease_restarts_grace_periods() {
    let plane = Plane::start();
    plane.install();
    let guard = json!({"maxDeletions": 100, "window": "10m", "gracePeriod": "10s"});
    let layout = Layout {
        platform: json!({"quota": {"calls": 100, "window": "1s"}, "guard": guard}),
        ..Layout::default()
    };
    let rig = Rig::on(&plane, "abandoned", layout).await;
    let mut operator = start_operator(&plane, &SHORT_LEASE_FLAGS);
    operator.ready().await;
    rig.active(&[("first", "package-00001"), ("second", "package-00002")])
        .await;
    // Its grace period has begun, and ends before the next leader takes over.
    let ask = async |name| {
        rig.delete(name);
        rig.reason(name, "GracePeriod").await;
    };
    ask("first").await;
    operator.kill().await;
    tokio::time::sleep(Duration::from_secs(12)).await;
    let begun = std::time::Instant::now();
    let mut operator = start_operator(&plane, &SHORT_LEASE_FLAGS);
    operator.ready().await;
    rig.gone("first").await;
    let ordinary = begun.elapsed();
    assert!(ordinary < Duration::from_secs(10), "{ordinary:?}");
    ask("second").await;
    operator.kill().await;
    tokio::time::sleep(Duration::from_secs(12)).await;
    let renewed = json!({"spec": {"renewTime": "2020-01-01T00:00:00.000000Z"}}).to_string();
    let lease = "lease/version-package-operator";
    let patch = [
        "-n",
        crate::support::OPERATOR,
        "patch",
        lease,
        "--type=merge",
        "-p",
        &renewed,
    ];
    plane.kubectl(&patch).expect_ok();
    let begun = std::time::Instant::now();
    let mut operator = start_operator(&plane, &SHORT_LEASE_FLAGS);
    operator.ready().await;
    rig.gone("second").await;
    assert!(
        begun.elapsed() >= Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
}
