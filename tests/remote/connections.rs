//! Broken and failed connections, and their trust.

use super::*;

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
async fn a_missing_answer_differs_from_a_missing_connection() {
    let ca = Ca::new();
    let (silent, requests) = raw(&ca, |mut stream| async move {
        let _ = stream.read_u8().await;
    })
    .await;
    let answer = delete(&within(silent, &ca.trusted(), hurried())).await;
    assert_eq!(trouble(&answer), Trouble::TimedOut);
    assert_eq!(requests.load(Ordering::SeqCst), 1);

    // A listener that never accepts: TCP connects, but the TLS handshake never completes.
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
async fn a_server_without_tls_is_reported_as_such() {
    let plain = MockServer::start().await;
    let answer = delete(&connect(*plain.address(), &Ca::new().trusted())).await;
    assert_eq!(trouble(&answer), Trouble::TlsMismatch(TlsFault::NotTls));
    assert!(plain.received_requests().await.unwrap().is_empty());
}

/// The result of a delete at a mock platform with the given certificate, and the number of requests that arrived.
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
        assert_eq!(
            trouble(&answer),
            Trouble::CertificateNotTrusted(CertificateFault::Issuer)
        );
        assert_eq!(requests, 0);
        let message = &answer.detail().unwrap().message;
        assert!(message.contains("trusted CA"), "{message}");
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
            Trouble::CertificateNotTrusted(CertificateFault::OtherName),
            "{carried}"
        );
        assert_eq!(requests, 0);
    }
}

#[tokio::test]
async fn a_demanded_client_certificate_is_presented_and_its_absence_or_refusal_named() {
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
        for (tls, fault, said) in [
            (
                ca.trusted(),
                ClientFault::Missing,
                "demands a client certificate",
            ),
            (
                showing(&stranger),
                ClientFault::Issuer,
                "refuses the client certificate",
            ),
        ] {
            let (answer, requests) = meets(server(), &tls).await;
            assert_eq!(
                trouble(&answer),
                Trouble::ClientCertificateRefused(fault),
                "{version:?} {answer:?}"
            );
            assert_eq!(requests, 0);
            let message = &answer.detail().unwrap().message;
            assert!(message.contains(said), "{message}");
        }
    }
}
