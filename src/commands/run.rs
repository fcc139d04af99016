//! `vpo run`: the operator, from its flags to its orderly end.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use kube::runtime::events::{Recorder, Reporter};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::admin::desk::Desk;
use crate::admin::{self, Readiness};
use crate::api::names::{FIELD_MANAGER, ObjectKey};
use crate::api::reason::Phase;
use crate::api_server;
use crate::leader::{self, Leader};
use crate::package::{self, cache::Cache, memory::Memory, workqueue::Workqueue};
use crate::platform::guard::Guards;
use crate::platform::inventory::{self, Inventory, Reader};
use crate::platform::{self, Directory, Tenants, Users};
use crate::remote::client::Timeouts;
use crate::schemas;
use crate::session::{SessionKey, Sessions};
use crate::telemetry::audit::AuditLog;
use crate::telemetry::logs::{self, LogFormat};
use crate::telemetry::metrics::Metrics;

/// How long a stop waits for answers of the platform.
const ANSWERS: Duration = Duration::from_secs(8);
/// How long a stop then waits for what follows from them.
const FINISH: Duration = Duration::from_millis(1500);

/// The settings of the operator. The cluster is the one of KUBECONFIG, or the one it runs in.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where /livez, /readyz, /metrics, /queue and /inventory are served.
    #[arg(
        long,
        env = "VPO_ADMIN_LISTEN",
        default_value = "0.0.0.0:8080",
        value_name = "ADDRESS:PORT"
    )]
    admin_listen: SocketAddr,

    /// How log lines are written.
    #[arg(long, env = "VPO_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,

    /// Which log lines are written, such as `info` or `info,version_package_operator=debug`.
    #[arg(long, env = "VPO_LOG", default_value = "info", value_name = "FILTER")]
    log: String,

    /// The file that audit lines are appended to, in place of standard output. It may be rotated by renaming.
    #[arg(long, env = "VPO_AUDIT_LOG", value_name = "FILE")]
    audit_log: Option<PathBuf>,

    /// How long a connection to the platform may take to stand, 100ms to 60s.
    #[arg(long, env = "VPO_CONNECT_TIMEOUT", default_value = "5s", value_name = "DURATION", value_parser = duration)]
    connect_timeout: Duration,

    /// How long a whole call to the platform may take, 100ms to 60s.
    #[arg(long, env = "VPO_CALL_TIMEOUT", default_value = "15s", value_name = "DURATION", value_parser = duration)]
    call_timeout: Duration,

    /// The name of this pod, shown as the source of events.
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pod_name: Option<String>,

    /// The uid of this pod: with it a restarted container takes its own Lease back at once.
    #[arg(long, env = "POD_UID", value_name = "UID")]
    pod_uid: Option<String>,

    /// Where the Lease is; by default the namespace of this pod, or of the context of KUBECONFIG.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE")]
    namespace: Option<String>,

    /// How long the Lease lasts without a renewal, 3s to 2m in whole seconds; at least twice the call time-out.
    #[arg(long, env = "VPO_LEASE_DURATION", default_value = "30s", value_name = "DURATION", value_parser = lease_duration)]
    lease_duration: Duration,
}

fn duration(text: &str) -> Result<Duration, String> {
    let allowed = "is not a duration from 100ms to 60s, such as 5s";
    let span = text
        .parse::<jiff::SignedDuration>()
        .map_err(|_| allowed.to_owned())?;
    let span = Duration::try_from(span).map_err(|_| allowed.to_owned())?;
    if (Duration::from_millis(100)..=Duration::from_secs(60)).contains(&span) {
        Ok(span)
    } else {
        Err(allowed.to_owned())
    }
}

fn lease_duration(text: &str) -> Result<Duration, String> {
    let allowed = "is not a duration from 3s to 2m in whole seconds, such as 30s";
    let span = text
        .parse::<jiff::SignedDuration>()
        .map_err(|_| allowed.to_owned())?;
    let span = Duration::try_from(span).map_err(|_| allowed.to_owned())?;
    if (3..=120).contains(&span.as_secs()) && span.subsec_nanos() == 0 {
        Ok(span)
    } else {
        Err(allowed.to_owned())
    }
}

/// Runs the operator until SIGTERM or SIGINT.
///
/// # Errors
/// When a flag has no meaning, the admin port is taken, no cluster is named, or the Lease is lost.
pub fn run(args: Args) -> anyhow::Result<()> {
    anyhow::ensure!(
        args.connect_timeout <= args.call_timeout,
        "--connect-timeout {:?} is longer than --call-timeout {:?}, which includes it",
        args.connect_timeout,
        args.call_timeout
    );
    anyhow::ensure!(
        args.call_timeout * 2 <= args.lease_duration,
        "--call-timeout {:?} is longer than half of --lease-duration {:?}: a call must end before the Lease does",
        args.call_timeout,
        args.lease_duration
    );
    logs::init(args.log_format, &args.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let ended = runtime.block_on(operate(args));
    // A look-up that hangs must not keep a process that has lost its Lease.
    runtime.shutdown_background();
    ended
}

async fn operate(args: Args) -> anyhow::Result<()> {
    let stop = stop_signal()?;
    let cancel = CancellationToken::new();
    let metrics = Arc::new(Metrics::new());
    let readiness = Arc::new(Readiness::new(&[
        (
            "schemas",
            "the CustomResourceDefinitions are not compared yet",
        ),
        ("platforms", "the first list of Platforms is under way"),
        ("packages", "the first list of VersionPackages is under way"),
    ]));
    let audit = audit_log(&args)?;
    let listener = tokio::net::TcpListener::bind(args.admin_listen)
        .await
        .with_context(|| format!("--admin-listen {} can't be used", args.admin_listen))?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), admin = %listener.local_addr()?, "starting");
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

    let config = config().await?;
    let leadership = leadership(&args, &config);
    let lease_client = api_server::client(leader::client_config(config.clone(), &leadership))?;
    let client = api_server::client(config)?;
    let ended = tokio::select! {
        () = schemas::wait_until_served(&client, |why| readiness.close("schemas", why)) => None,
        () = stop.cancelled() => Some(()),
    };
    if ended.is_none() {
        readiness.open("schemas");
        let (wake, woken) = mpsc::unbounded_channel();
        let sessions = Sessions::new(args.call_timeout, wake);
        let namespace = leadership.namespace.clone();
        let leader = Leader::new(lease_client, leadership, sessions.clone());
        let (guard_wakes, held) = mpsc::unbounded_channel();
        let context = context(client, &args, &metrics, guard_wakes, audit);
        // Set once, here.
        let _ = desk.set(Desk {
            sessions: sessions.clone(),
            context: context.clone(),
            holder: leader.holder(),
            namespace,
        });
        let release = CancellationToken::new();
        let mut leading = tokio::spawn(leader.run(release.clone()));
        tokio::select! {
            // What is under way ends with the process: nobody may answer for it any more.
            lost = &mut leading => lost??,
            () = reconcile(&context, &args, sessions, (woken, held), &readiness, &stop) => {
                release.cancel();
                leading.await??;
            }
        }
    }
    cancel.cancel();
    serving.await??;
    tracing::info!("stopped");
    Ok(())
}

fn audit_log(args: &Args) -> anyhow::Result<AuditLog> {
    args.audit_log.as_ref().map_or_else(
        || Ok(AuditLog::stdout()),
        |path| {
            AuditLog::to_file(path.clone())
                .with_context(|| format!("--audit-log {} can't be written", path.display()))
        },
    )
}

/// What every pass over a `VersionPackage` works with.
fn context(
    client: kube::Client,
    args: &Args,
    metrics: &Arc<Metrics>,
    guard_wakes: mpsc::UnboundedSender<Vec<ObjectKey>>,
    audit: AuditLog,
) -> Arc<package::Context> {
    let reporter = Reporter {
        controller: FIELD_MANAGER.to_owned(),
        instance: args.pod_name.clone(),
    };
    let directory = Directory::new(client.clone());
    let cache = Arc::new(Cache::default());
    let platform = {
        let cache = cache.clone();
        move |key: &ObjectKey| cache.platform_of(key)
    };
    Arc::new(package::Context {
        client: client.clone(),
        cache,
        queue: Arc::new(Workqueue::new(platform)),
        memory: Memory::default(),
        guards: Guards::new(guard_wakes, directory.status_due()),
        directory,
        inventory: Arc::default(),
        recorder: Recorder::new(client, reporter),
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
    readiness: &Arc<Readiness>,
    stop: &CancellationToken,
) {
    let cancel = CancellationToken::new();
    let timeouts = Timeouts {
        connect: args.connect_timeout,
        total: args.call_timeout,
    };
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
        timeouts,
        census,
        recorder: context.recorder.clone(),
    };
    let platforms = tokio::spawn(platform::run(platforms, changed, cancel.clone()));
    let packages = tokio::spawn({
        let (directory, readiness, cancel) = (directory.clone(), readiness.clone(), cancel.clone());
        let (sessions, context) = (sessions.clone(), context.clone());
        async move {
            // What is not there in a complete list is not there: before that, nothing is known of it.
            directory.listed().await;
            readiness.open("platforms");
            let guards = context.guards.clone();
            let led = async {
                sessions.led().await;
                guards.loaded().await;
            };
            package::run(context, led, cancel).await;
        }
    });
    let chores = async {
        let mut known = HashSet::new();
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                Some(key) = woken.recv() => queue.add(key),
                Some(keys) = judged.recv() => queue.add_all(keys),
                Some(platform) = platforms_changed.recv() => {
                    queue.add_all(cache.of_platform(&platform));
                }
                _ = tick.tick() => {
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
    // The pass after an answer takes the finalizer off; no pass can begin a call any more.
    let ends = async {
        queue.idle().await;
        cancel.cancel();
        tokio::join!(packages, platforms, inventory)
    };
    let ended = tokio::time::timeout(FINISH, ends).await;
    cancel.cancel();
    if ended.is_err() {
        tracing::warn!("passes under way are abandoned; the next start begins them anew");
    }
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
        recorder: context.recorder.clone(),
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

/// How many of those who need a Platform that is being deleted are named.
const NAMED_USERS: usize = 5;

/// The objects of `platform`; who needs it is looked for only where somebody asks.
fn tenants(cache: &Cache, inventory: &Inventory, platform: &ObjectKey, users: bool) -> Tenants {
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

/// Brings the gauges up to date; `known` are the sessions that were there the last time.
fn count(metrics: &Metrics, cache: &Cache, sessions: &Sessions, known: &mut HashSet<SessionKey>) {
    let (phases, undecodable) = cache.phases();
    for phase in Phase::ALL {
        metrics.set_objects(phase, phases.get(&phase).copied().unwrap_or(0));
    }
    metrics.set_undecodable(undecodable);
    metrics.set_leading(sessions.leads());
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

/// How this process takes part in the election of the one that sends.
fn leadership(args: &Args, config: &kube::Config) -> leader::Settings {
    let namespace = args.namespace.clone().filter(|name| !name.is_empty());
    leader::Settings {
        namespace: namespace.unwrap_or_else(|| config.default_namespace.clone()),
        identity: leader::identity(args.pod_name.as_deref(), args.pod_uid.as_deref()),
        duration: args.lease_duration,
        call_timeout: args.call_timeout,
    }
}

/// The cluster of KUBECONFIG, or the one that this runs in.
pub(super) async fn config() -> anyhow::Result<kube::Config> {
    // kube and the client of the platform use the same TLS provider; a second install is no matter.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut config = kube::Config::infer()
        .await
        .context("no cluster is named by KUBECONFIG, and this is no pod")?;
    // A repeat is a new decision of ours, never a hidden one of the client.
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(5));
    // Longer than any watch is quiet; a list that hangs ends by it.
    config.read_timeout = Some(Duration::from_secs(70));
    Ok(config)
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
