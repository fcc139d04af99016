//! Secrets that the API server can't show.

use super::*;

/// The time limit until a Secret is called unreadable: the operator waits for 30 s.
const UNREADABLE: Duration = Duration::from_secs(60);

/// The time limit until the failing watch of a readable Secret is reported: the operator waits for a minute.
const UNSEEN: Duration = Duration::from_secs(90);

#[tokio::test]
async fn an_unreadable_secret_is_reported_while_a_known_one_stays_in_use() {
    let plane = Plane::start();
    plane.install();
    let proxy = ApiProxy::start(&plane, &plane.kubeconfig_for(OPERATOR, OPERATOR));
    let mut operator = Operator::start(proxy.kubeconfig(), OPERATOR, &[]);
    operator.ready().await;
    let rig = Rig::on(&plane, "unreadable", Layout::default()).await;
    rig.active(&[("served", FIRST)]).await;

    // No Secret can be read from now on. The watches of the known Secrets end and can't start again.
    proxy.fail("secrets");
    proxy.expire_watch("secrets");
    let secrets = ["production-app", "production-ca", "late-app", "late-ca"];
    plane.grant_secrets(&rig.namespace, &secrets);
    let quota = json!({"quota": {"calls": 100, "window": "1s"}});
    let late = rig.simulator.platform(&rig.namespace, "late", &quota);
    plane.apply(&late).expect_ok();
    let spec = json!({"platformRef": {"name": "late"}});
    let waits = rig.manifest("waits", SECOND, &spec);
    plane.apply(&waits.to_string()).expect_ok();

    // Each of the two Secrets is named at the end of its own time limit, this one first.
    let words = "Internal error occurred: no matching prefix found";
    let told = format!("Secret {}/late-app can't be read: {words}", rig.namespace);
    wait_for("SecretUnreadable", UNREADABLE, async || {
        let get = ["get", "platform", "late", "-o", "json"];
        let object: Value = serde_json::from_str(&rig.kubectl(&get).expect_ok()).unwrap();
        let told =
            ready(&object)["reason"] == "SecretUnreadable" && message(&object).starts_with(&told);
        told.then_some(())
    })
    .await;
    rig.reason("waits", "CredentialsMissing").await;
    rig.delete("served");
    rig.gone("served").await;
    // A person who rotates a Secret now must know that the change isn't seen.
    let unseen = |platform: &Value| {
        let told = "the operator can't see changes of the Secret (the watch of Secret";
        message(platform).contains(told) && message(platform).contains(words)
    };
    wait_for("the Platform to tell of its watches", UNSEEN, async || {
        unseen(&rig.platform_reason("production", "Available").await).then_some(())
    })
    .await;

    proxy.fail_no_more();
    wait_for("the Platform to be silent of them", UNSEEN, async || {
        let platform = rig.platform_reason("production", "Available").await;
        (!unseen(&platform)).then_some(())
    })
    .await;
    rig.platform_reason("late", "Available").await;
    rig.reason("waits", "Active").await;
}
