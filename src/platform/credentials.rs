//! Turns the contents of Secrets into the inputs of a session. Pure.

#![deny(clippy::wildcard_enum_match_arm)]

mod contents;

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretSlice, SecretString};

use self::contents::Contents;
use crate::api::names::{Endpoint, ObjectKey};
use crate::api::platform::{PlatformReason, PlatformSpec};
use crate::remote::tls::{TlsError, TlsSettings};
use crate::session::{Credential, SessionKey};

/// The Role that the manifests ship for each namespace with Secrets of Platforms.
const SECRETS_ROLE: &str = "version-package-operator-secrets";

/// The Secret keys that are read; no other content of a Secret is kept.
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

/// One of the Secrets that a spec may name.
#[derive(Clone, Copy)]
struct Named {
    /// The field of the spec that names the Secret.
    field: &'static str,
    /// The arguments of `kubectl create secret` that create the Secret: its kind and its contents.
    making: &'static str,
    contents: &'static str,
}

/// The secret is read from a file, so that it stays out of the history of the shell.
const LOGIN: Named = Named {
    field: "spec.credentialsSecretRef",
    making: "generic",
    contents: "--from-literal=appId=APP_ID --from-file=secret=FILE",
};
const TRUST: Named = Named {
    field: "spec.tls.caSecretRef",
    making: "generic",
    contents: "--from-file=ca.crt=FILE",
};
const IDENTITY: Named = Named {
    field: "spec.tls.clientCertSecretRef",
    making: "tls",
    contents: "--cert=FILE --key=FILE",
};

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

/// The last known state of one Secret.
#[derive(Clone, PartialEq)]
pub(super) enum SeenSecret {
    /// The Secret exists.
    Present(SecretData),
    /// No Secret of that name exists.
    Missing,
    /// The API server forbids the operator to read the Secret; the API server's message names the refused user.
    Forbidden(String),
    /// For a long time the API server has failed to show the Secret, and it has never shown the Secret to this process.
    /// The value is the message of the failure.
    Failed(String),
}

/// Reason and message for the condition of a `Platform` that can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PlatformWord {
    pub reason: PlatformReason,
    pub message: String,
}

impl PlatformWord {
    pub(super) fn new(reason: PlatformReason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}

/// The result of combining a spec with its Secrets.
pub(super) enum Assessment {
    /// A Secret has not been read yet.
    Unread,
    /// Spec and Secrets are complete and valid.
    Complete(Inputs),
    /// A Secret does not exist or can't be read; its previous contents may still be valid.
    Unreadable(PlatformWord),
    /// The spec or the contents of a Secret are invalid; no previous contents may be used.
    Invalid(PlatformWord),
}

/// The inputs from which a connection and a session are made.
pub(super) struct Inputs {
    pub session: SessionKey,
    pub credential: Credential,
    /// All secret values of the credentials Secret, whether or not they are used; they are hidden in logs and
    /// messages.
    pub secrets: Vec<SecretString>,
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

/// The endpoint that calls go to, with the name that is expected in its certificate.
fn endpoint(spec: &PlatformSpec) -> Result<Endpoint, PlatformWord> {
    let endpoint = Endpoint::of_url(&spec.endpoint).map_err(|error| {
        PlatformWord::new(PlatformReason::EndpointInvalid, format!("spec.{error}."))
    })?;
    let server = spec.tls.as_ref().and_then(|tls| tls.server_name.as_deref());
    Ok(match server {
        Some(name) => endpoint.named(name),
        None => endpoint,
    })
}

/// Combines a spec and its Secrets into the inputs of a session, or the reason why that fails.
pub(super) fn assess<'a>(
    spec: &PlatformSpec,
    namespace: &str,
    seen: impl Fn(&ObjectKey) -> Option<&'a SeenSecret>,
) -> Assessment {
    let endpoint = match endpoint(spec) {
        Ok(endpoint) => endpoint,
        Err(refusal) => return Assessment::Invalid(refusal),
    };
    let mut unread = false;
    let mut unreadable = None;
    let mut look = |name: &str, named: Named| match seen(&ObjectKey::new(namespace, name)) {
        Some(SeenSecret::Present(data)) => Some(data),
        Some(SeenSecret::Missing) => {
            unreadable.get_or_insert_with(|| missing(namespace, name, named));
            None
        }
        Some(SeenSecret::Forbidden(words)) => {
            unreadable.get_or_insert_with(|| forbidden(namespace, name, named, words));
            None
        }
        Some(SeenSecret::Failed(words)) => {
            unreadable.get_or_insert_with(|| {
                let message = format!("Secret {namespace}/{name} can't be read: {words}. The operator tries again by itself; if it lasts, look at the API server.");
                PlatformWord::new(PlatformReason::SecretUnreadable, message)
            });
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
            .map(|data| {
                let contents = Contents::new(namespace, credentials, data);
                Ok((contents.login()?, contents.secrets()))
            })
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
        (Ok((Some(((app_id, credential), secrets)), tls)), None, false) => {
            Assessment::Complete(Inputs {
                session: SessionKey { endpoint, app_id },
                credential,
                secrets,
                tls,
            })
        }
        (Ok(_), None, _) => Assessment::Unread,
    }
}

/// Reason and message for settings that TLS can't use; the message names the Secret or the field to correct.
pub(super) fn unusable_tls(spec: &PlatformSpec, namespace: &str, error: &TlsError) -> PlatformWord {
    let tls = spec.tls.as_ref();
    let secret = match error {
        TlsError::Ca(_) => tls.and_then(|tls| tls.ca_secret_ref.as_ref()),
        TlsError::Chain(_) | TlsError::Key(_) | TlsError::OtherKey => {
            tls.and_then(|tls| tls.client_cert_secret_ref.as_ref())
        }
        TlsError::ServerName(_) | TlsError::NoRoots | TlsError::Setup => None,
    };
    match secret {
        Some(secret) => PlatformWord::new(
            PlatformReason::SecretInvalid,
            format!("Secret {namespace}/{}: {error}.", secret.name),
        ),
        None => PlatformWord::new(PlatformReason::EndpointInvalid, format!("spec.{error}.")),
    }
}

/// Whether two TLS settings make the same connection.
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

fn missing(namespace: &str, name: &str, named: Named) -> PlatformWord {
    let Named {
        field,
        making,
        contents,
    } = named;
    PlatformWord::new(
        PlatformReason::SecretNotFound,
        format!(
            "Secret {namespace}/{name} does not exist. Mend its name in {field}, or create it: \
             kubectl create secret {making} {name} --namespace={namespace} {contents}."
        ),
    )
}

/// The message covers all three possible causes, since the operator can't see which one applies: the name in the
/// Role, the Role itself, or its binding is missing.
fn forbidden(namespace: &str, name: &str, named: Named, words: &str) -> PlatformWord {
    let (field, subject) = (named.field, subject(words));
    PlatformWord::new(
        PlatformReason::SecretForbidden,
        format!(
            "The operator may not list and watch Secret {namespace}/{name}. Where the name is wrong, mend {field}. Where it is right, add it to the Role {SECRETS_ROLE}: \
             kubectl patch role {SECRETS_ROLE} --namespace={namespace} --type=json \
             --patch='[{{\"op\":\"add\",\"path\":\"/rules/0/resourceNames/-\",\"value\":\"{name}\"}}]'. Where there is no such Role (NotFound), create it: \
             kubectl create role {SECRETS_ROLE} --namespace={namespace} --verb=list,watch --resource=secrets --resource-name={name}. Where it isn't bound to the operator, bind it: \
             kubectl create rolebinding {SECRETS_ROLE} --namespace={namespace} --role={SECRETS_ROLE} {subject}"
        ),
    )
}

/// The refused user as an argument of kubectl, from the API server's message
/// `User "system:serviceaccount:ns:name" cannot ...`.
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
pub(super) mod tests;
