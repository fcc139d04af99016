//! The operator: its rooms, and what wires them. What it needs of the world is handed in: it has no flags, takes no signals
//! and opens no sockets.

mod counts;
mod lookout;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::counts::{count, tenants};
use self::lookout::Lookout;
use crate::admin::Readiness;
use crate::admin::desk::Desk;
use crate::api::names::ObjectKey;
use crate::clock::Clock;
use crate::guard::{self, Guards};
use crate::inventory::{self, Reader};
use crate::leader::{self, LastWords, Leader};
use crate::package::cache::Cache;
use crate::package::cache::managed::Managed;
use crate::package::turns::workqueue::Workqueue;
use crate::platform::{self, Directory};
use crate::remote::client::Connect;
use crate::session::Sessions;
use crate::sight::Sight;
use crate::telemetry::audit::AuditLog;
use crate::telemetry::events::Events;
use crate::telemetry::metrics::Metrics;
use crate::{package, schemas};

/// How long a stop waits for answers of the platform.
const ANSWERS: Duration = Duration::from_secs(8);
/// How long a stop waits for the last events, once the Lease is given back or lost.
const LAST_EVENTS: Duration = Duration::from_secs(1);
/// How often audit lines are looked after that nobody else does.
const PAY: Duration = Duration::from_secs(5);
/// How long a stop then waits for what follows from them.
const FINISH: Duration = Duration::from_millis(1500);

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
        metrics,
        readiness,
        desk,
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
    let namespace = leadership.namespace.clone();
    let mut lookout = Lookout::new(
        sight.clone(),
        metrics.clone(),
        readiness.clone(),
        (events.clone(), clock.clone()),
        namespace.clone(),
    );
    let served = tokio::select! {
        biased;
        () = stop.cancelled() => false,
        () = lookout.until_served() => true,
    };
    if served {
        let (wake, woken) = mpsc::unbounded_channel();
        let sessions = Sessions::new(leadership.call_timeout, wake, clock.clone());
        let forbidden = {
            let readiness = readiness.clone();
            move |why: Option<&str>| match why {
                None => readiness.open("namespace"),
                Some(why) => readiness.close("namespace", why),
            }
        };
        let (lease, sees) = (ports.lease.clone(), (sight.clone(), clock.clone()));
        let leader = Leader::new(lease, leadership, sessions.clone(), sees, forbidden);
        let (guard_wakes, judged) = mpsc::unbounded_channel();
        let context = context(
            ports,
            (sight, directory, events.clone()),
            metrics,
            guard_wakes,
        );
        // Set once, here.
        let _ = desk.set(Desk {
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
            readiness: readiness.clone(),
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

/// Looks after audit lines whose object is gone.
async fn pay(audit: AuditLog) {
    let mut ticks = tokio::time::interval(PAY);
    loop {
        ticks.tick().await;
        audit.pay().await;
    }
}

/// What every pass over a `VersionPackage` works with.
fn context(
    ports: &Ports,
    (sight, directory, events): (Arc<Sight>, Arc<Directory>, Events),
    metrics: &Arc<Metrics>,
    guard_wakes: mpsc::UnboundedSender<Vec<ObjectKey>>,
) -> Arc<package::PackageContext> {
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

/// What both controllers work with.
struct Rooms {
    context: Arc<package::PackageContext>,
    sessions: Arc<Sessions>,
    connect: Connect,
    last_words: Arc<LastWords>,
    readiness: Arc<Readiness>,
}

/// Objects that sessions, and the guard, want looked at.
type Wakes = (
    mpsc::UnboundedReceiver<ObjectKey>,
    mpsc::UnboundedReceiver<Vec<ObjectKey>>,
);

impl Rooms {
    /// Runs both controllers until told to stop; then sends nothing new, and waits for what is under way.
    async fn reconcile(&self, wakes: Wakes, lookout: Lookout, stop: &CancellationToken) {
        let cancel = CancellationToken::new();
        // Where the Lease is lost, this is left at once.
        let _left = cancel.clone().drop_guard();
        let (changed, platforms_changed) = mpsc::unbounded_channel();
        let inventory = self.read_lists(changed.clone(), &cancel);
        let platforms = platform::run(self.platforms(), changed, cancel.clone());
        let platforms = tokio::spawn(platforms);
        let begun = Arc::new(AtomicBool::new(false));
        let packages = self.packages(&begun, &cancel);
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = self.chores(wakes, platforms_changed, lookout) => {}
        }
        tracing::info!("stopping: nothing new is sent");
        self.sessions.close();
        if tokio::time::timeout(ANSWERS, self.sessions.drained())
            .await
            .is_err()
        {
            tracing::warn!("calls under way are abandoned; the next start tries them again");
        }
        let begun = begun.load(Ordering::Relaxed);
        let queue = begun.then_some(&*self.context.queue);
        let controllers = async { tokio::join!(packages, platforms, inventory) };
        if !finish(queue, controllers, &cancel).await {
            tracing::warn!("passes under way are abandoned; the next start begins them anew");
        }
    }

    /// What the Platform controller works with.
    fn platforms(&self) -> platform::PlatformContext {
        let context = &self.context;
        let (cache, inventory) = (context.cache.clone(), context.inventory.clone());
        platform::PlatformContext {
            client: context.client.clone(),
            clock: context.clock.clone(),
            sessions: self.sessions.clone(),
            directory: context.directory.clone(),
            guards: context.guards.clone(),
            connect: self.connect.clone(),
            census: Box::new(move |platform, users| {
                cache
                    .is_complete()
                    .then(|| tenants(&cache, &inventory, platform, users))
            }),
            events: context.events.clone(),
            audit: context.audit.clone(),
            sight: context.sight.clone(),
            last_words: self.last_words.heard.clone(),
            metrics: context.metrics.clone(),
        }
    }

    /// Begins the VersionPackage controller; `begun` tells whether it has begun any pass.
    fn packages(&self, begun: &Arc<AtomicBool>, cancel: &CancellationToken) -> JoinHandle<()> {
        let (context, sessions) = (self.context.clone(), self.sessions.clone());
        let (readiness, begun, cancel) = (self.readiness.clone(), begun.clone(), cancel.clone());
        tokio::spawn(async move {
            // What is not there in a complete list is not there: before that, nothing is known of it.
            context.directory.listed().await;
            readiness.open("platforms");
            let guards = context.guards.clone();
            let led = async {
                sessions.led().await;
                guards.loaded().await;
                begun.store(true, Ordering::Relaxed);
            };
            package::run(context, led, cancel).await;
        })
    }

    /// Hands on who is to be looked at, and looks at the whole once a second.
    async fn chores(
        &self,
        (mut woken, mut judged): Wakes,
        mut platforms_changed: mpsc::UnboundedReceiver<ObjectKey>,
        mut lookout: Lookout,
    ) {
        let package::PackageContext {
            cache,
            queue,
            sight,
            memory,
            metrics,
            ..
        } = &*self.context;
        let mut known = HashSet::new();
        let (mut looks, mut rounds) = (sight.changes(), sight.rounds());
        let mut hindered = sight.hindrance().is_some();
        self.sessions.bar(hindered);
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                // What bars the sessions waits for nothing; what comes by the thousand waits for all else.
                biased;
                () = looks.changed() => {
                    let was = std::mem::replace(&mut hindered, sight.hindrance().is_some());
                    self.sessions.bar(hindered);
                    if was && !hindered {
                        queue.add_all(cache.keys());
                    }
                }
                () = rounds.changed() => memory.forget_versions(),
                _ = tick.tick() => {
                    lookout.look();
                    if cache.is_complete() {
                        self.readiness.open("packages");
                    }
                    count(metrics, cache, &self.sessions, &mut known);
                }
                Some(key) = woken.recv() => queue.add(key),
                Some(keys) = judged.recv() => queue.add_all(keys),
                Some(platform) = platforms_changed.recv() => {
                    queue.add_wakes(cache.concerned_by(&platform));
                }
            }
        }
    }

    /// Reads the lists of packages while this process leads.
    fn read_lists(
        &self,
        changed: mpsc::UnboundedSender<ObjectKey>,
        cancel: &CancellationToken,
    ) -> JoinHandle<()> {
        let context = &self.context;
        let reader = Reader {
            inventory: context.inventory.clone(),
            directory: context.directory.clone(),
            objects: Arc::new(Managed {
                cache: context.cache.clone(),
                memory: context.memory.clone(),
                directory: context.directory.clone(),
            }),
            metrics: context.metrics.clone(),
            audit: context.audit.clone(),
            events: context.events.clone(),
            clock: context.clock.clone(),
            changed,
        };
        let (sessions, cancel) = (self.sessions.clone(), cancel.clone());
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = cancel.cancelled() => {}
                () = sessions.led() => inventory::run(reader, cancel.clone()).await,
            }
        })
    }
}

/// Ends the controllers, once the passes over what is in `queue` have; whether both did in time. A process that never
/// led has begun none: its queue holds every object, and nobody takes from it.
async fn finish(
    queue: Option<&Workqueue>,
    controllers: impl Future,
    cancel: &CancellationToken,
) -> bool {
    let ends = async {
        // The pass after an answer takes the finalizer off; no pass can begin a call any more.
        if let Some(queue) = queue {
            queue.idle().await;
        }
        cancel.cancel();
        controllers.await
    };
    let ended = tokio::time::timeout(FINISH, ends).await;
    cancel.cancel();
    ended.is_ok()
}

#[cfg(test)]
mod tests;
