//! Credentials: which of them are equal, and what is known of each. No text of one can be had from what is told here.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Weak};

use k8s_openapi::jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::SessionKey;
use crate::api::names::AppId;
use crate::remote::answer::Detail;

/// How a `Platform` gets its token.
#[derive(Clone)]
pub enum Credential {
    /// `appId` and `secret`: the operator logs in.
    Login(SecretString),
    /// `appKey` and `accessToken`: handed in, never renewed by the operator.
    Token(SecretString),
}

/// Who tells something of a package: the application at its endpoint, and the token where that was handed in. Such a token may
/// be of another application, so what it shows tells nothing to others.
pub type Witness = (SessionKey, Option<CredentialId>);

impl Credential {
    /// Whether the operator logs in with it.
    pub fn logs_in(&self) -> bool {
        match self {
            Self::Login(_) => true,
            Self::Token(_) => false,
        }
    }
}

/// Whether two credentials of one application are the same.
pub(super) fn same_credential(one: &Credential, other: &Credential) -> bool {
    match (one, other) {
        (Credential::Login(one), Credential::Login(other))
        | (Credential::Token(one), Credential::Token(other)) => {
            one.expose_secret() == other.expose_secret()
        }
        (Credential::Login(_), Credential::Token(_))
        | (Credential::Token(_), Credential::Login(_)) => false,
    }
}

/// Names a credential: application and secret, or application and token. Two are equal exactly where the
/// credentials are, whatever Platform, namespace or endpoint they are used for. It is a number that this process
/// gave out, so it tells nothing of the secret.
#[derive(Clone)]
pub struct CredentialId(Arc<u64>);

impl PartialEq for CredentialId {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for CredentialId {}

impl std::hash::Hash for CredentialId {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for CredentialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CredentialId({})", self.0)
    }
}

#[cfg(test)]
impl CredentialId {
    /// One that a test gives out.
    pub(crate) fn of(number: u64) -> Self {
        Self(Arc::new(number))
    }
}

/// What is known of a credential at one endpoint. Kept in memory only.
#[derive(Debug, Clone, PartialEq)]
pub enum Proof {
    /// No answer of the platform has told anything of it yet.
    Untried,
    /// The platform accepted a login with it, or understood a list, a show or a DELETE under its token.
    Proven {
        /// Since when that is known.
        since: Timestamp,
    },
    /// The platform refused it.
    Refused {
        /// When it did.
        since: Timestamp,
        /// What it said.
        detail: Detail,
    },
}

impl Proof {
    /// Whether the platform has accepted it.
    pub fn is_proven(&self) -> bool {
        match self {
            Self::Proven { .. } => true,
            Self::Untried | Self::Refused { .. } => false,
        }
    }
}

/// The credentials that somebody uses now, each under its number.
#[derive(Default)]
pub(super) struct Credentials {
    known: HashMap<AppId, Vec<(Credential, Weak<u64>)>>,
    given: u64,
}

impl Credentials {
    /// The name of this credential.
    pub(super) fn id(&mut self, app_id: &AppId, credential: &Credential) -> CredentialId {
        self.known.retain(|_, of_one| {
            of_one.retain(|(_, id)| id.strong_count() > 0);
            !of_one.is_empty()
        });
        let of_one = self.known.entry(app_id.clone()).or_default();
        let mut same = of_one
            .iter()
            .filter(|(known, _)| same_credential(known, credential));
        if let Some(id) = same.find_map(|(_, id)| id.upgrade()) {
            return CredentialId(id);
        }
        self.given += 1;
        let id = Arc::new(self.given);
        of_one.push((credential.clone(), Arc::downgrade(&id)));
        CredentialId(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_credentials_of_one_application_have_one_name_and_no_others_do() {
        let mut credentials = Credentials::default();
        let login = |secret: &str| Credential::Login(SecretString::from(secret.to_owned()));
        let token = |secret: &str| Credential::Token(SecretString::from(secret.to_owned()));
        let app = |name: &str| name.parse::<AppId>().unwrap();
        let first = credentials.id(&app("a"), &login("s"));
        assert_eq!(first, credentials.id(&app("a"), &login("s")));
        let others = [
            credentials.id(&app("a"), &login("t")),
            credentials.id(&app("a"), &token("s")),
            credentials.id(&app("b"), &login("s")),
        ];
        assert!(others.iter().all(|other| *other != first));
        assert!(!format!("{first:?}").contains('s'));
        drop((first, others));
        credentials.id(&app("c"), &login("s"));
        assert_eq!(credentials.known.len(), 1, "what nobody uses is forgotten");
    }
}
