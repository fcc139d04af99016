//! Selects the Platform over which the list of each application is read, and the interval. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::api::names::ObjectKey;
use crate::platform::Usable;
use crate::remote::client::Connection;
use crate::session::{Proof, Session, SessionKey, Witness};

/// Session, connection and witness with which the list of one application is read.
#[derive(Clone)]
pub(super) struct ListSource {
    pub(super) session: Arc<Session>,
    pub(super) connection: Arc<Connection>,
    pub(super) witness: Witness,
}

impl ListSource {
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.session, &other.session)
            && Arc::ptr_eq(&self.connection, &other.connection)
    }
}

/// The list of one application, as its Platforms want it.
#[derive(Default)]
pub(super) struct WantedList {
    pub(super) platforms: Vec<ObjectKey>,
    /// The shortest interval of these Platforms.
    pub(super) interval: Option<Duration>,
    pub(super) source: Option<ListSource>,
}

/// The wanted list of each application. One Platform of the application is the source of the list. It is chosen by
/// these criteria, in this order: its credential is not refused, its credential is a login, its connection has not just
/// failed, its credential is proven. Among equals, the first Platform by name is the source. The Platforms with the
/// credential of the source share the list. If that credential is a login, the Platforms with another proven login
/// share the list, too.
pub(super) fn wanted(
    mut platforms: Vec<(ObjectKey, Option<Usable>)>,
) -> BTreeMap<SessionKey, WantedList> {
    platforms.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut by_session: BTreeMap<SessionKey, Vec<(ObjectKey, Usable, Proof)>> = BTreeMap::new();
    for (platform, usable) in platforms {
        let Some(usable) = usable else { continue };
        let proof = usable.proof();
        let all = by_session.entry(usable.session.key().clone()).or_default();
        all.push((platform, usable, proof));
    }
    let of_session = |(key, all)| (key, wanted_of(all));
    by_session.into_iter().map(of_session).collect()
}

fn wanted_of(all: Vec<(ObjectKey, Usable, Proof)>) -> WantedList {
    // The last good credentials may only be used for deletions that were already requested. A Platform that wants no
    // inventory is left out too: its credential would never be tried for the list.
    let lending = all
        .iter()
        .filter(|(_, usable, _)| usable.last_good.is_none() && usable.inventory.is_some());
    // A login comes before a token, since a token may be of another application and list that application's packages.
    let best = lending.min_by_key(|(_, usable, proof)| {
        let broken = usable.connection.broken().is_some();
        match proof {
            Proof::Proven { .. } => (0, !usable.logs_in, broken, 0),
            Proof::Untried => (0, !usable.logs_in, broken, 1),
            Proof::Refused { .. } => (1, !usable.logs_in, broken, 0),
        }
    });
    let source = best.map(|(_, usable, _)| ListSource {
        session: Arc::clone(&usable.session),
        connection: Arc::clone(&usable.connection),
        witness: usable.witness(),
    });
    let logs_in = source
        .as_ref()
        .is_some_and(|source| source.witness.1.is_none());
    let mut wanted = WantedList {
        source,
        ..WantedList::default()
    };
    for (platform, usable, proof) in all {
        let source = wanted.source.as_ref();
        let lends = source.is_none_or(|source| Arc::ptr_eq(&source.session, &usable.session));
        if lends || logs_in && usable.logs_in && proof.is_proven() {
            wanted.platforms.push(platform);
            let intervals = [wanted.interval, usable.inventory];
            wanted.interval = intervals.into_iter().flatten().min();
        }
    }
    wanted
}
