//! A share of all objects as the limit of a mass deletion.

use serde_json::json;

use super::{delete, fleet, guard, held, hold, message, name};

#[tokio::test]
async fn failed_deletions_make_no_room_for_more_in_a_share() {
    let mut half = guard(50, "0s");
    half["guard"]["maxPercent"] = json!(50);
    let rig = fleet("share", 8, half).await;
    let wrong_path = json!({"status": {"status": 405}});
    rig.simulator.fault_all("DELETE", &wrong_path).await;
    for number in 1..=4 {
        delete(&rig, number..=number);
        rig.reason(&name(number), "UnexpectedAnswer").await;
    }
    delete(&rig, 5..=5);
    // The failed deletions are held like the others.
    for number in 1..=5 {
        held(&rig, number).await;
    }
    let reason = hold(&rig).await["reason"].clone();
    let reason = reason.as_str().unwrap();
    assert!(reason.contains("maxPercent 50 (4 deletions)"), "{reason}");
    let platform = rig.platform_reason("production", "MassDeletionHeld").await;
    assert!(message(&platform).contains("5 deletions"));
}
