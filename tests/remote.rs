//! The contract of the HTTP client: what it sends, how far it reads, whom it trusts, and what it
//! makes of every way in which no answer comes. Always over real TLS.
#![allow(clippy::unwrap_used, clippy::panic)]

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
use version_package_operator::remote::answer::{Answer, Detail, Trouble};
use version_package_operator::remote::client::{Connection, Timeouts};
use version_package_operator::remote::tls::TlsSettings;
use wiremock::matchers::{any, method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

const SECRET: &str = "hunter2&=+ü";
const TOKEN: &str = "0123456789abcdef";
const CATEGORY: &str = "/iodm/northbound/v1.5.0/category";

/// A certificate authority of this test.
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

    /// A chain and its key for `name`.
    fn issue(&self, name: &str) -> (Vec<u8>, Vec<u8>) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (
            certificate.pem().into_bytes(),
            key.serialize_pem().into_bytes(),
        )
    }

    /// How clients trust this authority.
    fn trusted(&self) -> TlsSettings {
        TlsSettings {
            ca: Some(self.pem()),
            ..TlsSettings::default()
        }
    }

    /// A server of this authority that carries `name`, and demands certificates of `clients`.
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

/// Serves each TLS connection with `serve`; its handshake failures are sent out before it closes.
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
                    // Closing with unread bytes would reset the line, and the alert with it.
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

/// A server that reads the head of one request per connection, counts it, and goes on with `reply`.
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

/// Long enough for a busy machine to connect and send, short enough to wait for.
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

fn token() -> SecretString {
    TOKEN.into()
}

fn file(id: &str) -> FileId {
    id.parse().unwrap()
}

async fn delete(connection: &Connection) -> Answer {
    connection.delete(&app(), &token(), &file("a1")).await
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

/// A mock platform that gives one answer to everything, and a connection to it.
async fn answering(answer: ResponseTemplate) -> (MockServer, Connection) {
    let ca = Ca::new();
    let (mock, address) = mock(ca.server("127.0.0.1", None, &[&TLS13])).await;
    Mock::given(any()).respond_with(answer).mount(&mock).await;
    let connection = connect(address, &ca.trusted());
    (mock, connection)
}

#[tokio::test]
async fn a_login_posts_a_form_and_nothing_else() {
    let body = r#"{"scope":"default","tokenType":"bearer ","expiresIn":"1800","accessToken":"0123456789abcdef"}"#;
    let (mock, connection) =
        answering(ResponseTemplate::new(200).set_body_raw(body, "application/json")).await;
    let login = connection.login(&app(), &secret()).await.unwrap();
    assert_eq!(login.access_token.expose_secret(), TOKEN);
    assert_eq!(login.expires_in, Duration::from_secs(1800));

    let request = only_request(&mock).await;
    assert_eq!(request.method.as_str(), "POST");
    assert_eq!(request.url.path(), "/iocm/app/sec/v1.1.0/login");
    assert_eq!(request.url.query(), None);
    assert_eq!(
        request.headers["content-type"],
        "application/x-www-form-urlencoded"
    );
    assert_eq!(
        String::from_utf8(request.body).unwrap(),
        "appId=app-1&secret=hunter2%26%3D%2B%C3%BC"
    );
    assert!(!request.headers.contains_key("app_key"));
    assert!(!request.headers.contains_key("authorization"));
}

#[tokio::test]
async fn every_other_call_names_the_application_and_carries_the_token() {
    let id = "A.b-_~...x";
    let ca = Ca::new();
    let (mock, address) = mock(ca.server("127.0.0.1", None, &[&TLS13])).await;
    let package = serde_json::json!({"fileId": id, "version": "V1", "new": 1});
    for (verb, at, body) in [
        (
            "DELETE",
            format!("/base{CATEGORY}/{id}"),
            serde_json::json!({}),
        ),
        ("GET", format!("/base{CATEGORY}/{id}"), package.clone()),
        (
            "GET",
            format!("/base{CATEGORY}"),
            serde_json::json!({"data": [package], "totalCount": 301}),
        ),
    ] {
        Mock::given(method(verb))
            .and(path(at))
            .respond_with(ResponseTemplate::new(200).set_body_json(body))
            .mount(&mock)
            .await;
    }
    let endpoint: Endpoint = format!("https://{address}/base/").parse().unwrap();
    let connection = Connection::new(&endpoint, &ca.trusted(), Timeouts::default()).unwrap();

    let done = connection.delete(&app(), &token(), &file(id)).await;
    assert_eq!(done, Answer::Done(200));
    let shown = connection.show(&app(), &token(), &file(id)).await.unwrap();
    assert_eq!(shown.version.as_deref(), Some("V1"));
    let page = connection.list(&app(), &token(), 3).await.unwrap();
    assert_eq!((page.data, page.total_count), (vec![shown], 301));

    let requests = mock.received_requests().await.unwrap();
    let lines: Vec<_> = requests
        .iter()
        .map(|r| {
            format!(
                "{} {}?{}",
                r.method,
                r.url.path(),
                r.url.query().unwrap_or_default()
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            format!("DELETE /base{CATEGORY}/{id}?"),
            format!("GET /base{CATEGORY}/{id}?"),
            format!("GET /base{CATEGORY}?pageNo=3&pageSize=100"),
        ]
    );
    for request in requests {
        assert_eq!(request.headers["app_key"], "app-1");
        assert_eq!(
            request.headers["authorization"],
            format!("Bearer {TOKEN}").as_str()
        );
        assert_eq!(request.headers["accept"], "application/json");
        assert_eq!(
            request.headers["user-agent"],
            concat!("version-package-operator/", env!("CARGO_PKG_VERSION"))
        );
        assert!(!request.headers.contains_key("content-type"));
        assert!(request.body.is_empty());
    }
}

#[tokio::test]
async fn answers_come_through_with_status_code_and_text() {
    let body = r#"{"error_code":"123002","error_desc":"Device or package file not found."}"#;
    let (_mock, connection) =
        answering(ResponseTemplate::new(404).set_body_raw(body, "application/json")).await;
    let detail = Detail {
        http_status: Some(404),
        code: Some("123002".to_owned()),
        message: "Device or package file not found.".to_owned(),
    };
    assert_eq!(
        delete(&connection).await,
        Answer::AlreadyGone(detail.clone())
    );
    let shown = connection.show(&app(), &token(), &file("a1")).await;
    assert_eq!(shown, Err(Answer::AlreadyGone(detail.clone())));
    let listed = connection.list(&app(), &token(), 0).await;
    assert_eq!(listed, Err(Answer::Unexpected(detail.clone())));
    let login = connection.login(&app(), &secret()).await.unwrap_err();
    assert_eq!(login, Answer::Unexpected(detail));
}

#[tokio::test]
async fn a_200_that_lacks_what_the_call_was_for_is_unexpected() {
    let (_mock, connection) =
        answering(ResponseTemplate::new(200).set_body_json(serde_json::json!({}))).await;
    let login = connection.login(&app(), &secret()).await.unwrap_err();
    let shown = connection
        .show(&app(), &token(), &file("a1"))
        .await
        .unwrap_err();
    let listed = connection.list(&app(), &token(), 0).await.unwrap_err();
    for answer in [login, shown, listed] {
        assert!(
            matches!(&answer, Answer::Unexpected(detail) if detail.http_status == Some(200)),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let answer = ResponseTemplate::new(307).insert_header("location", "/elsewhere");
    let (mock, connection) = answering(answer).await;
    assert_eq!(delete(&connection).await.as_str(), "Unexpected");
    only_request(&mock).await;
    assert_eq!(
        connection
            .login(&app(), &secret())
            .await
            .unwrap_err()
            .as_str(),
        "Unexpected"
    );
    assert_eq!(mock.received_requests().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_token_that_no_header_can_carry_is_refused_without_a_call() {
    let (mock, connection) = answering(ResponseTemplate::new(200)).await;
    let answer = connection
        .delete(&app(), &"a\nb-hunter2".into(), &file("a1"))
        .await;
    assert!(
        matches!(&answer, Answer::TokenRefused(detail) if detail.http_status.is_none()),
        "{answer:?}"
    );
    assert!(!format!("{answer:?}").contains("hunter2"));
    assert!(mock.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_body_is_read_to_its_bound_and_no_further() {
    let sized = |bytes: usize| format!("{{\"x\":\"{}\"}}", "y".repeat(bytes - 8));
    let fits = ResponseTemplate::new(200).set_body_string(sized(64 * 1024));
    assert_eq!(delete(&answering(fits).await.1).await, Answer::Done(200));
    let over = ResponseTemplate::new(200).set_body_string(sized(64 * 1024 + 1));
    let answer = delete(&answering(over).await.1).await;
    assert_eq!(trouble(&answer), Trouble::Answered);
    assert_eq!(answer.detail().unwrap().http_status, Some(200));

    let page = |bytes: usize| {
        format!(
            r#"{{"data":[{{"description":"{}"}}],"totalCount":1}}"#,
            "y".repeat(bytes)
        )
    };
    let large = ResponseTemplate::new(200).set_body_string(page(1_000_000));
    let listed = answering(large).await.1.list(&app(), &token(), 0).await;
    assert_eq!(listed.unwrap().total_count, 1);
    let larger = ResponseTemplate::new(200).set_body_string(page(1_048_576));
    let listed = answering(larger).await.1.list(&app(), &token(), 0).await;
    assert_eq!(trouble(&listed.unwrap_err()), Trouble::Answered);
}

#[tokio::test]
async fn a_packed_body_is_bounded_by_what_it_unpacks_to() {
    let packed = |bytes: Vec<u8>| {
        ResponseTemplate::new(403)
            .insert_header("content-encoding", "gzip")
            .set_body_bytes(bytes)
    };
    let code = gzip(br#"{"resultcode":"1010009","resultmsg":"app throttle exceed."}"#);
    let answer = delete(&answering(packed(code.clone())).await.1).await;
    assert_eq!(answer.as_str(), "Throttled");

    let bomb = gzip(&vec![b' '; 32 * 1024 * 1024]);
    assert!(bomb.len() < 64 * 1024);
    let answer = delete(&answering(packed(bomb)).await.1).await;
    assert_eq!(trouble(&answer), Trouble::Answered);
    assert!(answer.detail().unwrap().message.contains("bound"));

    let mut broken = code.clone();
    broken[12] ^= 0xff;
    for damaged in [broken, code[..code.len() / 2].to_vec(), b"plain".to_vec()] {
        let answer = delete(&answering(packed(damaged)).await.1).await;
        assert_eq!(trouble(&answer), Trouble::Answered);
    }
}

#[tokio::test]
async fn an_endless_body_is_dropped_at_the_bound() {
    let ca = Ca::new();
    let (stopped, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let (address, _) = raw(&ca, move |mut stream| {
        let stopped = stopped.clone();
        async move {
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n";
            stream.write_all(head).await.unwrap();
            let mut sent = 0_usize;
            while stream.write_all(&[b' '; 8192]).await.is_ok() {
                sent += 8192;
            }
            stopped.send(sent).unwrap();
        }
    })
    .await;
    let answer = delete(&connect(address, &ca.trusted())).await;
    assert_eq!(trouble(&answer), Trouble::Answered);
    // What the line's own buffers hold comes on top of the bound.
    assert!(seen.recv().await.unwrap() < 32 * 1024 * 1024);
}

#[tokio::test]
async fn a_body_that_trickles_ends_with_the_time_out() {
    let ca = Ca::new();
    let (address, _) = raw(&ca, |mut stream| async move {
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n";
        stream.write_all(head).await.unwrap();
        while stream.write_all(b" ").await.is_ok() && stream.flush().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let answer = delete(&within(address, &ca.trusted(), hurried())).await;
    assert_eq!(trouble(&answer), Trouble::Answered);
    let detail = answer.detail().unwrap();
    assert_eq!(detail.http_status, Some(200));
    assert!(detail.message.contains("time-out"), "{detail:?}");
}

#[tokio::test]
async fn a_cut_body_leaves_it_unknown_even_under_a_200() {
    let ca = Ca::new();
    let (address, requests) = raw(&ca, |mut stream| async move {
        let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{}";
        stream.write_all(cut).await.unwrap();
        let _ = stream.shutdown().await;
    })
    .await;
    let answer = delete(&connect(address, &ca.trusted())).await;
    assert_eq!(trouble(&answer), Trouble::Answered);
    assert!(answer.detail().unwrap().message.contains("broke"));
    assert_eq!(requests.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_connection_dropped_before_the_answer_is_lost_and_the_request_not_repeated() {
    let ca = Ca::new();
    let (address, requests) = raw(&ca, |stream| async move { drop(stream) }).await;
    let connection = connect(address, &ca.trusted());
    for sent in 1..=3 {
        assert_eq!(trouble(&delete(&connection).await), Trouble::ConnectionLost);
        assert_eq!(requests.load(Ordering::SeqCst), sent);
    }
}

#[tokio::test]
async fn a_reused_connection_that_dies_under_a_request_is_lost_and_the_request_not_repeated() {
    let ca = Ca::new();
    let served = Arc::new(AtomicUsize::new(0));
    let count = served.clone();
    let acceptor = ca.server("127.0.0.1", None, &[&TLS13]);
    let address = serve(acceptor, move |mut stream| {
        let served = count.clone();
        async move {
            for reply in ["HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", ""] {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                served.fetch_add(1, Ordering::SeqCst);
                stream.write_all(reply.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
            }
        }
    })
    .await;
    let connection = connect(address, &ca.trusted());
    assert_eq!(delete(&connection).await, Answer::Done(200));
    assert_eq!(trouble(&delete(&connection).await), Trouble::ConnectionLost);
    assert_eq!(served.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn no_answer_within_the_time_out_is_told_apart_from_no_connection() {
    let ca = Ca::new();
    let (silent, requests) = raw(&ca, |mut stream| async move {
        let _ = stream.read_u8().await;
    })
    .await;
    let answer = delete(&within(silent, &ca.trusted(), hurried())).await;
    assert_eq!(trouble(&answer), Trouble::TimedOut);
    assert_eq!(requests.load(Ordering::SeqCst), 1);

    // A listener that never accepts: TCP stands, TLS never does.
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let timeouts = Timeouts {
        connect: Duration::from_millis(300),
        ..Timeouts::default()
    };
    let address = deaf.local_addr().unwrap();
    let answer = delete(&within(address, &ca.trusted(), timeouts)).await;
    assert_eq!(trouble(&answer), Trouble::NotConnected);
    drop(deaf);
    let answer = delete(&connect(address, &ca.trusted())).await;
    assert_eq!(trouble(&answer), Trouble::NotConnected);
    assert!(answer.detail().unwrap().message.contains("refused"));
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_no_connection() {
    let plain = MockServer::start().await;
    let answer = delete(&connect(*plain.address(), &Ca::new().trusted())).await;
    assert_eq!(trouble(&answer), Trouble::NotConnected);
    assert!(plain.received_requests().await.unwrap().is_empty());
}

/// What a delete finds at a mock platform with the given certificate, and how many requests came.
async fn meets(acceptor: TlsAcceptor, tls: &TlsSettings) -> (Answer, usize) {
    let (mock, address) = mock(acceptor).await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200))
        .mount(&mock)
        .await;
    let answer = delete(&connect(address, tls)).await;
    (answer, mock.received_requests().await.unwrap().len())
}

#[tokio::test]
async fn only_the_configured_authority_is_trusted() {
    let (ca, stranger) = (Ca::new(), Ca::new());
    for version in [&TLS12, &TLS13] {
        let server = || ca.server("127.0.0.1", None, &[version]);
        let (answer, _) = meets(server(), &ca.trusted()).await;
        assert_eq!(answer, Answer::Done(200), "{version:?}");
        let (answer, requests) = meets(server(), &stranger.trusted()).await;
        assert_eq!(trouble(&answer), Trouble::CertificateNotTrusted);
        assert_eq!(requests, 0);
        assert!(answer.detail().unwrap().message.contains("not trusted"));
    }
    let mut both = ca.pem();
    both.extend(stranger.pem());
    let tls = TlsSettings {
        ca: Some(both),
        ..TlsSettings::default()
    };
    let (answer, _) = meets(stranger.server("127.0.0.1", None, &[&TLS13]), &tls).await;
    assert_eq!(
        answer,
        Answer::Done(200),
        "a bundle holds several authorities"
    );
}

#[tokio::test]
async fn the_certificate_must_carry_the_configured_name_instead_of_the_host() {
    let ca = Ca::new();
    let named = |name: &str| TlsSettings {
        server_name: Some(name.to_owned()),
        ..ca.trusted()
    };
    let server = |name: &str| ca.server(name, None, &[&TLS13]);
    let (answer, _) = meets(server("iot.example.com"), &named("iot.example.com")).await;
    assert_eq!(answer, Answer::Done(200));
    for (carried, wanted) in [
        ("iot.example.com", ca.trusted()),
        ("iot.example.com", named("other.example.com")),
        ("127.0.0.1", named("iot.example.com")),
    ] {
        let (answer, requests) = meets(server(carried), &wanted).await;
        assert_eq!(
            trouble(&answer),
            Trouble::CertificateNotTrusted,
            "{carried}"
        );
        assert_eq!(requests, 0);
    }
}

#[tokio::test]
async fn a_demanded_client_certificate_is_shown_and_its_lack_or_refusal_named() {
    let (ca, clients, stranger) = (Ca::new(), Ca::new(), Ca::new());
    let showing = |by: &Ca| {
        let (chain, key) = by.issue("operator");
        TlsSettings {
            client: Some((chain, key.into())),
            ..ca.trusted()
        }
    };
    for version in [&TLS12, &TLS13] {
        let server = || ca.server("127.0.0.1", Some(&clients), &[version]);
        let (answer, _) = meets(server(), &showing(&clients)).await;
        assert_eq!(answer, Answer::Done(200), "{version:?}");
        for (tls, said) in [
            (ca.trusted(), "demands a client certificate"),
            (showing(&stranger), "refuses the client certificate"),
        ] {
            let (answer, requests) = meets(server(), &tls).await;
            assert_eq!(
                trouble(&answer),
                Trouble::ClientCertificateRefused,
                "{version:?} {answer:?}"
            );
            assert_eq!(requests, 0);
            let message = &answer.detail().unwrap().message;
            assert!(message.contains(said), "{message}");
        }
    }
}

#[tokio::test]
async fn no_debug_text_shows_a_secret() {
    let body = format!(r#"{{"accessToken":"{TOKEN}"}}"#);
    let (_mock, connection) = answering(ResponseTemplate::new(200).set_body_string(body)).await;
    let login = connection.login(&app(), &secret()).await.unwrap();
    let echo = format!(r#"{{"resultcode":"1010005","resultmsg":"{TOKEN} and {SECRET} are bad"}}"#);
    let (_mock, echoing) = answering(ResponseTemplate::new(403).set_body_string(echo)).await;
    let deleted = delete(&echoing).await;
    let refused = echoing.login(&app(), &secret()).await;
    assert!(!format!("{login:?} {connection:?} {deleted:?}").contains(TOKEN));
    assert!(!format!("{connection:?} {refused:?}").contains(SECRET));
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Write::write(&mut *self.0.lock().unwrap(), bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_log_line_shows_a_secret_even_at_the_finest_level() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _scope = tracing::subscriber::set_default(subscriber);
    let body = format!(r#"{{"accessToken":"{TOKEN}"}}"#);
    let (mock, connection) = answering(ResponseTemplate::new(200).set_body_string(body)).await;
    connection.login(&app(), &secret()).await.unwrap();
    assert_eq!(delete(&connection).await, Answer::Done(200));
    assert_eq!(mock.received_requests().await.unwrap().len(), 2);
    tracing::info!("done");
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("done"));
    for hidden in [TOKEN, SECRET, "hunter2"] {
        assert!(!text.contains(hidden), "{text}");
    }
}
