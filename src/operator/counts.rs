//! Numbers of objects by state, for Platforms and metrics.

use std::collections::HashSet;

use crate::api::names::ObjectKey;
use crate::api::reason::Phase;
use crate::inventory::Inventory;
use crate::package::cache::Cache;
use crate::platform::{Tenants, Users};
use crate::session::{SessionKey, Sessions};
use crate::telemetry::logs;
use crate::telemetry::metrics::Metrics;

/// Highest number of users that are named for a Platform that is being deleted.
const NAMED_USERS: usize = 5;

/// The counts of the objects of `platform`; the users are looked up only if `users` is set.
pub(super) fn tenants(
    cache: &Cache,
    inventory: &Inventory,
    platform: &ObjectKey,
    users: bool,
) -> Tenants {
    let users = if users {
        let (count, some) = cache.users(platform, NAMED_USERS);
        Users { count, some }
    } else {
        Users::default()
    };
    Tenants {
        counts: inventory.counted(platform, cache.counts(platform)),
        users,
    }
}

/// Updates the gauges; `known` are the sessions of the last update. If such a session is gone, its gauges are dropped.
pub(super) fn count(
    metrics: &Metrics,
    cache: &Cache,
    sessions: &Sessions,
    known: &mut HashSet<SessionKey>,
) {
    let (phases, undecodable) = cache.phases();
    for phase in Phase::ALL {
        metrics.set_objects(phase, phases.get(&phase).copied().unwrap_or(0));
    }
    metrics.set_undecodable(undecodable);
    metrics.set_leading(sessions.leads());
    metrics.set_log_lines_dropped(logs::dropped());
    let snapshots = sessions.snapshots();
    for (key, snapshot) in &snapshots {
        metrics.set_session(key, snapshot);
    }
    let present: HashSet<SessionKey> = snapshots.into_iter().map(|(key, _)| key).collect();
    for ended in known.difference(&present) {
        metrics.forget_session(ended);
    }
    *known = present;
}
