//! The `Platform`s that share one session, and what they agree on.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::core::Terms;
use super::token::same_credential;
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

    /// Adds `platform`, or takes what it brings now.
    pub(super) fn join(&mut self, platform: &ObjectKey, member: Member) {
        let since = match self.all.get(platform) {
            Some((since, old)) if same_credential(&old.credential, &member.credential) => *since,
            Some(_) | None => {
                self.changes += 1;
                self.changes
            }
        };
        self.all.insert(platform.clone(), (since, member));
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
