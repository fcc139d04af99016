//! The TCP side of the admin port: both address families, and limits on the resources that clients can hold.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// The limit of open connections. If one more is opened, the oldest one is closed, so that slow clients can't keep a
/// probe out.
const CONNECTIONS: usize = 256;
/// The time limit of one connection, which carries one request.
const LONGEST: Duration = Duration::from_secs(15);
/// The time limit for the head of a request.
const HEAD: Duration = Duration::from_secs(5);
/// The pause after a failed accept, which mostly means that no file descriptor is left.
const PAUSE: Duration = Duration::from_millis(100);
/// The time limit of in-flight requests after the stop of the server.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The limit of connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// The client of a connection.
#[derive(Debug)]
pub(super) struct Peer {
    near: bool,
    held: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Peer {
    /// Whether both ends of the connection are addresses of the loopback interface.
    pub(super) fn is_near(&self) -> bool {
        self.near
    }

    /// A client on the loopback interface (`near`) or elsewhere.
    pub(super) fn at(near: bool) -> Self {
        Self {
            near,
            held: Mutex::new(None),
        }
    }

    /// Holds `place` until the connection ends.
    pub(super) fn hold(&self, place: OwnedSemaphorePermit) {
        *self.held.lock() = Some(place);
    }
}

/// Opens the port. `[::]` stands for all addresses of both families; on a node without IPv6 for all IPv4 addresses.
///
/// # Errors
/// The address can't be bound.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    match bind(address) {
        Err(error) if all_of_ipv6(address) && error.kind() != io::ErrorKind::AddrInUse => {
            bind((Ipv4Addr::UNSPECIFIED, address.port()).into()).map_err(|_| error)
        }
        bound => bound,
    }
}

fn all_of_ipv6(address: SocketAddr) -> bool {
    address.is_ipv6() && address.ip().is_unspecified()
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if all_of_ipv6(address) {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Serves `router` until `stop`, and in-flight requests for up to a second more. A handler finds its [`Peer`] as an
/// extension.
pub(super) async fn serve(listener: &TcpListener, router: &Router, stop: &CancellationToken) {
    let connections = TaskTracker::new();
    let mut under_way: VecDeque<CancellationToken> = VecDeque::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection to the admin port can't be taken");
                sleep(PAUSE).await;
                continue;
            }
        };
        under_way.retain(|ended| !ended.is_cancelled());
        if under_way.len() >= CONNECTIONS
            && let Some(oldest) = under_way.pop_front()
        {
            oldest.cancel();
        }
        let ended = CancellationToken::new();
        under_way.push_back(ended.clone());
        let served = serve_one(stream, router.clone());
        connections.spawn(async move {
            tokio::select! {
                () = ended.cancelled() => {}
                _ = timeout(LONGEST, served) => ended.cancel(),
            }
        });
    }
    connections.close();
    // A client that never ends its request must not delay the exit of the process.
    let _ = timeout(LAST_WORDS, connections.wait()).await;
}

/// Serves one connection with one request, so that all resources of a client end with its connection.
async fn serve_one(stream: TcpStream, router: Router) {
    let ends = [stream.local_addr(), stream.peer_addr()];
    let near = ends
        .iter()
        .all(|end| end.as_ref().is_ok_and(|end| is_loopback(end.ip())));
    let peer = Arc::new(Peer::at(near));
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(Arc::clone(&peer));
        router.clone().oneshot(request)
    });
    let mut http = http1::Builder::new();
    let served = http
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection to the admin port ended early");
    }
}

/// Whether `address` is a loopback address. A socket of both families reports IPv4 addresses in their IPv6 form.
fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[expect(clippy::unused_async, reason = "it needs the runtime around it")]
    async fn served() -> (u16, CancellationToken) {
        let listener = listen("[::]:0".parse().unwrap()).unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new()
            .route("/", get(|| async { "ok" }))
            .route("/large", get(|| async { vec![b'x'; 64 << 20] }));
        let stop = CancellationToken::new();
        tokio::spawn({
            let stop = stop.clone();
            async move { serve(&listener, &router, &stop).await }
        });
        (port, stop)
    }

    async fn asked(address: SocketAddr, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    #[tokio::test]
    async fn both_address_families_are_served_by_one_port() {
        let (port, _stop) = served().await;
        let mut addresses = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))];
        // Not every machine has IPv6.
        if std::net::TcpListener::bind("[::1]:0").is_ok() {
            addresses.push(SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port)));
        }
        for address in addresses {
            let mut answer = String::new();
            let mut stream = asked(address, "/").await;
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{address}: {answer}");
        }
    }

    #[tokio::test]
    async fn clients_that_read_nothing_keep_no_other_out_and_the_oldest_is_closed_first() {
        let (port, _stop) = served().await;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut slow = Vec::new();
        for _ in 0..CONNECTIONS + 10 {
            slow.push(TcpStream::connect(address).await.unwrap());
        }
        let mut answer = String::new();
        let mut stream = asked(address, "/").await;
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("ok"), "{answer}");
        let ended = timeout(LONGEST / 5, slow[0].read(&mut [0])).await;
        assert!(matches!(ended, Ok(Ok(0) | Err(_))), "{ended:?}");
    }

    #[tokio::test]
    async fn a_connection_whose_answer_is_not_read_ends_in_time() {
        let (port, _stop) = served().await;
        let mut stream = asked((Ipv4Addr::LOCALHOST, port).into(), "/large").await;
        // A client reads all bytes in transit before it sees the end of the connection. An earlier read would make room
        // for more bytes. So the test waits until the server has ended the connection, and reads then.
        sleep(LONGEST + HEAD).await;
        let mut answer = Vec::new();
        let ended = timeout(HEAD, stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok() && answer.len() < 64 << 20, "{}", answer.len());
    }

    #[test]
    fn only_addresses_of_the_loopback_interface_are_near() {
        for (address, near) in [
            ("127.0.0.1", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("10.0.0.7", false),
            ("::ffff:10.0.0.7", false),
            ("fd00::7", false),
        ] {
            assert_eq!(is_loopback(address.parse().unwrap()), near, "{address}");
        }
    }
}
