//! Tokens and credentials that the platform refuses.

use super::*;

#[tokio::test]
async fn a_refused_token_costs_one_login_and_stalls_nobody() {
    let rows = [
        ("proving", Value::Null),
        (
            "invalid",
            gateway(403, "1010005", "app_key or access_token is invalid."),
        ),
        (
            "no-throttle-text",
            gateway(403, "1010004", "The access token is invalid."),
        ),
        ("empty-403", json!("empty403")),
        ("html-403", json!("html403")),
        ("older-code", coded(401, "100002")),
    ];
    let (rig, history) = laid_out("token", &rows.each_ref().map(|row| row.0)).await;
    for (number, (name, kind)) in (1..).zip(&rows) {
        if !kind.is_null() {
            rig.simulator.fault(&file(number), kind, &json!(1)).await;
        }
        rig.delete(name);
        history.gone(name).await;
        assert_eq!(
            rig.logins().await,
            number,
            "{name}: one more login, no more"
        );
        let calls = if kind.is_null() { 1 } else { 2 };
        assert_eq!(rig.deletes(&file(number)).await.len(), calls, "{name}");
        let said = history.reasons(name).contains(&"TokenRefused".to_owned());
        assert_eq!(said, !kind.is_null(), "{name}");
    }
    assert_never_stalled(&history);
    history.assert_kstatus();
}

#[tokio::test]
async fn fresh_tokens_refused_three_times_in_a_row_need_a_person() {
    let (rig, history) = laid_out("fresh", &["meter"]).await;
    let refused = gateway(403, "1010005", "app_key or access_token is invalid.");
    rig.simulator
        .fault(&file(1), &refused, &json!("forever"))
        .await;
    rig.delete("meter");
    rig.reason("meter", "AuthenticationFailed").await;
    assert_eq!(rig.logins().await, 3);
    assert_eq!(rig.deletes(&file(1)).await.len(), 3);
    rig.platform_reason("production", "AuthenticationFailed")
        .await;
    rig.simulator
        .admin(Method::DELETE, "/faults", &Value::Null)
        .await;
    history.gone("meter").await;
    history.assert_kstatus();
}

#[tokio::test]
async fn credentials_refused_at_a_delete_stall_until_the_secret_is_corrected() {
    let (rig, history) = laid_out("refused", &["coded"]).await;
    rig.simulator
        .fault(&file(1), &coded(401, "100208"), &json!("forever"))
        .await;
    rig.delete("coded");
    let object = rig.reason("coded", "AuthenticationFailed").await;
    assert_eq!(object["status"]["phase"], "Stalled");
    assert!(
        message(&object).contains("HTTP 401"),
        "{}",
        message(&object)
    );
    let platform = rig
        .platform_reason("production", "AuthenticationFailed")
        .await;
    assert!(
        message(&platform).contains("production-app"),
        "{}",
        message(&platform)
    );

    rig.simulator
        .admin(Method::DELETE, "/faults", &Value::Null)
        .await;
    let application = json!({"secret": "another-secret"});
    rig.simulator
        .switch(&application_page(&rig), &application)
        .await;
    rig.patch("secret/production-app", &json!({"stringData": application}));
    wait_for("the mended Secret to be used", HEALED, async || {
        rig.get("coded").await.is_none().then_some(())
    })
    .await;
    rig.platform_reason("production", "Available").await;
    history.assert_kstatus();
}

#[tokio::test]
async fn a_401_without_a_code_costs_a_login_and_blames_no_secret_where_it_stays() {
    let (rig, history) = laid_out("bare-401", &["once", "always"]).await;
    let page = json!({"status": {"status": 401, "body": "<html>Sign in</html>", "contentType": "text/html"}});
    rig.simulator.fault(&file(1), &page, &json!(1)).await;
    rig.delete("once");
    history.gone("once").await;
    assert_eq!(rig.logins().await, 2, "the token may have been refused");
    rig.simulator
        .fault(&file(2), &page, &json!("forever"))
        .await;
    rig.delete("always");
    let object = rig.reason("always", "UnexpectedAnswer").await;
    let platform = rig.platform_reason("production", "UnexpectedAnswer").await;
    for said in [message(&object), message(&platform)] {
        assert!(
            said.contains("HTTP 401") && said.contains("endpoint"),
            "{said}"
        );
        assert!(!said.contains("Secret"), "{said}");
    }
    rig.simulator
        .admin(Method::DELETE, "/faults", &Value::Null)
        .await;
    history.gone("always").await;
    history.assert_kstatus();
}
