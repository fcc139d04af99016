//! Several Platforms name the same application with different credentials: which of them may speak for it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod asked;
mod guard;
mod handed_in;
mod moved;
#[path = "../support/mod.rs"]
mod support;
mod two_tokens;
mod typo;
mod wrong_ca;

use std::time::Duration;

use serde_json::{Value, json};

use support::{
    Layout, Plane, Rig, SOON, Simulator, SimulatorOptions, own, ready, start_operator, wait_for,
};

const FIRST: &str = "package-00001";
const SECOND: &str = "package-00002";

fn message(object: &Value) -> String {
    ready(object)["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// A second tenant of the platform of a rig, in a namespace of its own.
struct Tenant<'a> {
    rig: &'a Rig<'a>,
    namespace: String,
}

impl<'a> Tenant<'a> {
    /// Creates a Platform with `credential` for the application of the rig.
    fn bring(rig: &'a Rig<'a>, subject: &str, credential: &Value) -> Self {
        let namespace = rig.plane.namespace(subject);
        rig.plane
            .grant_secrets(&namespace, &["production-app", "production-ca"]);
        let spec = json!({"quota": {"calls": 100, "window": "1s"}});
        let manifests = rig.simulator.platform(&namespace, "production", &spec);
        let mut manifests: Value = serde_json::from_str(&manifests).unwrap();
        manifests["items"][0]["stringData"] = credential.clone();
        rig.plane.apply(&manifests.to_string()).expect_ok();
        Self { rig, namespace }
    }

    /// Creates a retired object of this tenant that names a package.
    fn retire(&self, name: &str, file_id: &str) {
        let mut object = self
            .rig
            .manifest(name, file_id, &json!({"lifecycle": "Retired"}));
        object["metadata"]["namespace"] = json!(self.namespace);
        self.rig.plane.apply(&object.to_string()).expect_ok();
    }

    /// Creates an object of this tenant that is retired after it was accepted, so no look-up precedes the guard.
    async fn accept_and_retire(&self, name: &str, file_id: &str) {
        let mut object = self.rig.manifest(name, file_id, &json!({}));
        object["metadata"]["namespace"] = json!(self.namespace);
        self.rig.plane.apply(&object.to_string()).expect_ok();
        self.says("vp", name, "Active").await;
        self.retire(name, file_id);
    }

    /// Changes the tenant's Platform, and waits until the operator has reconciled it.
    async fn change(&self, change: &Value) {
        let patch = change.to_string();
        let arguments = ["patch", "platform", "production", "--type=merge", "-p"];
        self.kubectl(&[&arguments[..], &[&patch]].concat());
        wait_for("the change to be taken in", SOON, async || {
            let object = self.platform();
            let seen = object["status"]["observedGeneration"] == object["metadata"]["generation"];
            seen.then_some(())
        })
        .await;
    }

    fn platform(&self) -> Value {
        let text = self.kubectl(&["get", "platform", "production", "-o", "json"]);
        serde_json::from_str(&text).unwrap()
    }

    fn kubectl(&self, arguments: &[&str]) -> String {
        let all = [&["-n", self.namespace.as_str()], arguments].concat();
        self.rig.plane.kubectl(&all).expect_ok()
    }

    async fn says(&self, kind: &str, name: &str, reason: &str) -> Value {
        says(self.rig.plane, &self.namespace, kind, name, reason).await
    }
}

async fn says(plane: &Plane, namespace: &str, kind: &str, name: &str, reason: &str) -> Value {
    let what = format!("{kind} {namespace}/{name} to say {reason}");
    wait_for(&what, Duration::from_secs(30), async || {
        let get = ["get", kind, "-n", namespace, name, "-o", "json"];
        let object: Value = serde_json::from_str(&plane.kubectl(&get).expect_ok()).unwrap();
        (ready(&object)["reason"] == reason).then_some(object)
    })
    .await
}

async fn verdicts(rig: &Rig<'_>, verdict: &str) -> usize {
    let ledger = rig.simulator.ledger().await;
    let of = |call: &&Value| call["verdict"] == verdict;
    ledger.iter().filter(of).count()
}

#[tokio::test]
async fn an_invented_token_deletes_nothing_with_the_login_of_another_tenant() {
    let rig = Rig::shared("first", Layout::default()).await;
    rig.active(&[("wanted", FIRST), ("gone", SECOND)]).await;
    rig.delete("gone");
    rig.gone("gone").await;
    let made_up = json!({"appKey": rig.namespace, "accessToken": "made-up"});
    let tenant = Tenant::bring(&rig, "second", &made_up);
    tenant.retire("thief", "package-00003");
    let platform = tenant.says("platform", "production", "TokenNotUsed").await;
    let secret = format!("Secret {}/production-app", rig.namespace);
    assert!(
        message(&platform).contains(&secret),
        "{}",
        message(&platform)
    );
    tenant.says("vp", "thief", "AuthenticationFailed").await;
    assert_eq!(verdicts(&rig, "deleted").await, 1);
    // The first tenant's deletions continue.
    rig.delete("wanted");
    rig.gone("wanted").await;
    assert_eq!(verdicts(&rig, "deleted").await, 2);
}

#[tokio::test]
async fn a_wrong_secret_stalls_only_its_own_platform_even_after_a_restart() {
    let plane = Plane::start();
    plane.install();
    let mut operator = start_operator(&plane, &[]);
    operator.ready().await;
    let rig = Rig::on(&plane, "right", Layout::default()).await;
    let wrong = json!({"appId": rig.namespace, "secret": "not-rotated-yet"});
    let tenant = Tenant::bring(&rig, "wrong", &wrong);
    tenant.retire("stuck", "package-00003");
    tenant
        .says("platform", "production", "AuthenticationFailed")
        .await;
    rig.active(&[("one", FIRST), ("two", SECOND)]).await;
    rig.delete("one");
    rig.gone("one").await;
    drop(operator);
    let mut operator = start_operator(&plane, &[]);
    operator.ready().await;
    rig.delete("two");
    rig.gone("two").await;
    let platform = rig.platform_reason("production", "Available").await;
    assert!(
        message(&platform).contains("can be made"),
        "{}",
        message(&platform)
    );
    tenant
        .says("platform", "production", "AuthenticationFailed")
        .await;
    let stuck = tenant.says("vp", "stuck", "AuthenticationFailed").await;
    assert!(message(&stuck).contains("100208"), "{}", message(&stuck));
    assert_eq!(verdicts(&rig, "deleted").await, 2);
    // The right secret repairs the Platform at once.
    let right = json!({"stringData": {"secret": "correct-horse-battery"}});
    let right = right.to_string();
    let patch = [
        "patch",
        "secret",
        "production-app",
        "--type=merge",
        "-p",
        &right,
    ];
    let arguments = [&["-n", tenant.namespace.as_str()], &patch[..]].concat();
    plane.kubectl(&arguments).expect_ok();
    tenant.says("vp", "stuck", "Deleted").await;
}

#[tokio::test]
async fn a_platform_reports_an_untried_credential_and_a_person_can_have_it_tried() {
    let layout = Layout {
        platform: json!({"quota": {"calls": 100, "window": "1s"}, "inventory": {"interval": "0s"}}),
        ..Layout::default()
    };
    let rig = Rig::shared("untried", layout).await;
    let platform = rig.platform_reason("production", "Available").await;
    let said = message(&platform);
    assert!(
        said.contains("untried") && !said.contains("can be made"),
        "{said}"
    );
    assert_eq!(rig.logins().await, 0);
    let annotate = |value: &str| {
        rig.annotate("platform/production", "requested-at", Some(value));
    };
    annotate("1");
    wait_for(
        "the Platform to be proven",
        Duration::from_secs(10),
        async || {
            let platform = rig.platform_reason("production", "Available").await;
            message(&platform)
                .contains("accepts the credential")
                .then_some(())
        },
    )
    .await;
    assert_eq!(rig.logins().await, 1);
    rig.patch(
        "secret/production-app",
        &json!({"stringData": {"secret": "wrong"}}),
    );
    wait_for(
        "the other secret to be untried",
        Duration::from_secs(10),
        async || {
            let platform = rig.platform_reason("production", "Available").await;
            message(&platform).contains("untried").then_some(())
        },
    )
    .await;
    annotate("2");
    let platform = rig
        .platform_reason("production", "AuthenticationFailed")
        .await;
    assert!(
        message(&platform).contains("100208"),
        "{}",
        message(&platform)
    );
}

#[tokio::test]
async fn two_accepted_logins_alternate_and_both_platforms_report_it() {
    let rig = Rig::shared("old-secret", Layout::default()).await;
    rig.active(&[("one", FIRST)]).await;
    rig.delete("one");
    rig.gone("one").await;
    // The platform accepts another secret now; the token of the first login stays valid.
    let app = json!({"appId": rig.namespace, "secret": "rotated"});
    let page = format!("/applications/{}", rig.namespace);
    rig.simulator
        .switch(&page, &json!({"secret": "rotated"}))
        .await;
    let tenant = Tenant::bring(&rig, "new-secret", &app);
    tenant.retire("two", SECOND);
    tenant.says("vp", "two", "Deleted").await;
    for namespace in [&rig.namespace, &tenant.namespace] {
        wait_for("both to say so", Duration::from_secs(20), async || {
            let get = [
                "get",
                "platform",
                "-n",
                namespace,
                "production",
                "-o",
                "json",
            ];
            let object: Value = serde_json::from_str(&rig.plane.kubectl(&get).expect_ok()).unwrap();
            message(&object).contains("take turns").then_some(())
        })
        .await;
    }
}
