//! The comparison detects an API server with plausible but wrong behaviour.

use cluster_in_memory::Naive;
use serde_json::json;

use crate::both::{Asked, JSON, Pair};
use crate::objects::{folder, object};
use crate::{REQUESTS, SEED, both, random, refusals};

async fn is_found(naive: Naive, name: &str) -> String {
    let mut both = both().await;
    both.cluster.set_naive(Some(naive));
    let differences = random(&mut both, name, SEED, REQUESTS, 1).await;
    println!("{naive:?}: after {} requests", both.sent);
    differences.concat()
}

#[tokio::test]
async fn a_status_apply_that_respects_the_uid_is_detected() {
    let difference = is_found(Naive::StatusApplyKeepsUid, "naive-uid").await;
    let uid = difference.contains("and 409") && difference.contains("UID in precondition");
    assert!(uid, "{difference}");
}

#[tokio::test]
async fn a_status_apply_that_removes_foreign_fields_is_detected() {
    let difference = is_found(Naive::StatusApplyReplaces, "naive-apply").await;
    assert!(difference.contains(".status"), "{difference}");
}

#[tokio::test]
async fn a_policy_denial_with_403_is_detected() {
    let mut both = both().await;
    let namespace = "naive-policy";
    refusals::deny(&mut both, namespace, "no-holds").await;
    both.cluster.set_naive(Some(Naive::DenialIsForbidden));
    let spec = json!({"platformRef": {"name": "p"}, "fileId": "denied"});
    let body = object("versionpackages", "denied", json!({}), &spec);
    let create =
        Asked::new("POST", folder(namespace, "versionpackages")).body(JSON, Pair::same(body));
    let difference = both.compare(&create).await.unwrap_err();
    assert!(difference.contains("code: 422 and 403"), "{difference}");
}
