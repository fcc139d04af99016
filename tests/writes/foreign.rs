//! Other writers of the status: our part is restored, and their conditions stay.

use super::*;
use crate::support::{SOON, ready};

fn condition(type_: &str, status: &str) -> Value {
    json!({
        "type": type_, "status": status, "reason": "Restored", "message": "from a backup",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    })
}

fn of<'a>(object: &'a Value, type_: &str) -> Option<&'a Value> {
    let conditions = object["status"]["conditions"].as_array()?;
    conditions.iter().find(|c| c["type"] == type_)
}

#[tokio::test]
async fn conditions_that_another_manager_changed_are_restored_within_one_pass() {
    let rig = Rig::shared("healed", at_once()).await;
    rig.active(&[("meter-fw", "package-00001")]).await;
    update_status(rig.packages(), "meter-fw", |status| {
        let all = [
            ("Ready", "True"),
            ("Stalled", "True"),
            ("Reconciling", "True"),
        ];
        let mut all: Vec<Value> = all.map(|(t, s)| condition(t, s)).into();
        all.push(condition("Backup", "True"));
        status["conditions"] = json!(all);
        status["phase"] = json!("Held");
        status["deletion"] = json!({"hold": "h-7", "intent": "i-7", "attempts": 9});
    })
    .await;
    let healed = rig
        .becomes("meter-fw", "healed", SOON, |object| {
            ready(object)["reason"] == "Active" && of(object, "Stalled").is_none()
        })
        .await;
    assert!(of(&healed, "Reconciling").is_none(), "{healed}");
    assert_eq!(of(&healed, "Backup").unwrap()["reason"], "Restored");
    assert_eq!(healed["status"]["phase"], "Active");
    assert!(healed["status"]["deletion"].is_null(), "{healed}");
}

#[tokio::test]
async fn a_paused_object_with_a_foreign_status_continues_after_the_pause() {
    let rig = Rig::shared("frozen", at_once()).await;
    rig.active(&[("meter-fw", "package-00001")]).await;
    rig.annotate("vp/meter-fw", "paused", Some("true"));
    rig.retire("meter-fw");
    rig.reason("meter-fw", "Paused").await;
    // Sixteen conditions fill the list, and all belong to another manager.
    update_status(rig.packages(), "meter-fw", |status| {
        let mut all = vec![condition("Ready", "False"), condition("Stalled", "True")];
        all.extend((0..14).map(|n| condition(&format!("Other{n}"), "True")));
        status["conditions"] = json!(all);
    })
    .await;
    rig.annotate("vp/meter-fw", "paused", None);
    let gone = rig.reason("meter-fw", "Deleted").await;
    assert!(
        of(&gone, "Stalled").is_none() && of(&gone, "Other0").is_some(),
        "{gone}"
    );
}

#[tokio::test]
async fn a_platform_with_a_foreign_status_continues() {
    let rig = Rig::shared("frozen-platform", at_once()).await;
    rig.active(&[("meter-fw", "package-00001")]).await;
    let change = json!({"status": {
        "conditions": (0..16).map(|n| condition(&format!("Other{n}"), "True")).collect::<Vec<_>>(),
        "queue": {"length": 7, "estimatedTime": "9h"},
    }});
    rig.kubectl(&[
        "patch",
        "platform",
        "production",
        "--subresource=status",
        "--type=merge",
        "--field-manager=velero",
        "-p",
        &change.to_string(),
    ])
    .expect_ok();
    let healed = rig.platform_reason("production", "Available").await;
    assert!(of(&healed, "Other0").is_some());
    rig.delete("meter-fw");
    rig.gone("meter-fw").await;
    assert_eq!(rig.deletes("package-00001").await.len(), 1);
}

#[tokio::test]
async fn a_condition_of_another_controller_stays() {
    let rig = Rig::shared("other-controller", at_once()).await;
    rig.active(&[("meter-fw", "package-00001")]).await;
    let api = rig.packages();
    let apply = async |status: &str| {
        let body = json!({
            "apiVersion": "iodm.dev/v1alpha1", "kind": "VersionPackage",
            "status": {"conditions": [condition("Reviewed", status)]},
        });
        let params = PatchParams::apply("reviewer");
        api.patch_status("meter-fw", &params, &Patch::Apply(&body))
            .await
    };
    apply("False").await.unwrap();
    rig.annotate("vp/meter-fw", "paused", Some("true"));
    rig.retire("meter-fw");
    rig.reason("meter-fw", "Paused").await;
    apply("True").await.unwrap();
    rig.annotate("vp/meter-fw", "paused", None);
    let gone = rig.reason("meter-fw", "Deleted").await;
    assert_eq!(of(&gone, "Reviewed").unwrap()["status"], "True");
}
