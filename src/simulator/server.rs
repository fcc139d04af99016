//! The two ports: TLS and HTTP/1.1 for the platform, plain HTTP for the admin port.

use std::future::pending;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answer::HttpAnswer;
use super::application::Application;
use super::packages::preloaded;
use super::route::RoutedRequest;
use super::settings::SimulatorSettings;
use super::shared::Shared;
use super::world::{WireReply, World};
use super::{admin, storage, tls};
use crate::remote::wire::APP_KEY;

/// The longest body that is read, in bytes.
const BODY: usize = 64 * 1024;
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection may be idle between requests.
const IDLE: Duration = Duration::from_secs(75);
/// How long the stop waits for answers in progress.
const FAREWELL: Duration = Duration::from_millis(500);
/// Changes of packages within this time are written to the state file together.
const GATHER: Duration = Duration::from_millis(50);

/// A simulator with both ports open that doesn't serve yet.
pub struct Simulator {
    shared: Arc<Shared>,
    acceptor: TlsAcceptor,
    platform: TcpListener,
    admin: TcpListener,
    state: Option<PathBuf>,
}

impl Simulator {
    /// Reads or creates the files of the simulator and opens both ports.
    ///
    /// # Errors
    /// A file can't be used, or a port can't be opened.
    pub async fn open(settings: &SimulatorSettings) -> anyhow::Result<Self> {
        let world = world(settings)?;
        tls::prepare(&settings.tls_dir)?;
        let config = tls::server_config(&settings.tls_dir, settings.client_cert)
            .with_context(|| format!("certificates in {}", settings.tls_dir.display()))?;
        let bind = async |address: SocketAddr, flag| {
            let listener = TcpListener::bind(address).await;
            listener.with_context(|| format!("{flag} {address} can't be opened"))
        };
        Ok(Self {
            shared: Arc::new(Shared::new(world)),
            acceptor: TlsAcceptor::from(config),
            platform: bind(settings.listen, "--listen").await?,
            admin: bind(settings.admin, "--admin").await?,
            state: settings.state.clone(),
        })
    }

    /// The addresses of the platform and of the admin port, with the actual port in place of 0.
    ///
    /// # Errors
    /// The system doesn't provide an address.
    pub fn addresses(&self) -> std::io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.platform.local_addr()?, self.admin.local_addr()?))
    }

    /// Serves until `stop`, then returns within a second.
    ///
    /// # Errors
    /// The packages can't be saved at the end.
    pub async fn serve(self, stop: CancellationToken) -> anyhow::Result<()> {
        let tasks = TaskTracker::new();
        tasks.spawn(accept(
            self.platform,
            self.acceptor,
            Arc::clone(&self.shared),
            stop.clone(),
            tasks.clone(),
        ));
        let switches = admin::router(Arc::clone(&self.shared));
        let admin = axum::serve(self.admin, switches)
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        tasks.spawn(async move {
            if let Err(error) = admin.await {
                tracing::error!(%error, "the admin port failed");
            }
        });
        if let Some(path) = self.state.clone() {
            tasks.spawn(keep(Arc::clone(&self.shared), path, stop.clone()));
        }
        stop.cancelled().await;
        tasks.close();
        let _ = timeout(FAREWELL, tasks.wait()).await;
        self.state.map_or(Ok(()), |path| save(&self.shared, &path))
    }
}

fn world(settings: &SimulatorSettings) -> anyhow::Result<World> {
    let first = settings
        .applications
        .first()
        .context("--app-id is needed at least once")?;
    let mut world = World {
        applications: settings
            .applications
            .iter()
            .map(|given| {
                let secret = Some(given.secret.clone());
                let mut application = Application::new(secret, settings.limit.clone());
                application.packages = preloaded(given.packages);
                (given.app_id.clone(), application)
            })
            .collect(),
        first: first.app_id.clone(),
        limit: settings.limit.clone(),
        switches: settings.switches.clone(),
        faults: super::faults::Faults::default(),
        ledger: super::ledger::Ledger::default(),
        version: 0,
    };
    let kept = settings.state.as_ref().filter(|path| path.exists());
    if let Some(path) = kept {
        for application in world.applications.values_mut() {
            application.packages.clear();
        }
        add(&mut world, storage::load(path, &first.app_id)?);
    } else if let Some(path) = &settings.packages_file {
        add(&mut world, storage::load(path, &first.app_id)?);
    }
    Ok(world)
}

fn add(world: &mut World, packages: std::collections::BTreeMap<String, super::packages::Packages>) {
    for (app_id, packages) in packages {
        let limit = world.limit.clone();
        let application = world
            .applications
            .entry(app_id)
            .or_insert_with(|| Application::new(None, limit));
        application.packages.extend(packages);
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    shared: Arc<Shared>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, _)) => {
                let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
                tasks.spawn(converse(socket, acceptor, shared, stop.clone()));
            }
            Err(error) => {
                // The cause may be, for example, too many open files, which ends when other connections are closed.
                tracing::warn!(%error, "a connection can't be accepted");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Serves one connection, from its handshake to its end.
async fn converse(
    socket: TcpStream,
    acceptor: TlsAcceptor,
    shared: Arc<Shared>,
    stop: CancellationToken,
) {
    let _ = socket.set_nodelay(true);
    let stream = match timeout(HANDSHAKE, acceptor.accept(socket)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::info!(%error, "a TLS handshake failed"),
        Err(_) => return tracing::info!("a TLS handshake took too long"),
    };
    let service = service_fn(|request| answer(&shared, request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// The error of a connection that a fault drops.
#[derive(Debug, thiserror::Error)]
#[error("dropped on purpose")]
struct Dropped;

async fn answer(
    shared: &Shared,
    request: hyper::Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Dropped> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY)
        .collect()
        .await
        .map_err(|_| Dropped)?;
    let request = RoutedRequest {
        app_key: text(&head.headers, APP_KEY),
        bearer: text(&head.headers, AUTHORIZATION.as_str())
            .as_deref()
            .and_then(bearer),
        is_form: text(&head.headers, CONTENT_TYPE.as_str())
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")),
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().map(str::to_owned),
        body: body.to_bytes().into(),
    };
    let exchange = {
        let mut world = shared.world();
        let before = world.version;
        let exchange = world.handle(&request, shared.now(), &mut fastrand::Rng::new());
        if world.version != before {
            shared.changed.notify_one();
        }
        exchange
    };
    if !exchange.delay.is_zero() {
        sleep(exchange.delay).await;
    }
    let reply = match exchange.reply {
        WireReply::Answer(answer) => Ok(response(answer)),
        WireReply::Drop => Err(Dropped),
        WireReply::Hang => pending().await,
    };
    let mut world = shared.world();
    let now = shared.now().since_start;
    world.ledger.done(exchange.seq, now);
    reply
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

fn bearer(value: &str) -> Option<String> {
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("Bearer")
        .then(|| token.trim().to_owned())
}

fn response(answer: HttpAnswer) -> Response<Full<Bytes>> {
    let is_empty = answer.body.is_empty();
    let mut response = Response::new(Full::from(answer.body));
    let status = StatusCode::from_u16(answer.status);
    *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if let Some(Ok(kind)) = answer.content_type.map(HeaderValue::try_from) {
        headers.insert(CONTENT_TYPE, kind);
    }
    if is_empty && answer.status != 204 {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    response
}

/// Writes the packages to the state file shortly after each change.
async fn keep(shared: Arc<Shared>, path: PathBuf, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = shared.changed.notified() => {}
        }
        sleep(GATHER).await;
        if let Err(error) = save(&shared, &path) {
            tracing::error!(error = format!("{error:#}"), "packages can't be kept");
        }
    }
}

fn save(shared: &Shared, path: &std::path::Path) -> anyhow::Result<()> {
    let packages = shared
        .world()
        .applications
        .iter()
        .map(|(id, application)| (id.clone(), application.packages.values().cloned().collect()))
        .collect();
    storage::save(path, &packages)
}
