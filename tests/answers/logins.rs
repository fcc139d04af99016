//! Logins that something other than the platform answers.

use super::*;

/// Lets every login of the rig get this answer from now on.
async fn answer_logins(rig: &Rig<'_>, status: u16, body: &str) {
    let calls = json!({"method": "POST", "path": "/iocm/app/sec/v1.1.0/login"});
    let kind = json!({"status": {"status": status, "body": body, "contentType": "text/html"}});
    let fault = json!({"match": calls, "kind": kind, "times": "forever"});
    rig.simulator.admin(Method::POST, "/faults", &fault).await;
}

/// Everything that the operator has written about the rig: objects, events and its log.
async fn all_said(rig: &Rig<'_>) -> String {
    let objects = rig
        .kubectl(&["get", "vp,plat,events", "-o", "yaml"])
        .expect_ok();
    let log = shared_operator().await.log().join("\n");
    format!("{objects}{log}")
}

#[tokio::test]
async fn a_login_answered_by_a_gateway_blames_the_endpoint_and_not_the_secret() {
    for (status, body) in [
        (404, "<html>No such page</html>"),
        (401, "<html>Sign in</html>"),
        (403, ""),
        (405, "{}"),
        (200, "<html>Welcome</html>"),
        (401, r#"{"code":40101,"message":"no"}"#),
    ] {
        let subject = format!("login-{status}-{}", body.len());
        let (rig, history) = laid_out(&subject, &["meter"]).await;
        answer_logins(&rig, status, body).await;
        rig.delete("meter");
        let object = rig.reason("meter", "UnexpectedAnswer").await;
        let platform = rig.platform_reason("production", "UnexpectedAnswer").await;
        for said in [message(&object), message(&platform)] {
            assert!(said.contains(&format!("HTTP {status}")), "{said}");
            assert!(said.contains("endpoint") && said.contains("prox"), "{said}");
            assert!(!said.contains("Secret"), "{said}");
        }
        assert_eq!(object["status"]["phase"], "Stalled");
        assert!(rig.simulator.has(&file(1)).await);
        rig.simulator
            .admin(Method::DELETE, "/faults", &Value::Null)
            .await;
        history.gone("meter").await;
        history.assert_kstatus();
    }
}

#[tokio::test]
async fn no_part_of_a_login_answer_that_is_not_one_json_object_is_shown() {
    let token = "3f7c1e0b9a5d4c2e8b6f";
    let bodies = [
        format!(r#"{{"accessToken":"{token}","expiresIn":3600}}\n{{}}"#),
        format!(r#"[{{"accessToken":"{token}"}}]"#),
        format!("access_token={token}"),
        format!(r#"{{"error_code":"{token}","error_desc":"{token}"}}"#),
    ];
    for (number, body) in bodies.iter().enumerate() {
        let (rig, _) = laid_out(&format!("leak-{number}"), &["meter"]).await;
        answer_logins(&rig, 200, body).await;
        rig.retire("meter");
        rig.reason("meter", "UnexpectedAnswer").await;
        rig.platform_reason("production", "UnexpectedAnswer").await;
        let said = all_said(&rig).await;
        assert!(said.contains("UnexpectedAnswer"));
        assert!(!said.contains(token), "{said}");
    }
}
