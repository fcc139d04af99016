//! A webhook for the intent to delete only: whatever it answers, the object reports what stops it.

use axum::http::StatusCode;

use super::*;

/// A webhook's denial with this code.
fn denial(review: &Value, code: u16) -> Json<Value> {
    Json(json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "response": {
            "uid": review["request"]["uid"], "allowed": false,
            "status": {"code": code, "message": WORDS},
        },
    }))
}

/// Deletes an object whose intent the webhook checks: the object reports `words`, and nothing is sent before the
/// webhook is removed.
async fn says_what_stops_it(subject: &str, webhook: &(String, ByteString), words: &str) {
    let rig = Rig::shared(subject, at_once()).await;
    rig.active(&[("meter-fw", "package-00001")]).await;
    let intents =
        "has(object.status) && has(object.status.phase) && object.status.phase == 'Deleting'";
    let those = ("versionpackages/status", intents);
    let asked = ask_of(&rig, &rig.namespace, webhook, those).await;
    let begun = Instant::now();
    rig.delete("meter-fw");
    let refused = rig.reason("meter-fw", "StatusRefused").await;
    println!("said after {:?}", begun.elapsed());
    let message = ready(&refused)["message"].to_string();
    assert!(message.contains(words), "{message}");
    assert!(rig.deletes("package-00001").await.is_empty());
    ask_no_more(&rig, &asked);
    rig.gone("meter-fw").await;
    assert_eq!(rig.deletes("package-00001").await.len(), 1);
}

#[tokio::test]
async fn a_denied_intent_is_reported_on_the_object_whatever_the_code() {
    for code in [401, 404, 429, 500] {
        let answers =
            Router::new().fallback(async move |Json(review): Json<Value>| denial(&review, code));
        let webhook = serve(answers).await;
        says_what_stops_it(&format!("deny-{code}"), &webhook, WORDS).await;
    }
}

#[tokio::test]
async fn a_webhook_that_keeps_failing_for_the_intent_is_reported_on_the_object() {
    let answers = Router::new().fallback(async || StatusCode::BAD_GATEWAY);
    let webhook = serve(answers).await;
    says_what_stops_it("fail-intent", &webhook, "failed calling webhook").await;
}

#[tokio::test]
async fn a_webhook_that_keeps_failing_for_the_finalizers_is_reported_on_the_object() {
    let rig = Rig::shared("fail-finalizers", at_once()).await;
    rig.active(&[("meter-fw", "package-00001")]).await;
    let answers = Router::new().fallback(async || StatusCode::BAD_GATEWAY);
    let asked = ask(&rig, &serve(answers).await, "versionpackages").await;
    rig.delete("meter-fw");
    let refused = rig.reason("meter-fw", "FinalizerRefused").await;
    let message = ready(&refused)["message"].to_string();
    assert!(message.contains("failed calling webhook"), "{message}");
    assert_eq!(rig.deletes("package-00001").await.len(), 1);
    ask_no_more(&rig, &asked);
    rig.gone("meter-fw").await;
    assert_eq!(rig.deletes("package-00001").await.len(), 1);
}
