//! A webhook reports a conflict although the object didn't change. If the watch shows no other version, the operator
//! treats the conflict as a refusal. Another webhook never answers: it delays only its own namespace.

mod denied;
mod events;
mod silent;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use axum::{Json, Router};
use k8s_openapi::ByteString;

use super::refused::{events_say, finalizers};
use super::*;
use crate::support::webhook::serve;
use crate::support::{OPERATOR, SOON, ready, wait_for};

const WORDS: &str = "the webhook says that it has changed";

/// Answers each request with a conflict until the test ends. Returns the URL, and the certificate to trust.
async fn webhook() -> (String, ByteString) {
    serve(Router::new().fallback(async |Json(review): Json<Value>| {
        Json(json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "response": {
                "uid": review["request"]["uid"], "allowed": false,
                "status": {"code": 409, "reason": "Conflict", "message": WORDS},
            },
        }))
    }))
    .await
}

/// The number of requests to a webhook that never answers, how many of them were given up, and how many waited at the
/// same time.
#[derive(Default)]
struct Questions {
    come: AtomicUsize,
    given_up: AtomicUsize,
    most: AtomicUsize,
}

/// A webhook that never answers.
async fn silent_webhook(questions: &Arc<Questions>) -> (String, ByteString) {
    struct Question(Arc<Questions>);
    impl Drop for Question {
        fn drop(&mut self) {
            self.0.given_up.fetch_add(1, Ordering::Relaxed);
        }
    }
    let questions = Arc::clone(questions);
    serve(Router::new().fallback(move || {
        let come = questions.come.fetch_add(1, Ordering::Relaxed) + 1;
        let waiting = come - questions.given_up.load(Ordering::Relaxed);
        questions.most.fetch_max(waiting, Ordering::Relaxed);
        let question = Question(Arc::clone(&questions));
        async move {
            std::future::pending::<()>().await;
            drop(question);
        }
    }))
    .await
}

/// Registers the webhook for the operator's writes to a resource in the namespace of `rig`.
async fn ask(rig: &Rig<'_>, webhook: &(String, ByteString), resource: &str) -> String {
    ask_in(rig, &rig.namespace, webhook, resource).await
}

/// Registers the webhook for the operator's writes to a resource in any namespace.
async fn ask_in(
    rig: &Rig<'_>,
    namespace: &str,
    webhook: &(String, ByteString),
    resource: &str,
) -> String {
    ask_of(rig, namespace, webhook, (resource, "true")).await
}

/// Registers the webhook for the writes that satisfy an expression.
async fn ask_of(
    rig: &Rig<'_>,
    namespace: &str,
    (url, ca): &(String, ByteString),
    (resource, expression): (&str, &str),
) -> String {
    let name = format!("conflict-{namespace}-{}", resource.replace('/', "-"));
    let user = format!("system:serviceaccount:{OPERATOR}:{OPERATOR}");
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [{
            "name": "conflict.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {"url": url, "caBundle": ca},
            "rules": [{"apiGroups": ["iodm.dev"], "apiVersions": ["v1alpha1"], "operations": ["UPDATE"], "resources": [resource]}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "matchConditions": [
                {"name": "operator", "expression": format!("request.userInfo.username == '{user}'")},
                {"name": "those", "expression": expression},
            ],
        }],
    });
    rig.plane.apply(&configuration.to_string()).expect_ok();
    // The API server takes a moment until it calls the webhook.
    tokio::time::sleep(Duration::from_secs(5)).await;
    name
}

fn ask_no_more(rig: &Rig<'_>, name: &str) {
    let delete = ["delete", "validatingwebhookconfiguration", name];
    rig.plane.kubectl(&delete).expect_ok();
}

#[tokio::test]
async fn a_status_conflict_that_the_watch_does_not_confirm_is_reported_as_a_refusal() {
    let rig = Rig::shared("conflict-status", at_once()).await;
    rig.active(&[("meter-fw", "package-00001")]).await;
    let asked = ask(&rig, &webhook().await, "versionpackages/status").await;
    let begun = Instant::now();
    rig.delete("meter-fw");
    wait_for("an event about the status", SOON, async || {
        events_say(&rig, "StatusRefused", WORDS).then_some(())
    })
    .await;
    println!("told after {:?}", begun.elapsed());
    assert!(rig.deletes("package-00001").await.is_empty());
    ask_no_more(&rig, &asked);
    rig.gone("meter-fw").await;
    assert_eq!(rig.deletes("package-00001").await.len(), 1);
}

#[tokio::test]
async fn a_finalizer_conflict_that_the_watch_does_not_confirm_is_reported_as_a_refusal() {
    let rig = Rig::shared("conflict-add", at_once()).await;
    rig.platform_reason("production", "Available").await;
    let asked = ask(&rig, &webhook().await, "versionpackages").await;
    let manifest = rig.manifest("meter-fw", "package-00001", &json!({}));
    rig.plane.apply(&manifest.to_string()).expect_ok();
    let refused = rig.reason("meter-fw", "FinalizerRefused").await;
    let message = ready(&refused)["message"].to_string();
    assert!(message.contains(WORDS), "{message}");
    assert_eq!(finalizers(&refused), 0);
    wait_for("an event about the finalizer", SOON, async || {
        events_say(&rig, "FinalizerRefused", WORDS).then_some(())
    })
    .await;
    ask_no_more(&rig, &asked);
    rig.reason("meter-fw", "Active").await;
}

#[tokio::test]
async fn a_platform_status_conflict_that_the_watch_does_not_confirm_is_reported_as_a_refusal() {
    let rig = Rig::shared("conflict-platform", at_once()).await;
    rig.platform_reason("production", "Available").await;
    let asked = ask(&rig, &webhook().await, "platforms/status").await;
    rig.patch("platform/production", &json!({"spec": {"mode": "Observe"}}));
    wait_for("an event about the status", SOON, async || {
        events_say(&rig, "StatusRefused", WORDS).then_some(())
    })
    .await;
    ask_no_more(&rig, &asked);
    rig.platform_reason("production", "Observing").await;
}
