//! A proxy with switchable faults between a client and the API server.
//!
//! ```text
//! client -> gate (TCP; can be cut) -> proxy (ends TLS; sees requests, can hold and delay) -> API server
//! ```

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Router, body};
use axum_server::tls_rustls::RustlsConfig;
use futures::stream;
use kube::config::Kubeconfig;
use secrecy::ExposeSecret;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::plane::{Plane, install_crypto};

/// The size limit of a request, equal to the API server's.
const REQUEST_BOUND: usize = 3 << 20;

/// The last event of a watch whose version is compacted.
const EXPIRED: &[u8] = concat!(
    r#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","#,
    r#""message":"too old resource version","reason":"Expired","code":410}}"#,
    "\n"
)
.as_bytes();

/// The API server's answer for a stored object that it can't decrypt.
const FAILED: &str = concat!(
    r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","#,
    r#""message":"Internal error occurred: no matching prefix found","reason":"InternalError","code":500}"#,
);

/// A running proxy with switchable faults. Dropping it closes every connection.
pub struct ApiProxy {
    faults: watch::Sender<Faults>,
    kubeconfig: PathBuf,
}

/// The current faults.
#[derive(Clone, Default)]
struct Faults {
    /// The plural of the kind whose watches are held back.
    held: Option<String>,
    /// How often the watches of each kind were expired, by its plural.
    expired: HashMap<String, usize>,
    /// The plural of the kind whose requests fail.
    failing: Option<String>,
    /// Whether all connections are closed and new ones refused.
    cut: bool,
    /// The delay of each request.
    delay: Duration,
}

#[derive(Clone)]
struct Line {
    server: String,
    client: reqwest::Client,
    faults: watch::Receiver<Faults>,
}

impl ApiProxy {
    /// Starts a proxy for the user of this kubeconfig, which must have a token.
    pub fn start(plane: &Plane, kubeconfig: &Path) -> Self {
        install_crypto();
        let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])
            .expect("a certificate can be made");
        let (gate, proxy) = (listener(), listener());
        let gate_address = address(&gate);
        let ca = plane
            .dir()
            .join(format!("proxy-{}.crt", gate_address.port()));
        std::fs::write(&ca, certified.cert.pem()).expect("a certificate can be written");
        let token = Kubeconfig::read_from(kubeconfig)
            .expect("a kubeconfig")
            .auth_infos
            .into_iter()
            .find_map(|user| user.auth_info?.token)
            .expect("a kubeconfig with a token");
        let own = plane.write_kubeconfig(
            &format!("proxy-{}", gate_address.port()),
            &format!("https://{gate_address}"),
            &ca,
            token.expose_secret(),
        );

        let trusted = std::fs::read(plane.ca()).expect("the certificates of the API server");
        let trusted = reqwest::Certificate::from_pem_bundle(&trusted).expect("certificates");
        let (faults, receiver) = watch::channel(Faults::default());
        let line = Line {
            server: plane.server().to_owned(),
            client: reqwest::Client::builder()
                .tls_certs_only(trusted)
                .no_gzip()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .expect("a client"),
            faults: receiver.clone(),
        };
        let (certificate, key) = (certified.cert.pem(), certified.signing_key.serialize_pem());
        // The proxy has a runtime of its own, as the test's runtime is blocked while the test runs kubectl.
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let tls = RustlsConfig::from_pem(certificate.into(), key.into())
                    .await
                    .expect("usable TLS files");
                let inner = address(&proxy);
                let service = Router::new().fallback(forward).with_state(line);
                tokio::select! {
                    served = axum_server::from_tcp_rustls(proxy, tls)
                        .expect("a usable listener")
                        .serve(service.into_make_service()) => served.expect("the proxy serves"),
                    () = guard(gate, inner, receiver) => {}
                }
            });
        });
        Self {
            faults,
            kubeconfig: own,
        }
    }

    /// A kubeconfig for the same user through this proxy.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Holds back the events of the watches of a kind, named by its plural, from now on. No event is lost.
    pub fn hold_watch(&self, resource: &str) {
        self.faults
            .send_modify(|faults| faults.held = Some(resource.to_owned()));
    }

    /// Sends the held-back events and stops holding back.
    pub fn release_watch(&self) {
        self.faults.send_modify(|faults| faults.held = None);
    }

    /// Ends the watches of a kind, named by its plural, with a 410, so that clients must list again.
    pub fn expire_watch(&self, resource: &str) {
        self.faults.send_modify(|faults| {
            *faults.expired.entry(resource.to_owned()).or_default() += 1;
        });
    }

    /// Answers each new request for a kind, named by its plural, with a 500 from now on. Existing watches go on.
    pub fn fail(&self, resource: &str) {
        self.faults
            .send_modify(|faults| faults.failing = Some(resource.to_owned()));
    }

    /// Forwards all requests again.
    pub fn fail_no_more(&self) {
        self.faults.send_modify(|faults| faults.failing = None);
    }

    /// Closes every connection and refuses new ones.
    pub fn cut(&self) {
        self.faults.send_modify(|faults| faults.cut = true);
    }

    /// Accepts connections again.
    pub fn mend(&self) {
        self.faults.send_modify(|faults| faults.cut = false);
    }

    /// Delays each request; zero turns the delay off.
    pub fn delay(&self, pause: Duration) {
        self.faults.send_modify(|faults| faults.delay = pause);
    }
}

fn listener() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener
        .set_nonblocking(true)
        .expect("a socket that doesn't block");
    listener
}

fn address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("an address")
}

/// Forwards connections unless the line is cut, until the proxy is dropped.
async fn guard(gate: TcpListener, inner: SocketAddr, faults: watch::Receiver<Faults>) {
    let gate = tokio::net::TcpListener::from_std(gate).expect("a usable listener");
    let mut owner = faults.clone();
    loop {
        let mut outside = tokio::select! {
            accepted = gate.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => continue,
            },
            // Returns an error once the proxy is dropped, and never succeeds.
            _ = owner.wait_for(|_| false) => return,
        };
        let mut faults = faults.clone();
        tokio::spawn(async move {
            tokio::select! {
                biased;
                _ = faults.wait_for(|faults| faults.cut) => {}
                () = async {
                    if let Ok(mut inside) = TcpStream::connect(inner).await {
                        let _ = copy_bidirectional(&mut outside, &mut inside).await;
                    }
                } => {}
            }
        });
    }
}

/// Forwards a request unchanged, and streams its answer back.
async fn forward(State(line): State<Line>, request: Request) -> Response {
    let delay = line.faults.borrow().delay;
    tokio::time::sleep(delay).await;
    let (parts, body) = request.into_parts();
    let Ok(body) = body::to_bytes(body, REQUEST_BOUND).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let failing = line.faults.borrow().failing.clone();
    if failing.is_some_and(|resource| parts.uri.path().split('/').any(|part| part == resource)) {
        let json = [(header::CONTENT_TYPE, "application/json")];
        return (StatusCode::INTERNAL_SERVER_ERROR, json, FAILED).into_response();
    }
    let watched = watched_resource(parts.uri.path(), parts.uri.query());
    let begun = expiries(&line.faults.borrow(), watched.as_deref());
    let path = parts
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let answer = line
        .client
        .request(parts.method, format!("{}{path}", line.server))
        .headers(end_to_end(parts.headers))
        .body(body)
        .send()
        .await;
    match answer {
        Ok(answer) => {
            let (status, headers) = (answer.status(), end_to_end(answer.headers().clone()));
            let body = Body::from_stream(stream::unfold(
                Some((answer, line.faults)),
                move |standing| {
                    let watched = watched.clone();
                    async move {
                        let (mut answer, mut faults) = standing?;
                        let mut expiry = faults.clone();
                        let expired =
                            expiry.wait_for(|faults| expiries(faults, watched.as_deref()) != begun);
                        let chunk = tokio::select! {
                            chunk = answer.chunk() => chunk,
                            Ok(_) = expired => {
                                return Some((Ok(Bytes::from_static(EXPIRED)), None));
                            }
                        };
                        // Events must not be held back for ever after the proxy is dropped.
                        let _ = faults
                            .wait_for(|faults| watched.is_none() || faults.held != watched)
                            .await;
                        let chunk: Result<Bytes, _> = chunk.transpose()?;
                        Some((chunk, Some((answer, faults))))
                    }
                },
            ));
            (status, headers, body).into_response()
        }
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

/// How often the watches of a kind were expired.
fn expiries(faults: &Faults, watched: Option<&str>) -> usize {
    let expired = watched.and_then(|watched| faults.expired.get(watched));
    expired.copied().unwrap_or_default()
}

/// The plural of the kind that a request watches; `None` for other requests.
fn watched_resource(path: &str, query: Option<&str>) -> Option<String> {
    let query = query.unwrap_or_default().as_bytes();
    let watches = url::form_urlencoded::parse(query)
        .any(|(name, value)| name == "watch" && (value == "true" || value == "1"));
    watches.then(|| path.rsplit('/').next().unwrap_or_default().to_owned())
}

/// Removes the headers that belong to a single connection.
fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    for name in [
        header::HOST,
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ] {
        headers.remove(name);
    }
    headers
}
