//! The `Platform`s that share one session, and the settings they agree on.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::core::{LaneId, Terms};
use super::credential::same_credential;
use super::{Credential, Member};
use crate::api::names::ObjectKey;
use crate::remote::client::Connection;

/// The members of one session, grouped by the lanes of their credentials.
#[derive(Default)]
pub(super) struct Members {
    /// Each member, with its lane and the sequence number of the last change of its credential.
    all: BTreeMap<ObjectKey, (LaneId, u64, Member)>,
    /// The credential of each lane. Lanes without members that are still remembered are included.
    lanes: BTreeMap<LaneId, Credential>,
    changes: u64,
    last: u64,
}

/// The result when a Platform joins a session.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Joined {
    pub(super) lane: LaneId,
    /// The lane that has lost its last member because of the join.
    pub(super) left: Option<LaneId>,
    /// Whether calls are worth another try, because the member's connection changed.
    pub(super) worth_trying: bool,
    /// Whether a person asks for a try.
    pub(super) asks: bool,
}

impl Members {
    /// Whether the session has no members.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Returns the Platforms of a lane, in the order of their keys.
    pub(super) fn platforms(&self, lane: LaneId) -> Vec<ObjectKey> {
        self.of(lane).map(|(key, _)| key.clone()).collect()
    }

    /// Adds `platform`, or updates its settings. If `platform` is the only member of its lane and changes its
    /// credential, it keeps that lane.
    pub(super) fn join(&mut self, platform: &ObjectKey, member: Member) -> Joined {
        let known = self.all.get(platform);
        let handled = known.map_or(&member.handled, |(_, _, old)| &old.requested_at);
        let asks = member.requested_at.is_some() && member.requested_at != *handled;
        let reconnects =
            known.is_some_and(|(_, _, old)| !Arc::ptr_eq(&old.connection, &member.connection));
        let before = known.map(|(lane, since, _)| (*lane, *since));
        let same = |credential: &&Credential| same_credential(credential, &member.credential);
        let mut lanes = self.lanes.iter();
        let found = lanes
            .find(|(_, credential)| same(credential))
            .map(|(lane, _)| *lane);
        let alone = before.filter(|(lane, _)| self.of(*lane).count() == 1);
        let lane = match (found, alone) {
            (Some(lane), _) | (None, Some((lane, _))) => lane,
            (None, None) => {
                self.last += 1;
                LaneId(self.last)
            }
        };
        let since = match before {
            Some((old, since)) if found == Some(old) => since,
            Some(_) | None => {
                self.changes += 1;
                self.changes
            }
        };
        self.lanes.insert(lane, member.credential.clone());
        self.all.insert(platform.clone(), (lane, since, member));
        let left = before.map(|(lane, _)| lane);
        Joined {
            lane,
            left: left.filter(|old| *old != lane && self.of(*old).next().is_none()),
            worth_trying: reconnects,
            asks,
        }
    }

    /// Removes `platform`. Returns its lane, and whether `platform` was the lane's last member.
    pub(super) fn leave(&mut self, platform: &ObjectKey) -> Option<(LaneId, bool)> {
        let (lane, _, _) = self.all.remove(platform)?;
        Some((lane, self.of(lane).next().is_none()))
    }

    /// Forgets the credentials of all lanes that aren't in `lanes`.
    pub(super) fn retain(&mut self, lanes: &BTreeSet<LaneId>) {
        self.lanes.retain(|lane, _| lanes.contains(lane));
    }

    /// Returns the lane of `platform`.
    pub(super) fn lane_of(&self, platform: &ObjectKey) -> Option<LaneId> {
        self.all.get(platform).map(|(lane, _, _)| *lane)
    }

    /// Whether the lane has `credential`.
    pub(super) fn is_credential(&self, lane: LaneId, credential: &Credential) -> bool {
        let known = self.lanes.get(&lane);
        known.is_some_and(|known| same_credential(known, credential))
    }

    /// Returns the lanes that have members.
    pub(super) fn used(&self) -> BTreeSet<LaneId> {
        self.all.values().map(|(lane, _, _)| *lane).collect()
    }

    /// Returns the lowest limit and the longest window of a lane's members, with the lane's credential.
    pub(super) fn terms(&self, lane: LaneId) -> Option<Terms> {
        let members = || self.of(lane).map(|(_, (_, member))| member);
        Some(Terms {
            calls: members().map(|member| member.calls).min()?,
            window: members().map(|member| member.window).max()?,
            credential: self.lanes.get(&lane)?.clone(),
        })
    }

    /// Returns the connection for the logins of a lane. Members whose TLS settings didn't fail recently come first, and
    /// of those the member whose credential changed last. If the TLS settings of all members have failed, the member
    /// that failed first is chosen.
    pub(super) fn connection(&self, lane: LaneId) -> Option<Arc<Connection>> {
        let members = self.of(lane).map(|(_, (since, member))| {
            let failed = member.connection.broken().map(|broken| broken.at);
            ((failed, Reverse(since)), member)
        });
        let chosen = members.min_by_key(|(order, _)| *order);
        chosen.map(|(_, member)| Arc::clone(&member.connection))
    }

    fn of(&self, lane: LaneId) -> impl Iterator<Item = (&ObjectKey, (u64, &Member))> {
        let all = self.all.iter().filter(move |(_, (own, _, _))| *own == lane);
        all.map(|(key, (_, since, member))| (key, (*since, member)))
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
            handled: None,
        }
    }

    fn secret(credential: &Credential) -> &str {
        match credential {
            Credential::Login(secret) | Credential::Token(secret) => secret.expose_secret(),
        }
    }

    #[test]
    fn the_lowest_limit_and_the_longest_window_of_equal_credentials_count() {
        let mut members = Members::default();
        let login = |calls, seconds, secret| member(calls, seconds, Credential::Login, secret);
        let lane = members
            .join(&ObjectKey::new("n", "a"), login(100, 60, "s"))
            .lane;
        members.join(&ObjectKey::new("n", "b"), login(10, 6, "s"));
        let other = members
            .join(&ObjectKey::new("n", "c"), login(1, 600, "t"))
            .lane;
        assert_ne!(lane, other);
        let terms = members.terms(lane).unwrap();
        assert_eq!((terms.calls, terms.window), (10, Duration::from_secs(60)));
    }

    #[test]
    fn another_connection_makes_trying_again_worthwhile_and_another_request_of_a_person_asks_for_a_try()
     {
        let (mut members, key) = (Members::default(), ObjectKey::new("n", "a"));
        let known = || member(1, 1, Credential::Login, "s");
        let first = known();
        let same = |requested_at: Option<&str>| Member {
            connection: Arc::clone(&first.connection),
            requested_at: requested_at.map(str::to_owned),
            ..known()
        };
        let mut tries = |member| {
            let joined = members.join(&key, member);
            (joined.worth_trying, joined.asks)
        };
        assert_eq!(tries(same(None)), (false, false), "nobody waits yet");
        assert_eq!(tries(same(None)), (false, false));
        assert_eq!(tries(same(Some("1"))), (false, true));
        assert_eq!(tries(same(Some("1"))), (false, false));
        assert_eq!(tries(same(Some("2"))), (false, true));
        assert_eq!(tries(same(None)), (false, false), "taken off");
        assert_eq!(tries(known()), (true, false));
    }

    #[test]
    fn a_request_that_no_process_has_acted_on_asks_for_a_try_when_its_platform_joins() {
        let joins = |requested_at: &str, handled: Option<&str>| {
            let member = Member {
                requested_at: Some(requested_at.to_owned()),
                handled: handled.map(str::to_owned),
                ..member(1, 1, Credential::Login, "s")
            };
            let joined = Members::default().join(&ObjectKey::new("n", "a"), member);
            joined.asks
        };
        assert!(joins("2", Some("1")) && joins("1", None));
        assert!(!joins("1", Some("1")), "as at each restart");
    }

    #[tokio::test(start_paused = true)]
    async fn logins_go_over_the_latest_connection_that_has_not_just_failed() {
        let keys = ["a", "b", "c"].map(|name| ObjectKey::new("n", name));
        let [a, b, c] = [0; 3].map(|_| member(1, 1, Credential::Login, "s"));
        let mut members = Members::default();
        for (key, member) in keys.iter().zip([&a, &b, &c]) {
            members.join(key, member.clone());
        }
        let lane = members.lane_of(&keys[0]).unwrap();
        let goes_over =
            |member: &Member| Arc::ptr_eq(&members.connection(lane).unwrap(), &member.connection);
        let second = Duration::from_secs(1);
        for member in [&c, &b, &a] {
            assert!(goes_over(member));
            member.connection.set_broken();
            tokio::time::advance(second).await;
        }
        // All connections have failed: the cause of the first failure may have been fixed meanwhile.
        assert!(goes_over(&c));
        c.connection.set_broken();
        assert!(goes_over(&b));
        tokio::time::advance(second * 600).await;
        assert!(goes_over(&c), "nothing is known of any");
    }

    #[test]
    fn each_credential_has_a_lane_which_follows_a_change_by_its_only_member() {
        let (a, b) = (ObjectKey::new("n", "a"), ObjectKey::new("n", "b"));
        let login = |secret| member(1, 1, Credential::Login, secret);
        let mut members = Members::default();
        let first = members.join(&a, login("s1")).lane;
        let rotated = members.join(&a, login("s2"));
        assert_eq!((rotated.lane, rotated.left), (first, None));
        assert_eq!(secret(&members.terms(first).unwrap().credential), "s2");
        let beside = members.join(&b, login("s2"));
        assert_eq!((beside.lane, beside.left), (first, None));
        let apart = members.join(&b, login("s3"));
        assert_ne!(apart.lane, first, "the other member keeps its lane");
        assert_eq!(members.platforms(first), std::slice::from_ref(&a));
        let again = members.join(&b, login("s2"));
        assert_eq!((again.lane, again.left), (first, Some(apart.lane)));
        let token = members.join(&b, member(1, 1, Credential::Token, "s2"));
        assert_ne!(token.lane, first, "a token is no login");
        assert_eq!(members.leave(&a), Some((first, true)));
    }
}
