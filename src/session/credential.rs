//! Credentials: their equality, their ids, and what is known about each. Nothing that this module shows contains the
//! text of a secret.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::SessionKey;
use crate::api::names::AppId;
use crate::remote::answer::Detail;

/// How long a refused credential isn't tried again, unless it changes or a person asks.
pub(super) const REFUSED_FOR: Duration = Duration::from_secs(3600);

/// The credential with which a `Platform` gets its token.
#[derive(Clone)]
pub enum Credential {
    /// `appId` and `secret`: the operator logs in.
    Login(SecretString),
    /// `appKey` and `accessToken`: a handed-in token, which the operator can't renew.
    Token(SecretString),
}

/// The source of a statement about a package: the application at its endpoint and, where the token was handed in, the
/// token's id. A handed-in token may belong to another application, so its statements don't count for other Platforms.
pub type Witness = (SessionKey, Option<CredentialId>);

impl Credential {
    /// Whether the operator logs in with this credential.
    pub fn logs_in(&self) -> bool {
        match self {
            Self::Login(_) => true,
            Self::Token(_) => false,
        }
    }
}

/// Whether two credentials of one application are equal.
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

/// The id of a credential (application and secret, or application and token). Two ids are equal exactly if their
/// credentials are equal; the Platform, the namespace and the endpoint make no difference. An id is a number given out
/// by this process, so it reveals nothing of the secret.
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
    /// Creates an id for a test.
    pub(crate) fn of(number: u64) -> Self {
        Self(Arc::new(number))
    }
}

/// What is known about a credential at one endpoint; kept in memory only.
#[derive(Debug, Clone, PartialEq)]
pub enum Proof {
    /// No answer of the platform has shown anything about the credential.
    Untried,
    /// The platform accepted a login with it, or understood a list, a show or a DELETE under its token.
    Proven {
        /// When that became known.
        since: Timestamp,
    },
    /// The platform refused the credential.
    Refused {
        /// When the platform refused it.
        since: Timestamp,
        /// The detail of the refusal.
        detail: Detail,
    },
}

impl Proof {
    /// Whether the platform has accepted the credential.
    pub fn is_proven(&self) -> bool {
        match self {
            Self::Proven { .. } => true,
            Self::Untried | Self::Refused { .. } => false,
        }
    }
}

/// The credentials in use, each with its id.
#[derive(Default)]
pub(super) struct Credentials {
    known: HashMap<AppId, Vec<(Credential, Weak<u64>)>>,
    given: u64,
}

impl Credentials {
    /// Returns the id of `credential`.
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
