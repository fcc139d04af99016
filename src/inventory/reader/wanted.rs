//! Over which Platform the list of each application is read, and how often. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::api::names::ObjectKey;
use crate::platform::Usable;
use crate::remote::client::Connection;
use crate::session::{Proof, Session, SessionKey, Witness};

/// How the list of one application is read.
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

/// What the Platforms of one application want.
#[derive(Default)]
pub(super) struct WantedList {
    pub(super) platforms: Vec<ObjectKey>,
    /// The shortest of theirs.
    pub(super) interval: Option<Duration>,
    pub(super) source: Option<ListSource>,
}

/// What is wanted of each application. Of several Platforms the first by name lends its connection whose credentials
/// are there and accepted, and whose TLS settings have not just failed; before any is, one whose credential wasn't refused. Only what brings that credential, or
/// another login that is accepted too, counts.
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
    // The last good credentials serve deletions already asked for, and nothing else. Who doesn't want the list read would never
    // have its credentials tried for it.
    let lending = all
        .iter()
        .filter(|(_, usable, _)| usable.last_good.is_none() && usable.inventory.is_some());
    // A token that was handed in may be of another application, and list the packages of that one.
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
