//! A faulty line between a client and the API server.
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

/// The largest request that the API server itself takes.
const REQUEST_BOUND: usize = 3 << 20;

/// The last word of a watch whose version the API server doesn't remember any more.
const EXPIRED: &[u8] = concat!(
    r#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","#,
    r#""message":"too old resource version","reason":"Expired","code":410}}"#,
    "\n"
)
.as_bytes();

/// What the API server says of an object in its store that it can't decrypt.
const FAILED: &str = concat!(
    r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","#,
    r#""message":"Internal error occurred: no matching prefix found","reason":"InternalError","code":500}"#,
);

/// A running proxy with faults that can be turned on and off. Dropping it cuts every connection.
pub struct ApiProxy {
    faults: watch::Sender<Faults>,
    kubeconfig: PathBuf,
}

/// What is wrong with the line at the moment.
#[derive(Clone, Default)]
struct Faults {
    /// The plural of the kind whose watches are silent.
    held: Option<String>,
    /// How often the watches of a kind, by its plural, were ended as expired.
    expired: HashMap<String, usize>,
    /// The plural of the kind whose requests fail.
    failing: Option<String>,
    /// No connection stands, and none comes about.
    cut: bool,
    /// How long each request waits before it goes on.
    delay: Duration,
}

#[derive(Clone)]
struct Line {
    server: String,
    client: reqwest::Client,
    faults: watch::Receiver<Faults>,
}

impl ApiProxy {
    /// Starts one for whoever uses this kubeconfig, which has a token.
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
        // Not on the runtime of the test, which stands still while the test runs kubectl.
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

    /// The same user by way of this proxy.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Holds back what the watches of a kind, named by its plural, have to say from now on. Nothing is lost.
    pub fn hold_watch(&self, resource: &str) {
        self.faults
            .send_modify(|faults| faults.held = Some(resource.to_owned()));
    }

    /// Lets the watches say what was held back.
    pub fn release_watch(&self) {
        self.faults.send_modify(|faults| faults.held = None);
    }

    /// Ends the watches of a kind, named by its plural, with a 410: whoever watches has to list anew.
    pub fn expire_watch(&self, resource: &str) {
        self.faults.send_modify(|faults| {
            *faults.expired.entry(resource.to_owned()).or_default() += 1;
        });
    }

    /// Answers each new request for a kind, named by its plural, with a 500 from now on. Watches that stand go on.
    pub fn fail(&self, resource: &str) {
        self.faults
            .send_modify(|faults| faults.failing = Some(resource.to_owned()));
    }

    /// Passes all requests on again.
    pub fn fail_no_more(&self) {
        self.faults.send_modify(|faults| faults.failing = None);
    }

    /// Ends every connection and takes no new one.
    pub fn cut(&self) {
        self.faults.send_modify(|faults| faults.cut = true);
    }

    /// Takes connections again.
    pub fn mend(&self) {
        self.faults.send_modify(|faults| faults.cut = false);
    }

    /// Lets each request wait before it goes on; zero ends it.
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

/// Passes connections on while the line isn't cut, until the proxy is dropped.
async fn guard(gate: TcpListener, inner: SocketAddr, faults: watch::Receiver<Faults>) {
    let gate = tokio::net::TcpListener::from_std(gate).expect("a usable listener");
    let mut owner = faults.clone();
    loop {
        let mut outside = tokio::select! {
            accepted = gate.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => continue,
            },
            // Fails once the owner is gone, and never succeeds.
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

/// Sends a request on as it came, and its answer back as it comes.
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
                        // The owner being gone is no reason to be silent for ever.
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

/// How often the watches of a kind were ended as expired.
fn expiries(faults: &Faults, watched: Option<&str>) -> usize {
    let expired = watched.and_then(|watched| faults.expired.get(watched));
    expired.copied().unwrap_or_default()
}

/// The plural of the kind that a request watches, if it does.
fn watched_resource(path: &str, query: Option<&str>) -> Option<String> {
    let query = query.unwrap_or_default().as_bytes();
    let watches = url::form_urlencoded::parse(query)
        .any(|(name, value)| name == "watch" && (value == "true" || value == "1"));
    watches.then(|| path.rsplit('/').next().unwrap_or_default().to_owned())
}

/// Without the headers that speak of one connection only.
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
