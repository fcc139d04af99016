//! A new Platform whose Secret has a typo in its application, and objects that move to it.

use super::*;

#[tokio::test]
async fn an_object_moved_to_a_platform_with_a_mistyped_application_keeps_its_package() {
    let rig = Rig::shared("typo", Layout::default()).await;
    rig.active(&[("meter-fw", FIRST)]).await;
    let (app_id, secret) = rig.simulator.credentials();
    let mistaken = json!({"appId": format!("{app_id}x"), "secret": secret});
    let tenant = Tenant::bring(&rig, "moved-to", &mistaken);
    let mut moved = rig.manifest("meter-fw", FIRST, &json!({}));
    moved["metadata"]["namespace"] = json!(tenant.namespace);
    rig.plane.apply(&moved.to_string()).expect_ok();
    tenant.says("vp", "meter-fw", "Active").await;
    rig.delete("meter-fw");
    let held = rig.reason("meter-fw", "ClaimUnclear").await;
    let key = format!("{}/meter-fw", tenant.namespace);
    assert!(message(&held).contains(&key), "{}", message(&held));
    // The platform refuses that application, which proves nothing about the package that the object wants.
    tenant
        .says("platform", "production", "AuthenticationFailed")
        .await;
    let held = rig.reason("meter-fw", "ClaimUnclear").await;
    assert!(held["status"]["deletion"]["outcome"].is_null());

    let right = json!({"stringData": {"appId": app_id}}).to_string();
    let patch = ["patch", "secret", "production-app", "--type=merge", "-p"];
    tenant.kubectl(&[&patch[..], &[&right]].concat());
    tenant.says("vp", "meter-fw", "ApplicationChanged").await;
    let accept = format!("iodm.dev/accept={app_id}");
    tenant.kubectl(&["annotate", "vp", "meter-fw", &accept]);
    rig.gone("meter-fw").await;
    tenant.says("vp", "meter-fw", "Active").await;
    assert!(rig.deletes(FIRST).await.is_empty());
}
