//! A leader's events are written even if it loses its Lease right afterwards.

use axum::{Json, Router};

use super::*;
use crate::support::webhook::{ask_about_events, serve};

/// The API server's delay of one event: longer than the leader needs to notice the loss of its Lease, and less than it
/// then waits for its last events.
const EACH_EVENT: Duration = Duration::from_millis(1100);

#[tokio::test(flavor = "multi_thread")]
async fn the_event_of_a_deletion_is_written_even_if_the_lease_is_lost_right_afterwards() {
    let stage = Stage::enter().await;
    let load = stage.rig("last-events", 1, 100, "1s").await;
    let mut a = stage.start("a").await;
    stage.leads("a").await;
    load.born().await;
    let webhook = serve(Router::new().fallback(async |Json(review): Json<Value>| {
        tokio::time::sleep(EACH_EVENT).await;
        let uid = &review["request"]["uid"];
        Json(json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "response": {"uid": uid, "allowed": true},
        }))
    }));
    let asked = ask_about_events(stage.plane, &load.rig.namespace, &webhook.await);
    // The API server takes a moment until it calls the webhook.
    tokio::time::sleep(Duration::from_secs(5)).await;
    load.delete().await;
    load.gone().await;
    let given = json!({"spec": {"holderIdentity": "somebody"}}).to_string();
    stage
        .lease(&["patch", "--type=merge", "-p", &given])
        .expect_ok();
    let ended = a.ended(SHORT_LEASE).await;
    assert!(!ended.success());
    let log = a.log().join("\n");
    assert!(log.contains("lost: another process holds it"), "{log}");
    let path = "jsonpath={.items[*].reason}";
    let told = load.rig.kubectl(&["get", "events", "-o", path]).expect_ok();
    assert!(told.contains("Deleted"), "{told:?}");
    assert!(!log.contains("given up"), "{log}");
    let delete = ["delete", "validatingwebhookconfiguration", &asked];
    stage.plane.kubectl(&delete).expect_ok();
}
