//! The contract of the HTTP client: its requests, its size limits, its trust, and its handling of every missing answer.
//! Always over real TLS.
#![allow(clippy::unwrap_used, clippy::panic)]

mod bodies;
mod certificates;
mod connections;
mod handshakes;
mod requests;
mod secrets;

use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use version_package_operator::api::names::{AppId, Endpoint, FileId};
use version_package_operator::remote::answer::{
    Answer, CertificateFault, ClientFault, Detail, TlsFault, Trouble,
};
use version_package_operator::remote::client::{Authorization, Connection, Timeouts};
use version_package_operator::remote::tls::TlsSettings;
use wiremock::matchers::{any, method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

const SECRET: &str = "hunter2&=+ü";
const TOKEN: &str = "0123456789abcdef";
const CATEGORY: &str = "/iodm/northbound/v1.5.0/category";

/// The certificate authority of a test.
struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> Vec<u8> {
        self.0.pem().into_bytes()
    }

    /// A certificate chain for `name`, and its key.
    fn issue(&self, name: &str) -> (Vec<u8>, Vec<u8>) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (
            certificate.pem().into_bytes(),
            key.serialize_pem().into_bytes(),
        )
    }

    /// The TLS settings of clients that trust this CA.
    fn trusted(&self) -> TlsSettings {
        TlsSettings {
            ca: Some(self.pem()),
            ..TlsSettings::default()
        }
    }

    /// A server with a certificate of this CA for `name`, which demands client certificates of `clients`.
    fn server(
        &self,
        name: &str,
        clients: Option<&Ca>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> TlsAcceptor {
        let (chain, key) = self.issue(name);
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&chain)
            .map(Result::unwrap)
            .collect();
        let key = PrivateKeyDer::from_pem_slice(&key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = match clients {
            None => Arc::new(NoClientAuth),
            Some(ca) => {
                let mut roots = RootCertStore::empty();
                roots
                    .add(CertificateDer::from_pem_slice(&ca.pem()).unwrap())
                    .unwrap();
                WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
                    .build()
                    .unwrap()
            }
        };
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// Serves each TLS connection with `serve`. Handshake failures are sent before the connection closes.
async fn serve<S, F>(acceptor: TlsAcceptor, serve: S) -> SocketAddr
where
    S: Fn(TlsStream<TcpStream>) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let (acceptor, serve) = (acceptor.clone(), serve.clone());
            tokio::spawn(async move {
                match acceptor.accept(tcp).into_fallible().await {
                    Ok(stream) => serve(stream).await,
                    // Closing with unread bytes would reset the connection and lose the alert.
                    Err((_, mut tcp)) => {
                        let _ = tcp.shutdown().await;
                        let _ = tokio::io::copy(&mut tcp, &mut tokio::io::sink()).await;
                    }
                }
            });
        }
    });
    address
}

/// A mock platform behind TLS.
async fn mock(acceptor: TlsAcceptor) -> (MockServer, SocketAddr) {
    let mock = MockServer::start().await;
    let upstream = *mock.address();
    let address = serve(acceptor, move |mut stream| async move {
        let mut plain = TcpStream::connect(upstream).await.unwrap();
        let _ = copy_bidirectional(&mut stream, &mut plain).await;
    })
    .await;
    (mock, address)
}

/// A server that reads the head of one request per connection, counts it, and continues with `reply`.
async fn raw<S, F>(ca: &Ca, reply: S) -> (SocketAddr, Arc<AtomicUsize>)
where
    S: Fn(TlsStream<TcpStream>) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send,
{
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = requests.clone();
    let acceptor = ca.server("127.0.0.1", None, &[&TLS13]);
    let address = serve(acceptor, move |mut stream| {
        let (counted, reply) = (counted.clone(), reply.clone());
        async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            counted.fetch_add(1, Ordering::SeqCst);
            reply(stream).await;
        }
    })
    .await;
    (address, requests)
}

fn connect(address: SocketAddr, tls: &TlsSettings) -> Connection {
    within(address, tls, Timeouts::default())
}

fn within(address: SocketAddr, tls: &TlsSettings, timeouts: Timeouts) -> Connection {
    let endpoint: Endpoint = format!("https://{address}").parse().unwrap();
    Connection::new(&endpoint, tls, timeouts).unwrap()
}

/// Long enough for a busy machine to connect and send, short enough for a test.
fn hurried() -> Timeouts {
    Timeouts {
        total: Duration::from_secs(3),
        ..Timeouts::default()
    }
}

fn app() -> AppId {
    "app-1".parse().unwrap()
}

fn secret() -> SecretString {
    SECRET.into()
}

fn authorization() -> Authorization {
    Authorization::new(TOKEN.into(), Some(secret()))
}

fn file(id: &str) -> FileId {
    id.parse().unwrap()
}

async fn delete(connection: &Connection) -> Answer {
    connection
        .delete(&app(), &authorization(), &file("a1"))
        .await
}

fn trouble(answer: &Answer) -> Trouble {
    match answer {
        Answer::Unavailable(_, trouble) => *trouble,
        other => panic!("{other:?}"),
    }
}

async fn only_request(mock: &MockServer) -> Request {
    let mut requests = mock.received_requests().await.unwrap();
    assert_eq!(requests.len(), 1, "{requests:?}");
    requests.remove(0)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A mock platform that gives the same answer to every request, and a connection to it.
async fn answering(answer: ResponseTemplate) -> (MockServer, Connection) {
    let ca = Ca::new();
    let (mock, address) = mock(ca.server("127.0.0.1", None, &[&TLS13])).await;
    Mock::given(any()).respond_with(answer).mount(&mock).await;
    let connection = connect(address, &ca.trusted());
    (mock, connection)
}
