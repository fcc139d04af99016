mod leaks;

use std::collections::HashMap;

use serde_json::{Value, json};

use super::super::object::tests as objects;
use super::*;

pub(in crate::platform) fn secret(pairs: &[(&str, &str)]) -> SeenSecret {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), value.as_bytes().to_vec().into());
    SeenSecret::Present(SecretData(pairs.iter().map(owned).collect()))
}

fn full_spec() -> Value {
    let mut spec = objects::spec();
    spec["tls"] = json!({"caSecretRef": {"name": "ca"}, "clientCertSecretRef": {"name": "client"}, "serverName": "iot"});
    spec
}

fn assessed(spec: &Value, secrets: &[(&str, SeenSecret)]) -> Assessment {
    let secrets: HashMap<ObjectKey, SeenSecret> = secrets
        .iter()
        .map(|(name, seen)| (ObjectKey::new("iot", *name), seen.clone()))
        .collect();
    let wanted = objects::platform(spec).wanted.unwrap();
    assess(&wanted.spec, "iot", |key| secrets.get(key))
}

fn login(seen: SeenSecret) -> Assessment {
    assessed(&objects::spec(), &[("iot-app", seen)])
}

fn invalid(assessment: Assessment) -> String {
    match assessment {
        Assessment::Invalid(refusal) => refusal.message,
        Assessment::Unread | Assessment::Complete(_) | Assessment::Unreadable(_) => {
            panic!("expected a refusal of the contents")
        }
    }
}

fn complete(assessment: Assessment) -> Inputs {
    match assessment {
        Assessment::Complete(inputs) => inputs,
        Assessment::Invalid(r) | Assessment::Unreadable(r) => panic!("{}", r.message),
        Assessment::Unread => panic!("unread"),
    }
}

#[test]
fn a_login_and_a_token_are_read_without_the_newline_at_their_end() {
    for end in ["", "\n", "\r\n"] {
        let inputs = complete(login(secret(&[
            ("appId", &format!("app-1{end}")),
            ("secret", &format!("s3 cret{end}")),
        ])));
        assert_eq!(inputs.session.app_id.as_str(), "app-1");
        assert_eq!(
            inputs.session.endpoint.as_str(),
            "https://iot.example.com:8743"
        );
        let Credential::Login(read) = inputs.credential else {
            panic!("not a login")
        };
        assert_eq!(read.expose_secret(), "s3 cret");
    }
    let inputs = complete(login(secret(&[
        ("appKey", "app-2\n"),
        ("accessToken", "t0ken\n"),
    ])));
    let Credential::Token(token) = inputs.credential else {
        panic!("not a token")
    };
    assert_eq!(
        (inputs.session.app_id.as_str(), token.expose_secret()),
        ("app-2", "t0ken")
    );
}

#[test]
fn each_bad_content_names_secret_and_key_and_repeats_no_value() {
    let long = "hunter2".repeat(586);
    for (pairs, key) in [
        (
            &[][..],
            "needs the keys appId and secret, or appKey and accessToken",
        ),
        (&[("appId", "app-1")], "lacks the key secret"),
        (&[("secret", "hunter2")], "lacks the key appId"),
        (&[("appKey", "app-1")], "lacks the key accessToken"),
        (&[("accessToken", "hunter2")], "lacks the key appKey"),
        (
            &[("appId", ""), ("secret", "hunter2")],
            "nothing under the key appId",
        ),
        (
            &[("appId", "app-1"), ("secret", "\n")],
            "nothing under the key secret",
        ),
        (
            &[("appId", "app-1"), ("secret", &*long)],
            "more than 4096 bytes under the key secret",
        ),
        (
            &[("appId", "hunter2 hunter2"), ("secret", "x")],
            "under appId",
        ),
        (
            &[("appId", "app-1"), ("secret", "hunter2\n\n")],
            "under secret",
        ),
        (
            &[("appKey", "app-1"), ("accessToken", "hunter2 x")],
            "under accessToken",
        ),
    ] {
        let message = invalid(login(secret(pairs)));
        assert!(
            message.starts_with("Secret iot/iot-app ") && message.contains(key),
            "{message}"
        );
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn certificates_are_read_from_their_secrets_and_a_missing_key_is_named() {
    let app = ("iot-app", secret(&[("appId", "a"), ("secret", "s")]));
    let ca = ("ca", secret(&[("ca.crt", "CA")]));
    let client = ("client", secret(&[("tls.crt", "CRT"), ("tls.key", "KEY")]));
    let inputs = complete(assessed(&full_spec(), &[app.clone(), ca.clone(), client]));
    assert_eq!(inputs.tls.ca.as_deref(), Some(&b"CA"[..]));
    assert_eq!(inputs.tls.server_name.as_deref(), Some("iot"));
    let (chain, key) = inputs.tls.client.unwrap();
    assert_eq!(
        (chain.as_slice(), key.expose_secret()),
        (&b"CRT"[..], &b"KEY"[..])
    );

    let keyless = ("client", secret(&[("tls.crt", "CRT")]));
    let message = invalid(assessed(&full_spec(), &[app, ca, keyless]));
    assert_eq!(message, "Secret iot/client lacks the key tls.key.");
}

#[test]
fn a_forbidden_secret_tells_the_command_that_mends_it() {
    let words = r#"secrets "iot-app" is forbidden: User "system:serviceaccount:vpo:operator" cannot list resource "secrets""#;
    let Assessment::Unreadable(refusal) = login(SeenSecret::Forbidden(words.to_owned())) else {
        panic!("expected it to be unreadable")
    };
    assert_eq!(refusal.reason, PlatformReason::SecretForbidden);
    for part in [
        "Secret iot/iot-app",
        "mend spec.credentialsSecretRef",
        "kubectl patch role version-package-operator-secrets --namespace=iot --type=json --patch='[{\"op\":\"add\",\"path\":\"/rules/0/resourceNames/-\",\"value\":\"iot-app\"}]'. ",
        "kubectl create rolebinding version-package-operator-secrets --namespace=iot --role=version-package-operator-secrets --serviceaccount=vpo:operator",
        "--verb=list,watch --resource=secrets --resource-name=iot-app",
    ] {
        assert!(refusal.message.contains(part), "{}", refusal.message);
    }
}

#[test]
fn nothing_is_said_before_every_secret_was_seen_unless_one_is_wrong_already() {
    let app = ("iot-app", secret(&[("appId", "a"), ("secret", "s")]));
    assert!(matches!(assessed(&full_spec(), &[app]), Assessment::Unread));
    let gone = ("ca", SeenSecret::Missing);
    assert!(matches!(
        assessed(&full_spec(), &[gone]),
        Assessment::Unreadable(r)
            if r.message.contains("iot/ca does not exist. Mend its name in spec.tls.caSecretRef")
    ));
}

#[test]
fn an_endpoint_of_another_form_is_refused_by_name() {
    let mut spec = objects::spec();
    spec["endpoint"] = json!("http://iot.example.com");
    let message = invalid(assessed(&spec, &[]));
    assert!(message.starts_with("spec.endpoint "), "{message}");
}
