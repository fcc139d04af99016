//! `vpo simulate`: the simulator of the platform.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use secrecy::SecretString;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::value::{self, BadValue};
use crate::simulator::quota::{Limit, QuotaKind};
use crate::simulator::server::Simulator;
use crate::simulator::settings::{
    ClientCert, Registration, SimulatorSettings, Switches, ThrottleCode,
};

/// The settings of the simulator.
#[derive(Debug, clap::Args)]
pub struct SimulateArgs {
    /// The address of the platform, with TLS; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8743")]
    listen: SocketAddr,
    /// The address of the ledger and the switches, in plain HTTP and without a login
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8744")]
    admin: SocketAddr,
    /// The folder of ca.crt, server.crt, server.key, client.crt, client.key and client.p12 (password changeit); the
    /// files are created if there are none
    #[arg(long, value_name = "FOLDER", default_value = "simulator-tls")]
    tls_dir: PathBuf,
    /// Whether clients must present a certificate issued by ca.crt; a presented one is always verified
    #[arg(long, value_enum, default_value_t = ClientCert::Requested)]
    client_cert: ClientCert,
    /// The appId of an application; for several applications, repeat --app-id and --secret in the same order
    #[arg(long, value_name = "ID", default_value = "app-1")]
    app_id: Vec<String>,
    /// The secret of an application. The first --secret belongs to the first --app-id, and so on
    #[arg(long, value_name = "TEXT", default_value = "secret-1")]
    secret: Vec<SecretString>,
    /// How many packages an application has at the start, named from package-00001 on. The first --packages belongs to
    /// the first --app-id, and so on; an application without --packages has none
    #[arg(long, value_name = "N")]
    packages: Vec<u32>,
    /// A JSON file of further packages: a list for the first application, or an object with a list for each appId; each
    /// package needs only a fileId
    #[arg(long, value_name = "FILE")]
    packages_file: Option<PathBuf>,
    /// The file that keeps the packages across restarts; once it exists, it replaces --packages and --packages-file
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// The number of calls that an application has in one window
    #[arg(long, value_name = "N", default_value_t = 100)]
    quota_calls: u32,
    /// The length of the window, such as 60s or 500ms; 1ms to 24h
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    quota_window: Duration,
    /// How calls are counted: in a sliding window, in fixed windows, or by a token bucket
    #[arg(long, value_enum, default_value_t = QuotaKind::Sliding)]
    quota_kind: QuotaKind,
    /// Count refused calls like allowed ones
    #[arg(long)]
    count_refused: bool,
    /// The code of the throttle answer: Huawei Cloud's or China Telecom's
    #[arg(long, value_enum, default_value = "1010009")]
    throttle_code: ThrottleCode,
    /// The lifetime of an access token; at least 1s
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    token_lifetime: Duration,
    /// How long every answer is delayed after the call took effect
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    answer_delay: Duration,
}

fn duration(text: &str) -> Result<Duration, BadValue> {
    value::duration(text, |_| true, "give a time such as 60s, 500ms or 1h")
}

impl SimulateArgs {
    fn settings(self) -> anyhow::Result<SimulatorSettings> {
        if self.app_id.len() != self.secret.len() {
            bail!("each --app-id needs its --secret, in the same order");
        }
        if self.packages.len() > self.app_id.len() {
            bail!("there are more --packages than --app-id");
        }
        let applications = self.app_id.into_iter().zip(self.secret).enumerate();
        let settings = SimulatorSettings {
            listen: self.listen,
            admin: self.admin,
            tls_dir: self.tls_dir,
            client_cert: self.client_cert,
            applications: applications
                .map(|(place, (app_id, secret))| Registration {
                    app_id,
                    secret,
                    packages: self.packages.get(place).copied().unwrap_or_default(),
                })
                .collect(),
            packages_file: self.packages_file,
            state: self.state,
            limit: Limit {
                calls: self.quota_calls,
                window: self.quota_window,
                kind: self.quota_kind,
                count_refused: self.count_refused,
            },
            switches: Switches {
                throttle_code: self.throttle_code,
                token_lifetime: self.token_lifetime,
                answer_delay: self.answer_delay,
                ..Switches::default()
            },
        };
        let checked = settings.limit.check().and(settings.switches.check());
        checked?;
        Ok(settings)
    }
}

/// Runs the simulator until SIGTERM or SIGINT.
///
/// # Errors
/// The simulator can't start, or can't save its packages at the end.
pub fn run(args: SimulateArgs) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    // One thread is enough, and leaves the other cores to the program under test.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(simulate(args.settings()?))
}

async fn simulate(settings: SimulatorSettings) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let simulator = Simulator::open(&settings).await?;
    let (listen, admin) = simulator.addresses()?;
    let line = serde_json::json!({"listen": listen, "admin": admin});
    writeln!(std::io::stdout(), "{line}")?;
    tracing::info!(%listen, %admin, tls_dir = %settings.tls_dir.display(), "the simulator is up");

    let stop = CancellationToken::new();
    let serving = simulator.serve(stop.clone());
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => return ended,
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("the simulator stops");
    stop.cancel();
    serving.await
}
