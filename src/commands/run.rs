//! `vpo run`: runs the operator, from its flags to its orderly exit.

mod cluster;
mod descriptors;
mod flags;

use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

pub(super) use self::cluster::config;
use self::cluster::named_cluster;
pub use self::flags::RunArgs;
use crate::clock::Clock;
use crate::operator::{self, Face, Ports};
use crate::remote::client::https;
use crate::telemetry::logs;
use crate::{admin, api_server, leader};

/// How long the exit waits for the last log lines.
const LAST_LINES: Duration = Duration::from_millis(500);

/// Runs the operator until SIGTERM or SIGINT.
///
/// # Errors
/// A flag is invalid, the admin port is in use, no cluster is configured, or the Lease is lost.
pub fn run(args: RunArgs) -> anyhow::Result<()> {
    args.check()?;
    logs::init(args.log_format, &args.log)?;
    logs::tell_panics();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let ended = runtime.block_on(operate(args));
    // A hanging name lookup must not keep alive a process that has lost its Lease.
    runtime.shutdown_background();
    logs::flush(LAST_LINES);
    ended
}

async fn operate(args: RunArgs) -> anyhow::Result<()> {
    let stop = stop_signal()?;
    let cancel = CancellationToken::new();
    let face = Face::default();
    let descriptors = descriptors::raise();
    let audit = args.audit_log().await?;
    let listener = admin::listen(args.admin_listen)
        .with_context(|| format!("--admin-listen {} can't be used", args.admin_listen))?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        admin = %listener.local_addr()?,
        descriptors = descriptors.to_string(),
        "starting"
    );
    let serving = tokio::spawn(admin::serve(
        listener,
        face.readiness.clone(),
        {
            let metrics = face.metrics.clone();
            move || metrics.encode()
        },
        face.desk.clone(),
        cancel.clone(),
    ));

    let (config, in_pod) = named_cluster().await?;
    let leadership = args.leadership(&config, in_pod);
    let ports = Ports {
        lease: api_server::client(leader::client_config(config.clone(), &leadership))?,
        client: api_server::client(config)?,
        connect: https(args.timeouts()),
        clock: Clock::default(),
        audit,
    };
    let instance = args.pod_name.as_deref();
    operator::run(&ports, leadership, instance, &face, &stop).await?;
    cancel.cancel();
    serving.await?;
    tracing::info!("stopped");
    Ok(())
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
