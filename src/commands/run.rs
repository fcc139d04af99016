//! `vpo run`: the operator, from its flags to its orderly end.

mod cluster;
mod counts;
mod descriptors;
mod flags;
mod lookout;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

pub(super) use self::cluster::config;
use self::cluster::named_cluster;
use self::counts::{count, tenants};
pub use self::flags::Args;
use self::lookout::Lookout;
use crate::admin::desk::Desk;
use crate::admin::{self, Readiness};
use crate::api::names::ObjectKey;
use crate::api_server;
use crate::leader::{self, LastWords, Leader};
use crate::package::{self, cache::Cache, memory::Memory, workqueue::Workqueue};
use crate::platform::guard::{self, Guards};
use crate::platform::inventory::{self, Reader};
use crate::platform::{self, Directory};
use crate::remote::client::https;
use crate::schemas;
use crate::session::Sessions;
use crate::sight::Sight;
use crate::telemetry::audit::AuditLog;
use crate::telemetry::events::Events;
use crate::telemetry::logs;
use crate::telemetry::metrics::Metrics;

/// How long a stop waits for answers of the platform.
const ANSWERS: Duration = Duration::from_secs(8);
/// How long a clean stop waits for the last events, once the Lease is given back.
const LAST_EVENTS: Duration = Duration::from_secs(1);
/// How long the end of the process waits for the last log lines.
const LAST_LINES: Duration = Duration::from_millis(500);
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

/// Runs the operator until SIGTERM or SIGINT.
///
/// # Errors
/// When a flag has no meaning, the admin port is taken, no cluster is named, or the Lease is lost.
pub fn run(args: Args) -> anyhow::Result<()> {
    args.check()?;
    logs::init(args.log_format, &args.log)?;
    logs::tell_panics();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let ended = runtime.block_on(operate(args));
    // A look-up that hangs must not keep a process that has lost its Lease.
    runtime.shutdown_background();
    logs::flush(LAST_LINES);
    ended
}

async fn operate(args: Args) -> anyhow::Result<()> {
    let stop = stop_signal()?;
    let cancel = CancellationToken::new();
    let metrics = Arc::new(Metrics::new());
    let readiness = Arc::new(Readiness::new(&GATES));
    let descriptors = descriptors::raise();
    let audit = args.audit_log().await?;
    let paying = AbortOnDropHandle::new(tokio::spawn(pay(audit.clone())));
    let listener = admin::listen(args.admin_listen)
        .with_context(|| format!("--admin-listen {} can't be used", args.admin_listen))?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        admin = %listener.local_addr()?,
        descriptors = descriptors.to_string(),
        "starting"
    );
    let desk = Arc::new(OnceLock::new());
    let serving = tokio::spawn(admin::serve(
        listener,
        readiness.clone(),
        {
            let metrics = metrics.clone();
            move || metrics.encode()
        },
        desk.clone(),
        cancel.clone(),
    ));

    let (config, in_pod) = named_cluster().await?;
    let leadership = args.leadership(&config, in_pod);
    let lease_client = api_server::client(leader::client_config(config.clone(), &leadership))?;
    let client = api_server::client(config)?;
    let sight = Arc::new(Sight::default());
    let instance = args.pod_name.as_deref();
    let events = Events::new(&client, instance, metrics.clone(), Timestamp::now);
    let defining = schemas::watch(
        client.clone(),
        sight.clone(),
        events.clone(),
        cancel.clone(),
    );
    let defining = tokio::spawn(defining);
    let namespace = leadership.namespace.clone();
    let mut lookout = Lookout::new(
        sight.clone(),
        metrics.clone(),
        readiness.clone(),
        events.clone(),
        namespace.clone(),
    );
    let ended = tokio::select! {
        () = lookout.until_served() => None,
        () = stop.cancelled() => Some(()),
    };
    if ended.is_none() {
        let (wake, woken) = mpsc::unbounded_channel();
        let sessions = Sessions::new(args.call_timeout, wake);
        let forbidden = {
            let readiness = readiness.clone();
            move |why: Option<&str>| match why {
                None => readiness.open("namespace"),
                Some(why) => readiness.close("namespace", why),
            }
        };
        let sees = sight.clone();
        let leader = Leader::new(lease_client, leadership, sessions.clone(), sees, forbidden);
        let (guard_wakes, held) = mpsc::unbounded_channel();
        let eyes = (sight, events.clone());
        let context = context(&client, eyes, &metrics, guard_wakes, audit.clone());
        // Set once, here.
        let _ = desk.set(Desk {
            sessions: sessions.clone(),
            context: context.clone(),
            holder: leader.holder(),
            namespace,
        });
        let last_words = leader.last_words();
        let release = CancellationToken::new();
        let mut leading = tokio::spawn(leader.run(release.clone()));
        tokio::select! {
            // What is under way ends with the process: nobody may answer for it any more.
            lost = &mut leading => lost??,
            () = reconcile(&context, &args, sessions, (woken, held), (&readiness, lookout), (&stop, &last_words)) => {
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
    serving.await?;
    drop(paying);
    for line in audit.unwritten() {
        tracing::error!(line, "an audit line is not known to be written");
    }
    tracing::info!("stopped");
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
    client: &kube::Client,
    (sight, events): (Arc<Sight>, Events),
    metrics: &Arc<Metrics>,
    guard_wakes: mpsc::UnboundedSender<Vec<ObjectKey>>,
    audit: AuditLog,
) -> Arc<package::Context> {
    let directory = Directory::new(client.clone(), sight.clone());
    let cache = Arc::new(Cache::default());
    let platform = {
        let cache = cache.clone();
        move |key: &ObjectKey| cache.platform_of(key)
    };
    let population: guard::Population = {
        let cache = cache.clone();
        Box::new(move |application, platforms| cache.population(application, platforms))
    };
    Arc::new(package::Context {
        client: client.clone(),
        cache,
        queue: Arc::new(Workqueue::new(platform)),
        memory: Memory::default(),
        guards: Guards::new(guard_wakes, directory.status_due(), population),
        directory,
        inventory: Arc::default(),
        events,
        sight,
        restart: Arc::new(Notify::new()),
        metrics: metrics.clone(),
        audit,
    })
}

/// Runs both controllers until told to stop; then sends nothing new, and waits for what is under way.
async fn reconcile(
    context: &Arc<package::Context>,
    args: &Args,
    sessions: Arc<Sessions>,
    (mut woken, mut judged): (
        mpsc::UnboundedReceiver<ObjectKey>,
        mpsc::UnboundedReceiver<Vec<ObjectKey>>,
    ),
    (readiness, mut lookout): (&Arc<Readiness>, Lookout),
    (stop, last_words): (&CancellationToken, &Arc<LastWords>),
) {
    let cancel = CancellationToken::new();
    let (changed, mut platforms_changed) = mpsc::unbounded_channel();
    let package::Context {
        cache,
        queue,
        directory,
        metrics,
        ..
    } = &**context;
    let census = Box::new({
        let (cache, inventory) = (cache.clone(), context.inventory.clone());
        move |platform: &_, users| {
            cache
                .is_complete()
                .then(|| tenants(&cache, &inventory, platform, users))
        }
    });
    let inventory = read_lists(context, &sessions, changed.clone(), &cancel);
    let platforms = platform::Context {
        client: context.client.clone(),
        sessions: sessions.clone(),
        directory: directory.clone(),
        guards: context.guards.clone(),
        connect: https(args.timeouts()),
        census,
        events: context.events.clone(),
        audit: context.audit.clone(),
        sight: context.sight.clone(),
        last_words: last_words.heard.clone(),
        metrics: metrics.clone(),
    };
    let platforms = tokio::spawn(platform::run(platforms, changed, cancel.clone()));
    let begun = Arc::new(AtomicBool::new(false));
    let packages = tokio::spawn({
        let (directory, readiness, cancel) = (directory.clone(), readiness.clone(), cancel.clone());
        let begun = begun.clone();
        let (sessions, context) = (sessions.clone(), context.clone());
        async move {
            // What is not there in a complete list is not there: before that, nothing is known of it.
            directory.listed().await;
            readiness.open("platforms");
            let guards = context.guards.clone();
            let led = async {
                sessions.led().await;
                guards.loaded().await;
                begun.store(true, Ordering::Relaxed);
            };
            package::run(context, led, cancel).await;
        }
    });
    let chores = async {
        let mut known = HashSet::new();
        let sight = &context.sight;
        let (mut looks, mut rounds) = (sight.changes(), sight.rounds());
        let mut hindered = sight.hindrance().is_some();
        sessions.bar(hindered);
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                Some(key) = woken.recv() => queue.add(key),
                Some(keys) = judged.recv() => queue.add_all(keys),
                Some(platform) = platforms_changed.recv() => {
                    queue.add_wakes(cache.concerned_by(&platform));
                }
                Ok(()) = rounds.changed() => context.memory.forget_versions(),
                Ok(()) = looks.changed() => {
                    let was = std::mem::replace(&mut hindered, sight.hindrance().is_some());
                    sessions.bar(hindered);
                    if was && !hindered {
                        queue.add_all(cache.keys());
                    }
                }
                _ = tick.tick() => {
                    lookout.look();
                    if cache.is_complete() {
                        readiness.open("packages");
                    }
                    count(metrics, cache, &sessions, &mut known);
                }
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = chores => {}
    }
    tracing::info!("stopping: nothing new is sent");
    sessions.close();
    if tokio::time::timeout(ANSWERS, sessions.drained())
        .await
        .is_err()
    {
        tracing::warn!("calls under way are abandoned; the next start tries them again");
    }
    let queue = begun.load(Ordering::Relaxed).then_some(&**queue);
    let controllers = async { tokio::join!(packages, platforms, inventory) };
    if !finish(queue, controllers, &cancel).await {
        tracing::warn!("passes under way are abandoned; the next start begins them anew");
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

/// Reads the lists of packages while this process leads.
fn read_lists(
    context: &Arc<package::Context>,
    sessions: &Arc<Sessions>,
    changed: mpsc::UnboundedSender<ObjectKey>,
    cancel: &CancellationToken,
) -> JoinHandle<()> {
    let reader = Reader {
        inventory: context.inventory.clone(),
        directory: context.directory.clone(),
        objects: context.clone(),
        metrics: context.metrics.clone(),
        audit: context.audit.clone(),
        events: context.events.clone(),
        changed,
    };
    let (sessions, cancel) = (sessions.clone(), cancel.clone());
    tokio::spawn(async move {
        tokio::select! {
            () = cancel.cancelled() => {}
            () = sessions.led() => inventory::run(reader, cancel.clone()).await,
        }
    })
}

fn stop_signal() -> anyhow::Result<CancellationToken> {
    let token = CancellationToken::new();
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    tokio::spawn({
        let token = token.clone();
        async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            token.cancel();
        }
    });
    Ok(token)
}

#[cfg(test)]
mod tests;
