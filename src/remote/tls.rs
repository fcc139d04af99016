//! TLS of the connection to the platform: trusted certificates and the client certificate.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    ResolvesClientCert, verify_server_cert_signed_by_trust_anchor, verify_server_name,
};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, InconsistentKeys, RootCertStore, SignatureScheme,
};
use secrecy::ExposeSecret;

use super::certificate::{self, OtherNames, Validity};
use super::pem::{self, PemFault};

/// The TLS settings of a Platform, in PEM.
#[derive(Clone, Default)]
pub struct TlsSettings {
    /// The trusted certificates, which replace the system's.
    pub ca: Option<Vec<u8>>,
    /// The client certificate chain and its private key.
    pub client: Option<(Vec<u8>, secrecy::SecretSlice<u8>)>,
    /// The name that the platform's certificate must carry, where it isn't the endpoint's host.
    pub server_name: Option<String>,
}

/// The reason why TLS settings can't be used, in the field names of the Platform and its Secrets. It holds no text of a
/// Secret, and therefore no message of a parser.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The trusted certificates (`ca.crt`) can't be read.
    #[error("ca.crt {0}")]
    Ca(PemFault),
    /// The client certificate chain (`tls.crt`) can't be read.
    #[error("tls.crt {0}")]
    Chain(PemFault),
    /// The private key (`tls.key`) can't be read.
    #[error("tls.key {0}")]
    Key(PemFault),
    /// The private key doesn't belong to the client certificate.
    #[error("tls.key is not the key of the first certificate of tls.crt")]
    OtherKey,
    /// Neither the settings nor the system provide trusted certificates.
    #[error("tls.caSecretRef must name a Secret, as no trusted certificates are installed here")]
    NoRoots,
    /// The server name is neither a DNS name nor an IP address. Holds the first 64 characters of it.
    #[error("tls.serverName {0:?} is neither a DNS name nor an IP address")]
    ServerName(String),
    /// Each setting can be read, but the TLS library refuses the combination.
    #[error("tls has settings that can't be used together")]
    Setup,
}

/// The TLS configuration of a connection.
pub(super) struct Prepared {
    /// The settings in the form of the TLS library.
    pub config: ClientConfig,
    /// How many certificates were read from `ca.crt`; `None` where the system's certificates are trusted.
    pub trusted: Option<usize>,
    /// The client certificate.
    pub identity: Arc<Identity>,
}

/// Builds the TLS configuration: TLS 1.2 or 1.3 with the `ring` provider, no matter which default provider the process
/// has.
pub(super) fn prepare(settings: &TlsSettings) -> Result<Prepared, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let (trust, trusted) = Trust::of(settings, &provider)?;
    let identity = Arc::new(Identity::of(settings, &provider)?);
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|_| TlsError::Setup)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(trust))
        .with_client_cert_resolver(identity.clone());
    Ok(Prepared {
        config,
        trusted,
        identity,
    })
}

/// The check of the platform's certificate. It accepts a certificate that a trusted certificate has issued, and a
/// certificate that is itself trusted.
#[derive(Debug)]
struct Trust {
    /// The certificates that may have issued the platform's certificate.
    roots: RootCertStore,
    /// The certificates that are accepted when the platform itself presents one of them.
    pinned: Vec<CertificateDer<'static>>,
    /// The name that the certificate must carry in place of the endpoint's host.
    name: Option<ServerName<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Trust {
    /// The trust of these settings, and how many certificates `ca.crt` holds.
    fn of(
        settings: &TlsSettings,
        provider: &CryptoProvider,
    ) -> Result<(Self, Option<usize>), TlsError> {
        let name = settings.server_name.as_ref().map(|name| {
            ServerName::try_from(name.clone())
                .map_err(|_| TlsError::ServerName(name.chars().take(64).collect()))
        });
        let (roots, pinned) = match &settings.ca {
            Some(pem) => private_roots(pem).map_err(TlsError::Ca)?,
            None => (system_roots()?, Vec::new()),
        };
        let trusted = settings.ca.as_ref().map(|_| pinned.len());
        let trust = Self {
            roots,
            pinned,
            name: name.transpose()?,
            algorithms: provider.signature_verification_algorithms,
        };
        Ok((trust, trusted))
    }
}

/// The CA certificates as roots, and all certificates. A server's own certificate is trusted, but isn't accepted as an
/// issuer.
fn private_roots(pem: &[u8]) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), PemFault> {
    let certificates = pem::certificates(pem)?;
    let (mut roots, mut others) = (RootCertStore::empty(), RootCertStore::empty());
    for (index, der) in certificates.iter().enumerate() {
        let store = if certificate::may_issue(der) {
            &mut roots
        } else {
            &mut others
        };
        let added = store.add(der.clone());
        added.map_err(|_| PemFault::BadCertificate(index + 1))?;
    }
    Ok((roots, certificates))
}

/// The certificates that the system trusts. Single unreadable ones are skipped.
fn system_roots() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(TlsError::NoRoots);
    }
    Ok(roots)
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let issued = verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &self.roots,
            intermediates,
            now,
            self.algorithms.all,
        );
        if issued.is_err() && self.pinned.contains(end_entity) {
            certificate::check(end_entity, now)?;
        } else {
            issued?;
        }
        let name = self.name.as_ref().unwrap_or(host);
        verify_server_name(&parsed, name)
            .map_err(|_| OtherNames::of(end_entity, name).into_error())?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The client certificate, and a record of whether the platform has requested a client certificate. With TLS 1.2, many
/// servers refuse a missing certificate with a plain "handshake failure". If the platform hasn't requested a
/// certificate, that failure has another cause.
pub(super) struct Identity {
    shown: Option<Arc<CertifiedKey>>,
    /// The validity period of the client certificate; `None` if there is no certificate, or if it can't be parsed.
    pub validity: Option<Validity>,
    asked: AtomicBool,
}

impl Identity {
    fn of(settings: &TlsSettings, provider: &CryptoProvider) -> Result<Self, TlsError> {
        let shown = match &settings.client {
            Some((chain, key)) => Some(certified(chain, key.expose_secret(), provider)?),
            None => None,
        };
        let own = shown.as_ref().and_then(|shown| shown.cert.first());
        Ok(Self {
            validity: own.and_then(certificate::validity),
            shown: shown.map(Arc::new),
            asked: AtomicBool::new(false),
        })
    }

    /// Whether the platform has requested a client certificate.
    pub fn was_asked_for(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Whether a client certificate is configured.
    pub fn is_there(&self) -> bool {
        self.shown.is_some()
    }
}

fn certified(
    chain: &[u8],
    key: &[u8],
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let chain = pem::certificates(chain).map_err(TlsError::Chain)?;
    let key = pem::key(key).map_err(TlsError::Key)?;
    let key = provider.key_provider.load_private_key(key);
    let key = key.map_err(|_| TlsError::Key(PemFault::KindOfKey))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        // For some kinds of key the library can't compare key and certificate.
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(Error::InconsistentKeys(_)) => Err(TlsError::OtherKey),
        Err(_) => Err(TlsError::Chain(PemFault::BadCertificate(1))),
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let there = self.is_there();
        f.debug_struct("Identity")
            .field("there", &there)
            .finish_non_exhaustive()
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.shown.clone()
    }

    fn has_certs(&self) -> bool {
        self.shown.is_some()
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
    fn unusable_settings_are_refused_with_the_name_of_their_key() {
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
            (ca(b""), "ca.crt holds nothing in PEM form"),
            (ca(&key), "ca.crt holds a private key, and no certificate"),
            (ca(broken), "ca.crt holds a certificate that can't be read"),
            (
                ca(b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"),
                "ca.crt has something between",
            ),
            (client(b"", &key), "tls.crt holds nothing in PEM form"),
            (
                client(&certificate, b""),
                "tls.key holds nothing in PEM form",
            ),
            (
                client(&certificate, &certificate),
                "tls.key holds a certificate",
            ),
            (client(&key, &key), "tls.crt holds a private key"),
            (client(&certificate, &foreign_key), "tls.key is not the key"),
            (
                client(broken, &key),
                "tls.crt holds a certificate that can't be read",
            ),
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
