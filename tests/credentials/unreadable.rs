//! Secrets that are missing, invalid or forbidden to read.

use super::*;
use crate::support::shared_operator;

#[tokio::test]
async fn a_missing_or_invalid_secret_is_named_with_its_key_and_repaired_at_once() {
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

/// The command in a message after `start`, up to the end of its sentence.
fn command(message: &str, start: &str) -> String {
    let found = message
        .find(start)
        .unwrap_or_else(|| panic!("{message} lacks {start}"));
    let rest = &message[found..];
    let end = rest.find(". ").unwrap_or(rest.len());
    rest[..end].trim_end_matches('.').to_owned()
}

/// Runs a command of a message as the admin, unchanged.
fn run(plane: &Plane, command: &str) {
    let arguments = command.split_whitespace().skip(1);
    // The shell would take the quotes off.
    let arguments: Vec<String> = arguments.map(|one| one.replace('\'', "")).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    plane.kubectl(&arguments).expect_ok();
}

#[tokio::test]
async fn a_forbidden_secret_is_named_with_the_commands_that_allow_it() {
    let plane = shared().await;
    let simulator = Simulator::start(SimulatorOptions::default()).await;
    for role_is_there in [false, true] {
        let namespace = plane.namespace(&format!("forbidden-{role_is_there}"));
        let platform = simulator.platform(&namespace, "strict", &json!({"tls": null}));
        plane.apply(&platform).expect_ok();
        let said = platform_says(plane, &namespace, "strict", "SecretForbidden").await;
        assert!(said.contains(&format!("{namespace}/strict-app")), "{said}");
        let create = command(&said, "kubectl create role ");
        if role_is_there {
            let other = create.replace("=strict-app", "=another");
            assert_ne!(other, create);
            run(plane, &other);
            run(plane, &command(&said, "kubectl patch role "));
        } else {
            run(plane, &create);
        }
        run(plane, &command(&said, "kubectl create rolebinding "));
        platform_says(plane, &namespace, "strict", "Available").await;
        assert_trouble_told(plane, &namespace, "SecretForbidden").await;
    }
}

/// That the Platform was in trouble stands in one event and one line of the log.
async fn assert_trouble_told(plane: &Plane, namespace: &str, reason: &str) {
    wait_for("the event of the trouble", HEALED, async || {
        let about = format!("involvedObject.name=strict,type=Warning,reason={reason}");
        let path = "jsonpath={.items[*].message}";
        let get = ["get", "events", "-n", namespace, "--field-selector", &about];
        let told = plane.kubectl(&[&get[..], &["-o", path]].concat());
        told.expect_ok().contains("strict-app").then_some(())
    })
    .await;
    let log = shared_operator().await.log();
    let platform = format!("{namespace}/strict");
    let told = |line: &&String| line.contains("before a person acts") && line.contains(&platform);
    assert_eq!(log.iter().filter(told).count(), 1);
}
