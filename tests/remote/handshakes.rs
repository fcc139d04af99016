//! Failing handshakes: each cause is recognised, and permanent failures are distinguished from transient ones.

use rcgen::date_time_ymd;
use rustls::server::{ClientHello, ResolvesServerCert};

use super::*;

/// A server that answers the beginning of each connection with `bytes`.
async fn answering_with(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut tcp, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut hello = [0; 2048];
                let _ = tcp.read(&mut hello).await;
                let _ = tcp.write_all(bytes).await;
                let _ = tcp.shutdown().await;
                let _ = tokio::io::copy(&mut tcp, &mut tokio::io::sink()).await;
            });
        }
    });
    address
}

async fn found(address: SocketAddr, tls: &TlsSettings) -> (Trouble, String) {
    let answer = delete(&connect(address, tls)).await;
    (trouble(&answer), answer.detail().unwrap().message.clone())
}

#[tokio::test]
async fn a_server_without_tls_or_without_a_common_version_or_cipher_is_reported_by_what_is_missing()
{
    // A TLS 1.0 server hello with a cipher of its time: record, handshake, version, random, session, cipher,
    // compression.
    const OLD: &[u8] = &[
        0x16, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0x2f, 0,
    ];
    let tls = Ca::new().trusted();
    let rows: [(&'static [u8], Option<TlsFault>, &str); 9] = [
        (
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
            Some(TlsFault::NotTls),
            "no TLS",
        ),
        (b"SSH-2.0-OpenSSH_9.6\r\n", Some(TlsFault::NotTls), "no TLS"),
        (
            b"220 mail.example.com ESMTP\r\n",
            Some(TlsFault::NotTls),
            "no TLS",
        ),
        (OLD, Some(TlsFault::Version), "older than 1.2"),
        (
            &[0x15, 3, 1, 0, 2, 2, 70],
            Some(TlsFault::Version),
            "protocol_version",
        ),
        (
            &[0x15, 3, 3, 0, 2, 2, 40],
            Some(TlsFault::Parameters),
            "handshake_failure",
        ),
        (
            &[0x15, 3, 3, 0, 2, 2, 71],
            Some(TlsFault::Parameters),
            "insufficient_security",
        ),
        (
            &[0x15, 3, 3, 0, 2, 2, 112],
            Some(TlsFault::Name),
            "unrecognized_name",
        ),
        // A transient failure: an internal error.
        (&[0x15, 3, 3, 0, 2, 2, 80], None, "no connection"),
    ];
    for (bytes, fault, said) in rows {
        let (trouble, message) = found(answering_with(bytes).await, &tls).await;
        let expected = fault.map_or(Trouble::NotConnected, Trouble::TlsMismatch);
        assert_eq!(trouble, expected, "{message}");
        assert_eq!(trouble.needs_person(), fault.is_some());
        assert!(message.contains(said), "{message} lacks {said}");
    }
    // A server that closes the connection proves no permanent failure.
    let (trouble, _) = found(answering_with(b"").await, &tls).await;
    assert_eq!(trouble, Trouble::NotConnected);
}

/// A port that was free a moment ago.
async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test]
async fn real_servers_with_old_versions_or_ciphers_are_distinguished() {
    let openssl = |arguments: &[&str]| {
        let mut command = tokio::process::Command::new("openssl");
        command.args(arguments).kill_on_drop(true);
        // The process ends at the end of its input.
        command.stdin(std::process::Stdio::piped());
        command.stdout(std::process::Stdio::null());
        command.stderr(std::process::Stdio::null());
        command.spawn()
    };
    if openssl(&["version"]).is_err() {
        println!("skipped: there is no openssl here");
        return;
    }
    let ca = Ca::new();
    let files = tempfile::tempdir().unwrap();
    let (chain, key) = ca.issue("127.0.0.1");
    let path = |name: &str, content: Vec<u8>| {
        let path = files.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (chain, key) = (path("chain", chain), path("key", key));
    for (flags, fault) in [
        (["-tls1_1", "DEFAULT@SECLEVEL=0"], TlsFault::Version),
        (["-tls1_2", "ECDHE-ECDSA-AES128-SHA"], TlsFault::Parameters),
    ] {
        let port = free_port().await;
        let address: SocketAddr = ([127, 0, 0, 1], port).into();
        let accept = address.to_string();
        let [version, ciphers] = flags;
        let all = [
            "s_server", "-accept", &accept, "-cert", &chain, "-key", &key, version, "-cipher",
            ciphers,
        ];
        let _server = openssl(&all).unwrap();
        for _ in 0..200 {
            if TcpStream::connect(address).await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let (trouble, message) = found(address, &ca.trusted()).await;
        assert_eq!(trouble, Trouble::TlsMismatch(fault), "{message}");
    }
}

/// Serves only clients that request its own name.
#[derive(Debug)]
struct OnlyUnder(&'static str, Arc<rustls::sign::CertifiedKey>);

impl ResolvesServerCert for OnlyUnder {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<rustls::sign::CertifiedKey>> {
        (hello.server_name() == Some(self.0)).then(|| self.1.clone())
    }
}

#[tokio::test]
async fn the_configured_name_is_requested_and_the_host_header_stays_the_endpoints() {
    let ca = Ca::new();
    let (chain, key) = ca.issue("iot.example.com");
    let chain = CertificateDer::pem_slice_iter(&chain)
        .map(Result::unwrap)
        .collect();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::from_pem_slice(&key).unwrap();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let certified = Arc::new(rustls::sign::CertifiedKey::new(chain, key));
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS12, &TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(OnlyUnder("iot.example.com", certified)));
    let (mock, address) = mock(TlsAcceptor::from(Arc::new(config))).await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200))
        .mount(&mock)
        .await;
    let tls = TlsSettings {
        server_name: Some("IoT.example.com".to_owned()),
        ..ca.trusted()
    };
    let port = address.port();
    for host in ["127.0.0.1", "localhost"] {
        let endpoint: Endpoint = format!("https://{host}:{port}/base").parse().unwrap();
        let connection = Connection::new(&endpoint, &tls, Timeouts::default()).unwrap();
        assert_eq!(delete(&connection).await, Answer::Done(200), "{host}");
        let request = mock.received_requests().await.unwrap().pop().unwrap();
        assert_eq!(request.headers["host"], format!("{host}:{port}"));
        assert!(
            request.url.path().starts_with("/base/iodm/"),
            "{}",
            request.url
        );
    }
}

#[tokio::test]
async fn an_expired_or_early_client_certificate_is_reported_with_its_date() {
    let (ca, clients) = (Ca::new(), Ca::new());
    let showing = |from: i32, to: i32| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["operator".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 2, 3);
        let chain = params.signed_by(&key, &clients.0).unwrap().pem();
        TlsSettings {
            client: Some((chain.into_bytes(), key.serialize_pem().into_bytes().into())),
            ..ca.trusted()
        }
    };
    for version in [&TLS12, &TLS13] {
        for (tls, fault, said) in [
            (
                showing(2020, 2021),
                ClientFault::Expired,
                "expired on 2021-02-03T",
            ),
            (
                showing(2998, 2999),
                ClientFault::NotYetValid,
                "only from 2998-01-01T",
            ),
        ] {
            let acceptor = ca.server("127.0.0.1", Some(&clients), &[version]);
            let address = serve(acceptor, |mut stream| async move {
                let _ = stream.read_u8().await;
            })
            .await;
            let (trouble, message) = found(address, &tls).await;
            assert_eq!(
                trouble,
                Trouble::ClientCertificateRefused(fault),
                "{version:?} {message}"
            );
            assert!(message.contains(said), "{message} lacks {said}");
        }
    }
}
