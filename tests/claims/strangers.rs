//! Objects of another application that happen to name the same `fileId`.

use super::*;

const FIRST: &str = "package-00008";
const SECOND: &str = "package-00009";
const THIRD: &str = "package-00010";
const EARNED: &str = "package-00011";
const NAMED: &str = "package-00012";

/// Makes an object undecodable.
fn break_it(object: &mut Value) {
    object["spec"]["retireAfter"] = json!("at the next full moon");
}

#[tokio::test]
async fn an_object_of_another_application_holds_no_deletion_even_if_undecodable() {
    let rig = rig("strangers").await;
    let namespace = neighbours(&rig, STRANGER, THEIR_SECRET).await;
    rig.active(&[("first", FIRST), ("second", SECOND), ("third", THIRD)])
        .await;
    // One object is accepted and becomes undecodable, the other one never was decodable.
    let mut read = theirs(&rig, &namespace, "first", FIRST);
    rig.plane.apply(&read.to_string()).expect_ok();
    let accepted = their_reason(&rig, &namespace, "first", "Active").await;
    assert_eq!(accepted["status"]["application"], STRANGER);
    break_it(&mut read);
    rig.plane.apply(&read.to_string()).expect_ok();
    let mut never = theirs(&rig, &namespace, "second", SECOND);
    break_it(&mut never);
    rig.plane.apply(&never.to_string()).expect_ok();
    for name in ["first", "second"] {
        their_reason(&rig, &namespace, name, "Undecodable").await;
    }

    // A deletion of their own proves their credentials.
    let own = theirs(&rig, &namespace, "own", THEIRS);
    rig.plane.apply(&own.to_string()).expect_ok();
    their_reason(&rig, &namespace, "own", "Active").await;
    let delete = ["-n", &*namespace, "delete", "vp", "own"];
    rig.plane.kubectl(&delete).expect_ok();

    rig.delete("first");
    rig.gone("first").await;
    rig.retire("second");
    rig.reason("second", "Deleted").await;
    for file in [FIRST, SECOND] {
        assert_eq!(rig.deletes(file).await.len(), 1);
    }
    assert!(rig.deletes(THIRD).await.is_empty());
}

#[tokio::test]
async fn an_untried_credential_holds_a_deletion_and_claims_the_package_once_accepted() {
    let rig = rig("earned").await;
    let namespace = neighbours(&rig, &rig.namespace.clone(), "not-the-secret-yet").await;
    rig.active(&[("ours", EARNED)]).await;
    rig.plane
        .apply(&theirs(&rig, &namespace, "theirs", EARNED).to_string())
        .expect_ok();
    let accepted = their_reason(&rig, &namespace, "theirs", "Active").await;
    assert_eq!(accepted["status"]["application"], rig.namespace);
    rig.delete("ours");
    let tried = |object: &Value| message(object).contains("has not accepted the credentials");
    let held = rig
        .becomes("ours", "their credentials to be refused", SOON, tried)
        .await;
    assert_eq!(ready(&held)["reason"], "ClaimUnclear");
    assert!(
        message(&held).contains(&uid(&accepted)),
        "{}",
        message(&held)
    );
    // The platform accepts their credentials from now on, and a person requests a retry.
    let page = format!("/applications/{}", rig.namespace);
    let secret = json!({"secret": "not-the-secret-yet"});
    rig.simulator.switch(&page, &secret).await;
    let ask = "iodm.dev/requested-at=1";
    let annotate = ["-n", &*namespace, "annotate", "platform", "theirs", ask];
    rig.plane.kubectl(&annotate).expect_ok();
    wait_for("ours to be handed over", 2 * SOON, async || {
        rig.get("ours").await.is_none().then_some(())
    })
    .await;
    assert!(rig.deletes(EARNED).await.is_empty());
    assert!(rig.simulator.has(EARNED).await);
}

#[tokio::test]
async fn one_address_with_another_server_name_is_another_server() {
    let rig = rig("names").await;
    let namespace = neighbours(&rig, &rig.namespace.clone(), OUR_SECRET).await;
    let name = json!({"spec": {"tls": {"serverName": "localhost"}}}).to_string();
    let patch = ["-n", &*namespace, "patch", "platform", "theirs"];
    let patch = [&patch[..], &["--type=merge", "-p", &name]].concat();
    rig.plane.kubectl(&patch).expect_ok();
    rig.active(&[("ours", NAMED)]).await;
    rig.plane
        .apply(&theirs(&rig, &namespace, "theirs", NAMED).to_string())
        .expect_ok();
    let accepted = their_reason(&rig, &namespace, "theirs", "Active").await;
    let endpoint = accepted["status"]["endpoint"].as_str().unwrap();
    assert_eq!(endpoint, format!("{}#localhost", rig.simulator.endpoint()));
    rig.delete("ours");
    let held = rig.reason("ours", "ClaimUnclear").await;
    assert!(
        message(&held).contains("another endpoint"),
        "{}",
        message(&held)
    );
    // With an equal server name it is the same server, and their object keeps the package.
    let same = json!({"spec": {"tls": {"serverName": "127.0.0.1"}}}).to_string();
    let patch = ["-n", &*namespace, "patch", "platform", "theirs"];
    let patch = [&patch[..], &["--type=merge", "-p", &same]].concat();
    rig.plane.kubectl(&patch).expect_ok();
    rig.gone("ours").await;
    assert!(rig.deletes(NAMED).await.is_empty());
}
