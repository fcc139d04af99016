//! Credentials, certificates and the right to read them: what is wrong, how it is mended, and that none is ever shown.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod support;

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use support::{
    History, Layout, Plane, Rig, Simulator, SimulatorOptions, ready, shared, start_operator,
    wait_for,
};

/// How soon a mended Secret, Role or Platform takes effect.
const HEALED: Duration = Duration::from_secs(5);

const FIRST: &str = "package-00001";
const SECOND: &str = "package-00002";
/// The secret that the simulators here know.
const RIGHT: &str = "correct-horse-battery";

fn message(object: &Value) -> String {
    ready(object)["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn set_secret(rig: &Rig<'_>, name: &str, values: &Value) {
    rig.patch(&format!("secret/{name}"), &json!({"stringData": values}));
}

/// Waits until an object is gone within the time of a healing.
async fn goes(rig: &Rig<'_>, name: &str) {
    wait_for(&format!("{name} to go"), HEALED, async || {
        rig.get(name).await.is_none().then_some(())
    })
    .await;
}

/// Waits until a Platform says `reason`; returns its message.
async fn platform_says(plane: &Plane, namespace: &str, name: &str, reason: &str) -> String {
    let what = format!("the Platform {name} to say {reason}");
    wait_for(&what, HEALED, async || {
        let get = ["get", "platform", "-n", namespace, name, "-o", "json"];
        let object: Value = serde_json::from_str(&plane.kubectl(&get).expect_ok()).unwrap();
        (ready(&object)["reason"] == reason).then(|| message(&object))
    })
    .await
}

/// Logs in as another client would.
async fn log_in(simulator: &Simulator, app_id: &str, secret: &str) -> String {
    support::install_crypto();
    let ca = std::fs::read(simulator.tls_dir().join("ca.crt")).unwrap();
    let ca = reqwest::Certificate::from_pem(&ca).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([ca])
        .build()
        .unwrap();
    let login = format!("{}/iocm/app/sec/v1.1.0/login", simulator.endpoint());
    let answer = client
        .post(login)
        .form(&[("appId", app_id), ("secret", secret)])
        .send()
        .await
        .unwrap();
    let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    answer["accessToken"].as_str().unwrap().to_owned()
}

/// A slow quota, so that deletions wait, and as many objects as that takes.
async fn crowd(subject: &str, calls: usize, count: usize) -> (Rig<'static>, History, Vec<String>) {
    let layout = Layout {
        simulator: SimulatorOptions {
            packages: count,
            quota_calls: calls,
            quota_window: "2s",
            ..SimulatorOptions::default()
        },
        platform: json!({"quota": {"calls": calls, "window": "2s"}}),
    };
    let rig = Rig::shared(subject, layout).await;
    let history = rig.history().await;
    let names: Vec<String> = (1..=count).map(|n| format!("package-{n:05}")).collect();
    let packages: Vec<(&str, &str)> = names.iter().map(|n| (n.as_str(), n.as_str())).collect();
    rig.active(&packages).await;
    (rig, history, names)
}

/// Deletes everything while the Platform only observes, so that all begin to wait at the same time, with [`let_go`].
async fn delete_all(rig: &Rig<'_>, names: &[String]) {
    rig.patch("platform/production", &json!({"spec": {"mode": "Observe"}}));
    rig.kubectl(&["delete", "vp", "--all", "--wait=false"])
        .expect_ok();
    for name in names {
        rig.reason(name, "WouldDelete").await;
    }
}

fn let_go(rig: &Rig<'_>) {
    rig.patch("platform/production", &json!({"spec": {"mode": "Enforce"}}));
}

async fn with_verdict(rig: &Rig<'_>, verdict: &str) -> usize {
    let ledger = rig.simulator.ledger().await;
    ledger
        .iter()
        .filter(|call| call["verdict"] == verdict)
        .count()
}

fn assert_never_stalled(history: &History) {
    for object in history.versions() {
        assert_ne!(object["status"]["phase"], "Stalled", "{object:#}");
    }
}

#[tokio::test]
async fn a_wrong_secret_stalls_and_the_right_one_heals_without_a_restart() {
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
async fn a_login_of_somebody_else_while_fifty_wait_costs_exactly_one_of_ours() {
    let (rig, history, names) = crowd("taken-over", 20, 70).await;
    // Their login is a call too.
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
async fn a_neighbour_on_the_same_quota_makes_everybody_wait_and_nobody_stall() {
    let (rig, history, names) = crowd("neighbour", 20, 50).await;
    delete_all(&rig, &names).await;
    rig.simulator
        .admin(Method::POST, "/neighbour", &json!({"calls": 15}))
        .await;
    let_go(&rig);
    for name in &names {
        history.gone(name).await;
    }
    assert!(with_verdict(&rig, "throttled").await >= 1);
    assert_eq!(with_verdict(&rig, "deleted").await, names.len());
    assert_eq!(rig.logins().await, 1);
    let throttled = |name: &&String| history.reasons(name).contains(&"Throttled".to_owned());
    assert!(names.iter().any(|name| throttled(&name)));
    assert_never_stalled(&history);
    history.assert_kstatus();
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_named_and_the_right_ca_heals() {
    let rig = Rig::shared("untrusted", Layout::default()).await;
    rig.active(&[("meter", FIRST)]).await;
    let foreign = rcgen::generate_simple_self_signed(["elsewhere.example".to_owned()]).unwrap();
    set_secret(
        &rig,
        "production-ca",
        &json!({"ca.crt": foreign.cert.pem()}),
    );
    rig.delete("meter");
    rig.reason("meter", "PlatformUnavailable").await;
    let said = platform_says(
        rig.plane,
        &rig.namespace,
        "production",
        "CertificateNotTrusted",
    )
    .await;
    let secret = format!("{}/production-ca", rig.namespace);
    for part in ["ca.crt", "spec.tls.serverName", &secret] {
        assert!(said.contains(part), "{said} lacks {part}");
    }
    let right = std::fs::read_to_string(rig.simulator.tls_dir().join("ca.crt")).unwrap();
    set_secret(&rig, "production-ca", &json!({"ca.crt": right}));
    goes(&rig, "meter").await;
    platform_says(rig.plane, &rig.namespace, "production", "Available").await;
}

#[tokio::test]
async fn a_secret_that_is_missing_or_wrong_is_named_with_its_key_and_mended_at_once() {
    let rig = Rig::shared("secrets", Layout::default()).await;
    rig.active(&[("wanted", FIRST)]).await;
    let says = async |reason| platform_says(rig.plane, &rig.namespace, "production", reason).await;
    let ca = std::fs::read_to_string(rig.simulator.tls_dir().join("ca.crt")).unwrap();
    let rows = [
        (
            "production-app",
            json!({"data": {"secret": null}}),
            "secret",
        ),
        (
            "production-app",
            json!({"stringData": {"appId": "two words"}}),
            "appId",
        ),
        (
            "production-app",
            json!({"stringData": {"secret": ""}}),
            "secret",
        ),
        ("production-ca", json!({"data": {"ca.crt": null}}), "ca.crt"),
        (
            "production-ca",
            json!({"stringData": {"ca.crt": "no certificate"}}),
            "ca.crt",
        ),
    ];
    for (secret, change, key) in rows {
        rig.patch(&format!("secret/{secret}"), &change);
        let said = says("SecretInvalid").await;
        let named = format!("Secret {}/{secret}", rig.namespace);
        assert!(
            said.contains(&named) && said.contains(key),
            "{said} lacks {named} or {key}"
        );
        rig.becomes("wanted", "to say so", HEALED, |o| {
            ready(o)["reason"] == "CredentialsMissing"
        })
        .await;
        set_secret(
            &rig,
            "production-app",
            &json!({"appId": rig.namespace, "secret": RIGHT}),
        );
        set_secret(&rig, "production-ca", &json!({"ca.crt": ca}));
        says("Available").await;
        rig.becomes("wanted", "to be well", HEALED, |o| {
            ready(o)["reason"] == "Active"
        })
        .await;
    }

    rig.kubectl(&["delete", "secret", "production-app"])
        .expect_ok();
    let said = says("SecretNotFound").await;
    let command = command(&said, "kubectl create secret generic ");
    let command = command.replace("APP_ID", &rig.namespace).replace(
        "--from-file=secret=FILE",
        &format!("--from-literal=secret={RIGHT}"),
    );
    run(rig.plane, &command);
    says("Available").await;
    rig.becomes("wanted", "to be well", HEALED, |o| {
        ready(o)["reason"] == "Active"
    })
    .await;
}

/// The command in a message that begins like this, up to the end of its sentence.
fn command(message: &str, start: &str) -> String {
    let found = message
        .find(start)
        .unwrap_or_else(|| panic!("{message} lacks {start}"));
    let rest = &message[found..];
    let end = rest.find(". ").unwrap_or(rest.len());
    rest[..end].trim_end_matches('.').to_owned()
}

/// Runs a command as the admin, just as a message says it.
fn run(plane: &Plane, command: &str) {
    let arguments: Vec<&str> = command.split_whitespace().skip(1).collect();
    plane.kubectl(&arguments).expect_ok();
}

#[tokio::test]
async fn a_secret_that_may_not_be_read_is_named_with_the_commands_that_allow_it() {
    let plane = shared().await;
    let namespace = plane.namespace("forbidden");
    let simulator = Simulator::start(SimulatorOptions::default()).await;
    let platform = simulator.platform(&namespace, "strict", &json!({"tls": null}));
    plane.apply(&platform).expect_ok();
    let said = platform_says(plane, &namespace, "strict", "SecretForbidden").await;
    assert!(said.contains(&format!("{namespace}/strict-app")), "{said}");
    run(plane, &command(&said, "kubectl create role "));
    run(plane, &command(&said, "kubectl create rolebinding "));
    platform_says(plane, &namespace, "strict", "Available").await;
}

#[tokio::test]
async fn a_client_certificate_is_asked_for_by_name_and_shown() {
    let layout = Layout {
        simulator: SimulatorOptions {
            client_cert: "required",
            ..Layout::default().simulator
        },
        ..Layout::default()
    };
    let rig = Rig::shared("client-cert", layout).await;
    let names = ["production-app", "production-ca", "production-client"];
    rig.plane.grant_secrets(&rig.namespace, &names);
    rig.active(&[("meter", FIRST)]).await;
    rig.delete("meter");
    let said = platform_says(
        rig.plane,
        &rig.namespace,
        "production",
        "ClientCertificateRefused",
    )
    .await;
    assert!(said.contains("spec.tls.clientCertSecretRef"), "{said}");
    assert!(rig.get("meter").await.is_some());
    let tls = rig.simulator.tls_dir();
    let (certificate, key) = (tls.join("client.crt"), tls.join("client.key"));
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    rig.kubectl(&[
        "create",
        "secret",
        "tls",
        "production-client",
        "--cert",
        certificate,
        "--key",
        key,
    ])
    .expect_ok();
    let identity = json!({"clientCertSecretRef": {"name": "production-client"}});
    rig.patch("platform/production", &json!({"spec": {"tls": identity}}));
    goes(&rig, "meter").await;
    platform_says(rig.plane, &rig.namespace, "production", "Available").await;
    assert!(!rig.simulator.has(FIRST).await);
}

#[tokio::test]
async fn a_token_that_was_handed_in_serves_without_a_login_and_is_never_renewed() {
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
    // A login that is refused, then one that isn't.
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
    // Tokens handed in: one that serves, then one that is refused.
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

/// Puts secrets where they don't belong, and mends that; returns the key that was put there.
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
    // The tokens of logins are not known here, but their form is: 32 hexadecimal digits.
    let token = text
        .split(|c: char| !c.is_ascii_hexdigit())
        .find(|run| run.len() == 32);
    assert_eq!(token, None, "{place}");
}

/// As the API server shows the contents of Secrets.
fn base64(bytes: &[u8]) -> String {
    serde_json::to_value(k8s_openapi::ByteString(bytes.to_vec()))
        .unwrap()
        .as_str()
        .unwrap()
        .to_owned()
}
