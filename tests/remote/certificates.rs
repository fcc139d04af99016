//! Trusted certificates: those that a trusted certificate issued, and trusted ones themselves.

use rcgen::{DnType, ExtendedKeyUsagePurpose, SanType, date_time_ymd};

use super::*;

/// Makes a certificate invalid.
type Maker<'a> = Box<dyn Fn(&mut CertificateParams) + 'a>;

/// A self-signed certificate and its key.
struct Own {
    pem: String,
    key: KeyPair,
    params: CertificateParams,
}

/// A self-signed certificate for 127.0.0.1, changed by `change`.
fn own(change: impl FnOnce(&mut CertificateParams)) -> Own {
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    Own { pem, key, params }
}

/// A CA certificate, as `openssl req -x509` creates one.
fn ca_true(params: &mut CertificateParams) {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
}

impl Own {
    fn acceptor(&self, version: &'static SupportedProtocolVersion) -> TlsAcceptor {
        acceptor(&self.pem, &self.key, version)
    }

    /// A certificate for 127.0.0.1 issued by this one, and its key.
    fn issue(&self) -> (String, KeyPair) {
        let issuer = rcgen::Issuer::from_params(&self.params, &self.key);
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        (params.signed_by(&key, &issuer).unwrap().pem(), key)
    }
}

fn acceptor(pem: &str, key: &KeyPair, version: &'static SupportedProtocolVersion) -> TlsAcceptor {
    let chain = CertificateDer::pem_slice_iter(pem.as_bytes()).map(Result::unwrap);
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.collect(), key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

fn trusting(pem: &str) -> TlsSettings {
    TlsSettings {
        ca: Some(pem.as_bytes().to_vec()),
        ..TlsSettings::default()
    }
}

/// The TLS failure of a delete, and its description.
async fn finds(acceptor: TlsAcceptor, tls: &TlsSettings) -> Result<(), (Trouble, String)> {
    let (mock, address) = mock(acceptor).await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200))
        .mount(&mock)
        .await;
    let answer = delete(&connect(address, tls)).await;
    match answer {
        Answer::Done(200) => Ok(()),
        Answer::Unavailable(detail, trouble) => {
            assert!(mock.received_requests().await.unwrap().is_empty());
            Err((trouble, detail.message))
        }
        other => panic!("{other:?}"),
    }
}

fn fault(found: &Result<(), (Trouble, String)>) -> CertificateFault {
    match found {
        Err((Trouble::CertificateNotTrusted(fault), _)) => *fault,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_self_signed_server_certificate_is_trusted_where_it_is_pinned() {
    for version in [&TLS12, &TLS13] {
        for own in [own(ca_true), own(|_| {})] {
            assert_eq!(
                finds(own.acceptor(version), &trusting(&own.pem)).await,
                Ok(())
            );
        }
    }
    // Together with another certificate, and issued by another CA.
    let (ours, stranger) = (own(ca_true), own(ca_true));
    let both = format!("{}{}", stranger.pem, ours.pem);
    assert_eq!(finds(ours.acceptor(&TLS13), &trusting(&both)).await, Ok(()));
    let (issued, key) = stranger.issue();
    let found = finds(acceptor(&issued, &key, &TLS13), &trusting(&issued)).await;
    assert_eq!(found, Ok(()));
}

#[tokio::test]
async fn a_pinned_certificate_makes_others_trusted_only_as_a_ca() {
    let (pinned, twin) = (own(ca_true), own(ca_true));
    let found = finds(twin.acceptor(&TLS13), &trusting(&pinned.pem)).await;
    assert_eq!(fault(&found), CertificateFault::Ca, "of the same names");
    // A CA certificate may issue others; another certificate may not.
    let (leaf, key) = pinned.issue();
    let found = finds(acceptor(&leaf, &key, &TLS13), &trusting(&pinned.pem)).await;
    assert_eq!(found, Ok(()));
    for leaf in [own(|_| {}), own(|params| params.is_ca = IsCa::ExplicitNoCa)] {
        let (below, key) = leaf.issue();
        let found = finds(acceptor(&below, &key, &TLS13), &trusting(&leaf.pem)).await;
        assert_eq!(fault(&found), CertificateFault::Issuer);
    }
    // A CA certificate isn't a server's certificate just because its issuer is trusted.
    let ca = own(ca_true);
    let issuer = rcgen::Issuer::from_params(&ca.params, &ca.key);
    let below = own(ca_true);
    let below_pem = below.params.signed_by(&below.key, &issuer).unwrap().pem();
    let found = finds(acceptor(&below_pem, &below.key, &TLS13), &trusting(&ca.pem)).await;
    assert_eq!(fault(&found), CertificateFault::Ca);
    let all = format!("{}{below_pem}", ca.pem);
    let found = finds(acceptor(&below_pem, &below.key, &TLS13), &trusting(&all)).await;
    assert_eq!(found, Ok(()));
}

#[tokio::test]
async fn a_pinned_certificate_is_checked_for_its_key() {
    // A server presents the certificate of one with the key of another.
    let (pinned, other) = (own(ca_true), own(ca_true));
    for version in [&TLS12, &TLS13] {
        let chain = CertificateDer::from_pem_slice(pinned.pem.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(other.key.serialize_pem().as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = provider.key_provider.load_private_key(key).unwrap();
        let certified = Arc::new(rustls::sign::CertifiedKey::new(vec![chain], key));
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
        let found = finds(TlsAcceptor::from(Arc::new(config)), &trusting(&pinned.pem)).await;
        assert!(found.is_err(), "{version:?} {found:?}");
    }
}

#[tokio::test]
async fn names_validity_and_purpose_of_a_pinned_certificate_are_checked_with_a_message_each() {
    let past = |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 2, 3);
    };
    let future = |params: &mut CertificateParams| params.not_before = date_time_ymd(2999, 1, 1);
    let named = |names: &[&str]| {
        let names = names
            .iter()
            .map(|name| SanType::DnsName((*name).try_into().unwrap()));
        let names: Vec<_> = names.collect();
        move |params: &mut CertificateParams| params.subject_alt_names = names
    };
    let common = |params: &mut CertificateParams| {
        params.subject_alt_names.clear();
        params
            .distinguished_name
            .push(DnType::CommonName, "iot.example.com");
    };
    let purpose = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    };
    let many: Vec<String> = (0..9).map(|n| format!("n{n}.example")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let makers: [(CertificateFault, &str, Maker<'_>); 6] = [
        (
            CertificateFault::Expired,
            "expired on 2021-02-03T",
            Box::new(past),
        ),
        (
            CertificateFault::NotYetValid,
            "only from 2999-01-01T",
            Box::new(future),
        ),
        (
            CertificateFault::OtherName,
            "for a.example, b.example, and not for 127.0.0.1",
            Box::new(move |params| named(&["a.example", "b.example"])(params)),
        ),
        (
            CertificateFault::OtherName,
            "n3.example and 5 more, and not",
            Box::new(move |params| named(&many)(params)),
        ),
        (
            CertificateFault::NoName,
            "only the common name \"iot.example.com\", which doesn't count",
            Box::new(common),
        ),
        (
            CertificateFault::Purpose,
            "extended key usage",
            Box::new(purpose),
        ),
    ];
    for (expected, said, change) in &makers {
        for is_ca in [true, false] {
            let pinned = own(|params| {
                if is_ca {
                    ca_true(params);
                }
                change(params);
            });
            let found = finds(pinned.acceptor(&TLS13), &trusting(&pinned.pem)).await;
            assert_eq!(fault(&found), *expected, "{said}");
            let message = found.unwrap_err().1;
            assert!(message.contains(said), "{message} lacks {said}");
        }
        // The same certificate issued by a CA.
        let ca = own(ca_true);
        let issuer = rcgen::Issuer::from_params(&ca.params, &ca.key);
        let leaf = own(change);
        let leaf_pem = leaf.params.signed_by(&leaf.key, &issuer).unwrap().pem();
        let found = finds(acceptor(&leaf_pem, &leaf.key, &TLS13), &trusting(&ca.pem)).await;
        assert_eq!(fault(&found), *expected, "{said}");
        let message = found.unwrap_err().1;
        assert!(message.contains(said), "{message} lacks {said}");
    }
}

#[tokio::test]
async fn all_certificates_of_a_joined_or_commented_bundle_count_and_are_counted() {
    let cas = [own(ca_true), own(ca_true), own(ca_true)];
    let joined: String = cas.iter().map(|ca| ca.pem.trim()).collect();
    let marked: String = cas.iter().flat_map(|ca| ["\u{feff}", &ca.pem]).collect();
    for bundle in [joined, marked] {
        let tls = trusting(&bundle);
        let address = "127.0.0.1:1".parse().unwrap();
        assert_eq!(connect(address, &tls).trusted(), Some(3));
        for ca in &cas {
            let (issued, key) = ca.issue();
            assert_eq!(finds(acceptor(&issued, &key, &TLS13), &tls).await, Ok(()));
        }
    }
}
