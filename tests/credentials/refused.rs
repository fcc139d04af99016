//! Credentials that the platform refuses, and other clients of the same application.

use super::*;

#[tokio::test]
async fn a_wrong_secret_stalls_and_the_right_one_works_without_a_restart() {
    let rig = Rig::shared("wrong", Layout::default()).await;
    let history = rig.history().await;
    rig.active(&[("deleted", FIRST), ("retired", SECOND)]).await;
    set_secret(&rig, "production-app", &json!({"secret": "not-the-secret"}));
    rig.delete("deleted");
    rig.reason("deleted", "AuthenticationFailed").await;
    rig.retire("retired");
    let object = rig.reason("retired", "AuthenticationFailed").await;
    assert_eq!(object["status"]["phase"], "Stalled");
    let platform = rig
        .platform_reason("production", "AuthenticationFailed")
        .await;
    let secret = format!("{}/production-app", rig.namespace);
    for said in [message(&object), message(&platform)] {
        assert!(said.contains("100208"), "{said}");
    }
    assert!(
        message(&platform).contains(&secret),
        "{}",
        message(&platform)
    );
    set_secret(&rig, "production-app", &json!({"secret": RIGHT}));
    goes(&rig, "deleted").await;
    let deleted = |o: &Value| ready(o)["reason"] == "Deleted";
    rig.becomes("retired", "deleted", HEALED, deleted).await;
    platform_says(rig.plane, &rig.namespace, "production", "Available").await;
    history.assert_kstatus();
}

#[tokio::test]
async fn another_clients_login_while_fifty_wait_costs_exactly_one_login() {
    let (rig, history, names) = crowd("taken-over", 20, 70).await;
    // The other client's login counts as a call too.
    rig.simulator.switch("/quota", &json!({"calls": 30})).await;
    delete_all(&rig, &names).await;
    let_go(&rig);
    wait_for("the first deletions", HEALED, async || {
        (with_verdict(&rig, "deleted").await >= 5).then_some(())
    })
    .await;
    log_in(&rig.simulator, &rig.namespace, RIGHT).await;
    let done = with_verdict(&rig, "deleted").await;
    assert!(names.len() - done >= 50, "{done} were done already");
    for name in &names {
        history.gone(name).await;
    }
    assert_eq!(rig.logins().await, 3, "two of ours and the foreign one");
    assert!(with_verdict(&rig, "token-refused").await >= 1);
    assert_eq!(with_verdict(&rig, "throttled").await, 0);
    assert_eq!(with_verdict(&rig, "deleted").await, names.len());
    assert_never_stalled(&history);
    history.assert_kstatus();
}

#[tokio::test]
async fn another_client_on_the_same_quota_delays_all_and_stalls_none() {
    let (rig, history, names) = crowd("neighbour", 20, 50).await;
    delete_all(&rig, &names).await;
    let takes = async |calls: usize| {
        let body = json!({"calls": calls});
        rig.simulator.admin(Method::POST, "/neighbour", &body).await;
    };
    takes(15).await;
    let_go(&rig);
    let seen = async |verdict| {
        wait_for(verdict, HEALED, async || {
            (with_verdict(&rig, verdict).await >= 1).then_some(())
        })
        .await;
    };
    seen("deleted").await;
    // The neighbour takes the whole quota: on a slow machine the operator could manage with a few calls that it leaves.
    takes(20).await;
    seen("throttled").await;
    takes(15).await;
    for name in &names {
        history.gone(name).await;
    }
    assert_eq!(with_verdict(&rig, "deleted").await, names.len());
    assert_eq!(rig.logins().await, 1);
    let throttled = |name: &&String| history.reasons(name).contains(&"Throttled".to_owned());
    assert!(names.iter().any(|name| throttled(&name)));
    assert_never_stalled(&history);
    history.assert_kstatus();
}

#[tokio::test]
async fn a_token_from_elsewhere_works_without_a_login_and_is_never_renewed() {
    let rig = Rig::shared("handed-in", Layout::default()).await;
    rig.active(&[("first", FIRST), ("second", SECOND)]).await;
    let app_id = rig.namespace.clone();
    let token = log_in(&rig.simulator, &app_id, RIGHT).await;
    let handed_in = json!({"appKey": app_id, "accessToken": token});
    let change = json!({"data": {"appId": null, "secret": null}, "stringData": handed_in});
    rig.patch("secret/production-app", &change);
    rig.delete("first");
    rig.gone("first").await;
    assert_eq!(rig.logins().await, 1, "only the one of this test");

    rig.simulator
        .admin(Method::POST, "/tokens/expire", &json!({}))
        .await;
    rig.delete("second");
    let said = message(&rig.reason("second", "AuthenticationFailed").await);
    assert!(said.contains("accessToken"), "{said}");
    let said = platform_says(
        rig.plane,
        &rig.namespace,
        "production",
        "AuthenticationFailed",
    )
    .await;
    assert!(said.contains("accessToken"), "{said}");
    assert_eq!(rig.logins().await, 1);
    let token = log_in(&rig.simulator, &app_id, RIGHT).await;
    set_secret(&rig, "production-app", &json!({"accessToken": token}));
    goes(&rig, "second").await;
    assert_eq!(rig.logins().await, 2);
}
