//! From the contents of Secrets to what a session needs. Pure.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretSlice, SecretString};

use crate::api::names::{AppId, Endpoint, ObjectKey};
use crate::api::platform::{PlatformReason, PlatformSpec};
use crate::remote::tls::{TlsError, TlsSettings};
use crate::session::{Credential, SessionKey};

/// The Role that the manifests ship for each namespace with Secrets of Platforms.
const SECRETS_ROLE: &str = "version-package-operator-secrets";

/// The keys that are read; no other content of a Secret is kept.
pub(super) const KEYS: [&str; 7] = [
    APP_ID,
    SECRET,
    APP_KEY,
    ACCESS_TOKEN,
    CA,
    CERTIFICATE,
    PRIVATE_KEY,
];
const APP_ID: &str = "appId";
const SECRET: &str = "secret";
const APP_KEY: &str = "appKey";
const ACCESS_TOKEN: &str = "accessToken";
const CA: &str = "ca.crt";
const CERTIFICATE: &str = "tls.crt";
const PRIVATE_KEY: &str = "tls.key";

/// How a Secret is made: its kind and its contents, as arguments of `kubectl create secret`.
type Making = (&'static str, &'static str);
/// From a file, so that the secret stays out of the history of the shell.
const LOGIN: Making = (
    "generic",
    "--from-literal=appId=APP_ID --from-file=secret=FILE",
);
const TRUST: Making = ("generic", "--from-file=ca.crt=FILE");
const IDENTITY: Making = ("tls", "--cert=FILE --key=FILE");

/// The contents of one Secret, by key.
#[derive(Clone, Default)]
pub(super) struct SecretData(pub BTreeMap<String, SecretSlice<u8>>);

impl PartialEq for SecretData {
    fn eq(&self, other: &Self) -> bool {
        let same = |(key, value): (&String, &SecretSlice<u8>)| {
            let theirs = other.0.get(key).map(ExposeSecret::expose_secret);
            theirs == Some(value.expose_secret())
        };
        self.0.len() == other.0.len() && self.0.iter().all(same)
    }
}

/// What was last seen of one Secret.
#[derive(Clone, PartialEq)]
pub(super) enum Seen {
    /// It is there.
    Present(SecretData),
    /// There is none of that name.
    Missing,
    /// The API server doesn't let us read it; its words, which name who we are.
    Forbidden(String),
}

/// Why a `Platform` can't be used, for its condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub reason: PlatformReason,
    pub message: String,
}

impl Refusal {
    pub(super) fn new(reason: PlatformReason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}

/// What spec and Secrets come to.
pub(super) enum Assessment {
    /// A Secret has not been seen yet.
    Unread,
    /// Everything is there and has the right form.
    Complete(Inputs),
    /// A Secret isn't there or can't be read; what it held before may still be right.
    Unreadable(Refusal),
    /// Spec or contents are wrong; nothing held before may serve.
    Invalid(Refusal),
}

/// What a connection and a session are made from.
pub(super) struct Inputs {
    pub session: SessionKey,
    pub credential: Credential,
    pub tls: TlsSettings,
}

/// The Secrets that `spec` names, for a `Platform` in `namespace`.
pub(super) fn named_secrets(
    spec: &PlatformSpec,
    namespace: &str,
) -> impl Iterator<Item = ObjectKey> {
    let tls = spec.tls.as_ref();
    [
        Some(&spec.credentials_secret_ref),
        tls.and_then(|tls| tls.ca_secret_ref.as_ref()),
        tls.and_then(|tls| tls.client_cert_secret_ref.as_ref()),
    ]
    .into_iter()
    .flatten()
    .map(move |secret| ObjectKey::new(namespace, secret.name.as_str()))
}

/// Puts spec and Secrets together.
pub(super) fn assess<'a>(
    spec: &PlatformSpec,
    namespace: &str,
    seen: impl Fn(&ObjectKey) -> Option<&'a Seen>,
) -> Assessment {
    let endpoint = match Endpoint::try_from(spec.endpoint.clone()) {
        Ok(endpoint) => endpoint,
        Err(error) => {
            return Assessment::Invalid(Refusal::new(
                PlatformReason::EndpointInvalid,
                format!("spec.{error}."),
            ));
        }
    };
    let mut unread = false;
    let mut unreadable = None;
    let mut look = |name: &str, making: Making| match seen(&ObjectKey::new(namespace, name)) {
        Some(Seen::Present(data)) => Some(data),
        Some(Seen::Missing) => {
            unreadable.get_or_insert_with(|| missing(namespace, name, making));
            None
        }
        Some(Seen::Forbidden(words)) => {
            unreadable.get_or_insert_with(|| forbidden(namespace, name, words));
            None
        }
        None => {
            unread = true;
            None
        }
    };

    let credentials = &spec.credentials_secret_ref.name;
    let tls = spec.tls.clone().unwrap_or_default();
    let parts = (|| {
        let login = look(credentials, LOGIN)
            .map(|data| Contents::new(namespace, credentials, data).login())
            .transpose()?;
        let mut settings = TlsSettings {
            server_name: tls.server_name,
            ..TlsSettings::default()
        };
        if let Some(secret) = &tls.ca_secret_ref
            && let Some(data) = look(&secret.name, TRUST)
        {
            let contents = Contents::new(namespace, &secret.name, data);
            settings.ca = Some(contents.required(CA)?.expose_secret().to_vec());
        }
        if let Some(secret) = &tls.client_cert_secret_ref
            && let Some(data) = look(&secret.name, IDENTITY)
        {
            let contents = Contents::new(namespace, &secret.name, data);
            let chain = contents.required(CERTIFICATE)?.expose_secret().to_vec();
            settings.client = Some((chain, contents.required(PRIVATE_KEY)?.clone()));
        }
        Ok((login, settings))
    })();

    match (parts, unreadable, unread) {
        (Err(refusal), _, _) => Assessment::Invalid(refusal),
        (Ok(_), Some(refusal), _) => Assessment::Unreadable(refusal),
        (Ok((Some((app_id, credential)), tls)), None, false) => Assessment::Complete(Inputs {
            session: SessionKey { endpoint, app_id },
            credential,
            tls,
        }),
        (Ok(_), None, _) => Assessment::Unread,
    }
}

/// What settings that TLS can't use mean, with the Secret or the field that mends them.
pub(super) fn unusable_tls(spec: &PlatformSpec, namespace: &str, error: &TlsError) -> Refusal {
    let tls = spec.tls.as_ref();
    let secret = match error {
        TlsError::Ca(_) => tls.and_then(|tls| tls.ca_secret_ref.as_ref()),
        TlsError::Client(_) => tls.and_then(|tls| tls.client_cert_secret_ref.as_ref()),
        TlsError::ServerName(_) | TlsError::Setup(_) => None,
    };
    match secret {
        Some(secret) => Refusal::new(
            PlatformReason::SecretInvalid,
            format!("Secret {namespace}/{}: {error}.", secret.name),
        ),
        None => Refusal::new(PlatformReason::EndpointInvalid, format!("spec.{error}.")),
    }
}

/// Whether two settings make the same connection.
pub(super) fn same_tls(a: &TlsSettings, b: &TlsSettings) -> bool {
    let client = match (&a.client, &b.client) {
        (None, None) => true,
        (Some((chain, key)), Some((other_chain, other_key))) => {
            chain == other_chain && key.expose_secret() == other_key.expose_secret()
        }
        (Some(_), None) | (None, Some(_)) => false,
    };
    client && a.ca == b.ca && a.server_name == b.server_name
}

/// One Secret under its name, for messages that never repeat a value.
struct Contents<'a> {
    secret: String,
    data: &'a SecretData,
}

impl<'a> Contents<'a> {
    fn new(namespace: &str, name: &str, data: &'a SecretData) -> Self {
        Self {
            secret: format!("{namespace}/{name}"),
            data,
        }
    }

    fn invalid(&self, what: &str) -> Refusal {
        Refusal::new(
            PlatformReason::SecretInvalid,
            format!("Secret {} {what}.", self.secret),
        )
    }

    fn has(&self, key: &str) -> bool {
        self.data.0.contains_key(key)
    }

    fn required(&self, key: &str) -> Result<&'a SecretSlice<u8>, Refusal> {
        match self.data.0.get(key) {
            Some(value) if value.expose_secret().is_empty() => {
                Err(self.invalid(&format!("has nothing under the key {key}")))
            }
            Some(value) => Ok(value),
            None => Err(self.invalid(&format!("lacks the key {key}"))),
        }
    }

    /// The text under `key`, without the one newline that editors and `echo` leave at its end.
    fn text(&self, key: &str) -> Result<&'a str, Refusal> {
        let bytes = self.required(key)?.expose_secret();
        let text = std::str::from_utf8(bytes)
            .map_err(|_| self.invalid(&format!("has something that isn't text under {key}")))?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() {
            return Err(self.invalid(&format!("has nothing under the key {key}")));
        }
        Ok(text)
    }

    fn app_id(&self, key: &str) -> Result<AppId, Refusal> {
        // The refused value isn't repeated: a secret may have been put under the wrong key.
        self.text(key)?.parse().map_err(|_| {
            self.invalid(&format!(
                "has under {key} something other than 1 to 256 visible ASCII characters without blanks"
            ))
        })
    }

    /// A login where there is any part of one, since it can be renewed; else a token handed in.
    fn login(&self) -> Result<(AppId, Credential), Refusal> {
        if self.has(APP_ID) || self.has(SECRET) {
            let app_id = self.app_id(APP_ID)?;
            let secret = self.text(SECRET)?;
            if secret.chars().any(char::is_control) {
                return Err(
                    self.invalid("has line breaks or other control characters under secret")
                );
            }
            return Ok((app_id, Credential::Login(SecretString::from(secret))));
        }
        if self.has(APP_KEY) || self.has(ACCESS_TOKEN) {
            let app_id = self.app_id(APP_KEY)?;
            let token = self.text(ACCESS_TOKEN)?;
            if !token.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(self.invalid(
                    "has under accessToken something other than visible ASCII characters without blanks",
                ));
            }
            return Ok((app_id, Credential::Token(SecretString::from(token))));
        }
        Err(self.invalid("needs the keys appId and secret, or appKey and accessToken"))
    }
}

fn missing(namespace: &str, name: &str, (kind, contents): Making) -> Refusal {
    Refusal::new(
        PlatformReason::SecretNotFound,
        format!(
            "Secret {namespace}/{name} does not exist. Name another one in the spec, or create it: \
             kubectl create secret {kind} {name} --namespace={namespace} {contents}."
        ),
    )
}

fn forbidden(namespace: &str, name: &str, words: &str) -> Refusal {
    let subject = subject(words);
    Refusal::new(
        PlatformReason::SecretForbidden,
        format!(
            "The operator may not list and watch Secret {namespace}/{name}. Where the Role {SECRETS_ROLE} names that Secret, bind it: \
             kubectl create rolebinding {SECRETS_ROLE} --namespace={namespace} --role={SECRETS_ROLE} {subject}. Where there is no such Role yet, first: \
             kubectl create role {SECRETS_ROLE} --namespace={namespace} --verb=list,watch --resource=secrets --resource-name={name}"
        ),
    )
}

/// Who was refused, as an argument of kubectl, from the API server's `User "system:serviceaccount:ns:name" cannot ...`.
fn subject(words: &str) -> String {
    let user = words
        .split_once("User \"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .map(|(user, _)| user);
    match user.map(|user| (user, user.strip_prefix("system:serviceaccount:"))) {
        Some((_, Some(account))) => format!("--serviceaccount={account}"),
        Some((user, None)) => format!("--user={user}"),
        None => "--serviceaccount=NAMESPACE:NAME (of the operator)".to_owned(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::HashMap;

    use serde_json::{Value, json};

    use super::super::object::tests as objects;
    use super::*;

    pub(in crate::platform) fn secret(pairs: &[(&str, &str)]) -> Seen {
        let owned =
            |(key, value): &(&str, &str)| ((*key).to_owned(), value.as_bytes().to_vec().into());
        Seen::Present(SecretData(pairs.iter().map(owned).collect()))
    }

    fn full_spec() -> Value {
        let mut spec = objects::spec();
        spec["tls"] = json!({"caSecretRef": {"name": "ca"}, "clientCertSecretRef": {"name": "client"}, "serverName": "iot"});
        spec
    }

    fn assessed(spec: &Value, secrets: &[(&str, Seen)]) -> Assessment {
        let secrets: HashMap<ObjectKey, Seen> = secrets
            .iter()
            .map(|(name, seen)| (ObjectKey::new("iot", *name), seen.clone()))
            .collect();
        let wanted = objects::platform(spec).wanted.unwrap();
        assess(&wanted.spec, "iot", |key| secrets.get(key))
    }

    fn login(seen: Seen) -> Assessment {
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
        let Assessment::Unreadable(refusal) = login(Seen::Forbidden(words.to_owned())) else {
            panic!("expected it to be unreadable")
        };
        assert_eq!(refusal.reason, PlatformReason::SecretForbidden);
        for part in [
            "Secret iot/iot-app",
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
        let gone = ("ca", Seen::Missing);
        assert!(matches!(
            assessed(&full_spec(), &[gone]),
            Assessment::Unreadable(r) if r.message.contains("iot/ca does not exist")
        ));
    }

    #[test]
    fn an_endpoint_of_another_form_is_refused_by_name() {
        let mut spec = objects::spec();
        spec["endpoint"] = json!("http://iot.example.com");
        let message = invalid(assessed(&spec, &[]));
        assert!(message.starts_with("spec.endpoint "), "{message}");
    }
}
