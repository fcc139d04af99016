//! No secret is shown anywhere.

use super::*;

#[tokio::test]
async fn no_secret_and_no_token_is_ever_shown() {
    let plane = Plane::start();
    plane.install();
    let mut operator = start_operator(&plane, &["--log", "trace"]);
    operator.ready().await;
    let rig = Rig::on(&plane, "quiet", Layout::default()).await;
    let app_id = rig.namespace.clone();
    let packages = ["a", "b", "c", "d", "e"]
        .map(|n| (n, format!("package-0000{}", n.as_bytes()[0] - b'a' + 1)));
    let packages: Vec<(&str, &str)> = packages.iter().map(|(n, f)| (*n, f.as_str())).collect();
    rig.active(&packages).await;
    // A refused login, then an accepted one.
    set_secret(
        &rig,
        "production-app",
        &json!({"secret": "a-refused-secret"}),
    );
    rig.delete("a");
    rig.reason("a", "AuthenticationFailed").await;
    set_secret(&rig, "production-app", &json!({"secret": RIGHT}));
    goes(&rig, "a").await;
    // A rotation.
    let page = format!("/applications/{app_id}");
    rig.simulator
        .switch(&page, &json!({"secret": "a-rotated-secret"}))
        .await;
    rig.simulator
        .admin(Method::POST, "/tokens/expire", &json!({}))
        .await;
    set_secret(
        &rig,
        "production-app",
        &json!({"secret": "a-rotated-secret"}),
    );
    rig.delete("b");
    rig.gone("b").await;
    let key = misplace_secrets(&rig).await;
    // Tokens from elsewhere: an accepted one, then a refused one.
    let token = log_in(&rig.simulator, &app_id, "a-rotated-secret").await;
    let handed_in = json!({"appKey": app_id, "accessToken": token});
    let change = json!({"data": {"appId": null, "secret": null}, "stringData": handed_in});
    rig.patch("secret/production-app", &change);
    rig.delete("c");
    rig.gone("c").await;
    set_secret(
        &rig,
        "production-app",
        &json!({"accessToken": "a-refused-token"}),
    );
    rig.delete("d");
    rig.reason("d", "AuthenticationFailed").await;
    rig.kubectl(&["delete", "secret", "production-app"])
        .expect_ok();
    rig.retire("e");
    platform_says(&plane, &app_id, "production", "SecretNotFound").await;
    assert!(rig.logins().await >= 4, "the scenario was played");

    let places = [
        ("the log and the audit lines", operator.log().join("\n")),
        (
            "the events",
            plane
                .kubectl(&["get", "events", "-A", "-o", "json"])
                .expect_ok(),
        ),
        (
            "the objects",
            plane
                .kubectl(&["get", "vp,platforms", "-A", "-o", "json"])
                .expect_ok(),
        ),
        (
            "the metrics",
            operator.admin_page("/metrics").await.unwrap(),
        ),
        (
            "the leases",
            plane
                .kubectl(&["get", "leases", "-A", "-o", "json"])
                .expect_ok(),
        ),
    ];
    let key_line = key.lines().nth(1).unwrap();
    let secrets = [
        RIGHT,
        "a-refused-secret",
        "a-rotated-secret",
        "misplaced",
        &token,
        "a-refused-token",
        key_line,
    ];
    for (place, text) in &places {
        assert_shows_none(place, text, &secrets);
    }
    assert!(
        places[0].1.contains("TRACE"),
        "the finest lines were written"
    );
}

/// Puts secrets into the wrong keys, and corrects that. Returns the key that was put there.
async fn misplace_secrets(rig: &Rig<'_>) -> String {
    let misplaced = json!({"appId": "a misplaced secret", "secret": "a-rotated-secret"});
    set_secret(rig, "production-app", &misplaced);
    platform_says(rig.plane, &rig.namespace, "production", "SecretInvalid").await;
    let key = std::fs::read_to_string(rig.simulator.tls_dir().join("client.key")).unwrap();
    set_secret(rig, "production-app", &json!({"appId": rig.namespace}));
    set_secret(rig, "production-ca", &json!({"ca.crt": key}));
    platform_says(rig.plane, &rig.namespace, "production", "SecretInvalid").await;
    let ca = std::fs::read_to_string(rig.simulator.tls_dir().join("ca.crt")).unwrap();
    set_secret(rig, "production-ca", &json!({"ca.crt": ca}));
    key
}

/// Looks for secrets in each form that they could be shown in.
fn assert_shows_none(place: &str, text: &str, secrets: &[&str]) {
    assert!(!text.is_empty(), "{place}");
    for secret in secrets {
        // Debug output of bytes and the form in a Secret count too.
        for shown in [
            (*secret).to_owned(),
            base64(secret.as_bytes()),
            format!("{:?}", secret.as_bytes()),
        ] {
            let found = text.find(shown.trim_matches(['[', ']', '=']));
            let around = found.map(|at| text.get(at.saturating_sub(200)..at + 40));
            assert_eq!(around, None, "{place}");
        }
    }
    // The tokens of logins aren't known here, but their form is: 32 hexadecimal digits.
    let token = text
        .split(|c: char| !c.is_ascii_hexdigit())
        .find(|run| run.len() == 32);
    assert_eq!(token, None, "{place}");
}

/// The form in which the API server shows the contents of Secrets.
fn base64(bytes: &[u8]) -> String {
    serde_json::to_value(k8s_openapi::ByteString(bytes.to_vec()))
        .unwrap()
        .as_str()
        .unwrap()
        .to_owned()
}
