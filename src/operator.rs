//! The operator: its rooms, and what wires them. What it needs of the world is handed in: it has no flags, takes no signals
//! and opens no sockets.

mod counts;
mod lookout;
mod rooms;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::lookout::Lookout;
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

/// How long a stop waits for the last events, once the Lease is given back or lost.
const LAST_EVENTS: Duration = Duration::from_secs(1);
/// How often audit lines are looked after that nobody else does.
const PAY: Duration = Duration::from_secs(5);

/// What has to be there before this process is ready, and what is said while it isn't.
const GATES: [(&str, &str); 4] = [
    (
        "schemas",
        "the CustomResourceDefinitions are not compared yet",
    ),
    (
        "namespace",
        "the ClusterRoleBinding that tells where the Lease is has not been read yet",
    ),
    ("platforms", "the first list of Platforms is under way"),
    ("packages", "the first list of VersionPackages is under way"),
];

/// What the operator needs of the world. Chance is `fastrand`'s, and steady time tokio's.
pub struct Ports {
    /// The API server.
    pub client: kube::Client,
    /// The same for the Lease: see [`leader::client_config`].
    pub lease: kube::Client,
    /// The platforms.
    pub connect: Connect,
    /// The clocks.
    pub clock: Clock,
    /// Where ends are written down.
    pub audit: AuditLog,
}

/// What the operator shows of itself.
pub struct Face {
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Whether it can do its work.
    pub readiness: Arc<Readiness>,
    /// Queues and inventories, once there are any.
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

/// Runs the operator until told to stop, in the name of the pod `instance`.
///
/// # Errors
/// When the Lease is lost.
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
    let mut lookout = Lookout::new(
        sight.clone(),
        metrics.clone(),
        readiness.clone(),
        (events.clone(), clock.clone()),
        leadership.namespace.clone(),
    );
    let served = tokio::select! {
        biased;
        () = stop.cancelled() => false,
        () = lookout.until_served() => true,
    };
    if served {
        let common = Common {
            sight,
            directory,
            events: events.clone(),
        };
        lead(ports, leadership, face, common, lookout, stop).await?;
    }
    cancel.cancel();
    defining.await?;
    events.flush(LAST_EVENTS).await;
    drop(paying);
    for line in ports.audit.unwritten() {
        tracing::error!(line, "an audit line is not known to be written");
    }
    Ok(())
}

/// What is there before this process leads.
struct Common {
    sight: Arc<Sight>,
    directory: Arc<Directory>,
    events: Events,
}

/// Takes the Lease, and runs both controllers until told to stop.
///
/// # Errors
/// When the Lease is lost.
async fn lead(
    ports: &Ports,
    leadership: leader::LeaderSettings,
    face: &Face,
    common: Common,
    lookout: Lookout,
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
    // Set once, here.
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
        // What is under way ends with the process: nobody may answer for it any more. What was done is told.
        lost = &mut leading => {
            rooms.sessions.close();
            events.flush(LAST_EVENTS).await;
            lost??;
        }
        () = rooms.reconcile((woken, judged), lookout, stop) => {
            // Nothing is counted any more, so this stays true.
            if let Some(words) = guard::unused_in_words(&context.guards.close()) {
                // Set once, here.
                let _ = last_words.own.set(words);
            }
            release.cancel();
            leading.await??;
        }
    }
    Ok(())
}

/// What every pass over a `VersionPackage` works with.
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

/// Looks after audit lines whose object is gone.
async fn pay(audit: AuditLog) {
    let mut ticks = tokio::time::interval(PAY);
    loop {
        ticks.tick().await;
        audit.pay().await;
    }
}
