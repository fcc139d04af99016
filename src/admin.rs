//! The admin port. `/livez`, `/readyz` and `/metrics` answer every client. `/queue` and `/inventory` show objects and
//! messages of all namespaces, so they answer only clients of the loopback interface, such as `kubectl exec` and
//! `port-forward`.

pub mod desk;
pub mod inventory_report;
mod port;
pub mod queue_report;
mod reports;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use hyper::body::Bytes;
use parking_lot::{Mutex, MutexGuard};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::desk::Desk;
pub use self::port::listen;
use self::reports::Reports;

/// The content type of the `OpenMetrics` text format, version 1.0.0.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// How long the result of one scrape is reused, so that slow clients share the bytes of that result.
const SCRAPE: Duration = Duration::from_millis(250);
/// The readiness of the operator: a fixed set of named gates, each open or closed with a reason.
#[derive(Debug)]
pub struct Readiness {
    closed: Mutex<BTreeMap<&'static str, String>>,
}

impl Readiness {
    /// A readiness with all `gates` closed; each gate comes with the reason why it is closed.
    pub fn new(gates: &[(&'static str, &str)]) -> Self {
        let closed = gates
            .iter()
            .map(|(gate, reason)| (*gate, (*reason).to_owned()))
            .collect();
        Self {
            closed: Mutex::new(closed),
        }
    }

    /// Opens `gate`: its condition is met.
    pub fn open(&self, gate: &'static str) {
        self.closed().remove(gate);
    }

    /// Closes `gate`; `reason` tells what is missing and how to repair it.
    pub fn close(&self, gate: &'static str, reason: impl Into<String>) {
        self.closed().insert(gate, reason.into());
    }

    /// The reasons of all closed gates, in one sentence; `None` when all gates are open.
    pub fn missing(&self) -> Option<String> {
        let closed = self.closed();
        let reasons: Vec<_> = closed
            .iter()
            .map(|(gate, reason)| format!("{gate}: {reason}"))
            .collect();
        (!reasons.is_empty()).then(|| format!("not ready: {}", reasons.join("; ")))
    }

    fn closed(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.closed.lock()
    }
}

/// Serves the admin port on `listener` until `stop`, and in-flight requests for up to a second more. `scrape` returns
/// the metrics in the `OpenMetrics` text format; `desk` answers the reports, as soon as it is set.
pub async fn serve<F>(
    listener: TcpListener,
    readiness: Arc<Readiness>,
    scrape: F,
    desk: Arc<OnceLock<Desk>>,
    stop: CancellationToken,
) where
    F: Fn() -> String + Clone + Send + Sync + 'static,
{
    let ready = move || async move {
        match readiness.missing() {
            None => (StatusCode::OK, "ok".to_owned()),
            Some(missing) => (StatusCode::SERVICE_UNAVAILABLE, missing),
        }
    };
    let scraped = Arc::new(Mutex::new((None, Bytes::new())));
    let metrics = move || async move {
        let mut scraped = scraped.lock();
        let now = Instant::now();
        if scraped.0.is_none_or(|at| at + SCRAPE <= now) {
            *scraped = (Some(now), Bytes::from(scrape()));
        }
        ([(CONTENT_TYPE, OPENMETRICS)], scraped.1.clone())
    };
    let reports = Arc::new(Reports::new(desk));
    let router = Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route(
            queue_report::PATH,
            get({
                let reports = reports.clone();
                move |peer, ask| async move { reports.report(&peer, ask, Desk::queue) }
            }),
        )
        .route(
            inventory_report::PATH,
            get(move |peer, ask| async move { reports.report(&peer, ask, Desk::inventory) }),
        );
    port::serve(&listener, &router, &stop).await;
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::task::JoinHandle;

    use super::*;

    struct Served {
        address: SocketAddr,
        readiness: Arc<Readiness>,
        stop: CancellationToken,
        ended: JoinHandle<()>,
    }

    async fn served() -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let readiness = Arc::new(Readiness::new(&[
            ("caches", "the first list is under way"),
            ("schema", "not compared yet"),
        ]));
        let stop = CancellationToken::new();
        let scrape = || "vpo_up 1\n# EOF\n".to_owned();
        let ended = tokio::spawn(serve(
            listener,
            readiness.clone(),
            scrape,
            Arc::default(),
            stop.clone(),
        ));
        Served {
            address,
            readiness,
            stop,
            ended,
        }
    }

    /// Sends one GET; returns head and body of the answer.
    async fn get(address: SocketAddr, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    #[tokio::test]
    async fn readiness_says_what_is_missing_until_every_gate_is_open() {
        let served = served().await;
        let (head, body) = get(served.address, "/readyz").await;
        assert!(head.starts_with("HTTP/1.1 503"), "{head}");
        assert_eq!(
            body,
            "not ready: caches: the first list is under way; schema: not compared yet"
        );
        served.readiness.open("caches");
        served.readiness.close("schema", "apply the new CRDs");
        let (head, body) = get(served.address, "/readyz").await;
        assert!(head.starts_with("HTTP/1.1 503"), "{head}");
        assert_eq!(body, "not ready: schema: apply the new CRDs");
        served.readiness.open("schema");
        let (head, body) = get(served.address, "/readyz").await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert_eq!(body, "ok");
        served.readiness.close("caches", "the watch is gone");
        assert!(
            get(served.address, "/readyz")
                .await
                .0
                .starts_with("HTTP/1.1 503")
        );
    }

    #[tokio::test]
    async fn the_operator_is_live_while_it_is_not_ready() {
        let served = served().await;
        let (head, body) = get(served.address, "/livez").await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert_eq!(body, "ok");
    }

    #[tokio::test]
    async fn metrics_carry_the_openmetrics_content_type() {
        let served = served().await;
        let (head, body) = get(served.address, "/metrics").await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(
            head.contains(&format!("content-type: {OPENMETRICS}")),
            "{head}"
        );
        assert_eq!(body, "vpo_up 1\n# EOF\n");
        assert!(
            get(served.address, "/else")
                .await
                .0
                .starts_with("HTTP/1.1 404")
        );
    }

    #[tokio::test]
    async fn a_refused_queue_report_gives_the_reason_in_a_sentence() {
        let served = served().await;
        let (head, body) = get(served.address, "/queue").await;
        assert!(head.starts_with("HTTP/1.1 503"), "{head}");
        assert!(
            body.contains(r#"{"error":"this replica is still starting"#),
            "{body}"
        );
        let (head, body) = get(served.address, "/queue?limit=many").await;
        assert!(head.starts_with("HTTP/1.1 400"), "{head}");
        assert!(body.contains("limit"), "{body}");
    }

    #[tokio::test]
    async fn a_stop_ends_the_server_even_with_a_request_that_never_ends() {
        let served = served().await;
        let mut hanging = TcpStream::connect(served.address).await.unwrap();
        hanging.write_all(b"GET /livez HT").await.unwrap();
        get(served.address, "/livez").await;
        served.stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(10), served.ended);
        ended.await.unwrap().unwrap();
        assert!(TcpStream::connect(served.address).await.is_err());
    }
}
