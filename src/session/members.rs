//! The `Platform`s that share one session, and what they agree on.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::core::Terms;
use super::credential::same_credential;
use super::{Credential, Member};
use crate::api::names::ObjectKey;
use crate::remote::client::Connection;

/// The members of one session.
#[derive(Default)]
pub(super) struct Members {
    /// Each with the change that brought its credential.
    all: BTreeMap<ObjectKey, (u64, Member)>,
    changes: u64,
}

impl Members {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Their names, in order.
    pub(super) fn platforms(&self) -> Vec<ObjectKey> {
        self.all.keys().cloned().collect()
    }

    /// Adds `platform`, or takes what it brings now. Whether that makes trying again worthwhile: its way to the platform
    /// is another one, or a person asks for it.
    pub(super) fn join(&mut self, platform: &ObjectKey, member: Member) -> bool {
        let known = self.all.get(platform);
        let worth_trying = known.is_some_and(|(_, old)| {
            let asked = member.requested_at.is_some() && member.requested_at != old.requested_at;
            asked || !Arc::ptr_eq(&old.connection, &member.connection)
        });
        let since = match known {
            Some((since, old)) if same_credential(&old.credential, &member.credential) => *since,
            Some(_) | None => {
                self.changes += 1;
                self.changes
            }
        };
        self.all.insert(platform.clone(), (since, member));
        worth_trying
    }

    /// Takes `platform` out.
    pub(super) fn leave(&mut self, platform: &ObjectKey) {
        self.all.remove(platform);
    }

    /// The lowest limit, the longest window, and the one credential that serves: a login before a
    /// token handed in, then the one that changed last.
    pub(super) fn terms(&self) -> Option<Terms> {
        let members = || self.all.values().map(|(_, member)| member);
        Some(Terms {
            calls: members().map(|member| member.calls).min()?,
            window: members().map(|member| member.window).max()?,
            credential: self.serving()?.credential.clone(),
        })
    }

    /// The connection of the member whose credential serves: logins go over it.
    pub(super) fn connection(&self) -> Option<Arc<Connection>> {
        Some(Arc::clone(&self.serving()?.connection))
    }

    fn serving(&self) -> Option<&Member> {
        let rank = |(since, member): &&(u64, Member)| match member.credential {
            Credential::Login(_) => (true, *since),
            Credential::Token(_) => (false, *since),
        };
        self.all.values().max_by_key(rank).map(|(_, member)| member)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use secrecy::{ExposeSecret, SecretString};

    use super::*;
    use crate::remote::client::Timeouts;
    use crate::remote::tls::TlsSettings;

    fn member(
        calls: usize,
        seconds: u64,
        credential: fn(SecretString) -> Credential,
        secret: &str,
    ) -> Member {
        let window = Duration::from_secs(seconds);
        let timeouts = Timeouts {
            connect: window,
            total: window,
        };
        let endpoint = "https://127.0.0.1:1".parse().unwrap();
        Member {
            calls,
            window,
            credential: credential(SecretString::from(secret.to_owned())),
            connection: Arc::new(
                Connection::new(&endpoint, &TlsSettings::default(), timeouts).unwrap(),
            ),
            requested_at: None,
        }
    }

    fn serving(members: &Members) -> String {
        match members.terms().unwrap().credential {
            Credential::Login(secret) | Credential::Token(secret) => {
                secret.expose_secret().to_owned()
            }
        }
    }

    #[test]
    fn the_lowest_limit_and_the_longest_window_count() {
        let mut members = Members::default();
        assert!(members.terms().is_none());
        members.join(
            &ObjectKey::new("n", "a"),
            member(100, 60, Credential::Login, "s"),
        );
        members.join(
            &ObjectKey::new("n", "b"),
            member(10, 6, Credential::Login, "s"),
        );
        let terms = members.terms().unwrap();
        assert_eq!((terms.calls, terms.window), (10, Duration::from_secs(60)));
    }

    #[test]
    fn another_connection_or_another_request_of_a_person_makes_trying_again_worthwhile() {
        let (mut members, key) = (Members::default(), ObjectKey::new("n", "a"));
        let known = || member(1, 1, Credential::Login, "s");
        let first = known();
        let same = |requested_at: Option<&str>| Member {
            connection: Arc::clone(&first.connection),
            requested_at: requested_at.map(str::to_owned),
            ..known()
        };
        assert!(!members.join(&key, same(None)), "nobody waits yet");
        assert!(!members.join(&key, same(None)));
        assert!(members.join(&key, same(Some("1"))));
        assert!(!members.join(&key, same(Some("1"))));
        assert!(members.join(&key, same(Some("2"))));
        assert!(!members.join(&key, same(None)), "taken off");
        assert!(members.join(&key, known()));
    }

    #[test]
    fn a_login_wins_over_a_token_and_then_the_credential_that_changed_last() {
        let (a, b) = (ObjectKey::new("n", "a"), ObjectKey::new("n", "b"));
        let mut members = Members::default();
        members.join(&a, member(1, 1, Credential::Login, "login-a"));
        members.join(&b, member(1, 1, Credential::Token, "token-b"));
        assert_eq!(serving(&members), "login-a");
        members.join(&b, member(1, 1, Credential::Login, "login-b"));
        assert_eq!(serving(&members), "login-b");
        members.join(&a, member(1, 1, Credential::Login, "login-a"));
        assert_eq!(serving(&members), "login-b", "nothing changed");
        members.leave(&b);
        assert_eq!(serving(&members), "login-a");
    }
}
