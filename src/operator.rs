//! The operator: its rooms and their wiring. The caller passes in all access to the outside: this module has no
//! flags, handles no signals and opens no sockets.

mod counts;
mod process_health;
mod rooms;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::process_health::ProcessHealth;
use self::rooms::Rooms;
use crate::admin::Readiness;
use crate::admin::desk::Desk;
use crate::api::names::ObjectKey;
use crate::clock::Clock;
use crate::guard::{self, Guards};
use crate::leader::{self, Leader};
use crate::package::cache::Cache;
use crate::package::turns::workqueue::Workqueue;
use crate::platform::Directory;
use crate::remote::client::Connect;
use crate::session::Sessions;
use crate::sight::Sight;
use crate::telemetry::audit::AuditLog;
use crate::telemetry::events::Events;
use crate::telemetry::metrics::Metrics;
use crate::{package, schemas};

/// How long a stop waits for the last events, after the Lease is given back or lost.
const LAST_EVENTS: Duration = Duration::from_secs(1);
/// Interval between retries of audit lines that no pass retries.
const PAY: Duration = Duration::from_secs(5);

/// The gates of readiness, each with the message for the time before it opens.
const GATES: [(&str, &str); 4] = [
    (
        "schemas",
        "the CustomResourceDefinitions of the cluster have not been compared yet with those of this version",
    ),
    (
        "namespace",
        "the ClusterRoleBinding version-package-operator, which decides the namespace of the Lease, has not been read yet",
    ),
    ("platforms", "the first list of Platforms is under way"),
    ("packages", "the first list of VersionPackages is under way"),
];

/// The operator's access to the outside. Random numbers come from `fastrand`, the monotonic clock from tokio.
pub struct Ports {
    /// The client of the API server.
    pub client: kube::Client,
    /// The client for the Lease; see [`leader::client_config`].
    pub lease: kube::Client,
    /// The function that prepares connections to platforms.
    pub connect: Connect,
    /// The wall clock and the monotonic clock.
    pub clock: Clock,
    /// The audit log.
    pub audit: AuditLog,
}

/// The state that the operator exposes.
pub struct Face {
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The readiness of this process.
    pub readiness: Arc<Readiness>,
    /// The queues and inventories, set once they exist.
    pub desk: Arc<OnceLock<Desk>>,
}

impl Default for Face {
    fn default() -> Self {
        Self {
            metrics: Arc::new(Metrics::new()),
            readiness: Arc::new(Readiness::new(&GATES)),
            desk: Arc::default(),
        }
    }
}

/// Runs the operator until `stop`; `instance` is the name of the pod.
///
/// # Errors
/// If the Lease is lost.
pub async fn run(
    ports: &Ports,
    leadership: leader::LeaderSettings,
    instance: Option<&str>,
    face: &Face,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let Face {
        metrics, readiness, ..
    } = face;
    let cancel = CancellationToken::new();
    let paying = AbortOnDropHandle::new(tokio::spawn(pay(ports.audit.clone())));
    let sight = Arc::new(Sight::default());
    let (client, clock) = (&ports.client, &ports.clock);
    let directory = Directory::new(client.clone(), sight.clone());
    let ending = {
        let directory = directory.clone();
        Box::new(move |namespace: &str| directory.is_terminating(namespace))
    };
    let events = Events::new(client, instance, metrics.clone(), clock.clone(), ending);
    let (sees, tells) = (sight.clone(), events.clone());
    let defining = schemas::watch(client.clone(), sees, tells, cancel.clone());
    let defining = tokio::spawn(defining);
    let mut health = ProcessHealth::new(
        sight.clone(),
        metrics.clone(),
        readiness.clone(),
        (events.clone(), clock.clone()),
        leadership.namespace.clone(),
    );
    let served = tokio::select! {
        biased;
        () = stop.cancelled() => false,
        () = health.until_served() => true,
    };
    if served {
        let common = Common {
            sight,
            directory,
            events: events.clone(),
        };
        lead(ports, leadership, face, common, health, stop).await?;
    }
    cancel.cancel();
    defining.await?;
    events.flush(LAST_EVENTS).await;
    drop(paying);
    for line in ports.audit.unwritten() {
        tracing::error!(line, "it is not known whether this audit line was written");
    }
    Ok(())
}

/// The parts that exist before this process leads.
struct Common {
    sight: Arc<Sight>,
    directory: Arc<Directory>,
    events: Events,
}

/// Takes the Lease, and runs both controllers until `stop`.
///
/// # Errors
/// If the Lease is lost.
async fn lead(
    ports: &Ports,
    leadership: leader::LeaderSettings,
    face: &Face,
    common: Common,
    health: ProcessHealth,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let clock = &ports.clock;
    let (wake, woken) = mpsc::unbounded_channel();
    let sessions = Sessions::new(leadership.call_timeout, wake, clock.clone());
    let forbidden = {
        let readiness = face.readiness.clone();
        move |why: Option<&str>| match why {
            None => readiness.open("namespace"),
            Some(why) => readiness.close("namespace", why),
        }
    };
    let namespace = leadership.namespace.clone();
    let (lease, sees) = (ports.lease.clone(), (common.sight.clone(), clock.clone()));
    let leader = Leader::new(lease, leadership, sessions.clone(), sees, forbidden);
    let (guard_wakes, judged) = mpsc::unbounded_channel();
    let events = common.events.clone();
    let context = context(ports, common, &face.metrics, guard_wakes);
    // The cell is set only here.
    let _ = face.desk.set(Desk {
        sessions: sessions.clone(),
        directory: context.directory.clone(),
        inventory: context.inventory.clone(),
        cache: context.cache.clone(),
        memory: context.memory.clone(),
        clock: clock.clone(),
        holder: leader.holder(),
        namespace,
    });
    let last_words = leader.last_words();
    let release = CancellationToken::new();
    let mut leading = tokio::spawn(leader.run(release.clone()));
    let rooms = Rooms {
        context: context.clone(),
        sessions,
        connect: ports.connect.clone(),
        last_words: last_words.clone(),
        readiness: face.readiness.clone(),
    };
    tokio::select! {
        biased;
        // In-flight calls end with the process, since no other task may handle their answers. The last events are
        // still published.
        lost = &mut leading => {
            rooms.sessions.close();
            events.flush(LAST_EVENTS).await;
            lost??;
        }
        () = rooms.reconcile((woken, judged), health, stop) => {
            // The guards are closed, so the unused reservations no longer change.
            if let Some(words) = guard::unused_in_words(&context.guards.close()) {
                // The cell is set only here.
                let _ = last_words.own.set(words);
            }
            release.cancel();
            leading.await??;
        }
    }
    Ok(())
}

/// Creates the context that every pass over a `VersionPackage` uses.
fn context(
    ports: &Ports,
    common: Common,
    metrics: &Arc<Metrics>,
    guard_wakes: mpsc::UnboundedSender<Vec<ObjectKey>>,
) -> Arc<package::PackageContext> {
    let Common {
        sight,
        directory,
        events,
    } = common;
    let cache = Arc::new(Cache::default());
    let platform = {
        let cache = cache.clone();
        move |key: &ObjectKey| cache.platform_of(key)
    };
    let population: guard::Population = {
        let cache = cache.clone();
        Box::new(move |application, platforms| cache.population(application, platforms))
    };
    Arc::new(package::PackageContext {
        client: ports.client.clone(),
        clock: ports.clock.clone(),
        cache,
        queue: Arc::new(Workqueue::new(platform)),
        memory: Arc::default(),
        slow: Arc::default(),
        guards: Guards::new(
            guard_wakes,
            directory.status_due(),
            population,
            ports.clock.clone(),
        ),
        directory,
        inventory: Arc::default(),
        events,
        sight,
        restart: Arc::new(Notify::new()),
        metrics: metrics.clone(),
        audit: ports.audit.clone(),
    })
}

/// Retries audit lines, since no pass does that for an object that is gone.
async fn pay(audit: AuditLog) {
    let mut ticks = tokio::time::interval(PAY);
    loop {
        ticks.tick().await;
        audit.pay().await;
    }
}
