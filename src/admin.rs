//! The admin port: `/livez`, `/readyz`, `/metrics`, `/queue` and `/inventory`.

pub mod desk;
pub mod inventory;
pub mod queue;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::desk::{Desk, Refusal};

/// The content type of the `OpenMetrics` text format, version 1.0.0.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// How long requests under way may still take once the server is to stop.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Whether the operator can do its work: a fixed set of named gates, each open or closed for a reason.
#[derive(Debug)]
pub struct Readiness {
    closed: Mutex<BTreeMap<&'static str, String>>,
}

impl Readiness {
    /// `gates` that are closed until they are opened, each with its reason.
    pub fn new(gates: &[(&'static str, &str)]) -> Self {
        let closed = gates
            .iter()
            .map(|(gate, reason)| (*gate, (*reason).to_owned()))
            .collect();
        Self {
            closed: Mutex::new(closed),
        }
    }

    /// What `gate` stands for is there.
    pub fn open(&self, gate: &'static str) {
        self.closed().remove(gate);
    }

    /// What `gate` stands for is missing; `reason` says what, and what would mend it.
    pub fn close(&self, gate: &'static str, reason: impl Into<String>) {
        self.closed().insert(gate, reason.into());
    }

    /// What is missing, in one sentence; `None` when all gates are open.
    pub fn missing(&self) -> Option<String> {
        let closed = self.closed();
        let reasons: Vec<_> = closed
            .iter()
            .map(|(gate, reason)| format!("{gate}: {reason}"))
            .collect();
        (!reasons.is_empty()).then(|| format!("not ready: {}", reasons.join("; ")))
    }

    fn closed(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves the admin port on `listener` until `stop`, and requests under way for a second more.
/// `scrape` gives the metrics in the `OpenMetrics` text format; the reports are those of `desk`, once
/// there is one.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve<F>(
    listener: TcpListener,
    readiness: Arc<Readiness>,
    scrape: F,
    desk: Arc<OnceLock<Desk>>,
    stop: CancellationToken,
) -> io::Result<()>
where
    F: Fn() -> String + Clone + Send + Sync + 'static,
{
    let ready = move || async move {
        match readiness.missing() {
            None => (StatusCode::OK, "ok".to_owned()),
            Some(missing) => (StatusCode::SERVICE_UNAVAILABLE, missing),
        }
    };
    let metrics = move || async move { ([(CONTENT_TYPE, OPENMETRICS)], scrape()) };
    let router = Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route(
            queue::PATH,
            get({
                let desk = desk.clone();
                move |ask| async move { report(&desk, ask, Desk::queue) }
            }),
        )
        .route(
            inventory::PATH,
            get(move |ask| async move { report(&desk, ask, Desk::inventory) }),
        );
    let server =
        axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    tokio::select! {
        ended = server => ended,
        // A client that never ends its request must not keep the process.
        () = async { stop.cancelled().await; tokio::time::sleep(LAST_WORDS).await } => Ok(()),
    }
}

fn report<Ask, Report>(
    desk: &OnceLock<Desk>,
    ask: Result<Query<Ask>, QueryRejection>,
    make: impl FnOnce(&Desk, &Ask) -> Result<Report, Refusal>,
) -> Result<Json<Report>, Refusal> {
    let Query(ask) = ask.map_err(|wrong| Refusal::new(wrong.status(), wrong.body_text()))?;
    let desk = desk.get().ok_or_else(|| {
        let error = "this replica is still starting; try again in a few seconds";
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error)
    })?;
    make(desk, &ask).map(Json)
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
        ended: JoinHandle<io::Result<()>>,
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

    /// The head and the body of the answer to one GET.
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
    async fn a_queue_that_cannot_be_told_is_refused_in_a_sentence() {
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
        ended.await.unwrap().unwrap().unwrap();
        assert!(TcpStream::connect(served.address).await.is_err());
    }
}
