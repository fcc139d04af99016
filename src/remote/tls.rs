//! Trust and identity of the connection to the platform.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use secrecy::ExposeSecret;

/// How the platform is trusted, and who we say we are. PEM throughout.
#[derive(Clone, Default)]
pub struct TlsSettings {
    /// The certificates that are trusted instead of the system's.
    pub ca: Option<Vec<u8>>,
    /// Our certificate chain and its key.
    pub client: Option<(Vec<u8>, secrecy::SecretSlice<u8>)>,
    /// The name that the platform's certificate must carry, where it isn't the endpoint's host.
    pub server_name: Option<String>,
}

/// Why TLS settings can't be used, in the words of the person who wrote them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The trusted certificates can't be read.
    #[error("ca.crt {0}")]
    Ca(String),
    /// Our certificate or key can't be read, or they don't belong together.
    #[error("tls.crt and tls.key {0}")]
    Client(String),
    /// The server name is none.
    #[error("tls.serverName {0:?} is neither a DNS name nor an IP address")]
    ServerName(String),
    /// The client can't be made of settings that are readable each by itself.
    #[error("the TLS settings can't be used: {0}")]
    Setup(String),
}

/// What a connection needs of its TLS settings.
pub(super) struct Prepared {
    /// The settings as the TLS library takes them.
    pub config: ClientConfig,
    /// Whether the platform asked for a certificate, where there is none to show.
    pub missed: Arc<NoCertificate>,
}

/// Reads `settings`. TLS 1.2 or 1.3, on ring, whatever provider the process may have installed.
pub(super) fn prepare(settings: &TlsSettings) -> Result<Prepared, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = verifier(settings, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|error| TlsError::Setup(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let missed = Arc::new(NoCertificate::default());
    let config = match &settings.client {
        None => builder.with_client_cert_resolver(missed.clone()),
        Some((chain, key)) => {
            let (chain, key) = identity(chain, key.expose_secret())?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| match error {
                    Error::InconsistentKeys(_) => {
                        TlsError::Client("don't belong together".to_owned())
                    }
                    other => TlsError::Client(format!("can't be used: {other}")),
                })?
        }
    };
    Ok(Prepared { config, missed })
}

fn verifier(
    settings: &TlsSettings,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let roots = match &settings.ca {
        Some(pem) => private_roots(pem)?,
        None => system_roots(),
    };
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|_| {
            TlsError::Ca("is needed, as no trusted certificates are installed here".to_owned())
        })?;
    let Some(name) = &settings.server_name else {
        return Ok(inner);
    };
    let name = ServerName::try_from(name.clone())
        .map_err(|_| TlsError::ServerName(name.chars().take(64).collect()))?;
    Ok(Arc::new(OtherName { inner, name }))
}

fn private_roots(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        certificate
            .map_err(|error| error.to_string())
            .and_then(|der| roots.add(der).map_err(|error| error.to_string()))
            .map_err(|error| TlsError::Ca(format!("can't be read: {error}")))?;
    }
    if roots.is_empty() {
        return Err(TlsError::Ca("holds no certificate in PEM form".to_owned()));
    }
    Ok(roots)
}

/// What the system trusts. Single certificates that can't be read don't take the others away.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn identity(chain: &[u8], key: &[u8]) -> Result<Identity, TlsError> {
    let chain = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsError::Client(format!("can't be read: {error}")))?;
    if chain.is_empty() {
        return Err(TlsError::Client(
            "hold no certificate in PEM form in tls.crt".to_owned(),
        ));
    }
    // The reader's own message might quote the key.
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| {
        TlsError::Client("hold no private key in PEM form without a password in tls.key".to_owned())
    })?;
    Ok((chain, key))
}

/// Checks the platform's certificate against a configured name, for platforms reached by an address
/// or under another name. The server name indication still carries the host of the endpoint.
#[derive(Debug)]
struct OtherName {
    inner: Arc<WebPkiServerVerifier>,
    name: ServerName<'static>,
}

impl ServerCertVerifier for OtherName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _host: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.inner
            .verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Shows no certificate and remembers whether one was asked for: under TLS 1.2 many servers refuse
/// the lack of one by a plain "handshake failure", which alone could mean anything.
#[derive(Debug, Default)]
pub(super) struct NoCertificate {
    asked: AtomicBool,
}

impl NoCertificate {
    /// Whether the platform ever asked.
    pub fn was_asked_for(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for NoCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Vec<u8>, Vec<u8>) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        (
            made.cert.pem().into_bytes(),
            made.signing_key.serialize_pem().into_bytes(),
        )
    }

    fn refusal(settings: &TlsSettings) -> String {
        prepare(settings)
            .err()
            .map(|error| error.to_string())
            .unwrap()
    }

    #[test]
    fn settings_that_can_not_be_used_are_refused_in_the_words_of_their_keys() {
        let (certificate, key) = pair();
        let (_, foreign_key) = pair();
        let ca = |pem: &[u8]| TlsSettings {
            ca: Some(pem.to_vec()),
            ..TlsSettings::default()
        };
        let client = |chain: &[u8], key: &[u8]| TlsSettings {
            ca: Some(certificate.clone()),
            client: Some((chain.to_vec(), key.to_vec().into())),
            ..TlsSettings::default()
        };
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (settings, said) in [
            (ca(b""), "ca.crt holds no certificate in PEM form"),
            (ca(&key), "ca.crt holds no certificate in PEM form"),
            (ca(broken), "ca.crt can't be read"),
            (
                ca(b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"),
                "ca.crt can't be read",
            ),
            (
                client(b"", &key),
                "hold no certificate in PEM form in tls.crt",
            ),
            (client(&certificate, b""), "tls.key"),
            (client(&certificate, &certificate), "tls.key"),
            (client(&certificate, &foreign_key), "don't belong together"),
            (client(broken, &key), "tls.crt and tls.key can't be used"),
            (
                TlsSettings {
                    ca: Some(certificate.clone()),
                    server_name: Some("a b".to_owned()),
                    ..TlsSettings::default()
                },
                "tls.serverName \"a b\" is neither",
            ),
        ] {
            let refusal = refusal(&settings);
            assert!(refusal.contains(said), "{refusal} lacks {said}");
            assert!(!refusal.contains("PRIVATE KEY"), "{refusal}");
        }
        for name in [
            None,
            Some("iot.example.com"),
            Some("127.0.0.1"),
            Some("::1"),
        ] {
            let settings = TlsSettings {
                server_name: name.map(str::to_owned),
                ..client(&certificate, &key)
            };
            assert!(prepare(&settings).is_ok(), "{name:?}");
        }
    }
}
